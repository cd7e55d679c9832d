"""Learning with and without autograd: four methods on MinAtar Breakout, three seeds each, on both paths.

  python sweeps/implementations.py [scale=smoke|laptop] [--dry-run|--status] [hydra/launcher=…] [overrides]

laptop: 24 runs of 500,000 frames with 8 actor-learners in processes, about forty minutes on two cores.
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


EXPERIMENT = Experiment(
    "implementations",
    "the fast path",
    {
        "smoke": Scale(("evaluation.every=2_000", "evaluation.episodes=2"), lambda scores: runs(1, 4_000)),
        "laptop": Scale(("evaluation.every=100_000", "evaluation.episodes=30"), lambda scores: runs(3, 500_000)),
    },
)

if __name__ == "__main__":
    main(EXPERIMENT)
