"""The DeepMind Control Suite (Tassa et al. 2018): the closest descendants of the paper's MuJoCo tasks (§5.3, §9).

It uses `dm_control` directly: shimmy's adapter takes as long as the physics of small tasks, and hides the state of its
generator.
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

from a3crepro.common.config_model import Count, PositiveCount
from a3crepro.common.env_state import get_attributes, set_attributes
from a3crepro.common.errors import UserError
from a3crepro.common.serialization import PyTree
from a3crepro.environments._environment import NormalisableEnvironment
from a3crepro.environments._mujoco import Simulation, import_with_mujoco, rendering_errors, use_egl

SIDE = 84
"""Height and width of the frames, in pixels."""
PLAIN_LIGHT = {"shadow": False, "reflection": False}
"""Light without shadows and reflections: without a graphics card they take nine tenths of the rendering time."""
UNLIMITED = 1e10
"""Bound of an actuator without bounds in MuJoCo."""


class Control(NormalisableEnvironment):
    """A task of the Control Suite.

    Actions are vectors within the task's bounds, if any. Rewards are in [0, 1] per frame, except for `lqr`: 1 minus an
    unbounded cost. Observations are float32: the entries of the task's observation, flattened and concatenated in the
    order in which the task declares them. With pixels they are uint8 [3, 84, 84].
    """

    domain: str
    """The physical model, e.g. `cartpole`."""
    task: str
    """The goal, e.g. `swingup`."""
    pixels: bool
    """Observe frames of a camera instead of the state."""
    camera: Count
    """Index among the cameras of the model."""
    action_repeat: PositiveCount = 1
    """Steps of the suite (environment frames) per agent step."""
    max_episode_steps: PositiveCount
    """Steps of the suite (environment frames) after which an episode is truncated."""

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

    def modules_to_preload(self) -> list[str]:
        return [*super().modules_to_preload(), "a3crepro.environments._control_suite"]

    def make(self, *, training: bool, render: bool = False) -> gym.Env[np.ndarray, Any]:
        return ControlEnv(self, "rgb_array" if render else None)

    def make_headless(self) -> gym.Env[np.ndarray, Any]:
        return self.model_copy(update={"pixels": False}).make(training=False)


class ControlEnv(gym.Env[np.ndarray, np.ndarray]):
    """One task; actions are clipped to its bounds."""

    def __init__(self, settings: Control, render_mode: str | None = None) -> None:
        from dm_control.rl.control import PhysicsError

        self.settings, self.render_mode, self.unstable = settings, render_mode, PhysicsError
        self.task_env = suite().load(
            settings.domain, settings.task, {"random": np.random.RandomState(), "time_limit": float("inf")}
        )
        shown = self.task_env.control_timestep() * settings.action_repeat
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": 1 / shown}
        self.physics, self.task = self.task_env.physics, self.task_env.task
        self.physics.model.vis.quality.offsamples = 0  # antialiasing doubles the rendering time
        self.cameras: dict[int, Any] = {}
        if not settings.pixels and render_mode is None:
            # `quadruped_escape` makes a rendering context at each reset, which fails without OpenGL
            self.physics._make_rendering_contexts = lambda: None
        self.simulation = Simulation(self.physics.model.ptr, self.physics.data.ptr)
        bounds = self.task_env.action_spec()
        self.low = np.where(bounds.minimum <= -UNLIMITED, -np.inf, bounds.minimum)
        self.high = np.where(bounds.maximum >= UNLIMITED, np.inf, bounds.maximum)
        self.action_space = gym.spaces.Box(self.low.astype(np.float32), self.high.astype(np.float32), dtype=np.float32)
        cameras = self.physics.model.ncam
        if settings.camera >= cameras:
            raise UserError(f"env.camera: {settings.title} has the cameras 0 to {cameras - 1}")
        if settings.pixels:
            self.observation_space = gym.spaces.Box(0, 255, (3, SIDE, SIDE), np.uint8)
            self._render(SIDE)  # fails now if there is no renderer, not during training
        else:
            length = sum(int(np.prod(spec.shape)) for spec in self.task_env.observation_spec().values())
            self.observation_space = gym.spaces.Box(-np.inf, np.inf, (length,), np.float32)
        self.latest = np.zeros(self.observation_space.shape, self.observation_space.dtype)
        self.steps = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        if seed is not None:
            self.task._random = np.random.RandomState(int(self.np_random.integers(2**32)))
        self.steps = 0
        return self._observation(self.task_env.reset().observation), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """An unstable simulation truncates the episode at the last observation, without a reward."""
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
            self.latest = np.ascontiguousarray(self._render(SIDE).transpose(2, 0, 1))
        else:
            self.latest = np.concatenate([np.ravel(part) for part in parts.values()]).astype(np.float32)
        return self.latest

    def _render(self, side: int) -> np.ndarray:
        from dm_control.mujoco.engine import Camera

        with rendering_errors():
            if side not in self.cameras:  # making one takes as long as rendering a frame
                self.cameras[side] = Camera(self.physics, side, side, camera_id=self.settings.camera)
            frame: np.ndarray = self.cameras[side].render(render_flag_overrides=PLAIN_LIGHT)
        return frame

    def render(self) -> Any:
        """The view of the task's camera, uint8 [240, 240, 3]."""
        return self._render(240) if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        self.task_env.close()

    def get_state(self) -> PyTree:
        """The simulation, the task's variables and its generator."""
        return {
            "simulation": self.simulation.get_state(),
            "task": get_attributes(self.task),
            "random": self.task.random.get_state(legacy=False),
            "steps": self.steps,
            "ended": self.task_env._reset_next_step,
            "latest": self.latest,
        }

    def set_state(self, state: PyTree) -> None:
        self.simulation.set_state(state["simulation"])
        set_attributes(self.task, state["task"])
        self.task._random.set_state(state["random"])
        self.steps, self.task_env._reset_next_step, self.latest = state["steps"], state["ended"], state["latest"]
        if self.settings.pixels:
            self._update_terrain()

    def _update_terrain(self) -> None:
        """Updates the renderer's copy of a terrain, which a task draws at the start of an episode."""
        from dm_control.mujoco.wrapper import mjbindings

        with self.physics.contexts.gl.make_current() as context:
            for terrain in range(self.physics.model.nhfield):
                context.call(
                    mjbindings.mjlib.mjr_uploadHField, self.physics.model.ptr, self.physics.contexts.mujoco.ptr, terrain
                )


def _silence_absl() -> None:
    """Silences warnings about the suite's own models; absl's handler closes the sys.stderr of its import."""
    logging.getLogger("absl").setLevel(logging.ERROR)
    with contextlib.suppress(ImportError):
        absl: Any = importlib.import_module("absl.logging")
        absl.get_absl_handler().python_handler.stream = sys.__stderr__


def suite() -> Any:
    """Imports `dm_control.suite`, with a headless renderer if there is one.

    Raises:
      UserError: dm_control is not installed.
    """
    use_egl()
    _silence_absl()
    try:
        return import_with_mujoco("dm_control.suite")
    except ImportError as error:
        raise UserError('env: control/… needs dm_control; pip install "a3crepro[control]"') from error
