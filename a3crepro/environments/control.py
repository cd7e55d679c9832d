"""The DeepMind Control Suite (Tassa et al. 2018): the closest descendants of the paper's MuJoCo tasks (§5.3, §9).

`dm_control` is used directly: the adapter of shimmy costs as much time again as the physics of the small tasks, and its
generator's state cannot be told.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import math
import sys
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from pydantic import model_validator

from a3crepro.common.env_state import get_attributes, set_attributes
from a3crepro.common.plain import Tree
from a3crepro.common.settings import Count, PositiveCount, UserError
from a3crepro.environments._drawing import drawing, imported, without_a_screen
from a3crepro.environments._environment import Scalable

SIDE = 84
"""Of the pictures, in pixels."""
PLAIN_LIGHT = {"shadow": False, "reflection": False}
"""Without a graphics card shadows take nine tenths of the time of a picture."""
UNLIMITED = 1e10
"""What MuJoCo gives as the bounds of an actuator that has none."""


class Control(Scalable):
    """A task of the Control Suite. Actions are vectors in its bounds, where it has any; rewards are in [0, 1] a frame.

    Those of `lqr` are not: they are 1 less a cost without a limit.

    The observation is float32: the entries of the task's observation one after another, in the order in which the task
    declares them (positions mostly come first, then velocities), each flattened. With pixels it is uint8 [3, 84, 84].
    """

    domain: str
    """The physical model, e.g. `cartpole`."""
    task: str
    """What is to be done with it, e.g. `swingup`."""
    pixels: bool
    """Observe a camera's picture of the current state instead of the state."""
    camera: Count
    """Number of the camera among those of the model."""
    action_repeat: PositiveCount = 1
    """Steps of the suite for which an action is held: the frames of an agent step; one in runs of before it existed."""
    max_episode_steps: PositiveCount
    """The time limit, in steps of the suite (environment frames); reaching it is no terminal state."""

    @model_validator(mode="after")
    def _is_known(self) -> Control:
        domains = suite().TASKS_BY_DOMAIN
        if self.domain not in domains:
            raise ValueError(f"domain: unknown {self.domain!r}; allowed: {', '.join(sorted(domains))}")
        if self.task not in domains[self.domain]:
            raise ValueError(f"task: unknown {self.task!r}; allowed: {', '.join(domains[self.domain])}")
        return self

    @property
    def title(self) -> str:
        return f"control/{self.domain}_{self.task}" + ("_pixels" if self.pixels else "")

    @property
    def frames_per_step(self) -> int:
        return self.action_repeat

    @property
    def episode_steps(self) -> int:
        return math.ceil(self.max_episode_steps / self.action_repeat)

    def modules(self) -> list[str]:
        return [*super().modules(), "dm_control.suite", "a3crepro.environments._mujoco"]

    def make(self, *, training: bool, render: bool = False) -> gym.Env[np.ndarray, Any]:
        return ControlEnv(self, "rgb_array" if render else None)

    def undrawn(self) -> gym.Env[np.ndarray, Any]:
        return self.model_copy(update={"pixels": False}).make(training=False)


class ControlEnv(gym.Env[np.ndarray, np.ndarray]):
    """One task as a gymnasium environment. Actions out of bounds are clipped to them."""

    def __init__(self, settings: Control, render_mode: str | None = None) -> None:
        from dm_control.rl.control import PhysicsError

        from a3crepro.environments._mujoco import Simulation

        self.settings, self.render_mode, self.unstable = settings, render_mode, PhysicsError
        self.task_env = suite().load(
            settings.domain, settings.task, {"random": np.random.RandomState(0), "time_limit": float("inf")}
        )
        shown = self.task_env.control_timestep() * settings.action_repeat
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": 1 / shown}
        self.physics, self.task = self.task_env.physics, self.task_env.task
        self.physics.model.vis.quality.offsamples = 0  # smooth edges take as long again
        self.cameras: dict[int, Any] = {}
        if not settings.pixels and render_mode is None:
            _without_renderer(self.physics)
        self.simulation = Simulation(self.physics.model.ptr, self.physics.data.ptr)
        bounds = self.task_env.action_spec()
        self.low = np.where(bounds.minimum <= -UNLIMITED, -np.inf, bounds.minimum)
        self.high = np.where(bounds.maximum >= UNLIMITED, np.inf, bounds.maximum)
        self.action_space = gym.spaces.Box(self.low.astype(np.float32), self.high.astype(np.float32), dtype=np.float32)
        self._check_camera()
        if settings.pixels:
            self.observation_space = gym.spaces.Box(0, 255, (3, SIDE, SIDE), np.uint8)
            self._picture(SIDE)  # that there is a renderer is to be known before anything is trained
        else:
            length = sum(int(np.prod(spec.shape)) for spec in self.task_env.observation_spec().values())
            self.observation_space = gym.spaces.Box(-np.inf, np.inf, (length,), np.float32)
        self.steps = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        if seed is not None:
            self.task._random = np.random.RandomState(int(self.np_random.integers(2**32)))
        self.steps = 0
        return self._observation(self.task_env.reset().observation), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """A simulation that becomes unstable ends the episode as a time limit does, where it was, unrewarded."""
        reward, action = 0.0, np.clip(action, self.low, self.high)
        for _ in range(self.settings.action_repeat):
            try:
                step = self.task_env.step(action)
            except self.unstable:
                return self.latest, reward, False, True, {}
            self.steps += 1
            reward += float(step.reward)
            terminated = step.last() and not step.discount
            truncated = not terminated and (step.last() or self.steps >= self.settings.max_episode_steps)
            if terminated or truncated:
                break
        return self._observation(step.observation), reward, terminated, truncated, {}

    def _observation(self, parts: Mapping[str, Any]) -> np.ndarray:
        if self.settings.pixels:
            self.latest = np.ascontiguousarray(self._picture(SIDE).transpose(2, 0, 1))
        else:
            self.latest = np.concatenate([np.ravel(part) for part in parts.values()]).astype(np.float32)
        return self.latest

    def _check_camera(self) -> None:
        cameras = self.physics.model.ncam
        if self.settings.camera >= cameras:
            raise UserError(f"env.camera: {self.settings.title} has the cameras 0 to {cameras - 1}")

    def _picture(self, side: int) -> np.ndarray:
        from dm_control.mujoco.engine import Camera

        with drawing():
            if side not in self.cameras:  # to make one takes as long as to draw a picture
                self.cameras[side] = Camera(self.physics, side, side, camera_id=self.settings.camera)
            picture: np.ndarray = self.cameras[side].render(render_flag_overrides=PLAIN_LIGHT)
        return picture

    def render(self) -> Any:
        """What the task's camera sees, 240 x 240."""
        return self._picture(240) if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        self.task_env.close()

    def get_state(self) -> Tree:
        """The simulation, the task's variables, and its generator."""
        return {
            "simulation": self.simulation.get_state(),
            "task": get_attributes(self.task),
            "random": self.task.random.get_state(legacy=False),
            "steps": self.steps,
            "ended": self.task_env._reset_next_step,
            "latest": self.latest,
        }

    def set_state(self, state: Tree) -> None:
        """Goes on from there."""
        self.simulation.set_state(state["simulation"])
        set_attributes(self.task, state["task"])
        self.task._random.set_state(state["random"])
        self.steps, self.task_env._reset_next_step, self.latest = state["steps"], state["ended"], state["latest"]
        if self.settings.pixels:
            self._draw_terrain_anew()

    def _draw_terrain_anew(self) -> None:
        """The renderer keeps a copy of the heights of a terrain, which a task draws at the start of an episode."""
        from dm_control.mujoco.wrapper import mjbindings

        with self.physics.contexts.gl.make_current() as context:
            for terrain in range(self.physics.model.nhfield):
                context.call(
                    mjbindings.mjlib.mjr_uploadHField, self.physics.model.ptr, self.physics.contexts.mujoco.ptr, terrain
                )


def _without_renderer(physics: Any) -> None:
    """No picture is wanted: `quadruped_escape` asks for a renderer's context at each reset, to tell it of its terrain.

    That would take time and memory, and fail where there is none.
    """
    physics._make_rendering_contexts = lambda: None


def _tame_absl() -> None:
    """MuJoCo warns of the suite's own models, and absl's handler closes what was sys.stderr when it was imported."""
    logging.getLogger("absl").setLevel(logging.ERROR)
    with contextlib.suppress(ImportError):
        absl: Any = importlib.import_module("absl.logging")
        absl.get_absl_handler().python_handler.stream = sys.__stderr__


def suite() -> Any:
    """dm_control's suite, with a renderer that needs no screen, or with none where there is none.

    Raises:
      UserError: it is not installed.
    """
    without_a_screen()
    _tame_absl()
    try:
        return imported("dm_control.suite")
    except ImportError as error:
        raise UserError('env: control/… needs dm_control; pip install "a3crepro[control]"') from error
