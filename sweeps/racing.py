"""Figure S6: the four methods in four settings of a race.

  python sweeps/racing.py [scale=smoke|laptop|paper] [--dry-run|--status] [hydra/launcher=…] [overrides]

laptop, 16 actor-learners in virtual time: the slow car alone, 4 methods x 2 rates x 1.5M frames, the rate annealed over
5M; then each method's best rate with 3 held-out seeds there for 5M frames, and one in each other setting for 2.5M: 8
runs and 24 that follow. ε is annealed over 1M frames instead of §8's 4M.
paper: the same settings and methods, the 50 rates, 16 processes: 800 runs of 400M frames; the paper's curves cover two
days.
Core-hours at the scale laptop: 6.9.
"""

from collections.abc import Sequence

from a3crepro.experiments.command import main
from a3crepro.experiments.experiment import HELD_OUT, Experiment, Run, Scale, Scores, run
from sweeps._protocol import METHODS, PAPER_RATES, QUIET, SMOKE, best_of, grid

SETTINGS = ("racing/slow", "racing/slow_bots", "racing/fast", "racing/fast_bots")
SEARCH_RATES = PAPER_RATES[15], PAPER_RATES[28]
"""3.7e-4 and 1.2e-3."""
LONG = 5_000_000
LAPTOP = (*QUIET, "execution=virtual_time", "frames=1_500_000", "evaluation.every=250_000", "evaluation.episodes=10",
          f"optimizer.anneal_frames={LONG}", "env.schedule.epsilon_anneal_frames=1_000_000")  # fmt: skip
"""The runs of the search, and those in other settings, cover the first frames of the longer runs' schedule."""
PAPER = (*QUIET, "execution=hogwild", "frames=400_000_000", "evaluation.every=4_000_000", "evaluation.episodes=10")


def with_held_out_seeds(
    scores: Scores,
    home: str,
    others: Sequence[str],
    rates: Sequence[float],
    longer: int,
    seeds: int,
    threads: int = 16,
) -> list[Run]:
    """A search over rates at home, then each method's best with held-out seeds: longer runs there, one elsewhere."""
    runs = grid([home], rates, threads=threads)
    for method in reversed(METHODS):  # A3C, the most promising, first
        best = best_of(scores, grid([home], rates, [method], threads), rates)
        runs += [
            run(env, method, threads=threads, optimizer__lr=best, seed=HELD_OUT + number, frames=frames)
            for env, count, frames in ((home, seeds, longer), *((other, 1, longer // 2) for other in others))
            for number in range(count)
            if best is not None
        ]
    return runs


EXPERIMENT = Experiment(
    "racing",
    "Figure S6",
    {
        "smoke": Scale(
            SMOKE,
            lambda scores: with_held_out_seeds(scores, SETTINGS[1], SETTINGS[:1], SEARCH_RATES[:1], 6_000, 1, 2),
            best=1,
            later=8,
        ),
        "laptop": Scale(
            LAPTOP,
            lambda scores: with_held_out_seeds(scores, SETTINGS[0], SETTINGS[1:], SEARCH_RATES, LONG, 3),
            best=1,
            later=24,
        ),
        "paper": Scale(PAPER, lambda scores: grid(SETTINGS, PAPER_RATES), best=5),
    },
)

if __name__ == "__main__":
    main(EXPERIMENT)
