"""Shared parts of the sweeps: games, methods, learning rates and the common overrides of each scale.

All runs of a scale have the same budget and annealing horizon, so experiments can share them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import pandas as pd

from a3crepro.experiments.experiment import Run, Scores
from a3crepro.experiments.results import RESULTS

T = TypeVar("T")

METHODS = ("one_step_q", "one_step_sarsa", "n_step_q", "a3c")
PAPER_GAMES = ("beam_rider", "breakout", "pong", "qbert", "space_invaders")
"""The games of Figures 1 to 4 and S9 to S11."""
MINATAR_GAMES = tuple(f"minatar/{game}" for game in ("asterix", "breakout", "freeway", "seaquest", "space_invaders"))
LAPTOP_GAME = "minatar/breakout"
"""The game of single-game experiments on a laptop."""
PAPER_RATES = tuple(pd.read_csv(RESULTS / "paper" / "learning_rates_50.csv")["learning_rate"])
"""The fifty learning rates of all the paper's runs, drawn from LogUniform(1e-4, 1e-2) (§8)."""
FORTY = tuple(rate for number, rate in enumerate(PAPER_RATES) if number % 5 != 2)
"""Four out of every five rates, evenly spread."""
EIGHT = FORTY[2::5]

QUIET = ("logging.tensorboard=false",)
SMOKE_EVALUATIONS = (*QUIET, "execution=virtual_time", "evaluation.every=1_000", "evaluation.episodes=2")
SMOKE = (*SMOKE_EVALUATIONS, "frames=4_000")
LAPTOP = (*QUIET, "execution=virtual_time", "frames=600_000", "evaluation.every=30_000", "evaluation.episodes=20")
PAPER = (*QUIET, "execution=hogwild", "frames=200_000_000", "optimizer.anneal_frames=null",
         "evaluation.every=4_000_000", "evaluation.episodes=30")  # fmt: skip
"""The figures' fifty epochs of 4M frames. The learning rate is annealed over these, or over a run's own frames."""


def log_uniform(low: float, high: float, n: int) -> tuple[float, ...]:
    """`n` rates from low to high, with a constant ratio."""
    return tuple(float(rate) for rate in np.geomspace(low, high, n))


def final_scores(scores: Scores, runs: Sequence[Run]) -> list[float] | None:
    """The final scores of these runs, or None if some have not finished."""
    found = [score for one in runs if (score := scores(one)) is not None]
    return found if len(found) == len(runs) else None


def best_of(scores: Scores, runs: Sequence[Run], choices: Sequence[T]) -> T | None:
    """The choice whose run ended best, with one run per choice; None if some have not finished."""
    found = final_scores(scores, runs)
    return None if found is None else choices[found.index(max(found))]
