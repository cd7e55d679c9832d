"""Learning with and without autograd: four methods on MinAtar Breakout, three seeds each, on both paths.

  python sweeps/implementations.py [scale=smoke|laptop] [--dry-run|--status] [hydra/launcher=…] [overrides]

laptop: 24 runs of 500,000 frames with 8 actor-learners in processes, about forty minutes on two cores; and four more
seeds of n-step Q on the fast path, because one of its three had stayed behind.
"""

from a3crepro.experiments.command import main
from a3crepro.experiments.experiment import Experiment, Run, Scale, run
from sweeps._protocol import LAPTOP_GAME, METHODS


def runs(seeds: int, frames: int) -> list[Run]:
    """Each method on the fast path and with autograd."""
    return [
        run(LAPTOP_GAME, method, threads=8, network__implementation=path, seed=seed, frames=frames)
        for seed in range(seeds)
        for path in (None, "module")
        for method in METHODS
    ]


MORE_SEEDS = range(3, 7)
"""Of n-step Q on the fast path."""


def with_more_seeds() -> list[Run]:
    """The runs of the scale laptop."""
    more = (run(LAPTOP_GAME, "n_step_q", threads=8, seed=seed, frames=500_000) for seed in MORE_SEEDS)
    return [*runs(3, 500_000), *more]


EXPERIMENT = Experiment(
    "implementations",
    "the fast path",
    {
        "smoke": Scale(("evaluation.every=2_000", "evaluation.episodes=2"), lambda scores: runs(1, 4_000)),
        "laptop": Scale(("evaluation.every=100_000", "evaluation.episodes=30"), lambda scores: with_more_seeds()),
    },
)

if __name__ == "__main__":
    main(EXPERIMENT)
