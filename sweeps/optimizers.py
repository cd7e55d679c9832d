"""Figure S5: robustness of momentum SGD, RMSProp and Shared RMSProp to the learning rate, for n-step Q and A3C.

  python sweeps/optimizers.py [scale=smoke|laptop|paper] [--dry-run|--status] [hydra/launcher=…] [overrides]

laptop: 2 methods x 5 optimizers x 16 rates from 1e-5 to 1 on MinAtar Breakout, 16 actor-learners in virtual time: 160
runs of 600,000 frames. RMSProp runs with ε = 0.1 and with 1e-5: on MinAtar its statistics rarely exceed 0.1, which
makes RMSProp close to SGD (the tables hold the share of g > ε).
paper: 4 games x 2 methods x 3 optimizers x the 50 rates, 16 processes: 1,200 runs of 200M frames.
Core-hours at the scale laptop: 2.6.
"""

from collections.abc import Iterable, Mapping, Sequence

from a3crepro.experiments.command import main
from a3crepro.experiments.experiment import Experiment, Run, Scale, run
from sweeps._protocol import LAPTOP, LAPTOP_GAME, PAPER, PAPER_RATES, SMOKE, log_uniform

METHODS = ("n_step_q", "a3c")
GAMES = ("beam_rider", "breakout", "seaquest", "space_invaders")
PLAIN: tuple[Mapping[str, object], ...] = (
    {"optimizer": "momentum_sgd"},
    {"optimizer": "rmsprop"},
    {"optimizer": "shared_rmsprop"},
)
SMALL_EPSILON: tuple[Mapping[str, object], ...] = (
    {"optimizer": "rmsprop", "optimizer__epsilon": 1e-5},
    {"optimizer": "shared_rmsprop", "optimizer__epsilon": 1e-5},
)
RATES = log_uniform(1e-5, 1.0, 16)


def grid(
    games: Iterable[str], optimizers: Iterable[Mapping[str, object]], rates: Sequence[float], threads: int = 16
) -> list[Run]:
    """A run for each game, optimizer, method and rate; the seed is the rate's index."""
    return [
        run(game, method, threads=threads, **optimizer, optimizer__lr=rate, seed=number)
        for number, rate in enumerate(rates)
        for game in games
        for optimizer in optimizers
        for method in METHODS
    ]


EXPERIMENT = Experiment(
    "optimizers",
    "Figure S5",
    {
        "smoke": Scale(SMOKE, lambda scores: grid([LAPTOP_GAME], [*PLAIN, *SMALL_EPSILON], RATES[8:9], threads=2)),
        "laptop": Scale(LAPTOP, lambda scores: grid([LAPTOP_GAME], [*PLAIN, *SMALL_EPSILON], RATES)),
        "paper": Scale(PAPER, lambda scores: grid(GAMES, PLAIN, PAPER_RATES)),
    },
)

if __name__ == "__main__":
    main(EXPERIMENT)
