"""A stand-in for Labyrinth (§5.4): first-person mazes with apples and a portal, new ones every episode.

The paper's environment was never released under that name. What is known of it is kept: rooms and corridors, apples +1,
a portal +10 that moves the agent to a random place and brings back the apples, 60 seconds, RGB of 84x84. What is not
known is chosen after DeepMind Lab's released levels of the kind.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, NamedTuple

import gymnasium as gym
import numpy as np
from pydantic import Field, model_validator

from a3crepro.common.config_model import Count, Fraction, PositiveCount, PositiveFloat
from a3crepro.common.errors import UserError
from a3crepro.environments._environment import Player
from a3crepro.environments._first_person import FRAMES_PER_SECOND, FirstPerson, FirstPersonEnv, signed
from a3crepro.environments._maze import Cell, distances, make_maze, way
from a3crepro.environments._textures import apple, chequered, pattern, portal
from a3crepro.environments._view import Eye, World

ACTIONS = ("look left", "look right", "strafe left", "strafe right", "forward", "backward")
RADIUS = 0.2
"""Of the agent, which keeps this far from walls, in cells."""
REACH = 0.5
"""Distance at which something is picked up, in cells."""
APPLE, PORTAL = 1.0, 10.0
"""Rewards (§5.4)."""
ATTEMPTS = 100_000
"""So many cells of mazes are made before it is said that there is none of this kind."""
APPLE_SIZE, PORTAL_SIZE = 0.35, 0.7
SIZES = {11: "", 15: "_medium", 21: "_large"}
"""What mazes of these sizes are called; the small one has no name of its own."""
LARGEST = 101


class Maze(NamedTuple):
    """Where one can go, and how far it is from there to the portal."""

    free: np.ndarray
    portal: np.ndarray
    from_portal: np.ndarray


class Labyrinth(FirstPerson):
    """A maze; the agent sees RGB, uint8 [3, 84, 84], and chooses one of `ACTIONS`, held for `action_repeat` frames."""

    counted: ClassVar[tuple[str, ...]] = ("apples", "portals")

    size: PositiveCount
    """Cells a side, outer walls included, an odd number from 7 to 101."""
    rooms: Annotated[Count, Field(le=100)]
    """So many, if there is room for them."""
    loops: Fraction
    """Share of the walls between regions that are opened beside those that connect them; none without rooms."""
    dead_ends: Fraction
    """Share of the dead ends that stay."""
    apple_density: Fraction
    """Share of the free cells with an apple, rounded to whole apples."""
    start_distance: PositiveCount
    """Steps from cell to cell that the start is away from the portal, at least."""
    maze_seed: Count | None
    """One maze with its apples and textures for all episodes, drawn from this number; null: a new one each episode."""
    speed: Annotated[PositiveFloat, Field(le=10)]
    """Cells a second, forward."""
    step_speed: Annotated[PositiveFloat, Field(le=10)]
    """Cells a second, to a side and backward."""
    turning: Annotated[PositiveFloat, Field(le=3600)]
    """Degrees a second."""
    inertia: Annotated[Fraction, Field(lt=1)]
    """Share of the velocity that stays from one frame to the next while another one is wanted; 0: none."""

    def velocities(self, action: int) -> tuple[float, float, float]:
        """What an action wants: cells a second forward and to the right, and radians a second to the right."""
        turning = math.radians(self.turning)
        forward = (0.0, 0.0, 0.0, 0.0, self.speed, -self.step_speed)[action]
        aside = (0.0, 0.0, -self.step_speed, self.step_speed, 0.0, 0.0)[action]
        return forward, aside, (-turning, turning, 0.0, 0.0, 0.0, 0.0)[action]

    @model_validator(mode="after")
    def _is_possible(self) -> Labyrinth:
        if self.size % 2 == 0 or not 7 <= self.size <= LARGEST:
            raise ValueError(f"size: should be an odd number from 7 to {LARGEST}, got {self.size}")
        if self.start_distance > self.size:  # many mazes have that
            raise ValueError(f"start_distance: should be at most size = {self.size}, got {self.start_distance}")
        if self.rooms == 0 and self.dead_ends == 0:
            raise ValueError("dead_ends: should be above 0 where rooms is 0: there would be no maze")
        self.maze(np.random.default_rng(self.maze_seed or 0))
        return self

    def maze(self, rng: np.random.Generator) -> Maze:
        """One in which one can be far enough from the portal, drawn by these numbers.

        Raises:
          ValueError: there is hardly any.
        """
        for _ in range(ATTEMPTS // self.size**2):
            free = make_maze(rng, self.size, self.rooms, self.loops, self.dead_ends)
            cells = np.argwhere(free)
            portal = cells[rng.integers(len(cells))]
            from_portal = distances(free, _cell(portal))
            if from_portal.max() >= self.start_distance:
                return Maze(free, portal, from_portal)
        steps = self.start_distance
        raise ValueError(f"start_distance: no maze of this size, rooms and dead_ends has {steps} steps")

    @property
    def title(self) -> str:
        return "labyrinth" + SIZES.get(self.size, f"_{self.size}") + ("" if self.maze_seed is None else "_static")

    def make(self, *, training: bool, render: bool = False) -> gym.Env[np.ndarray, Any]:
        return LabyrinthEnv(self, "rgb_array" if render else None)

    def pressed(self, env: gym.Env[np.ndarray, Any], keys: frozenset[str]) -> int | None:
        """One at a time, as the agent has it: a turn before a step; without a key time stands still."""
        meant = {"left": "look left", "right": "look right", "up": "forward", "down": "backward", "a": "strafe left",
                 "d": "strafe right"}  # fmt: skip
        return next((ACTIONS.index(action) for key, action in meant.items() if key in keys), None)

    def players(self) -> Mapping[str, Player]:
        return {"expert": Navigator(), "blind": Blind()}


class LabyrinthEnv(FirstPersonEnv):
    """One maze after another. `info` tells how many apples and portals the last step brought."""

    STAYS = (*FirstPersonEnv.STAYS, "figures", "ground", "ceiling")

    def __init__(self, settings: Labyrinth, render_mode: str | None = None) -> None:
        super().__init__(settings, len(ACTIONS), render_mode)
        self.settings = settings
        self.figures = np.stack([apple(), portal()])
        self.ground, self.ceiling = chequered((70, 66, 60), (84, 80, 72)), chequered((196, 200, 196), (204, 208, 204))

    # ---- A new maze --------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        fixed = self.settings.maze_seed
        self._build(self.np_random if fixed is None else np.random.default_rng(fixed))
        self.steps = 0
        self._place_agent()

    def _build(self, rng: np.random.Generator) -> None:
        """A maze, what is in it, and its walls' colours."""
        how = self.settings
        try:
            self.free, self.portal, self.from_portal = how.maze(rng)
        except ValueError as error:
            raise UserError(f"env.{error}") from error
        cells = np.argwhere(self.free)
        others = cells[(cells != self.portal).any(axis=1)]
        self.apples = others[rng.choice(len(others), round(how.apple_density * len(others)), replace=False)]
        self.walls = np.stack([pattern(rng) for _ in range(4)])
        styles = rng.integers(1, len(self.walls) + 1, (how.size // 4 + 1,) * 2, dtype=np.int32)  # neighbours look alike
        grid = np.where(self.free, 0, styles.repeat(4, axis=0).repeat(4, axis=1)[: how.size, : how.size])
        self.grid = np.ascontiguousarray(grid, np.int32)

    def _place_agent(self) -> None:
        """Somewhere far from the portal, with all apples there again."""
        far = np.argwhere(self.from_portal >= self.settings.start_distance)
        with_apple = (far[:, None] == self.apples).all(axis=2).any(axis=1)
        far = far if with_apple.all() else far[~with_apple]
        row, column = far[self.np_random.integers(len(far))]
        self.x, self.y = column + 0.5, row + 0.5
        self.angle = float(self.np_random.uniform(0, 2 * math.pi))
        self.forward = self.aside = self.turn = 0.0
        self.there = np.ones(len(self.apples), bool)

    # ---- A step ------------------------------------------------------------------------------------------------------

    def advance(self, action: int) -> tuple[float, bool, bool, dict[str, Any]]:
        apples = portals = 0
        wanted = self.settings.velocities(action)
        for _ in range(self.settings.action_repeat):
            self._move(*wanted)
            apples += self._pick_apples()
            if self._distance_to(self.portal) < REACH:
                portals += 1
                self._place_agent()
        self.steps += 1
        over = self.steps >= self.settings.episode_steps
        reward = APPLE * apples + PORTAL * portals
        return reward, False, over, {"apples": apples, "portals": portals}

    def _move(self, forward: float, aside: float, turn: float) -> None:
        """One frame: the velocities approach those that are wanted, and walls are slid along."""
        dt = 1 / FRAMES_PER_SECOND
        keep = self.settings.inertia
        self.turn = keep * self.turn + (1 - keep) * turn
        self.aside = keep * self.aside + (1 - keep) * aside
        self.forward = keep * self.forward + (1 - keep) * forward
        self.angle = (self.angle + dt * self.turn) % (2 * math.pi)
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        x = self.x + dt * (self.forward * cos - self.aside * sin)
        y = self.y + dt * (self.forward * sin + self.aside * cos)
        if self.is_open(x, self.y):
            self.x = x
        if self.is_open(self.x, y):
            self.y = y

    def is_open(self, x: float, y: float) -> bool:
        """Whether the agent has room there: the corners of the square around it are in no wall."""
        left, right, top, bottom = int(x - RADIUS), int(x + RADIUS), int(y - RADIUS), int(y + RADIUS)
        free = self.free
        return bool(free[top, left] and free[top, right] and free[bottom, left] and free[bottom, right])

    def _distance_to(self, place: np.ndarray) -> float:
        return math.hypot(place[1] + 0.5 - self.x, place[0] + 0.5 - self.y)

    def _pick_apples(self) -> int:
        away = np.hypot(self.apples[:, 1] + 0.5 - self.x, self.apples[:, 0] + 0.5 - self.y)
        reached = self.there & (away < REACH)
        self.there &= ~reached
        return int(reached.sum())

    @property
    def cell(self) -> Cell:
        """Where the agent is."""
        return int(self.y), int(self.x)

    # ---- What is seen ------------------------------------------------------------------------------------------------

    def seen_world(self) -> World:
        """What stands still."""
        texture = len(self.ground)
        return World(self.grid, self.walls, self.ground, texture, self.ceiling, texture, self.figures, height=1.0)

    def eye(self) -> Eye:
        """The agent's."""
        return Eye(self.x, self.y, self.angle, 0.5, math.radians(self.settings.field_of_view))

    def things(self) -> np.ndarray:
        """Apples and portal, for the picture."""
        found = [(column + 0.5, row + 0.5, 0, APPLE_SIZE, 0.1) for row, column in self.apples[self.there]]
        return np.array([*found, (self.portal[1] + 0.5, self.portal[0] + 0.5, 1, PORTAL_SIZE, 0.1)])

    def map_scale(self, side: int) -> float:
        """Pixels a cell."""
        return side / len(self.free)

    def map(self, side: int) -> np.ndarray:
        """The maze from above: apples red, the portal blue, the agent white with its line of sight."""
        y, x = (np.mgrid[0:side, 0:side] + 0.5) / self.map_scale(side)
        picture = np.where(self.free[y.astype(int), x.astype(int), None], 60, 150).repeat(3, axis=2).astype(np.uint8)
        for row, column in self.apples[self.there]:
            picture[np.hypot(x - column - 0.5, y - row - 0.5) < 0.2] = (220, 30, 30)
        picture[np.hypot(x - self.portal[1] - 0.5, y - self.portal[0] - 0.5) < 0.4] = (80, 130, 255)
        picture[np.hypot(x - self.x, y - self.y) < RADIUS] = 255
        along = (x - self.x) * math.cos(self.angle) + (y - self.y) * math.sin(self.angle)
        across = (y - self.y) * math.cos(self.angle) - (x - self.x) * math.sin(self.angle)
        picture[(np.abs(across) < 0.06) & (along > 0) & (along < 0.6)] = 255
        return picture


def _cell(place: np.ndarray) -> Cell:
    return int(place[0]), int(place[1])


class Navigator:
    """Goes the shortest way to whatever brings most for the way to it; sees the maze from above.

    It cuts corners: it goes to the last cell of the way that it can go straight to. It turns there if this is quicker
    than to step there sideways or backward.
    """

    BESIDE = 0.4
    """So far beside the middle of a cell it may pass, in cells; less than `REACH`."""
    ASLANT = math.radians(7), math.radians(45)
    """It goes no straighter than that (a turn of one step is not much less), and not more to the side."""
    LOOKS = 0.1
    """Looks for walls every so many cells."""

    def start_episode(self, env: gym.Env[Any, Any]) -> None:
        """Looks into the environment that is played."""
        inner = env.unwrapped
        assert isinstance(inner, LabyrinthEnv)
        self.env = inner

    def act(self, observation: np.ndarray, rng: np.random.Generator) -> int:
        x, y = self._straight_to()
        distance, direction = math.hypot(x, y), math.atan2(y, x) - self.env.angle
        aslant = float(np.clip(math.atan2(self.BESIDE, distance), *self.ASLANT))
        turns = [signed(direction - quarter * math.pi / 2) for quarter in range(4)]
        how, ways = self.env.settings, ("forward", "strafe right", "backward", "strafe left")

        def seconds(quarter: int) -> float:
            turning = max(0.0, abs(turns[quarter]) - aslant) / math.radians(how.turning)
            return turning + distance / (how.step_speed if quarter else how.speed)

        quarter = min(range(4), key=seconds)
        if abs(turns[quarter]) > aslant:
            return ACTIONS.index("look right" if turns[quarter] > 0 else "look left")
        return ACTIONS.index(ways[quarter])

    def _straight_to(self) -> tuple[float, float]:
        """The middle of the last cell of the way that can be gone to straight, from where the agent is."""
        env = self.env
        path = [env.cell, *way(env.free, env.cell, self._goal())]
        middles = [(column + 0.5 - env.x, row + 0.5 - env.y) for row, column in path]
        return next((middle for middle in reversed(middles) if self._is_straight(*middle)), middles[0])

    def _is_straight(self, x: float, y: float) -> bool:
        """Whether no wall is in the way to a place so far from here."""
        parts = np.linspace(0, 1, 2 + int(math.hypot(x, y) / self.LOOKS))
        return all(self.env.is_open(self.env.x + part * x, self.env.y + part * y) for part in parts)

    def _goal(self) -> Cell:
        """The cell with the greatest reward a step of the way there."""
        env = self.env
        steps = distances(env.free, env.cell)
        goals = [(PORTAL, _cell(env.portal)), *((APPLE, _cell(apple)) for apple in env.apples[env.there])]
        return max(goals, key=lambda goal: goal[0] / (steps[goal[1]] + 1))[1]


class Blind:
    """Goes straight on, and where there is no way on turns by any angle: what one gets who does not look."""

    STUCK = 0.05
    """Cells of a step forward that was none."""
    TURNS = (2, 14)
    """Steps of a turn."""

    def start_episode(self, env: gym.Env[Any, Any]) -> None:
        """Feels the environment that is played."""
        inner = env.unwrapped
        assert isinstance(inner, LabyrinthEnv)
        self.env, self.turns, self.way = inner, 0, 0
        self.before: tuple[float, float] | None = None

    def act(self, observation: np.ndarray, rng: np.random.Generator) -> int:
        here = self.env.x, self.env.y
        if not self.turns and self.before is not None and math.dist(here, self.before) < self.STUCK:
            self.turns = int(rng.integers(self.TURNS[0], self.TURNS[1], endpoint=True))
            self.way = ACTIONS.index(str(rng.choice(["look left", "look right"])))
        if self.turns:
            self.turns, self.before = self.turns - 1, None
            return self.way
        self.before = here
        return ACTIONS.index("forward")
