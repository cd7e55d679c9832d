"""Any registered Gymnasium environment with discrete or real vector actions."""

from __future__ import annotations

import contextlib
import importlib
import sys
import warnings
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from typing import Any

import gymnasium
import numpy as np
from pydantic import Field, ValidationInfo, field_validator, model_validator

from a3crepro.common.env_state import get_attributes, set_attributes
from a3crepro.common.errors import EnvironmentFault
from a3crepro.common.serialization import PyTree
from a3crepro.environments._environment import NormalisableEnvironment, env_name
from a3crepro.environments._mujoco import Simulation, import_with_mujoco, rendering_errors, use_egl, without_warnings

PLAIN = ("gymnasium.envs.classic_control.", "gymnasium.envs.toy_text.")
"""Packages whose environments keep their state in serialisable attributes and `np_random`."""
MUJOCO = "gymnasium.envs.mujoco."
"""The package whose environments also have a simulation."""


class Gym(NormalisableEnvironment):
    """A registered Gymnasium environment, with the time limit that is registered with it."""

    rescale_actions: bool
    """Scale vector actions from [-1, 1] to their bounds, if these are finite."""
    id: str
    """The registered id, e.g. `CartPole-v1`; `module:Name-v0` imports the module first.

    In the configuration of a stored run or agent, the module must be of an installed distribution, already imported, or
    named on the command line.
    """
    kwargs: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments of `gymnasium.make`, e.g. `is_slippery` of `FrozenLake-v1`."""
    wrappers: list[str | dict[str, dict[str, Any]]] = Field(default_factory=list)
    """Classes of `gymnasium.wrappers`, innermost first: names, or mappings from a name to keyword arguments.

    They are there in evaluations, too, so that one that changes rewards changes scores; to clip only what the agent
    learns from, set `reward_clip`.
    """

    @field_validator("wrappers")
    @classmethod
    def _are_wrappers(cls, wrappers: list[str | dict[str, dict[str, Any]]]) -> list[str | dict[str, dict[str, Any]]]:
        for name, _ in _named(wrappers):
            if name not in wrapper_names():
                raise ValueError(f"unknown wrapper {name!r}; allowed: {', '.join(wrapper_names())}")
        return wrappers

    @model_validator(mode="after")
    def _can_be_learned(self, info: ValidationInfo) -> Gym:
        """Makes the environment once, and refuses it under the key that is to blame."""
        if info.context and info.context.get("stored"):
            _check_stored_module(self.id.rpartition(":")[0])
        with contextlib.closing(self._make_registered()) as made:
            try:
                env = self._wrapped(made)
            except Exception as error:
                raise ValueError(f"wrappers: {_in_one_line(error)}, got {self.wrappers}") from error
            space = env.observation_space
            if not _is_learnable(env.action_space):
                raise ValueError(f"id: needs discrete actions or vectors of real numbers, has {env.action_space}, "
                                 f"got {self.id!r}")  # fmt: skip
            if not space.is_np_flattenable or not gymnasium.spaces.flatdim(space):
                raise ValueError(f"id: needs observations that make a vector of one length, has {space}, "
                                 f"got {self.id!r}")  # fmt: skip
        return self

    def _make_registered(self) -> gymnasium.Env[Any, Any]:
        """Raises ValueErrors that begin with the key that is wrong."""
        module, _, name = self.id.rpartition(":")
        try:
            if module:
                importlib.import_module(module)
            gymnasium.spec(name)
            if not self.kwargs:
                return make_registered(self.id)
            check_mujoco(self.id)
        except (ImportError, TypeError, ValueError, gymnasium.error.Error) as error:
            raise ValueError(f"id: not an environment that can be made ({error}), got {self.id!r}") from error
        try:
            return make_registered(self.id, **self.kwargs)
        except Exception as error:  # constructors check arguments in any way, or not at all
            raise ValueError(f"kwargs: {_in_one_line(error)}, got {self.kwargs}") from error

    def _wrapped(self, env: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
        for name, arguments in _named(self.wrappers):
            env = getattr(gymnasium.wrappers, name)(env, **arguments)
        return env

    @property
    def episode_steps(self) -> int | None:
        limit = self.kwargs.get("max_episode_steps")
        if limit is None:
            limit = gymnasium.spec(self.id.rpartition(":")[2]).max_episode_steps
        limits: list[int] = [] if limit in (None, -1) else [limit]  # -1 is Gymnasium's word for no limit
        limits += [given["max_episode_steps"] for name, given in _named(self.wrappers) if name == "TimeLimit"]
        return min(limits, default=None)

    def make(self, *, training: bool, render: bool = False) -> gymnasium.Env[Any, Any]:
        options: dict[str, Any] = {"render_mode": "rgb_array"} if render else {}  # some take no render_mode at all
        with warnings.catch_warnings():  # shown already, when the configuration was checked
            warnings.simplefilter("ignore")
            env = self._wrapped(make_registered(self.id, **{**self.kwargs, **options}))
        if render and type(env.unwrapped).__module__.startswith(MUJOCO):
            use_egl()  # only here: learning from states needs no renderer
            env = _ExplainRenderErrors(env)
        actions = env.action_space
        if self.rescale_actions and isinstance(actions, gymnasium.spaces.Box) and actions.is_bounded():
            one = np.ones(actions.shape, np.float32)
            env = gymnasium.wrappers.RescaleAction(env, -one, one)
        if not (isinstance(actions, gymnasium.spaces.Discrete) and actions.start == 0):
            env = _ConvertAction(env)
        if not isinstance(env.observation_space, gymnasium.spaces.Box):
            env = gymnasium.wrappers.FlattenObservation(env)  # a discrete observation becomes one-hot
        return _ConvertObservation(env)

    def get_state(self, env: gymnasium.Env[Any, Any]) -> PyTree | None:
        if not all(map(_is_known, _layers(env))):
            return None
        inner = env.unwrapped
        return {
            "layers": [get_attributes(layer) for layer in _layers(env)],
            "random": inner.np_random.bit_generator.state,
            "simulation": _simulation(inner).get_state() if hasattr(inner, "do_simulation") else None,
        }

    def set_state(self, env: gymnasium.Env[Any, Any], state: PyTree) -> None:
        for layer, attributes in zip(_layers(env), state["layers"], strict=True):
            set_attributes(layer, attributes)
        env.unwrapped.np_random.bit_generator.state = state["random"]
        if state["simulation"] is not None:
            _simulation(env.unwrapped).set_state(state["simulation"])


def _check_stored_module(module: str) -> None:
    """Refuses a stored module that nobody chose: it could lie beside the configuration, and importing executes it."""
    if not module or module in sys.modules or module.split(".")[0] in packages_distributions():
        return
    raise ValueError(
        f"id: a stored configuration does not import {module!r}, which is not of an installed distribution; "
        "name it on the command line (env.id=MODULE:NAME), or import it first"
    )


def _named(wrappers: list[str | dict[str, dict[str, Any]]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Names and keyword arguments of wrappers; sequences become tuples, which YAML does not have."""
    for wrapper in wrappers:
        for name, arguments in ({wrapper: {}} if isinstance(wrapper, str) else wrapper).items():
            yield name, {key: tuple(value) if isinstance(value, list) else value for key, value in arguments.items()}


def wrapper_names() -> list[str]:
    """Classes of `gymnasium.wrappers`; those whose libraries are missing are no attributes of it."""
    found = vars(gymnasium.wrappers).items()
    return sorted(name for name, value in found if isinstance(value, type) and issubclass(value, gymnasium.Wrapper))


def _in_one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def check_mujoco(env_id: str) -> bool:
    """Whether an environment needs MuJoCo.

    Raises:
      ValueError: it does, and MuJoCo is not installed.
    """
    spec = gymnasium.registry.get(env_id.rpartition(":")[2])
    if spec is None or not str(spec.entry_point).startswith(MUJOCO):
        return False
    try:
        import_with_mujoco("mujoco")
    except ImportError as error:
        raise ValueError('needs MuJoCo; pip install "a3crepro[control]"') from error
    return True


def make_registered(env_id: str, **options: Any) -> gymnasium.Env[Any, Any]:
    """`gymnasium.make`; says which extra to install if MuJoCo is missing.

    Raises:
      ValueError: MuJoCo is missing.
    """
    if not check_mujoco(env_id):
        return gymnasium.make(env_id, **options)
    with without_warnings():  # Gymnasium's models are for an older MuJoCo
        return gymnasium.make(env_id, **options)


class _ExplainRenderErrors(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Says which packages to install if there is no renderer."""

    def render(self) -> Any:
        with rendering_errors():
            return super().render()


class _ConvertAction(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Takes actions as a policy gives them, numbers from 0 or float32 vectors [n], which are clipped to the bounds."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        space = env.action_space
        if isinstance(space, gymnasium.spaces.Box):
            low, high = (bound.ravel().astype(np.float32) for bound in (space.low, space.high))
            self.action_space = gymnasium.spaces.Box(low, high)
        else:
            assert isinstance(space, gymnasium.spaces.Discrete)
            self.action_space = gymnasium.spaces.Discrete(int(space.n))
        self._space = space

    def step(self, action: Any) -> Any:
        if isinstance(space := self._space, gymnasium.spaces.Box):
            return self.env.step(np.clip(action.reshape(space.shape), space.low, space.high))
        return self.env.step(action + int(space.start))


class _ConvertObservation(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Converts observations to arrays of the space's shape, uint8 or else float32.

    Each is a new array: rollouts keep them, and some environments reuse theirs.
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        space = env.observation_space
        assert isinstance(space, gymnasium.spaces.Box)
        self._given = space.shape
        self._dtype = np.dtype(np.uint8 if space.dtype == np.uint8 else np.float32)
        self._shape = space.shape or (1,)
        with np.errstate(over="ignore"):  # bounds beyond float32 become infinite
            low, high = (bound.reshape(self._shape).astype(self._dtype) for bound in (space.low, space.high))
        self.observation_space = gymnasium.spaces.Box(low, high, dtype=self._dtype.type)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        return self._converted(observation, "reset"), info

    def step(self, action: Any) -> Any:
        observation, *others = self.env.step(action)
        return self._converted(observation, "step"), *others

    def _converted(self, observation: Any, by: str) -> np.ndarray:
        values = np.array(observation, self._dtype)
        if values.shape != self._given:
            raise EnvironmentFault(
                f"{env_name(self)}: {by} returned an observation of shape {values.shape}, its space has {self._given}"
            )
        return values.reshape(self._shape)


def _is_learnable(space: gymnasium.Space[Any]) -> bool:
    return isinstance(space, gymnasium.spaces.Discrete) or (
        isinstance(space, gymnasium.spaces.Box) and space.dtype is not None and space.dtype.kind == "f"
    )


def _simulation(env: Any) -> Simulation:
    """The simulation of one of Gymnasium's environments, whose model is as loaded."""
    return Simulation(env.model, env.data, with_derived=True)


def _layers(env: gymnasium.Env[Any, Any]) -> Iterator[gymnasium.Env[Any, Any]]:
    """The wrappers of an environment, outermost first, and the environment itself."""
    yield env
    while isinstance(env, gymnasium.Wrapper):
        env = env.env
        yield env


def _is_known(layer: gymnasium.Env[Any, Any]) -> bool:
    """Whether its state is known; not for derived classes and those of other packages."""
    if not vars(layer).keys().isdisjoint({"step", "reset"}):  # replaced on the instance
        return False
    return type(layer) in KNOWN or type(layer).__module__.startswith((*PLAIN, MUJOCO))


KNOWN = (
    gymnasium.wrappers.ClipAction, gymnasium.wrappers.ClipReward, gymnasium.wrappers.DtypeObservation,
    gymnasium.wrappers.FlattenObservation, gymnasium.wrappers.GrayscaleObservation, gymnasium.wrappers.OrderEnforcing,
    gymnasium.wrappers.PassiveEnvChecker, gymnasium.wrappers.RescaleAction, gymnasium.wrappers.RescaleObservation,
    gymnasium.wrappers.ReshapeObservation, gymnasium.wrappers.ResizeObservation, gymnasium.wrappers.TimeLimit,
    _ConvertAction, _ExplainRenderErrors, _ConvertObservation,
)  # fmt: skip
"""Wrappers that keep their state, if any, in serialisable attributes."""
