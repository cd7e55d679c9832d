"""The rows of `metrics.csv`: how training went between two moments."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from a3crepro.config import Config
from a3crepro.learner.shared_state import Totals
from a3crepro.mathematics import metrics as m

METRICS = (
    "frames", "seconds", "policy_loss", "value_loss", "entropy", "epsilon", "gradient_norm", "learning_rate",
    "explained_variance", "staleness", "frames_per_second", "thread_frames_per_second", "real_seconds",
)  # fmt: skip
"""A row per interval. Losses and entropy (nats) are means over its states, norm and staleness over its gradients."""


class Measurement(NamedTuple):
    """The totals of training at a moment."""

    seconds: float
    """Seconds since the start of training; virtual if the execution's time is."""
    totals: Totals

    def get_state(self) -> tuple[float, dict[str, Any]]:
        """The measurement as a pytree."""
        return self.seconds, vars(self.totals)


def restored_measurement(state: tuple[float, dict[str, Any]]) -> Measurement:
    """What `Measurement.get_state` returned."""
    seconds, totals = state
    return Measurement(seconds, Totals(**totals))


def metrics_row(config: Config, before: Measurement, now: Measurement) -> dict[str, Any]:
    """The row of an interval, without its times; None where a method has no such number."""
    interval, frames = now.totals.since(before.totals), int(now.totals.frames.sum())
    sums, seconds = interval.sums, now.seconds - before.seconds
    speeds = interval.frames / seconds if seconds > 0 else None
    values = {
        "policy_loss": _ratio(sums[m.POLICY_LOSS], sums[m.POLICIES]),
        "value_loss": _ratio(sums[m.VALUE_LOSS], sums[m.VALUES]),
        "entropy": _ratio(sums[m.ENTROPY], sums[m.POLICIES]),
        "epsilon": mean_epsilon(config, now.totals.frames),
        "gradient_norm": _ratio(sums[m.GRADIENT_NORM], interval.updates),
        "learning_rate": config.optimizer.learning_rate(frames, config.frames),
        "explained_variance": explained_variance(sums),
        "staleness": _ratio(interval.staleness, interval.gradients),
        "frames_per_second": None if speeds is None else float(speeds.sum()),
    }
    return {
        "frames": frames,
        **{name: None if value is None else float(f"{value:.6g}") for name, value in values.items()},
        "thread_frames_per_second": None if speeds is None else " ".join(f"{speed:.4g}" for speed in speeds),
    }


def explained_variance(sums: np.ndarray) -> float | None:
    """1 - Var(R - V) / Var(R) over states, where V is the estimate of the return R; None if R does not vary."""
    n = sums[m.VALUES]
    if not n:
        return None
    errors = sums[m.SQUARED_ERROR] / n - (sums[m.ERROR] / n) ** 2
    returns = sums[m.SQUARED_RETURN] / n - (sums[m.RETURN] / n) ** 2
    varies = returns > 1e-12 * sums[m.SQUARED_RETURN] / n  # else it is a rounding error
    return float(1 - errors / returns) if varies else None


def mean_epsilon(config: Config, frames: np.ndarray) -> float | None:
    """The mean ε of actor-learners that have taken these numbers of frames; None for a policy without ε."""
    found = [config.algo.epsilon(actor) for actor in _actors(config, frames.tolist())]
    values = [epsilon for epsilon in found if epsilon is not None]
    return sum(values) / len(values) if values else None


@dataclass
class _ActorProgress:
    seed: int
    thread: int
    global_frames: int
    own_frames: int


def _actors(config: Config, frames: list[int]) -> Iterator[_ActorProgress]:
    for thread, own_frames in enumerate(frames):
        yield _ActorProgress(config.seed, thread, sum(frames), own_frames)


def _ratio(total: float, count: float) -> float | None:
    return float(total / count) if count else None
