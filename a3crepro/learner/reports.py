"""What an actor-learner reports to the main process of a run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from a3crepro.learner.shared_state import Learnt


@dataclass(frozen=True)
class Episode:
    """A whole game of an actor-learner, reported at its end."""

    frames: int
    """T, over all actor-learners."""
    thread: int
    score: float
    """Sum of the game's own, unclipped rewards."""
    episode_frames: int


@dataclass(frozen=True)
class Snapshot:
    """θ when T crossed a multiple of `evaluation.every`."""

    frames: int
    """The multiple."""
    learnt: Learnt
    share_above_epsilon: float | None = None
    """Of the optimizer's statistics g at this moment, those above its ε; None where it has no ε."""


@dataclass(frozen=True)
class Copy:
    """θ and g when T crossed a multiple of `checkpoint.copies_every`, to be kept."""

    frames: int
    """The multiple."""
    learnt: Learnt
    statistics: np.ndarray


Report = Episode | Snapshot | Copy
