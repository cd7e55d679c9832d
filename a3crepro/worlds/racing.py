"""A stand-in for TORCS (§5.2): a driver's view, nine actions, a car with a dynamic bicycle model, opponents.

TORCS for learning needs a patched build, a display and a sound device. What the paper says is kept: a slow or a fast
car with or without opponents, RGB of the current frame, a reward proportional to the speed along the track's centre
line at the car's position. The rest is chosen.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import gymnasium as gym
import numpy as np
from pydantic import Field, model_validator

from a3crepro.common.config_model import Count, Fraction, PositiveFloat
from a3crepro.worlds.first_person import (
    FRAMES_PER_SECOND,
    FirstPersonEnv,
    Parameters,
    WorldParameters,
    signed,
)
from a3crepro.worlds.renderer import SIDE, Camera, Scene
from a3crepro.worlds.textures import car_from_behind, tree
from a3crepro.worlds.track import GRASS, PIXELS, Track, track

STEERING = (-1, 0, 1)
PEDALS = (1, 0, -1)
"""Throttle, coast, brake."""
GRAVITY = 9.81
SKY = np.linspace((90, 140, 220), (200, 220, 245), SIDE // 2)[:, None].astype(np.uint8)
VISIBLE = 150.0
"""Drawing distance of cars and trees, in metres."""
CAR_SIZE, TREE_SIZE = 1.9, 6.0


def action_of(steering: int, pedal: int) -> int:
    """The action with this steering (-1, 0 or 1) and pedal (1, 0 or -1)."""
    return len(PEDALS) * STEERING.index(steering) + PEDALS.index(pedal)


def steering_and_pedal(action: int) -> tuple[int, int]:
    """The inverse of `action_of`."""
    steering, pedal = divmod(action, len(PEDALS))
    return STEERING[steering], PEDALS[pedal]


Speed = Annotated[float, Field(ge=0.1, le=200)]
Acceleration = Annotated[float, Field(gt=0, le=1000)]
Length = Annotated[float, Field(ge=0.1, le=10)]


class Car(Parameters):
    """A bicycle model: a front and a rear wheel, whose side forces are limited by the grip. Metres and seconds."""

    top_speed: Speed = 22
    """Where drag equals the acceleration of the engine."""
    acceleration: Acceleration = 7
    """Acceleration by the engine at rest."""
    braking: Acceleration = 9
    grip: Annotated[float, Field(gt=0, le=10)] = 1.1
    """Coefficient of friction."""
    grass: Annotated[float, Field(ge=0, le=1000)] = 4
    """Deceleration off the road."""
    stiffness: Annotated[float, Field(gt=0, le=1000)] = 60
    """Side acceleration per radian of slip, for small slips."""
    front: Length = 1.3
    """Distance between the centre of mass and the front axle."""
    rear: Length = 1.4
    """Distance between the centre of mass and the rear axle."""
    gyration: Length = 1.4
    """Radius of gyration."""
    steering: Annotated[float, Field(gt=0, le=60)] = 25
    """Greatest angle of the front wheel at low speed, in degrees."""
    steering_margin: PositiveFloat = 1.3
    """At high speed the wheel turns to this multiple of the angle that a steady bend at the grip takes, at most."""
    steering_seconds: PositiveFloat = 0.07
    """Time from straight ahead to the greatest angle."""
    walking_pace: Speed = 3
    """Speed below which tyres slip less and less, down to none at rest: the car then goes where its wheels point."""

    @model_validator(mode="after")
    def _is_stable(self) -> Car:
        """At walking pace slips must die out, not grow from frame to frame."""
        most = FRAMES_PER_SECOND * self.walking_pace / max(1.0, self.front * self.rear / self.gyration**2)
        if self.stiffness > most:
            raise ValueError(f"stiffness: should be at most {most:.3g} with these lengths and this walking_pace, "
                             f"got {self.stiffness:g}")  # fmt: skip
        return self

    def lock(self, speed: float) -> float:
        """The greatest angle of the front wheel at this speed, in radians."""
        steady = (self.front + self.rear) * self.grip * GRAVITY / max(speed, 1.0) ** 2
        return min(math.radians(self.steering), self.steering_margin * steady)


class Opponents(Parameters):
    """Cars that follow the track, each at its own speed and in its own lane. Metres and seconds."""

    number: Annotated[Count, Field(le=100)] = 0
    slowest: Speed = 6
    fastest: Speed = 10
    """Speeds are drawn uniformly from `slowest` to `fastest`."""
    lanes: Annotated[float, Field(ge=0, le=0.5)] = 0.25
    """Greatest distance from the centre line, as a share of the road's width."""
    contact: Annotated[float, Field(gt=0, le=10)] = 2.2
    """Distance between the centres of two cars that touch."""
    speed_after_contact: Fraction = 0.5
    """Speed of a car that ran into an opponent, as a share of the opponent's."""

    @model_validator(mode="after")
    def _are_in_order(self) -> Opponents:
        if self.slowest > self.fastest:
            raise ValueError(f"slowest: should be at most fastest = {self.fastest:g}, got {self.slowest:g}")
        return self


class RacingParameters(WorldParameters):
    """What a race takes. Metres and seconds."""

    seconds: Annotated[float, Field(ge=1, le=3600)] = 120
    field_of_view: Annotated[float, Field(ge=10, le=150)] = 70
    track: Literal["oval", "winding", "long"] = "long"
    road_width: Annotated[float, Field(ge=8, le=30)] = 12
    car: Car = Car()
    opponents: Opponents = Opponents()
    reward_per_metre: PositiveFloat = 0.1
    """Reward for a metre in the direction of the centre line at the car's position; driving backwards loses it."""
    off_road_seconds: PositiveFloat = 2
    """Time off the road that ends the episode."""
    standing_seconds: PositiveFloat = 5
    """Time slower than `standing_speed`, along the road, that ends the episode."""
    standing_speed: Speed = 1
    eye_height: Annotated[float, Field(ge=0.5, le=20)] = 2


class RacingEnv(FirstPersonEnv):
    """One car on a track, starting anywhere on it. `info` has the metres of progress in the last step.

    Args:
      render_mode: `rgb_array` or None.
      parameters: fields of `RacingParameters`; `car` and `opponents` are mappings.
    """

    parameters_class = RacingParameters
    parameters: RacingParameters
    action_count = len(STEERING) * len(PEDALS)

    def __init__(self, render_mode: str | None = None, **parameters: Any) -> None:
        super().__init__(render_mode, **parameters)
        self.track: Track = track(self.parameters.track, self.parameters.road_width)
        images = np.stack([car_from_behind(), tree()])
        empty = np.zeros((1, 1), np.int32), np.zeros((1, 1, 1, 3), np.uint8)
        self._scene = Scene(*empty, self.track.ground, PIXELS, SKY, 1.0, images, 0.0)

    def begin_episode(self) -> None:
        road, others = self.track, self.parameters.opponents
        n = others.number
        start = float(self.np_random.uniform(0, road.length))
        self.x, self.y = map(float, road.point(start))
        self.at = road.locate(self.x, self.y).nearest
        self.angle = float(road.heading[self.at])
        self.along = self.aside = self.turning = self.steering = 0.0
        self.steps = self.off_road = self.standing = 0
        # evenly spread along the track, but for some noise
        self.bots = start + road.length * (np.arange(n) + self.np_random.uniform(0.3, 0.7, n)) / max(1, n)
        self.bot_lanes = self.np_random.uniform(-others.lanes, others.lanes, n) * road.width
        self.bot_speeds = self.np_random.uniform(others.slowest, others.fastest, n)

    # ---- A step ------------------------------------------------------------------------------------------------------

    def advance(self, action: int) -> tuple[float, bool, bool, dict[str, Any]]:
        metres = 0.0
        for _ in range(self.parameters.action_repeat):
            self._drive(*steering_and_pedal(action))
            self._meet_opponents()
            metres += self._progress()
        self.steps += 1
        grace = self.parameters
        terminated = (
            self.off_road > grace.off_road_seconds * FRAMES_PER_SECOND
            or self.standing > grace.standing_seconds * FRAMES_PER_SECOND
        )
        truncated = not terminated and self.steps >= grace.episode_steps
        reward = grace.reward_per_metre * metres
        return reward, terminated, truncated, {"metres": metres}

    def _drive(self, steering: int, pedal: int) -> None:
        """One frame of the bicycle model, without a reverse gear."""
        car, dt = self.parameters.car, 1 / FRAMES_PER_SECOND
        most = dt / car.steering_seconds
        self.steering += min(max(steering - self.steering, -most), most)
        wheel = self.steering * car.lock(self.along)
        slip = min(self.along / car.walking_pace, 1.0)  # at rest, slip angles mean nothing
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
        """Side acceleration of an axle: linear for small slips, limited by the grip."""
        car, limit = self.parameters.car, self.parameters.car.grip * GRAVITY
        return -limit * math.tanh(car.stiffness * slip / limit)

    def _meet_opponents(self) -> None:
        """Opponents drive on; a car that touches one is pushed aside and, if it is behind, slowed down."""
        if not len(self.bots):
            return
        others = self.parameters.opponents
        self.bots += self.bot_speeds / FRAMES_PER_SECOND
        points = self.track.points(self.bots, self.bot_lanes)
        for number in np.flatnonzero(np.hypot(*(points - (self.x, self.y)).T) < others.contact):
            dx, dy = self.x - float(points[number, 0]), self.y - float(points[number, 1])
            away = math.hypot(dx, dy)
            if away >= others.contact:
                continue  # pushed away from another one
            if dx * math.cos(self.angle) + dy * math.sin(self.angle) < 0:
                self.along = min(self.along, others.speed_after_contact * float(self.bot_speeds[number]))
                self.aside = self.turning = 0.0
            self.x += (others.contact - away) * dx / max(away, 1e-6)
            self.y += (others.contact - away) * dy / max(away, 1e-6)

    def _progress(self) -> float:
        """Metres of progress in this frame; counts the frames off the road and standing still."""
        place = self.track.locate(self.x, self.y, self.at)
        self.at = place.nearest
        off = self.angle - place.heading
        forward = self.along * math.cos(off) - self.aside * math.sin(off)
        self.off_road = self.off_road + 1 if abs(place.aside) > 0.5 * self.track.width else 0
        self.standing = self.standing + 1 if forward < self.parameters.standing_speed else 0
        return forward / FRAMES_PER_SECOND

    # ---- What is seen ------------------------------------------------------------------------------------------------

    def scene(self) -> Scene:
        return self._scene

    def camera(self) -> Camera:
        return Camera(
            self.x, self.y, self.angle, self.parameters.eye_height, math.radians(self.parameters.field_of_view)
        )

    def sprites(self) -> np.ndarray:
        """Opponents and trees within the drawing distance."""
        points = np.concatenate([self.track.points(self.bots, self.bot_lanes), self.track.trees])
        sprites = np.zeros((len(points), 5))
        sprites[:, :2] = points
        sprites[:, 2] = np.arange(len(points)) >= len(self.bots)
        sprites[:, 3] = np.where(sprites[:, 2], TREE_SIZE, CAR_SIZE)
        near = np.hypot(points[:, 0] - self.x, points[:, 1] - self.y) < VISIBLE
        return sprites[near]

    def map_scale(self, side: int) -> float:
        return side * PIXELS / float(max(self.track.ground.shape[:2]))

    def map(self, side: int) -> np.ndarray:
        """The car is white, opponents are yellow."""
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
    """The expert, which sees the state: follows the racing line, brakes before bends and overtakes opponents."""

    GRIP = 0.65
    """Share of the grip that it uses in bends; its steering is late."""
    BRAKING = 0.5
    """Share of the braking that it plans with."""
    LOOK_AHEAD = 3.0, 0.7
    """Distance to the point it steers to: metres, plus seconds at its speed."""
    SLIDING = 0.12
    """Slip angle above which it uses no pedal, in radians."""
    CLEARANCE = 3.2
    """Distance between lanes when it passes an opponent, in metres."""
    SWERVE = 3.0
    """Metres per second sideways."""
    OFF_LINE = 0.8
    """Share of its speed beside the racing line, where bends are sharper."""
    SPEED_TOLERANCE = 0.5
    """Metres per second around its target speed within which it uses no pedal."""
    LENGTH = 4.0
    """Metres behind the car within which an opponent counts as beside it."""
    OVERTAKING = 8.0, 1.5, 40.0
    """Gap at which it starts to pass: metres, plus seconds at the closing speed; at most metres."""
    VERGE = 1.5
    """Distance that it keeps from the edge of the road, in metres."""

    def start_episode(self, env: gym.Env[Any, Any]) -> None:
        inner = env.unwrapped
        assert isinstance(inner, RacingEnv)
        self.env, road = inner, inner.track
        self.room = 0.5 * road.width - self.VERGE
        line = road.racing_line
        step = 6
        before, after = line - np.roll(line, step, axis=0), np.roll(line, -step, axis=0) - line
        bend = np.arctan2(before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0], (before * after).sum(1))
        curvature = np.abs(bend) / np.hypot(*after.T)
        self.fastest = np.sqrt(self.GRIP * inner.parameters.car.grip * GRAVITY / np.maximum(curvature, 1e-4))
        self.beside = ((line - road.center) * road.right).sum(1)  # metres from the centre line to the racing line
        self.swerve = 0.0  # metres from the racing line, to the right
        self.owed = 0.0  # steering asked for and not applied yet

    def act(self, observation: np.ndarray, rng: np.random.Generator) -> int:
        most = self.SWERVE * self.env.parameters.action_repeat / FRAMES_PER_SECOND
        self.swerve += min(max(self._evasion() - self.swerve, -most), most)
        return action_of(self._steering(), self._pedal())

    def _steering(self) -> int:
        """Steers to a point of the racing line ahead (pure pursuit)."""
        env, road, car = self.env, self.env.track, self.env.parameters.car
        ahead = self.LOOK_AHEAD[0] + self.LOOK_AHEAD[1] * env.along
        index = (env.at + round(ahead / road.spacing)) % len(road.center)
        beside = min(max(self.beside[index] + self.swerve, -self.room), self.room)
        target = road.center[index] + beside * road.right[index]
        dx, dy = target[0] - env.x, target[1] - env.y
        off = signed(math.atan2(dy, dx) - env.angle)
        wanted = math.atan(2 * (car.front + car.rear) * math.sin(off) / math.hypot(dx, dy))
        wanted = min(max(wanted / car.lock(env.along), -1.0), 1.0) + self.owed
        step = env.parameters.action_repeat / FRAMES_PER_SECOND / car.steering_seconds
        # Choose the nearest angle that the wheel can reach, and carry the error over: a turn smaller than a step
        # would never happen otherwise.
        after = {way: env.steering + min(max(way - env.steering, -step), step) for way in STEERING}
        chosen = min(STEERING, key=lambda way: abs(after[way] - wanted))
        self.owed = min(max(wanted - after[chosen], -1.0), 1.0)
        return chosen

    def _evasion(self) -> float:
        """Metres to the side of the racing line, to pass the nearest opponent that it is catching up with."""
        env = self.env
        gaps = (env.bots - env.at * env.track.spacing + self.LENGTH) % env.track.length - self.LENGTH
        closing = np.maximum(env.along - env.bot_speeds, 0)
        near = np.flatnonzero(gaps < np.minimum(self.OVERTAKING[0] + self.OVERTAKING[1] * closing, self.OVERTAKING[2]))
        if not len(near):
            return 0.0
        nearest = near[np.argmin(gaps[near])]
        lane = env.bot_lanes[nearest]
        own = self.beside[int(env.bots[nearest] / env.track.spacing) % len(self.beside)]
        if abs(own - lane) >= self.CLEARANCE:
            return 0.0
        ways = sorted((lane - self.CLEARANCE, lane + self.CLEARANCE), key=abs)  # on a narrow road both lead off it
        ways = [way for way in ways if abs(way) <= self.room] or ways[:1]
        return float(min(ways, key=lambda way: abs(way - own - self.swerve)) - own)

    def _pedal(self) -> int:
        """Throttle, unless it must brake for what is ahead."""
        env, slowing = self.env, self.BRAKING * self.env.parameters.car.braking
        reach = int(env.along**2 / (2 * slowing) / env.track.spacing) + 10
        indices = (env.at + np.arange(reach)) % len(self.fastest)
        allowed = np.sqrt(self.fastest[indices] ** 2 + 2 * slowing * env.track.spacing * np.arange(reach))
        most = float(allowed.min()) * (1.0 if abs(self.swerve) < 0.5 else self.OFF_LINE)
        if abs(env.aside) > self.SLIDING * max(env.along, 1.0):
            return 0
        return 1 if env.along < most - self.SPEED_TOLERANCE else -1 if env.along > most + self.SPEED_TOLERANCE else 0
