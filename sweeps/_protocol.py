"""Shared parts of the sweeps: games, methods, learning rates and the common overrides of each scale.

All runs of a scale have the same budget and annealing horizon, so experiments can share them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from a3crepro.experiments.experiment import HELD_OUT, Run, Scores, run
from a3crepro.experiments.results import RESULTS

Choice = Mapping[str, object]
"""How a run learns, as overrides."""

METHODS = ("one_step_q", "one_step_sarsa", "n_step_q", "a3c")
AUTHORS_RATE = 7e-4
"""The authors' fixed learning rate for all games, approximately (their e-mail)."""
PAPER_GAMES = ("beam_rider", "breakout", "pong", "qbert", "space_invaders")
"""The games of Figures 1 to 4 and S9 to S11."""
MINATAR_GAMES = tuple(f"minatar/{game}" for game in ("asterix", "breakout", "freeway", "seaquest", "space_invaders"))
LAPTOP_GAME = "minatar/breakout"
"""The game of single-game experiments on a laptop."""
LAPTOP_GAMES = (LAPTOP_GAME, "minatar/asterix", "minatar/space_invaders")
"""The games of the others, the most informative first: Freeway and Seaquest reward little that chance finds."""
PAPER_RATES = tuple(pd.read_csv(RESULTS / "paper" / "learning_rates_50.csv")["learning_rate"])
"""The fifty learning rates of all the paper's runs, drawn from LogUniform(1e-4, 1e-2) (§8)."""

QUIET = ("logging.tensorboard=false",)
SMOKE_EVALUATIONS = (*QUIET, "execution=virtual_time", "evaluation.every=1_000", "evaluation.episodes=2")
SMOKE = (*SMOKE_EVALUATIONS, "frames=4_000")
LAPTOP = (*QUIET, "execution=virtual_time", "frames=600_000", "evaluation.every=30_000", "evaluation.episodes=20")
LAPTOP_EPSILONS = (0.1, 1e-5)
"""RMSProp's ε: the paper's, at which it is nearly SGD on MinAtar, and one that its statistics exceed there."""
PAPER = (*QUIET, "execution=hogwild", "frames=200_000_000", "optimizer.anneal_frames=null",
         "evaluation.every=4_000_000", "evaluation.episodes=30")  # fmt: skip
"""The figures' fifty epochs of 4M frames. The learning rate is annealed over these, or over a run's own frames."""


def log_uniform(low: float, high: float, n: int) -> tuple[float, ...]:
    """`n` rates from low to high, with a constant ratio."""
    return tuple(float(rate) for rate in np.geomspace(low, high, n))


LAPTOP_RATES = log_uniform(1e-4, 6e-2, 16)
"""The best rates of A3C and n-step Q on MinAtar lie at or above the paper's greatest, 1e-2."""
SEEDS = {
    rate: seed for first, rates in ((0, PAPER_RATES), (100, LAPTOP_RATES)) for seed, rate in enumerate(rates, first)
}
"""As in the paper, each rate has an initialisation of its own."""
NEW_HELD_OUT = HELD_OUT + 1000
"""First seed of the runs that repeat a rate. Those from `HELD_OUT` were used before the rules of these runs."""


def grid(
    games: Iterable[str], rates: Iterable[float], methods: Iterable[str] = METHODS, threads: int = 16, **others: object
) -> list[Run]:
    """A run for each game, method and rate, ordered so that a partial sweep covers the whole range of rates."""
    return [
        run(game, method, threads=threads, optimizer__lr=rate, seed=SEEDS[rate], **others)
        for rate in rates
        for game in games
        for method in methods
    ]


def final_scores(scores: Scores, runs: Sequence[Run]) -> list[float] | None:
    """The final scores of these runs, or None if some have not finished."""
    found = [score for one in runs if (score := scores(one)) is not None]
    return found if len(found) == len(runs) else None


def of_choices(envs: Sequence[str], choices: Sequence[Choice], frames: int | None, threads: int = 16) -> list[Run]:
    """A run of A3C for each choice and environment; the seed is the choice's index."""
    return [
        run(env, "a3c", threads=threads, **choice, seed=number, frames=frames)
        for number, choice in enumerate(choices)
        for env in envs
    ]


@dataclass(frozen=True)
class Search:
    """A run of each choice in each environment, then longer runs of the best choice over all, with held-out seeds."""

    envs: Sequence[str]
    choices: Sequence[Choice]
    frames: int
    """Frames per run of the search."""
    then: Mapping[str, tuple[int, int]]
    """Frames and number of the longer runs, by environment."""
    threads: int = 16
    chosen: int | None = None
    """Index of the choice of the longer runs; None: the best one, by final scores."""

    def runs(self, scores: Scores) -> list[Run]:
        """The longer runs are known once the whole search has finished; the longest come last."""
        search = of_choices(self.envs, self.choices, self.frames, self.threads)
        found = final_scores(scores, search)
        if found is None:
            return search
        scored = np.reshape(found, (len(self.choices), len(self.envs)))
        best = self.choices[self.best(scored) if self.chosen is None else self.chosen]
        return search + [
            run(env, "a3c", threads=self.threads, **best, seed=HELD_OUT + number, frames=self.then[env][0])
            for env in sorted(self.then, key=lambda env: self.then[env][0])
            for number in range(self.then[env][1])
        ]

    @staticmethod
    def best(scores: np.ndarray) -> int:
        """The choice with the highest mean, over environments, of the score as a share of the environment's best.

        Args:
          scores: [choices, environments], all at least 0.
        """
        return int((scores / np.maximum(1e-9, scores.max(0))).mean(1).argmax())
