"""What stale gradients do to learning: n-step Q and A3C in Pong with 1, 4 and 16 actor-learners.

  python sweeps/stale_gradients.py [scale=smoke|laptop] [--dry-run|--status] [hydra/launcher=…] [overrides]

laptop: n-step Q at 7e-4 and A3C at 2e-3, rates at which the paper's runs learn with 16 actor-learners (Figure 2): 18
runs of 2M frames in virtual time, three seeds each. `python analysis/stale_gradients.py --collect` then makes the
tables, from each run's `metrics.csv` and last parameters, and the figure.
Core-hours at the scale laptop: 0.8.
"""

from collections.abc import Iterable

from a3crepro.experiments.command import main
from a3crepro.experiments.experiment import HELD_OUT, Experiment, Run, Scale, run
from sweeps._protocol import AUTHORS_RATE, QUIET

RATES = {"n_step_q": AUTHORS_RATE, "a3c": 2e-3}
SETTINGS = (
    *QUIET,
    "execution=virtual_time",
    "optimizer.anneal_frames=320_000_000",
    "evaluation.every=0",
    "evaluation.episodes=0",
)


def runs(frames: int, threads: Iterable[int], seeds: int) -> list[Run]:
    """Both methods with each number of actor-learners."""
    return [
        run("pong", method, threads=n, optimizer__lr=rate, seed=seed, frames=frames)
        for seed in range(HELD_OUT, HELD_OUT + seeds)
        for method, rate in RATES.items()
        for n in threads
    ]


EXPERIMENT = Experiment(
    "stale_gradients",
    "learning with stale gradients",
    {
        "smoke": Scale(SETTINGS, lambda scores: runs(8_000, (1, 2), 1)),
        "laptop": Scale(SETTINGS, lambda scores: runs(2_000_000, (16, 1, 4), 3)),
    },
)

if __name__ == "__main__":
    main(EXPERIMENT)
