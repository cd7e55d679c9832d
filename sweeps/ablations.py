"""§4, exploration: ε drawn from a mixture against one ε for all threads; the policy's entropy bonus against none.

  python sweeps/ablations.py [scale=smoke|laptop|paper] [--dry-run|--status] [hydra/launcher=…] [overrides]

laptop: MinAtar Breakout, 16 actor-learners in virtual time, 16 rates; the three value-based methods with every ε ending
at 0.1, and A3C with β = 0, against the paper's values, which are runs of `learning_rates.py`: 128 runs of 600,000
frames, 64 of them new. paper: 5 games, 50 rates: 2,000 runs of 200M frames, half of them new.
Core-hours at the scale laptop: 3.2.
"""

from collections.abc import Iterable

from a3crepro.experiments.command import main
from a3crepro.experiments.experiment import Experiment, Run, Scale
from sweeps._protocol import LAPTOP, LAPTOP_GAME, LAPTOP_RATES, METHODS, PAPER, PAPER_GAMES, PAPER_RATES, SMOKE, grid


def pairs(games: Iterable[str], rates: Iterable[float], threads: int = 16) -> list[Run]:
    """Each run with the paper's exploration and with less of it."""
    games, rates = list(games), list(rates)
    one_epsilon = {"algo__exploration__final_values": "[0.1]", "algo__exploration__probabilities": "[1.0]"}
    return [
        *grid(games, rates, threads=threads),
        *grid(games, rates, [method for method in METHODS if method != "a3c"], threads, **one_epsilon),
        *grid(games, rates, ["a3c"], threads, algo__entropy_beta=0),
    ]


EXPERIMENT = Experiment(
    "ablations",
    "claims of §4",
    {
        "smoke": Scale(SMOKE, lambda scores: pairs([LAPTOP_GAME], LAPTOP_RATES[8:9], threads=2)),
        "laptop": Scale(LAPTOP, lambda scores: pairs([LAPTOP_GAME], LAPTOP_RATES)),
        "paper": Scale(PAPER, lambda scores: pairs(PAPER_GAMES, PAPER_RATES)),
    },
)

if __name__ == "__main__":
    main(EXPERIMENT)
