"""OmegaConf resolvers for the YAML files and the command line: `${log_uniform:1e-4,1e-2,${seed}}`."""

import contextlib
import functools
import math
import zlib
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from omegaconf import OmegaConf

from a3crepro.common.config_model import component_class
from a3crepro.common.machine import usable_cores
from a3crepro.config.groups import GROUPS
from a3crepro.environments.gym import make_registered


def log_uniform(low: float, high: float, *key: float | str) -> float:
    """Draws a number log-uniformly from [low, high) (§8); a pure function of its arguments.

    The same key (a seed, or a seed and a name) gives the same draw in every run, so a run can be repeated alone, and
    draws are paired across methods: `optimizer.lr='${log_uniform:1e-4,1e-2,${seed}}'`.
    """
    low, high = float(low), float(high)
    if not 0 < low < high < math.inf:
        raise ValueError(f"log_uniform: needs 0 < low < high, got {low}, {high}")
    if not key:
        raise ValueError("log_uniform: needs a key to draw by, e.g. ${log_uniform:1e-4,1e-2,${seed}}")
    entropy = [zlib.crc32(repr(part).encode()) for part in (low, high, *key)]
    share = np.random.default_rng(entropy).random()
    return float(math.exp(math.log(low) + share * (math.log(high) - math.log(low))))


def cores_wanted(execution: Mapping[str, Any], threads: int) -> int:
    """Cores that a run with these settings of `execution` can keep busy; `threads` if they are invalid."""
    try:
        found: Any = component_class(GROUPS["execution"], execution["name"]).model_validate(dict(execution))
    except (LookupError, ValueError):
        return threads  # the run says what is wrong
    return int(found.process_count(threads))


def runs_at_once(execution: Mapping[str, Any], threads: int) -> int:
    """Number of runs that fill the cores of this machine."""
    return max(1, usable_cores() // cores_wanted(execution, threads))


def frames_in(seconds: float) -> int:
    """Frames of a first-person world in `seconds`; 1 if these are invalid, so that the error is about `env.seconds`."""
    from a3crepro.worlds.first_person import FRAMES_PER_SECOND  # compiles its kernels

    try:
        return max(1, round(FRAMES_PER_SECOND * seconds))
    except (TypeError, ValueError, OverflowError):
        return 1


@functools.cache
def is_unbounded_control(env_id: str) -> bool:
    """Whether actions are vectors and observations are unbounded; False for an unknown environment."""
    with (
        contextlib.suppress(Exception),
        contextlib.closing(make_registered(env_id)) as env,
    ):  # `env.id` itself is refused later
        observations, actions = env.observation_space, env.action_space
        return isinstance(actions, gym.spaces.Box) and not getattr(observations, "is_bounded", bool)()
    return False


for function in (log_uniform, cores_wanted, runs_at_once, frames_in, is_unbounded_control):
    OmegaConf.register_new_resolver(function.__name__, function, replace=True)
