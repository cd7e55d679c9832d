"""A stand-in for Labyrinth (§5.4): first-person mazes with apples and a portal, new ones every episode.

The paper's environment was never released under that name. What the paper says is kept: rooms and corridors, apples
worth 1, a portal worth 10 that moves the agent to a random place and restores the apples, 60 seconds, 84x84 RGB frames.
The rest is chosen after DeepMind Lab's released levels of this kind.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, NamedTuple

import gymnasium as gym
import numpy as np
from pydantic import Field, model_validator

from a3crepro.common.config_model import Count, Fraction, PositiveCount
from a3crepro.worlds.first_person import FRAMES_PER_SECOND, FirstPersonEnv, WorldParameters, signed
from a3crepro.worlds.maze import Cell, distances, make_maze, shortest_path
from a3crepro.worlds.renderer import Camera, Scene
from a3crepro.worlds.textures import chequered, disc, pattern

ACTIONS = ("look left", "look right", "strafe left", "strafe right", "forward", "backward")
RADIUS = 0.2
"""Distance that the agent keeps from walls, in cells."""
REACH = 0.5
"""Distance at which the agent collects an apple or enters the portal, in cells."""
APPLE, PORTAL = 1.0, 10.0
"""Rewards (§5.4)."""
ATTEMPTS = 100_000
"""Cells of mazes drawn before the parameters are refused as impossible."""
APPLE_SIZE, PORTAL_SIZE = 0.35, 0.7
LARGEST = 101


class Maze(NamedTuple):
    """A maze with a portal."""

    free: np.ndarray
    """Cells without a wall, bool [size, size]."""
    portal: np.ndarray
    """Its row and column."""
    from_portal: np.ndarray
    """Steps from each cell to the portal, int [size, size]."""


class LabyrinthParameters(WorldParameters):
    """What a labyrinth takes; lengths are in cells."""

    seconds: Annotated[float, Field(ge=1, le=3600)] = 60
    field_of_view: Annotated[float, Field(ge=10, le=150)] = 75
    size: PositiveCount = 11
    """Cells per side, outer walls included: an odd number from 7 to 101."""
    rooms: Annotated[Count, Field(le=100)] = 4
    """Number of rooms, or as many as fit."""
    loops: Fraction = 0.1
    """Share of the walls between regions that are opened although both sides are already connected."""
    dead_ends: Fraction = 0
    """Share of the dead ends that stay."""
    apple_density: Fraction = 0.1
    """Share of the free cells with an apple, rounded to whole apples."""
    start_distance: PositiveCount = 6
    """Steps from cell to cell between the start and the portal, at least."""
    maze_seed: Count | None = None
    """Seed of one maze, with its apples and textures, for all episodes; null: a new maze each episode."""
    speed: Annotated[float, Field(gt=0, le=10)] = 3
    """Cells a second, forward."""
    step_speed: Annotated[float, Field(gt=0, le=10)] = 1.5
    """Cells a second, sideways and backward."""
    turning: Annotated[float, Field(gt=0, le=3600)] = 180
    """Degrees a second."""
    inertia: Annotated[float, Field(ge=0, lt=1)] = 0.7
    """Share of the velocity kept from frame to frame while the action asks for another one."""

    def velocities(self, action: int) -> tuple[float, float, float]:
        """Velocities that an action asks for: forward and to the right (cells/s), clockwise (radians/s)."""
        turning = math.radians(self.turning)
        forward = (0.0, 0.0, 0.0, 0.0, self.speed, -self.step_speed)[action]
        aside = (0.0, 0.0, -self.step_speed, self.step_speed, 0.0, 0.0)[action]
        return forward, aside, (-turning, turning, 0.0, 0.0, 0.0, 0.0)[action]

    @model_validator(mode="after")
    def _is_possible(self) -> LabyrinthParameters:
        if self.size % 2 == 0 or not 7 <= self.size <= LARGEST:
            raise ValueError(f"size: should be an odd number from 7 to {LARGEST}, got {self.size}")
        if self.start_distance > self.size:  # many mazes have that
            raise ValueError(f"start_distance: should be at most size = {self.size}, got {self.start_distance}")
        if self.rooms == 0 and self.dead_ends == 0:
            raise ValueError("dead_ends: should be above 0 where rooms is 0: there would be no maze")
        self.draw_maze(np.random.default_rng(self.maze_seed or 0))
        return self

    def draw_maze(self, rng: np.random.Generator) -> Maze:
        """Draws a maze with a cell at least `start_distance` steps from the portal.

        Raises:
          ValueError: such a maze is too improbable.
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


class LabyrinthEnv(FirstPersonEnv):
    """A labyrinth. `info` has the apples and portals of the last step.

    Args:
      render_mode: `rgb_array` or None.
      parameters: fields of `LabyrinthParameters`.
    """

    CONSTANT = (*FirstPersonEnv.CONSTANT, "sprite_images", "ground", "ceiling")
    parameters_class = LabyrinthParameters
    parameters: LabyrinthParameters
    action_count = len(ACTIONS)

    def __init__(self, render_mode: str | None = None, **parameters: Any) -> None:
        super().__init__(render_mode, **parameters)
        apple, portal = disc((220, 30, 30), (120, 0, 0)), disc((250, 250, 255), (40, 90, 255))  # red; white, blue rim
        self.sprite_images = np.stack([apple, portal])
        self.ground, self.ceiling = chequered((70, 66, 60), (84, 80, 72)), chequered((196, 200, 196), (204, 208, 204))

    # ---- A new maze --------------------------------------------------------------------------------------------------

    def begin_episode(self) -> None:
        fixed = self.parameters.maze_seed
        self._build(self.np_random if fixed is None else np.random.default_rng(fixed))
        self.steps = 0
        self._place_agent()

    def _build(self, rng: np.random.Generator) -> None:
        """Draws a maze, its apples and the textures of its walls."""
        size = self.parameters.size
        self.free, self.portal, self.from_portal = self.parameters.draw_maze(rng)
        cells = np.argwhere(self.free)
        others = cells[(cells != self.portal).any(axis=1)]
        count = round(self.parameters.apple_density * len(others))
        self.apples = others[rng.choice(len(others), count, replace=False)]
        self.walls = np.stack([pattern(rng) for _ in range(4)])
        styles = rng.integers(1, len(self.walls) + 1, (size // 4 + 1,) * 2, dtype=np.int32)  # neighbours look alike
        grid = np.where(self.free, 0, styles.repeat(4, axis=0).repeat(4, axis=1)[:size, :size])
        self.grid = np.ascontiguousarray(grid, np.int32)

    def _place_agent(self) -> None:
        """Moves the agent to a random place far from the portal, and restores the apples."""
        far = np.argwhere(self.from_portal >= self.parameters.start_distance)
        with_apple = (far[:, None] == self.apples).all(axis=2).any(axis=1)
        far = far if with_apple.all() else far[~with_apple]
        row, column = far[self.np_random.integers(len(far))]
        self.x, self.y = column + 0.5, row + 0.5
        self.angle = float(self.np_random.uniform(0, 2 * math.pi))
        self.forward = self.aside = self.turn = 0.0
        self.apples_left = np.ones(len(self.apples), bool)

    # ---- A step ------------------------------------------------------------------------------------------------------

    def advance(self, action: int) -> tuple[float, bool, bool, dict[str, Any]]:
        apples = portals = 0
        wanted = self.parameters.velocities(action)
        for _ in range(self.parameters.action_repeat):
            self._move(*wanted)
            apples += self._pick_apples()
            if self._distance_to(self.portal) < REACH:
                portals += 1
                self._place_agent()
        self.steps += 1
        over = self.steps >= self.parameters.episode_steps
        reward = APPLE * apples + PORTAL * portals
        return reward, False, over, {"apples": apples, "portals": portals}

    def _move(self, forward: float, aside: float, turn: float) -> None:
        """One frame: velocities approach those asked for; the agent slides along walls."""
        dt = 1 / FRAMES_PER_SECOND
        keep = self.parameters.inertia
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
        """Whether the agent fits there: no corner of the square around it is in a wall."""
        left, right, top, bottom = int(x - RADIUS), int(x + RADIUS), int(y - RADIUS), int(y + RADIUS)
        free = self.free
        return bool(free[top, left] and free[top, right] and free[bottom, left] and free[bottom, right])

    def _distance_to(self, place: np.ndarray) -> float:
        return math.hypot(place[1] + 0.5 - self.x, place[0] + 0.5 - self.y)

    def _pick_apples(self) -> int:
        away = np.hypot(self.apples[:, 1] + 0.5 - self.x, self.apples[:, 0] + 0.5 - self.y)
        reached = self.apples_left & (away < REACH)
        self.apples_left &= ~reached
        return int(reached.sum())

    @property
    def cell(self) -> Cell:
        """The agent's cell."""
        return int(self.y), int(self.x)

    # ---- What is seen ------------------------------------------------------------------------------------------------

    def scene(self) -> Scene:
        pixels = len(self.ground)
        return Scene(self.grid, self.walls, self.ground, pixels, self.ceiling, pixels, self.sprite_images, height=1.0)

    def camera(self) -> Camera:
        return Camera(self.x, self.y, self.angle, 0.5, math.radians(self.parameters.field_of_view))

    def sprites(self) -> np.ndarray:
        """Apples and the portal."""
        found = [(column + 0.5, row + 0.5, 0, APPLE_SIZE, 0.1) for row, column in self.apples[self.apples_left]]
        return np.array([*found, (self.portal[1] + 0.5, self.portal[0] + 0.5, 1, PORTAL_SIZE, 0.1)])

    def map_scale(self, side: int) -> float:
        return side / len(self.free)

    def map(self, side: int) -> np.ndarray:
        """Apples are red, the portal is blue, the agent white with its line of sight."""
        y, x = (np.mgrid[0:side, 0:side] + 0.5) / self.map_scale(side)
        picture = np.where(self.free[y.astype(int), x.astype(int), None], 60, 150).repeat(3, axis=2).astype(np.uint8)
        for row, column in self.apples[self.apples_left]:
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
    """The expert, which sees the map: takes a shortest path to the goal with the greatest reward per step of the path.

    It cuts corners: it heads for the last cell of the path that it can reach in a straight line, and turns first where
    that is quicker than going sideways or backward.
    """

    MISS = 0.4
    """Distance at which it may pass a cell's centre, in cells; less than `REACH`."""
    TOLERANCE = math.radians(7), math.radians(45)
    """Bounds of the error in its direction; one step turns by 12 degrees."""
    PROBE = 0.1
    """Distance between probes for walls, in cells."""

    def start_episode(self, env: gym.Env[Any, Any]) -> None:
        inner = env.unwrapped
        assert isinstance(inner, LabyrinthEnv)
        self.env = inner

    def act(self, observation: np.ndarray, rng: np.random.Generator) -> int:
        x, y = self._target()
        distance, direction = math.hypot(x, y), math.atan2(y, x) - self.env.angle
        tolerance = float(np.clip(math.atan2(self.MISS, distance), *self.TOLERANCE))
        turns = [signed(direction - quarter * math.pi / 2) for quarter in range(4)]
        how, ways = self.env.parameters, ("forward", "strafe right", "backward", "strafe left")

        def seconds(quarter: int) -> float:
            turning = max(0.0, abs(turns[quarter]) - tolerance) / math.radians(how.turning)
            return turning + distance / (how.step_speed if quarter else how.speed)

        quarter = min(range(4), key=seconds)
        if abs(turns[quarter]) > tolerance:
            return ACTIONS.index("look right" if turns[quarter] > 0 else "look left")
        return ACTIONS.index(ways[quarter])

    def _target(self) -> tuple[float, float]:
        """The centre of the last cell of the path that can be reached in a straight line, relative to the agent."""
        env = self.env
        path = [env.cell, *shortest_path(env.free, env.cell, self._goal())]
        centres = [(column + 0.5 - env.x, row + 0.5 - env.y) for row, column in path]
        return next((centre for centre in reversed(centres) if self._is_straight(*centre)), centres[0])

    def _is_straight(self, x: float, y: float) -> bool:
        """Whether no wall lies between the agent and a point relative to it."""
        parts = np.linspace(0, 1, 2 + int(math.hypot(x, y) / self.PROBE))
        return all(self.env.is_open(self.env.x + part * x, self.env.y + part * y) for part in parts)

    def _goal(self) -> Cell:
        """The cell with the greatest reward per step of the path to it."""
        env = self.env
        steps = distances(env.free, env.cell)
        goals = [(PORTAL, _cell(env.portal)), *((APPLE, _cell(apple)) for apple in env.apples[env.apples_left])]
        return max(goals, key=lambda goal: goal[0] / (steps[goal[1]] + 1))[1]


class Blind:
    """Observation-independent baseline: goes forward and, when a wall stops it, turns by a random angle."""

    STUCK = 0.05
    """A step forward of fewer cells than this was stopped by a wall."""
    TURNS = (2, 14)
    """Range of the steps of a turn."""

    def start_episode(self, env: gym.Env[Any, Any]) -> None:
        inner = env.unwrapped
        assert isinstance(inner, LabyrinthEnv)
        self.env, self.turns, self.turn = inner, 0, 0
        self.before: tuple[float, float] | None = None

    def act(self, observation: np.ndarray, rng: np.random.Generator) -> int:
        here = self.env.x, self.env.y
        if not self.turns and self.before is not None and math.dist(here, self.before) < self.STUCK:
            self.turns = int(rng.integers(self.TURNS[0], self.TURNS[1], endpoint=True))
            self.turn = ACTIONS.index(str(rng.choice(["look left", "look right"])))
        if self.turns:
            self.turns, self.before = self.turns - 1, None
            return self.turn
        self.before = here
        return ACTIONS.index("forward")
