"""A stand-in for TORCS (§5.2): a driver's view, nine actions, a car with a dynamic bicycle model, opponents.

TORCS for learning needs a patched build, a display and a sound device. What the paper tells is kept: four settings of a
slow or a fast car with or without opponents, the RGB picture of the current frame, a reward proportional to the speed
along the track's centre line at the car's position. All else is chosen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import gymnasium as gym
import numpy as np
from pydantic import Field, model_validator

from a3crepro.common.config_model import ConfigModel, Count, Fraction, NonNegativeFloat, PositiveFloat
from a3crepro.environments._environment import Player
from a3crepro.environments._first_person import FRAMES_PER_SECOND, FirstPerson, FirstPersonEnv, signed
from a3crepro.environments._textures import car_from_behind, tree
from a3crepro.environments._track import GRASS, PIXELS, Track, track
from a3crepro.environments._view import SIDE, Eye, World

STEERING = (-1, 0, 1)
PEDALS = (1, 0, -1)
"""Throttle, none, brake."""
GRAVITY = 9.81
SKY = np.linspace((90, 140, 220), (200, 220, 245), SIDE // 2)[:, None].astype(np.uint8)
VISIBLE = 150.0
"""Metres to the farthest thing that is drawn."""
CAR_SIZE, TREE_SIZE = 1.9, 6.0
SPEEDS = {22.0: "slow", 40.0: "fast"}
"""What cars of these top speeds are called."""


def number_of(steering: int, pedal: int) -> int:
    """The number of the action that does both."""
    return len(PEDALS) * STEERING.index(steering) + PEDALS.index(pedal)


def steering_and_pedal(action: int) -> tuple[int, int]:
    """What the action of this number does."""
    steering, pedal = divmod(action, len(PEDALS))
    return STEERING[steering], PEDALS[pedal]


Speed = Annotated[PositiveFloat, Field(ge=0.1, le=200)]
Acceleration = Annotated[PositiveFloat, Field(le=1000)]
Length = Annotated[PositiveFloat, Field(ge=0.1, le=10)]


class Car(ConfigModel):
    """A bicycle model: one wheel in front, one behind, whose side forces are limited by the grip."""

    top_speed: Speed
    """Metres a second, where drag takes all the engine gives."""
    acceleration: Acceleration
    """Of the engine at rest, metres a second squared."""
    braking: Acceleration
    """Metres a second squared."""
    grip: Annotated[PositiveFloat, Field(le=10)]
    """Coefficient of friction."""
    grass: Annotated[NonNegativeFloat, Field(le=1000)]
    """What the wheels lose off the road, metres a second squared."""
    stiffness: Annotated[PositiveFloat, Field(le=1000)]
    """Side acceleration per radian of slip, metres a second squared, while that is small."""
    front: Length
    """Metres from the centre of mass to the front axle."""
    rear: Length
    """Metres from the centre of mass to the rear axle."""
    gyration: Length
    """Radius of gyration, in metres."""
    steering: Annotated[PositiveFloat, Field(le=60)]
    """Greatest angle of the front wheel at low speed, in degrees."""
    steering_margin: PositiveFloat
    """At high speed the wheel turns no further than this many times the angle that a steady bend at the grip takes."""
    steering_seconds: PositiveFloat
    """Time from straight on to the greatest angle."""
    walking_pace: Speed
    """Metres a second; the slower the car is below it, the less its tyres slip, and it goes where its wheels point."""

    @model_validator(mode="after")
    def _is_stable(self) -> Car:
        """At walking pace slips must die out, not grow from a frame to the next."""
        most = FRAMES_PER_SECOND * self.walking_pace / max(1.0, self.front * self.rear / self.gyration**2)
        if self.stiffness > most:
            raise ValueError(f"stiffness: should be at most {most:.3g} with these lengths and this walking_pace, "
                             f"got {self.stiffness:g}")  # fmt: skip
        return self

    def lock(self, speed: float) -> float:
        """The greatest angle of the wheel at this speed, in radians."""
        steady = (self.front + self.rear) * self.grip * GRAVITY / max(speed, 1.0) ** 2
        return min(math.radians(self.steering), self.steering_margin * steady)


class Opponents(ConfigModel):
    """Cars that follow the track, each at a speed and in a lane of its own."""

    number: Annotated[Count, Field(le=100)]
    slowest: Speed
    """Metres a second."""
    fastest: Speed
    """Metres a second; all speeds in between are equally likely."""
    lanes: Annotated[Fraction, Field(le=0.5)]
    """Greatest distance from the centre line, as a share of the road's width."""
    contact: Annotated[PositiveFloat, Field(le=10)]
    """Metres between the middles of two cars that touch."""
    speed_after_contact: Fraction
    """Of the opponent's, for a car that ran into it."""

    @model_validator(mode="after")
    def _are_in_order(self) -> Opponents:
        if self.slowest > self.fastest:
            raise ValueError(f"slowest: should be at most fastest = {self.fastest:g}, got {self.slowest:g}")
        return self


class Racing(FirstPerson):
    """A lap after lap; observations are RGB, uint8 [3, 84, 84]."""

    track: Literal["oval", "winding", "long"]
    road_width: Annotated[PositiveFloat, Field(ge=8, le=30)]
    """Metres."""
    car: Car
    opponents: Opponents
    reward_per_metre: PositiveFloat
    """Of the way in the direction that the centre line has where the car is; backwards it is a loss."""
    off_road_seconds: PositiveFloat
    """An episode ends when the car has been off the road so long."""
    standing_seconds: PositiveFloat
    """And when it has stood still or gone backwards so long."""
    standing_speed: Speed
    """Metres a second along the road; what is slower stands still."""
    eye_height: Annotated[PositiveFloat, Field(ge=0.5, le=20)]
    """Metres."""

    @property
    def title(self) -> str:
        speed = SPEEDS.get(self.car.top_speed, f"{self.car.top_speed:g}")
        return f"racing/{speed}{'_bots' if self.opponents.number else ''}"

    def make(self, *, training: bool, render: bool = False) -> gym.Env[np.ndarray, Any]:
        return RacingEnv(self, "rgb_array" if render else None)

    def pressed(self, env: gym.Env[np.ndarray, Any], keys: frozenset[str]) -> int | None:
        return number_of(("right" in keys) - ("left" in keys), ("up" in keys) - ("down" in keys))

    def players(self) -> Mapping[str, Player]:
        return {"expert": Driver()}


class RacingEnv(FirstPersonEnv):
    """One car on the track, starting anywhere on it. `info` tells the metres that the last step brought."""

    def __init__(self, settings: Racing, render_mode: str | None = None) -> None:
        super().__init__(settings, len(STEERING) * len(PEDALS), render_mode)
        self.settings = settings
        self.track: Track = track(settings.track, settings.road_width)
        figures = np.stack([car_from_behind(), tree()])
        empty = np.zeros((1, 1), np.int32), np.zeros((1, 1, 1, 3), np.uint8)
        self.world = World(*empty, self.track.ground, PIXELS, SKY, 1.0, figures, 0.0)

    def begin(self) -> None:
        road, others = self.track, self.settings.opponents
        n = others.number
        start = float(self.np_random.uniform(0, road.length))
        self.x, self.y = map(float, road.point(start))
        self.at = road.place(self.x, self.y).number
        self.angle = float(road.heading[self.at])
        self.along = self.aside = self.turning = self.steering = 0.0
        self.steps = self.off_road = self.standing = 0
        # One every so many metres ahead, somewhere on its side of the road.
        self.bots = start + road.length * (np.arange(n) + self.np_random.uniform(0.3, 0.7, n)) / max(1, n)
        self.bot_lanes = self.np_random.uniform(-others.lanes, others.lanes, n) * road.width
        self.bot_speeds = self.np_random.uniform(others.slowest, others.fastest, n)

    # ---- A step ------------------------------------------------------------------------------------------------------

    def advance(self, action: int) -> tuple[float, bool, bool, dict[str, Any]]:
        metres = 0.0
        for _ in range(self.settings.action_repeat):
            self._drive(*steering_and_pedal(action))
            self._meet_opponents()
            metres += self._progress()
        self.steps += 1
        grace = self.settings
        terminated = (
            self.off_road > grace.off_road_seconds * FRAMES_PER_SECOND
            or self.standing > grace.standing_seconds * FRAMES_PER_SECOND
        )
        truncated = not terminated and self.steps >= grace.episode_steps
        reward = grace.reward_per_metre * metres
        return reward, terminated, truncated, {"metres": metres}

    def _drive(self, steering: int, pedal: int) -> None:
        """One frame of the bicycle model; there is no reverse gear."""
        car, dt = self.settings.car, 1 / FRAMES_PER_SECOND
        most = dt / car.steering_seconds
        self.steering += min(max(steering - self.steering, -most), most)
        wheel = self.steering * car.lock(self.along)
        slip = min(self.along / car.walking_pace, 1.0)  # the share of it that there is: at rest it means nothing
        speed = max(self.along, car.walking_pace)
        front = slip * self._side_acceleration(math.atan2(self.aside + car.front * self.turning, speed) - wheel)
        rear = slip * self._side_acceleration(math.atan2(self.aside - car.rear * self.turning, speed))
        drag = car.acceleration * (self.along / car.top_speed) ** 2
        drag += car.grass * slip if self.off_road else 0.0
        push = car.acceleration * max(pedal, 0) - car.braking * max(-pedal, 0) - drag
        share = car.rear / (car.front + car.rear)  # of the weight on the front axle
        along = self.along + dt * (push + self.aside * self.turning - share * front * math.sin(wheel))
        self.aside += dt * (share * front * math.cos(wheel) + (1 - share) * rear - self.along * self.turning)
        self.along = max(along, 0.0)
        twist = car.front * share * front * math.cos(wheel) - car.rear * (1 - share) * rear
        self.turning += dt * twist / car.gyration**2
        if slip < 1:
            rolling = self.along * math.tan(wheel) / (car.front + car.rear)
            self.aside *= slip
            self.turning = slip * self.turning + (1 - slip) * rolling
        self.angle = (self.angle + dt * self.turning) % (2 * math.pi)
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        self.x += dt * (self.along * cos - self.aside * sin)
        self.y += dt * (self.along * sin + self.aside * cos)

    def _side_acceleration(self, slip: float) -> float:
        """That of an axle, which carries what is on it: linear for small slips, the grip's at most."""
        car, limit = self.settings.car, self.settings.car.grip * GRAVITY
        return -limit * math.tanh(car.stiffness * slip / limit)

    def _meet_opponents(self) -> None:
        """They drive on; who touches one is pushed aside, and loses speed where it is the one behind."""
        if not len(self.bots):
            return
        others = self.settings.opponents
        self.bots += self.bot_speeds / FRAMES_PER_SECOND
        points = self.track.points(self.bots, self.bot_lanes)
        for number in np.flatnonzero(np.hypot(*(points - (self.x, self.y)).T) < others.contact):
            dx, dy = self.x - float(points[number, 0]), self.y - float(points[number, 1])
            away = math.hypot(dx, dy)
            if dx * math.cos(self.angle) + dy * math.sin(self.angle) < 0:
                self.along = min(self.along, others.speed_after_contact * float(self.bot_speeds[number]))
                self.aside = self.turning = 0.0
            self.x += (others.contact - away) * dx / max(away, 1e-6)
            self.y += (others.contact - away) * dy / max(away, 1e-6)

    def _progress(self) -> float:
        """Metres in the centre line's direction in this frame, and how long the car has been where it should not be."""
        place = self.track.place(self.x, self.y, self.at)
        self.at = place.number
        off = self.angle - place.heading
        forward = self.along * math.cos(off) - self.aside * math.sin(off)
        self.off_road = self.off_road + 1 if abs(place.aside) > 0.5 * self.track.width else 0
        self.standing = self.standing + 1 if forward < self.settings.standing_speed else 0
        return forward / FRAMES_PER_SECOND

    # ---- What is seen ------------------------------------------------------------------------------------------------

    def seen_world(self) -> World:
        """What stands still."""
        return self.world

    def eye(self) -> Eye:
        """The driver's."""
        how = self.settings
        return Eye(self.x, self.y, self.angle, how.eye_height, math.radians(how.field_of_view))

    def things(self) -> np.ndarray:
        """Opponents and trees that are near, for the picture."""
        points = np.concatenate([self.track.points(self.bots, self.bot_lanes), self.track.trees])
        things = np.zeros((len(points), 5))
        things[:, :2] = points
        things[:, 2] = np.arange(len(points)) >= len(self.bots)
        things[:, 3] = np.where(things[:, 2], TREE_SIZE, CAR_SIZE)
        near = np.hypot(points[:, 0] - self.x, points[:, 1] - self.y) < VISIBLE
        return things[near]

    def map_scale(self, side: int) -> float:
        """Pixels a metre."""
        return side * PIXELS / float(max(self.track.ground.shape[:2]))

    def map(self, side: int) -> np.ndarray:
        """The track from above: the car white, opponents yellow."""
        ground, scale = self.track.ground, self.map_scale(side)
        index = (np.arange(side) * PIXELS / scale).astype(int)
        inside = (index < ground.shape[0])[:, None] & (index < ground.shape[1])[None]
        rows, columns = (np.minimum(index, size - 1) for size in ground.shape[:2])
        picture = np.where(inside[:, :, None], ground[rows][:, columns], GRASS).astype(np.uint8)
        y, x = np.mgrid[0:side, 0:side] / scale
        for bot in self.track.points(self.bots, self.bot_lanes):
            picture[np.hypot(x - bot[0], y - bot[1]) < 3] = (250, 210, 40)
        picture[np.hypot(x - self.x, y - self.y) < 4] = 255
        return picture


class Driver:
    """Follows the racing line, slows down before bends and goes around opponents; sees where it is."""

    GRIP = 0.65
    """Share of the grip that its speed in a bend takes: some is left for what the steering does late."""
    BRAKING = 0.5
    """Share of the brake that its plans count on."""
    AHEAD = 3.0, 0.7
    """Where it steers to: metres, and seconds of its way."""
    SLIDING = 0.12
    """Slip beyond which it touches no pedal, in radians."""
    CLEARANCE = 3.2
    """Metres to the side of an opponent."""
    SWERVE = 3.0
    """Metres a second, to the side."""
    OFF_LINE = 0.8
    """Share of the speed in a bend that it takes beside its line, where the bend is sharper."""
    EXACTLY = 0.5
    """Metres a second around the speed it wants, within which it touches no pedal."""
    LENGTH = 4.0
    """So many metres behind, an opponent is still beside it."""
    LOOKS = 8.0, 1.5, 40.0
    """How near an opponent is passed: metres, and seconds of closing in; metres at most."""
    VERGE = 1.5
    """Metres to the edge of the road."""

    def start_episode(self, env: gym.Env[Any, Any]) -> None:
        """Looks into the environment that is played."""
        inner = env.unwrapped
        assert isinstance(inner, RacingEnv)
        self.env, road = inner, inner.track
        self.room = 0.5 * road.width - self.VERGE
        line = road.racing_line
        step = 6
        before, after = line - np.roll(line, step, axis=0), np.roll(line, -step, axis=0) - line
        bend = np.arctan2(before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0], (before * after).sum(1))
        curvature = np.abs(bend) / np.hypot(*after.T)
        self.fastest = np.sqrt(self.GRIP * inner.settings.car.grip * GRAVITY / np.maximum(curvature, 1e-4))
        self.beside = ((line - road.center) * road.right).sum(1)  # of the line, to the right of the centre line
        self.swerve = 0.0  # from the line, to the right
        self.owed = 0.0  # turn of the wheel that was wanted and not given

    def act(self, observation: np.ndarray, rng: np.random.Generator) -> int:
        most = self.SWERVE * self.env.settings.action_repeat / FRAMES_PER_SECOND
        self.swerve += min(max(self._evasion() - self.swerve, -most), most)
        return number_of(self._steering(), self._pedal())

    def _steering(self) -> int:
        """Towards the point of the line that lies some way ahead (pure pursuit)."""
        env, road, car = self.env, self.env.track, self.env.settings.car
        ahead = self.AHEAD[0] + self.AHEAD[1] * env.along
        index = (env.at + round(ahead / road.spacing)) % len(road.center)
        beside = min(max(self.beside[index] + self.swerve, -self.room), self.room)
        target = road.center[index] + beside * road.right[index]
        dx, dy = target[0] - env.x, target[1] - env.y
        off = signed(math.atan2(dy, dx) - env.angle)
        wanted = math.atan(2 * (car.front + car.rear) * math.sin(off) / math.hypot(dx, dy))
        wanted = min(max(wanted / car.lock(env.along), -1.0), 1.0) + self.owed
        step = env.settings.action_repeat / FRAMES_PER_SECOND / car.steering_seconds
        # Straight on brings the wheel back by a step: the choice is what comes nearest. What is missing is made up for
        # later: a turn that is too small for one step would never be made.
        after = {way: env.steering + min(max(way - env.steering, -step), step) for way in STEERING}
        chosen = min(STEERING, key=lambda way: abs(after[way] - wanted))
        self.owed = min(max(wanted - after[chosen], -1.0), 1.0)
        return chosen

    def _evasion(self) -> float:
        """Metres to the side of the line, to get past the nearest opponent that is caught up with."""
        env = self.env
        gaps = (env.bots - env.at * env.track.spacing + self.LENGTH) % env.track.length - self.LENGTH
        closing = np.maximum(env.along - env.bot_speeds, 0)
        near = np.flatnonzero(gaps < np.minimum(self.LOOKS[0] + self.LOOKS[1] * closing, self.LOOKS[2]))
        if not len(near):
            return 0.0
        nearest = near[np.argmin(gaps[near])]
        lane = env.bot_lanes[nearest]
        own = self.beside[int(env.bots[nearest] / env.track.spacing) % len(self.beside)]
        if abs(own - lane) >= self.CLEARANCE:
            return 0.0
        ways = sorted((lane - self.CLEARANCE, lane + self.CLEARANCE), key=abs)  # of a narrow road both lead off
        ways = [way for way in ways if abs(way) <= self.room] or ways[:1]
        return float(min(ways, key=lambda way: abs(way - own - self.swerve)) - own)

    def _pedal(self) -> int:
        """Throttle, unless what is ahead is too fast to be braked for."""
        env, slowing = self.env, self.BRAKING * self.env.settings.car.braking
        reach = int(env.along**2 / (2 * slowing) / env.track.spacing) + 10
        indices = (env.at + np.arange(reach)) % len(self.fastest)
        allowed = np.sqrt(self.fastest[indices] ** 2 + 2 * slowing * env.track.spacing * np.arange(reach))
        most = float(allowed.min()) * (1.0 if abs(self.swerve) < 0.5 else self.OFF_LINE)
        if abs(env.aside) > self.SLIDING * max(env.along, 1.0):
            return 0
        return 1 if env.along < most - self.EXACTLY else -1 if env.along > most + self.EXACTLY else 0
