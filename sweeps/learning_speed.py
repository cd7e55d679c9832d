"""Figure 1: score against time for the four methods; the paper shows the mean of the best 5 of 50 learning rates.

  python sweeps/learning_speed.py [scale=smoke|laptop|paper] [--dry-run|--status] [hydra/launcher=…] [overrides]

laptop: 5 MinAtar games x 4 methods x 5 held-out seeds, 16 actor-learners in virtual time: 100 runs of 5M frames. Each
method has one learning rate in all games: the best of three games together in `results/learning_rates`.
paper: the 1,000 runs of `learning_rates.py`.
Core-hours at the scale laptop: 21.
"""

from collections.abc import Sequence

from a3crepro.experiments.command import main
from a3crepro.experiments.experiment import Experiment, Run, Scale, run
from a3crepro.experiments.figures import load_results, random_score
from a3crepro.experiments.results import select
from a3crepro.experiments.statistics import best_rate
from sweeps._protocol import (
    LAPTOP,
    LAPTOP_EPSILONS,
    LAPTOP_GAME,
    LAPTOP_GAMES,
    LAPTOP_RATES,
    METHODS,
    MINATAR_GAMES,
    NEW_HELD_OUT,
    PAPER,
    PAPER_GAMES,
    PAPER_RATES,
    SMOKE,
    grid,
)

SEEDS = 5


def rate_of(method: str) -> float | None:
    """The method's best rate in the games of `learning_rates.py` together; None until all its runs are collected."""
    results = load_results("learning_rates", "laptop")
    if results is None:
        return None
    runs = select(results.runs, method=method, epsilon=LAPTOP_EPSILONS[0])
    scores = runs.pivot_table(index="env", columns="learning_rate", values="score")
    if scores.shape != (len(LAPTOP_GAMES), len(LAPTOP_RATES)) or scores.isna().any(axis=None):
        return None
    above = scores.sub([random_score(str(env)) for env in scores.index], axis="index")
    return float(scores.columns[best_rate(above.to_numpy())])


def held_out_runs(games: Sequence[str], seeds: int) -> list[Run]:
    """Long runs of each method in each game, the games side by side; none of a method whose rate is not known yet."""
    rates = {method: rate_of(method) for method in METHODS}
    return [
        run(game, method, threads=16, optimizer__lr=rate, seed=NEW_HELD_OUT + number, frames=5_000_000,
            evaluation__every=50_000)
        for number in range(seeds)
        for game in games
        for method, rate in rates.items()
        if rate is not None
    ]  # fmt: skip


EXPERIMENT = Experiment(
    "learning_speed",
    "Figure 1",
    {
        "smoke": Scale(SMOKE, lambda scores: grid([LAPTOP_GAME], LAPTOP_RATES[8:9], threads=2), best=1),
        "laptop": Scale(LAPTOP, lambda scores: held_out_runs(MINATAR_GAMES, SEEDS)),
        "paper": Scale(PAPER, lambda scores: grid(PAPER_GAMES, PAPER_RATES), best=5),
    },
)

if __name__ == "__main__":
    main(EXPERIMENT)
