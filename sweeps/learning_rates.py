"""Figures 2 and S11: final scores of the four methods over learning rates.

  python sweeps/learning_rates.py [scale=smoke|laptop|paper] [--dry-run|--status] [hydra/launcher=…] [overrides]

laptop: 4 methods x 40 of the paper's 50 rates on MinAtar Breakout, 16 actor-learners in virtual time: 160 runs of
600,000 frames. paper: 5 games x 4 methods x 50 rates, 16 processes: 1,000 runs of 200M frames.
The seed of a run is its rate's index among the paper's fifty: as in the paper, each point has its own initialisation.
Core-hours at the scale laptop: 4.0.
"""

from collections.abc import Iterable, Mapping, Sequence

from a3crepro.experiments.command import main
from a3crepro.experiments.experiment import HELD_OUT, Experiment, Run, Scale, Scores, run
from sweeps._protocol import FORTY, LAPTOP, LAPTOP_GAME, METHODS, PAPER, PAPER_GAMES, PAPER_RATES, SMOKE, best_of


def grid(
    games: Iterable[str], rates: Iterable[float], methods: Iterable[str] = METHODS, threads: int = 16, **others: object
) -> list[Run]:
    """A run for each game, method and rate, ordered so that a partial sweep covers the whole range of rates."""
    return [
        run(game, method, threads=threads, optimizer__lr=rate, seed=PAPER_RATES.index(rate), **others)
        for rate in rates
        for game in games
        for method in methods
    ]


def held_out_seeds(
    scores: Scores,
    seeds: Mapping[str, int],
    method: str,
    rates: Sequence[float],
    threads: int,
    frames: Mapping[str, int] | None = None,
) -> list[Run]:
    """Repeats the best rate of such a grid in the first game, with this many fresh seeds in each game.

    Empty until all runs of the grid have finished. `frames`: by game, where runs are longer than in the grid.
    """
    rate = best_of(scores, grid([next(iter(seeds))], rates, [method], threads), rates)
    if rate is None:
        return []
    return [
        run(game, method, threads=threads, optimizer__lr=rate, seed=HELD_OUT + number, frames=(frames or {}).get(game))
        for game, count in seeds.items()
        for number in range(count)
    ]


EXPERIMENT = Experiment(
    "learning_rates",
    "Figures 2 and S11",
    {
        "smoke": Scale(SMOKE, lambda scores: grid([LAPTOP_GAME], FORTY[20:21], threads=2)),
        "laptop": Scale(LAPTOP, lambda scores: grid([LAPTOP_GAME], FORTY)),
        "paper": Scale(PAPER, lambda scores: grid(PAPER_GAMES, PAPER_RATES)),
    },
)

if __name__ == "__main__":
    main(EXPERIMENT)
