"""Figure S6: the four methods in four settings of a race.

  python sweeps/racing.py [scale=smoke|laptop|paper] [--dry-run|--status] [hydra/launcher=…] [overrides]

laptop: 4 settings x 4 methods x 2 rates, then on the slow car alone each method's best rate with 3 fresh seeds; 16
actor-learners in virtual time: 32 runs of 4M frames and 12 that follow.
paper: the same settings and methods, the 50 rates, 16 processes: 800 runs of 400M frames; the paper's curves go on
for two days.
"""

from __future__ import annotations

from collections.abc import Sequence

from _protocol import EIGHT, METHODS, PAPER_RATES, QUIET, SMOKE
from learning_rates import fresh_seeds, grid

from a3crepro.sweeping.command import main
from a3crepro.sweeping.experiment import Experiment, Run, Scale, Scores

SETTINGS = ("racing/slow", "racing/slow_bots", "racing/fast", "racing/fast_bots")
TWO = EIGHT[3:6:2]
LAPTOP = (*QUIET, "execution=virtual_time", "frames=4_000_000", "evaluation.every=400_000", "evaluation.episodes=10",
          "env.schedule.epsilon_anneal_frames=1_000_000")  # fmt: skip
PAPER = (*QUIET, "execution=hogwild", "frames=400_000_000", "evaluation.every=4_000_000", "evaluation.episodes=10")


def with_fresh_seeds(
    scores: Scores, settings: Sequence[str], rates: Sequence[float], fresh: Sequence[str], seeds: int, threads: int = 16
) -> list[Run]:
    """A grid over rates, and in some settings, when a method's runs are done, its best rate with fresh seeds."""
    runs = grid(settings, rates, threads=threads)
    for env in fresh:
        for method in METHODS:
            runs += fresh_seeds(scores, env, method, rates, threads, seeds)
    return runs


EXPERIMENT = Experiment(
    "racing",
    "Figure S6",
    {
        "smoke": Scale(
            SMOKE,
            lambda scores: with_fresh_seeds(scores, SETTINGS[1:2], EIGHT[3:4], SETTINGS[1:2], 1, 2),
            best=1,
            later=4,
        ),
        "laptop": Scale(
            LAPTOP, lambda scores: with_fresh_seeds(scores, SETTINGS, TWO, SETTINGS[:1], 3), best=1, later=12
        ),
        "paper": Scale(PAPER, lambda scores: grid(SETTINGS, PAPER_RATES), best=5),
    },
)

if __name__ == "__main__":
    main(EXPERIMENT)
