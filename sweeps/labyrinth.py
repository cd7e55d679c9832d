"""§5.4: A3C with LSTM cells in mazes that are new every episode, and in one that stays.

  python sweeps/labyrinth.py [scale=smoke|laptop|paper] [--dry-run|--status] [hydra/launcher=…] [overrides]

laptop: 4 rates for 4M frames in new mazes, then the best one with 3 fresh seeds for 12M frames, in new mazes and in one
that stays; 16 actor-learners in virtual time: 10 runs. paper: 10 rates, 16 processes: 20 runs of 400M frames.
Core-hours at the scale laptop: 5.7.
"""

from __future__ import annotations

from collections.abc import Sequence

from _protocol import QUIET, SMOKE, best_rate, log_uniform

from a3crepro.sweeping.command import main
from a3crepro.sweeping.experiment import FRESH, Experiment, Run, Scale, Scores, run

MAZES = ("labyrinth", "labyrinth_static")
COMMON = (*QUIET, "evaluation.episodes=20")
LAPTOP = (*COMMON, "execution=virtual_time", "evaluation.every=500_000")
PAPER = (*COMMON, "execution=hogwild", "frames=400_000_000", "evaluation.every=4_000_000")
RATES = log_uniform(3e-4, 3e-3, 4)


def search(rates: Sequence[float], frames: int, threads: int = 16) -> list[Run]:
    """A run a rate, in new mazes."""
    return [
        run("labyrinth", "a3c", threads=threads, optimizer__lr=rate, seed=number, frames=frames)
        for number, rate in enumerate(rates)
    ]


def with_fresh_seeds(
    scores: Scores, rates: Sequence[float], short: int, long: int, seeds: int, threads: int = 16
) -> list[Run]:
    """The search, and when it is over, its best rate for longer, with fresh seeds, in both kinds of mazes."""
    runs = search(rates, short, threads)
    best = best_rate(scores, runs, rates)
    if best is None:
        return runs
    return runs + [
        run(maze, "a3c", threads=threads, optimizer__lr=best, seed=FRESH + number, frames=long)
        for number in range(seeds)
        for maze in MAZES
    ]


EXPERIMENT = Experiment(
    "labyrinth",
    "§5.4",
    {
        "smoke": Scale(SMOKE, lambda scores: with_fresh_seeds(scores, RATES[:1], 2_000, 4_000, 1, 2), best=1, later=2),
        "laptop": Scale(
            LAPTOP, lambda scores: with_fresh_seeds(scores, RATES, 4_000_000, 12_000_000, 3), best=1, later=6
        ),
        "paper": Scale(
            PAPER,
            lambda scores: [
                run(maze, "a3c", threads=16, optimizer__lr=rate, seed=number)
                for number, rate in enumerate(log_uniform(1e-4, 1e-2, 10))
                for maze in MAZES
            ],
            best=5,
        ),
    },
)

if __name__ == "__main__":
    main(EXPERIMENT)
