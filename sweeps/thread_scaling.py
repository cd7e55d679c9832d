"""Table 2: speed-up of n actor-learners over one in reaching a reference score.

  python sweeps/thread_scaling.py [scale=smoke|laptop|paper] [--dry-run|--status] [hydra/launcher=…] [overrides]

laptop: 3 MinAtar games, one after the other, x 4 methods x 1 and 16 actor-learners in virtual time x 16 rates, of which
those with 16 are runs of `learning_rates.py`. Then held-out seeds with 1 and 16, 20 on Breakout and 10 on the others,
at each cell's best rate, which depends on the number of actor-learners, and at the best common rate of both; on
Breakout also 5 with 4 actor-learners, at the common rate. Up to 1,044 runs of 600,000 frames.
paper: 7 games x 4 methods x 1, 2, 4, 8, 16 processes x the 50 rates: 7,000 runs of 200M frames.
`data_efficiency.py` (Figures 3, S9) and `training_speed.py` (Figures 4, S10) are views of the same runs.
Core-hours at the scale laptop: 26.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from a3crepro.experiments.command import main
from a3crepro.experiments.experiment import Experiment, Run, Scale, Scores, run
from a3crepro.experiments.figures import random_score
from a3crepro.experiments.statistics import best_rate
from sweeps._protocol import (
    LAPTOP,
    LAPTOP_GAME,
    LAPTOP_GAMES,
    LAPTOP_RATES,
    METHODS,
    NEW_HELD_OUT,
    PAPER,
    PAPER_GAMES,
    PAPER_RATES,
    SMOKE,
    final_scores,
    grid,
)

HELD_OUT_SEEDS = dict(zip(LAPTOP_GAMES, (20, 10, 10), strict=True))
"""Number of held-out seeds of a cell, by game; verdicts wait for all of a game's."""
MIDDLE_THREADS, MIDDLE_SEEDS = 4, 5
"""A number of actor-learners in between, and its seeds."""


def cells(games: Iterable[str], threads: Iterable[int], rates: Sequence[float]) -> list[Run]:
    """All rates with each number of threads."""
    return [one for n in threads for one in grid(games, rates, threads=n)]


def with_held_out_seeds(
    scores: Scores, seeds: Mapping[str, int], threads: Sequence[int], rates: Sequence[float]
) -> list[Run]:
    """All cells, game by game, with as many held-out seeds as given. A game's seeds come after its rates.

    The first game also has held-out seeds with `MIDDLE_THREADS` actor-learners.
    """
    runs: list[Run] = []
    for number, (game, count) in enumerate(seeds.items()):
        of_game = cells([game], threads, rates)
        runs += of_game
        if final_scores(scores, of_game) is None:
            break
        for method in METHODS:
            runs += held_out_runs(scores, game, method, count, threads, rates)
            if not number and threads[-1] > MIDDLE_THREADS:
                rate = common_rate(scores, game, method, threads, rates)
                runs += [at(game, method, MIDDLE_THREADS, rate, number) for number in range(MIDDLE_SEEDS)]
    return list(dict.fromkeys(runs))


def held_out_runs(
    scores: Scores, game: str, method: str, seeds: int, threads: Sequence[int], rates: Sequence[float]
) -> list[Run]:
    """Held-out seeds of a method's finished cells: at each cell's best rate, and at the best common one."""
    common = common_rate(scores, game, method, threads, rates)
    return [
        at(game, method, n, rate, number)
        for n in threads
        for rate in (common_rate(scores, game, method, [n], rates), common)
        for number in range(seeds)
    ]


def at(game: str, method: str, threads: int, rate: float, number: int) -> Run:
    """A run with the nth held-out seed."""
    return run(game, method, threads=threads, optimizer__lr=rate, seed=NEW_HELD_OUT + number)


def common_rate(scores: Scores, game: str, method: str, threads: Sequence[int], rates: Sequence[float]) -> float:
    """The best rate of a method's finished cells together."""
    found = [final_scores(scores, grid([game], rates, [method], n)) for n in threads]
    return rates[best_rate(np.array(found, float) - random_score(game))]


EXPERIMENT = Experiment(
    "thread_scaling",
    "Table 2",
    {
        "smoke": Scale(
            SMOKE,
            lambda scores: with_held_out_seeds(scores, {LAPTOP_GAME: 1}, (1, 2), LAPTOP_RATES[8:9]),
            best=1,
            later=8,
        ),
        "laptop": Scale(
            LAPTOP,
            lambda scores: with_held_out_seeds(scores, HELD_OUT_SEEDS, (1, 16), LAPTOP_RATES),
            best=1,
            later=916,
        ),
        "paper": Scale(
            PAPER,
            lambda scores: cells((*PAPER_GAMES, "enduro", "seaquest"), (1, 2, 4, 8, 16), PAPER_RATES),
            best=3,
        ),
    },
)


def view(name: str, figure: str) -> Experiment:
    """A view of the same runs in the paper's five games, for another figure."""
    paper = replace(EXPERIMENT.scales["paper"], runs=lambda scores: cells(PAPER_GAMES, (1, 2, 4, 8, 16), PAPER_RATES))
    return Experiment(name, figure, {**EXPERIMENT.scales, "paper": paper}, EXPERIMENT.name)


if __name__ == "__main__":
    main(EXPERIMENT)
