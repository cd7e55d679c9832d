"""What an actor-learner reports to the main process of a run."""

from dataclasses import dataclass

import numpy as np

from a3crepro.learner.shared_state import PolicySnapshot, Totals


@dataclass(frozen=True)
class Episode:
    """A whole episode of the environment (on Atari, a game of several lives), reported at its end."""

    frames: int
    """T, over all actor-learners."""
    thread: int
    score: float
    """Sum of the unclipped rewards."""
    episode_frames: int
    """Length in environment frames."""


@dataclass(frozen=True)
class Snapshot:
    """The parameters when T crossed a multiple of `evaluation.every`."""

    frames: int
    """The multiple."""
    snapshot: PolicySnapshot
    share_above_epsilon: float | None = None
    """See `Optimizer.share_above_epsilon`."""


@dataclass(frozen=True)
class Copy:
    """The parameters and statistics when T crossed a multiple of `checkpoint.copies_every`."""

    frames: int
    """The multiple."""
    snapshot: PolicySnapshot
    statistics: np.ndarray


Report = Episode | Snapshot | Copy | Totals
"""`Totals` come every `logging.metrics_seconds`."""
