"""Figure S6: the four methods in four settings of a race.

  python sweeps/racing.py [scale=smoke|laptop|paper] [--dry-run|--status] [hydra/launcher=…] [overrides]

laptop: 4 settings x 4 methods x 2 rates, 16 actor-learners in virtual time: 32 runs of 4M frames.
paper: the same with the 50 rates and 16 processes: 800 runs of 400M frames; the paper's curves go on for two days.
"""

from __future__ import annotations

from _protocol import EIGHT, PAPER_RATES, QUIET, SMOKE
from learning_rates import grid

from a3crepro.sweeping.command import main
from a3crepro.sweeping.experiment import Experiment, Scale

SETTINGS = ("racing/slow", "racing/slow_bots", "racing/fast", "racing/fast_bots")
TWO = EIGHT[3:6:2]
LAPTOP = (*QUIET, "execution=virtual_time", "frames=4_000_000", "evaluation.every=200_000", "evaluation.episodes=5",
          "env.schedule.epsilon_anneal_frames=1_000_000")  # fmt: skip
PAPER = (*QUIET, "execution=hogwild", "frames=400_000_000", "evaluation.every=4_000_000", "evaluation.episodes=10")

EXPERIMENT = Experiment(
    "racing",
    "Figure S6",
    {
        "smoke": Scale(SMOKE, lambda scores: grid(SETTINGS[1:2], EIGHT[3:4], threads=2), best=1),
        "laptop": Scale(LAPTOP, lambda scores: grid(SETTINGS, TWO), best=1),
        "paper": Scale(PAPER, lambda scores: grid(SETTINGS, PAPER_RATES), best=5),
    },
)

if __name__ == "__main__":
    main(EXPERIMENT)
