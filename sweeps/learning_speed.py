"""Figure 1: score against time for the four methods; the paper shows the mean of the best 5 of 50 learning rates.

  python sweeps/learning_speed.py [scale=smoke|laptop|paper] [--dry-run|--status] [hydra/launcher=…] [overrides]

laptop: 5 MinAtar games x 4 methods x 8 rates, 16 actor-learners in virtual time: 160 runs of 600,000 frames, including
Breakout's 32 from `learning_rates.py`. paper: the 1,000 runs of `learning_rates.py`.
Core-hours at the scale laptop: 4.0.
"""

from a3crepro.experiments.command import main
from a3crepro.experiments.experiment import Experiment, Scale
from sweeps._protocol import EIGHT, FORTY, LAPTOP, LAPTOP_GAME, MINATAR_GAMES, PAPER, PAPER_GAMES, PAPER_RATES, SMOKE
from sweeps.learning_rates import grid

EXPERIMENT = Experiment(
    "learning_speed",
    "Figure 1",
    {
        "smoke": Scale(SMOKE, lambda scores: grid([LAPTOP_GAME], FORTY[20:21], threads=2), best=1),
        "laptop": Scale(LAPTOP, lambda scores: grid(MINATAR_GAMES, EIGHT), best=3),
        "paper": Scale(PAPER, lambda scores: grid(PAPER_GAMES, PAPER_RATES), best=5),
    },
)

if __name__ == "__main__":
    main(EXPERIMENT)
