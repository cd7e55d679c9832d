"""Figure S6: the four methods in four settings of a race.

  python sweeps/racing.py [scale=smoke|laptop|paper] [--dry-run|--status] [hydra/launcher=…] [overrides]

laptop, 16 actor-learners in virtual time: the slow car alone, 4 methods x 2 rates x 1.5M frames, the rate annealed over
5M; then each method at one of them with 3 held-out seeds there for 5M frames, and one in each other setting for 2.5M:
32 runs. ε is annealed over 1M frames instead of §8's 4M.
paper: the same settings and methods, the 50 rates, 16 processes: 800 runs of 400M frames; the paper's curves cover two
days.
Core-hours at the scale laptop: 6.9.
"""

from collections.abc import Mapping, Sequence

from a3crepro.experiments.command import main
from a3crepro.experiments.experiment import HELD_OUT, Experiment, Run, Scale, run
from sweeps._protocol import METHODS, PAPER_RATES, QUIET, SMOKE, grid

SETTINGS = ("racing/slow", "racing/slow_bots", "racing/fast", "racing/fast_bots")
SEARCH_RATES = PAPER_RATES[15], PAPER_RATES[28]
"""3.7e-4 and 1.2e-3."""
LONG = 5_000_000
LAPTOP = (*QUIET, "execution=virtual_time", "frames=1_500_000", "evaluation.every=250_000", "evaluation.episodes=10",
          f"optimizer.anneal_frames={LONG}", "env.schedule.epsilon_anneal_frames=1_000_000")  # fmt: skip
"""The runs of the search, and those in other settings, cover the first frames of the longer runs' schedule."""
PAPER = (*QUIET, "execution=hogwild", "frames=400_000_000", "evaluation.every=4_000_000", "evaluation.episodes=10")


CHOSEN = {
    "a3c": SEARCH_RATES[0], "n_step_q": SEARCH_RATES[1], "one_step_sarsa": SEARCH_RATES[1],
    "one_step_q": SEARCH_RATES[0],
}  # fmt: skip
"""The rates of the longer runs, those of A3C first: the better one by the last evaluation of the search. By the final
score, the mean of the last three, the other one is better for n-step Q (75.8 against 38.2) and one-step Q (13.0
against 11.4)."""


def with_held_out_seeds(
    home: str, others: Sequence[str], chosen: Mapping[str, float], longer: int, seeds: int, threads: int = 16
) -> list[Run]:
    """A search over rates at home, then each method's chosen one with held-out seeds, longer there than elsewhere."""
    settings = [(home, seeds, longer), *((other, 1, longer // 2) for other in others)]
    return [
        *grid([home], sorted({*chosen.values()}), threads=threads),
        *(
            run(env, method, threads=threads, optimizer__lr=rate, seed=HELD_OUT + number, frames=frames)
            for method, rate in chosen.items()
            for env, count, frames in settings
            for number in range(count)
        ),
    ]


EXPERIMENT = Experiment(
    "racing",
    "Figure S6",
    {
        "smoke": Scale(
            SMOKE,
            lambda scores: with_held_out_seeds(
                SETTINGS[1], SETTINGS[:1], dict.fromkeys(METHODS, SEARCH_RATES[0]), 6_000, 1, 2
            ),
            best=1,
        ),
        "laptop": Scale(
            LAPTOP,
            lambda scores: with_held_out_seeds(SETTINGS[0], SETTINGS[1:], CHOSEN, LONG, 3),
            best=1,
        ),
        "paper": Scale(PAPER, lambda scores: grid(SETTINGS, PAPER_RATES), best=5),
    },
)

if __name__ == "__main__":
    main(EXPERIMENT)
