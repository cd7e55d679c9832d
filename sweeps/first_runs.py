"""The first runs: four methods on MinAtar Breakout, and A3C on Atari Breakout and Pong.

  python sweeps/first_runs.py [scale=smoke|laptop] [--dry-run|--status] [hydra/launcher=…] [overrides]

laptop, in processes: MinAtar with 8 actor-learners, 4 runs of 2M frames; Atari with 16, 3 runs of the first 20M frames
of a 320M-frame schedule: about two hours on two cores.
"""

from a3crepro.experiments.command import main
from a3crepro.experiments.experiment import Experiment, Run, Scale, run
from sweeps._protocol import METHODS

BEST_OF_BREAKOUT = 12e-4
"""The rate of the paper's best final score in Breakout (Figure 2)."""
ATARI = (("breakout", None), ("pong", None), ("breakout", BEST_OF_BREAKOUT))


def runs(minatar: int, atari: int, every: int) -> list[Run]:
    """The four methods on MinAtar and A3C on Atari, with their frames; `every`: frames between Atari's evaluations."""
    return [
        *(run("minatar/breakout", method, threads=8, evaluation__episodes=30, seed=0, frames=minatar)
          for method in METHODS),
        *(run(game, "a3c", threads=16, optimizer__lr=rate, optimizer__anneal_frames=320_000_000,
              evaluation__every=every, seed=0, frames=atari)
          for game, rate in ATARI),
    ]  # fmt: skip


EXPERIMENT = Experiment(
    "first_runs",
    "first results",
    {
        "smoke": Scale(("evaluation.max_frames=1000",), lambda scores: runs(4_000, 4_000, 2_000)),
        "laptop": Scale((), lambda scores: runs(2_000_000, 20_000_000, 2_000_000)),
    },
)

if __name__ == "__main__":
    main(EXPERIMENT)
