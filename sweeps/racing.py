"""Figure S6: the four methods in four settings of a race.

  python sweeps/racing.py [scale=smoke|laptop|paper] [--dry-run|--status] [hydra/launcher=…] [overrides]

laptop: the slow car alone, 4 methods x 2 rates; then each method's best rate with 3 fresh seeds there and one in each
of the other settings; 16 actor-learners in virtual time: 8 runs of 4M frames and 24 that follow.
paper: the same settings and methods, the 50 rates, 16 processes: 800 runs of 400M frames; the paper's curves go on
for two days.
Core-hours at the scale laptop: 9.4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from _protocol import EIGHT, METHODS, PAPER_RATES, QUIET, SMOKE
from learning_rates import fresh_seeds, grid

from a3crepro.sweeping.command import main
from a3crepro.sweeping.experiment import Experiment, Run, Scale, Scores

SETTINGS = ("racing/slow", "racing/slow_bots", "racing/fast", "racing/fast_bots")
TWO = EIGHT[3:6:2]
LAPTOP = (*QUIET, "execution=virtual_time", "frames=4_000_000", "evaluation.every=400_000", "evaluation.episodes=10",
          "env.schedule.epsilon_anneal_frames=1_000_000")  # fmt: skip
PAPER = (*QUIET, "execution=hogwild", "frames=400_000_000", "evaluation.every=4_000_000", "evaluation.episodes=10")


def with_fresh_seeds(scores: Scores, seeds: Mapping[str, int], rates: Sequence[float], threads: int = 16) -> list[Run]:
    """A search over rates in the first setting; when a method's is over, its best rate with so many seeds in each."""
    runs = grid([next(iter(seeds))], rates, threads=threads)
    for method in METHODS:
        runs += fresh_seeds(scores, seeds, method, rates, threads)
    return runs


ON_A_LAPTOP = {"racing/slow": 3} | dict.fromkeys(SETTINGS[1:], 1)
EXPERIMENT = Experiment(
    "racing",
    "Figure S6",
    {
        "smoke": Scale(
            SMOKE, lambda scores: with_fresh_seeds(scores, {"racing/slow_bots": 1}, EIGHT[3:4], 2), best=1, later=4
        ),
        "laptop": Scale(LAPTOP, lambda scores: with_fresh_seeds(scores, ON_A_LAPTOP, TWO), best=1, later=24),
        "paper": Scale(PAPER, lambda scores: grid(SETTINGS, PAPER_RATES), best=5),
    },
)

if __name__ == "__main__":
    main(EXPERIMENT)
