"""Any registered gymnasium environment with discrete actions or vectors of them."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from pydantic import field_validator

from a3crepro.environments._drawing import drawing, imported, without_a_screen
from a3crepro.environments._environment import Scalable, plain_attributes, set_attributes
from a3crepro.plain import Tree

if TYPE_CHECKING:
    from a3crepro.environments._mujoco import Simulation

PLAIN = ("gymnasium.envs.classic_control", "gymnasium.envs.toy_text")
"""Packages whose environments hold their state in plain attributes and one generator."""
MUJOCO = "gymnasium.envs.mujoco"
"""And, beside these, in a simulation."""


class Gym(Scalable):
    """An environment of gymnasium's registry, with the time limit that is registered with it."""

    id: str
    """The registered id, e.g. `CartPole-v1`; `module:Name-v0` imports the module first."""

    @field_validator("id")
    @classmethod
    def _is_usable(cls, env_id: str) -> str:
        module, _, name = env_id.rpartition(":")
        try:
            if module:
                importlib.import_module(module)
            gymnasium.spec(name)
            env = _made(env_id)
        except (ImportError, TypeError, ValueError, gymnasium.error.Error) as error:
            raise ValueError(f"not an environment that can be made ({error})") from error
        try:
            if not _is_learnable(env.action_space):
                raise ValueError(f"needs discrete actions or vectors of real numbers, has {env.action_space}")
            if not env.observation_space.is_np_flattenable:
                raise ValueError(f"needs observations that make a vector of one length, has {env.observation_space}")
        finally:
            env.close()
        return env_id

    @property
    def episode_steps(self) -> int | None:
        return gymnasium.spec(self.id.rpartition(":")[2]).max_episode_steps

    def make(self, *, training: bool, render: bool = False) -> gymnasium.Env[Any, Any]:
        options: dict[str, Any] = {"render_mode": "rgb_array"} if render else {}  # some take no render_mode at all
        with warnings.catch_warnings():  # they were heard when the configuration was checked
            warnings.simplefilter("ignore")
            env = _made(self.id, **options)
        if render and type(env.unwrapped).__module__.startswith(MUJOCO):
            without_a_screen()  # here alone: states are to be learnt from where there is no renderer, too
            env = _Drawn(env)
        actions = env.action_space
        if isinstance(actions, gymnasium.spaces.Discrete) and actions.start != 0:
            first = int(actions.start)
            env = gymnasium.wrappers.TransformAction(
                env, lambda action: action + first, gymnasium.spaces.Discrete(int(actions.n))
            )
        elif isinstance(actions, gymnasium.spaces.Box):
            env = gymnasium.wrappers.TransformAction(env, _clipped_to(actions), _flat(actions))
        if not isinstance(env.observation_space, gymnasium.spaces.Box):
            env = gymnasium.wrappers.FlattenObservation(env)  # a discrete observation becomes one-hot
        space = env.observation_space
        assert isinstance(space, gymnasium.spaces.Box)
        if space.dtype == np.float64:
            space = gymnasium.spaces.Box(space.low.astype(np.float32), space.high.astype(np.float32))
        # A rollout keeps its observations, and some environments write each into the same array.
        return gymnasium.wrappers.TransformObservation(env, lambda values: np.array(values, space.dtype), space)

    def state(self, env: gymnasium.Env[Any, Any]) -> Tree | None:
        inner = env.unwrapped
        if not type(inner).__module__.startswith((*PLAIN, MUJOCO)):
            return None
        return {
            "layers": [plain_attributes(layer) for layer in _layers(env)],
            "random": inner.np_random.bit_generator.state,
            "simulation": _simulation(inner).get_state() if hasattr(inner, "do_simulation") else None,
        }

    def restore(self, env: gymnasium.Env[Any, Any], state: Tree) -> None:
        for layer, attributes in zip(_layers(env), state["layers"], strict=True):
            set_attributes(layer, attributes)
        env.unwrapped.np_random.bit_generator.state = state["random"]
        if state["simulation"] is not None:
            _simulation(env.unwrapped).set_state(state["simulation"])


def _made(env_id: str, **options: Any) -> gymnasium.Env[Any, Any]:
    spec = gymnasium.registry.get(env_id.rpartition(":")[2])
    if spec is None or not str(spec.entry_point).startswith(MUJOCO):
        return gymnasium.make(env_id, **options)
    try:
        imported("mujoco")
    except ImportError as error:
        raise ValueError('needs MuJoCo; pip install "a3crepro[control]"') from error
    from a3crepro.environments._mujoco import without_warnings

    with without_warnings():  # its models are of an older MuJoCo
        return gymnasium.make(env_id, **options)


class _Drawn(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Says what is missing where there is no renderer."""

    def render(self) -> Any:
        with drawing():
            return super().render()


def _clipped_to(space: gymnasium.spaces.Box) -> Callable[[np.ndarray], np.ndarray]:
    return lambda action: np.clip(action.reshape(space.shape), space.low, space.high)


def _is_learnable(space: gymnasium.Space[Any]) -> bool:
    return isinstance(space, gymnasium.spaces.Discrete) or (
        isinstance(space, gymnasium.spaces.Box) and space.dtype is not None and space.dtype.kind == "f"
    )


def _flat(space: gymnasium.spaces.Box) -> gymnasium.spaces.Box:
    """As it is learnt: a float32 vector."""
    return gymnasium.spaces.Box(space.low.ravel().astype(np.float32), space.high.ravel().astype(np.float32))


def _simulation(env: Any) -> Simulation:
    """That of an environment of gymnasium's, whose model is as it was loaded."""
    from a3crepro.environments._mujoco import Simulation

    return Simulation(env.model, env.data, with_derived=True)


def _layers(env: gymnasium.Env[Any, Any]) -> Iterator[gymnasium.Env[Any, Any]]:
    """The wrappers of an environment, from the outermost, and itself."""
    yield env
    while isinstance(env, gymnasium.Wrapper):
        env = env.env
        yield env
