"""Staleness of gradients against the number of actor-learners: A3C and one-step Q in virtual time.

  python sweeps/staleness.py [scale=smoke|laptop] [--dry-run|--status] [hydra/launcher=…] [overrides]

laptop: 14 runs of 30,000 frames on MinAtar Breakout, about three minutes. `python analysis/staleness.py --collect` then
makes the table, from each run's `staleness.csv`, and the figure.
"""

from a3crepro.experiments.command import main
from a3crepro.experiments.experiment import Experiment, Run, Scale, run
from sweeps._protocol import LAPTOP_GAME

THREADS = (1, 2, 4, 8, 16, 32, 64)
QUIET = ("execution=virtual_time", "evaluation.every=0", "evaluation.episodes=0")


def runs(frames: int) -> list[Run]:
    """Both methods with each number of actor-learners."""
    return [
        run(LAPTOP_GAME, method, threads=threads, seed=0, frames=frames)
        for method in ("a3c", "one_step_q")
        for threads in THREADS
    ]


EXPERIMENT = Experiment(
    "staleness",
    "the staleness of gradients",
    {
        "smoke": Scale(QUIET, lambda scores: runs(2_000)),
        "laptop": Scale(QUIET, lambda scores: runs(30_000)),
    },
)

if __name__ == "__main__":
    main(EXPERIMENT)
