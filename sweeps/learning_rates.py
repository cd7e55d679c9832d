"""Figures 2 and S11: final scores of the four methods over learning rates.

  python sweeps/learning_rates.py [scale=smoke|laptop|paper] [--dry-run|--status] [hydra/launcher=…] [overrides]

laptop: 3 MinAtar games x 4 methods x 16 rates from 1e-4 to 6e-2, 16 actor-learners in virtual time, and the same on
Breakout with ε = 1e-5 in RMSProp: 256 runs of 600,000 frames. paper: 5 games x 4 methods x 50 rates, 16 processes:
1,000 runs of 200M frames.
Core-hours at the scale laptop: 6.4.
"""

from collections.abc import Sequence

from a3crepro.experiments.command import main
from a3crepro.experiments.experiment import Experiment, Run, Scale
from sweeps._protocol import (
    LAPTOP,
    LAPTOP_EPSILONS,
    LAPTOP_GAME,
    LAPTOP_GAMES,
    LAPTOP_RATES,
    PAPER,
    PAPER_GAMES,
    PAPER_RATES,
    SMOKE,
    grid,
)


def with_small_epsilon(games: Sequence[str], rates: Sequence[float], threads: int = 16) -> list[Run]:
    """The grid, and that of the first game with the smaller ε."""
    small = LAPTOP_EPSILONS[1]
    return grid(games, rates, threads=threads) + grid(games[:1], rates, threads=threads, optimizer__epsilon=small)


EXPERIMENT = Experiment(
    "learning_rates",
    "Figures 2 and S11",
    {
        "smoke": Scale(SMOKE, lambda scores: with_small_epsilon([LAPTOP_GAME], LAPTOP_RATES[8:9], threads=2)),
        "laptop": Scale(LAPTOP, lambda scores: with_small_epsilon(LAPTOP_GAMES, LAPTOP_RATES)),
        "paper": Scale(PAPER, lambda scores: grid(PAPER_GAMES, PAPER_RATES)),
    },
)

if __name__ == "__main__":
    main(EXPERIMENT)
