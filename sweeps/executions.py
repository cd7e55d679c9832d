"""The effect of asynchrony, and a check of its model: A3C on MinAtar Breakout in three executions.

  python sweeps/executions.py [scale=smoke|laptop] [--dry-run|--status] [hydra/launcher=…] [overrides]

Two actor-learners in processes and in virtual time; sixteen in virtual time and in rounds (A2C), both at the same
learning rate and at four times that, since a round makes one step where sixteen actor-learners would make sixteen.
laptop: 60 runs of 500,000 frames, fifty minutes on two cores.
"""

from a3crepro.experiments.command import main
from a3crepro.experiments.experiment import Experiment, Run, Scale, run
from sweeps._protocol import LAPTOP_GAME

CASES = (
    ("hogwild", 2, None),
    ("virtual_time", 2, None),
    ("virtual_time", 16, None),
    ("virtual_time", 16, 28e-4),
    ("synchronous", 16, None),
    ("synchronous", 16, 28e-4),
)
"""Execution, actor-learners, learning rate."""


def runs(seeds: int, frames: int) -> list[Run]:
    """Each case with this many seeds."""
    return [
        run(LAPTOP_GAME, "a3c", execution=execution, threads=threads, optimizer__lr=rate, seed=seed, frames=frames)
        for seed in range(seeds)
        for execution, threads, rate in CASES
    ]


EXPERIMENT = Experiment(
    "executions",
    "the three executions",
    {
        "smoke": Scale(("evaluation.every=2_000", "evaluation.episodes=2"), lambda scores: runs(2, 4_000)),
        "laptop": Scale(("evaluation.every=100_000", "evaluation.episodes=30"), lambda scores: runs(10, 500_000)),
    },
)

if __name__ == "__main__":
    main(EXPERIMENT)
