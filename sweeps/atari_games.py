"""Figures 1, 3 and 4 on Atari: the paper's five games and four methods, one learning rate per pair.

  python sweeps/atari_games.py [scale=smoke|laptop] [--dry-run|--status] [hydra/launcher=…] [overrides]

laptop: 16 actor-learners in virtual time, `mnih2013`; the rate is annealed over the paper's day of 320M frames, so you
can raise budgets without changing what has run. Evaluations: 10 episodes, once per epoch of 4M frames. Copies of θ
and g are kept every 10M frames. Parts, in order of importance (G starts first: what it finds may change the others):

  A   A3C in all five games, seed 0
  B   n-step Q in all five; in Pong also at 7e-4, because at the paper's rate, 1.351e-3, it had not learnt after 18M
      frames (of the paper's own six runs at 1.1e-3 to 1.5e-3, four end at -21), and at 3.5e-4, because at 7e-4 it had
      not learnt after 14M (the paper's six runs at 5.6e-4 to 8.2e-4 all learn). Algorithm S2's gradient of (R - Q)²
      has a factor of 2; if the authors' code left it out, their 7e-4 is this project's 3.5e-4. Both were planned
      before their first frame. If 3.5e-4 alone ends above a random policy, all other runs of value-based methods take
      half of the paper's rate
  B2  n-step Q in Pong at 7e-4 with 4 and with 1 actor-learner, for 20M frames: whether it is staleness that keeps 16
      of them from learning (`docs/rules.md`); with 16 at 1.75e-4, for 40M: whether a smaller rate makes up for it
  C   one-step Q and Sarsa in Pong and Breakout
  D   A3C in Breakout and Pong, seeds 1 and 2; in Breakout at 7e-4, the rate that the authors name for all games
  D2  A3C in Breakout and Pong by processes (`hogwild`), at 7e-4, seed 1; seed 0 is in `first_runs`
  G   A3C in Pong at 7e-4, seed 1, unchanged and with single changes that may explain the gap to the paper's curve
  E   A3C with LSTM cells in Pong and Breakout
  C2  one-step Q and Sarsa in the other three games, without which two of the claims cannot be reproduced

Not among these runs, but meant to follow: Breakout of part A for the paper's whole day of 320M frames (F), and PFRL's
A3C on Pong beside part G.

The learning rates were fixed before the runs, from the paper's data: for each game and method, the geometric mean of
the five best of its fifty rates (Figures 2 and S11).
At 1,450 A3C steps per second and core, part A takes 20 core-hours, all parts about 85.
"""

from collections.abc import Iterator
from functools import cache

import numpy as np
import pandas as pd

from a3crepro.experiments.command import main
from a3crepro.experiments.experiment import Experiment, Run, Scale, run
from a3crepro.experiments.results import RESULTS
from sweeps._protocol import AUTHORS_RATE, PAPER_GAMES, QUIET, SMOKE_EVALUATIONS

BEST = 5
"""Number of best rates, by final score, in the geometric mean."""
LAPTOP = (
    *QUIET,
    "optimizer.anneal_frames=320_000_000",
    "evaluation.every=4_000_000",
    "evaluation.episodes=10",
    "checkpoint.copies_every=10_000_000",
)
CHANGES: tuple[dict[str, object], ...] = (
    {"algo__t_max": 20},  # the authors' e-mail; §8 says 5
    {"env__full_action_space": True},
    {"env__no_op_max": 0},
    {"env__life_loss_ends_episode": False},
    {},
)
"""The single changes of part G."""


@cache
def paper_rate(game: str, method: str) -> float:
    """The geometric mean of the paper's five best rates in this game."""
    table = pd.read_csv(RESULTS / "paper" / "fig2_s11_learning_rates.csv")
    points = table[(table["game"] == game) & (table["method"] == method)]
    best = points.nlargest(BEST, "score")["learning_rate"]
    return float(np.exp(np.log(best).mean()))


def game_run(
    game: str, method: str, millions: int, *, rate: float | None = None, threads: int = 16, **others: object
) -> Run:
    """A run of this many million frames, at the paper's rate by default."""
    rate = paper_rate(game, method) if rate is None else rate
    others = {"execution": "virtual_time", "seed": 0, **others}
    return run(game, method, millions * 1_000_000, threads=threads, optimizer__lr=rate, **others)


def runs() -> Iterator[Run]:
    """All runs, in the order in which they start."""
    changes = [game_run("pong", "a3c", 24, rate=AUTHORS_RATE, seed=1, **change) for change in CHANGES]
    yield from changes  # G: if one is an error of ours, it is corrected before the rest is run
    yield from (game_run(game, "a3c", 80) for game in ("breakout", "pong"))  # A
    yield from (game_run(game, "a3c", 80) for game in PAPER_GAMES if game not in ("breakout", "pong"))
    yield from (game_run(game, "a3c", 40, seed=seed) for seed in (1, 2) for game in ("breakout", "pong"))  # D
    yield game_run("breakout", "a3c", 40, rate=AUTHORS_RATE)
    for game in ("breakout", "pong"):  # D2
        yield game_run(game, "a3c", 20, rate=AUTHORS_RATE, execution="hogwild", seed=1)
    yield from (
        game_run(game, "n_step_q", 40) for game in ("pong", "breakout", "qbert", "beam_rider", "space_invaders")
    )
    yield from (game_run("pong", "n_step_q", 40, rate=rate) for rate in (AUTHORS_RATE, AUTHORS_RATE / 2))
    yield from (game_run("pong", "n_step_q", 20, rate=AUTHORS_RATE, threads=threads) for threads in (4, 1))  # B2
    yield game_run("pong", "n_step_q", 40, rate=AUTHORS_RATE / 4)
    yield from (
        game_run(game, method, 40) for method in ("one_step_q", "one_step_sarsa") for game in ("pong", "breakout")
    )
    yield from (game_run(game, "a3c", 40, network="mnih2013_lstm") for game in ("pong", "breakout"))  # E
    yield from (  # C2
        game_run(game, method, 40)
        for method in ("one_step_q", "one_step_sarsa")
        for game in ("qbert", "space_invaders", "beam_rider")
    )


def smoke_runs() -> list[Run]:
    """Short runs of each method, network, execution and kind of change."""
    return [
        *(
            run(
                "pong",
                method,
                8_000,
                threads=2,
                optimizer__lr=paper_rate("pong", method),
                seed=0,
                execution="virtual_time",
            )
            for method in ("one_step_q", "one_step_sarsa")
        ),
        run("pong", "a3c", 8_000, threads=2, optimizer__lr=AUTHORS_RATE, seed=1, execution="hogwild"),
        run("pong", "a3c", 8_000, threads=2, optimizer__lr=paper_rate("pong", "a3c"), seed=0, network="mnih2013_lstm"),
        run("pong", "a3c", 8_000, threads=2, optimizer__lr=AUTHORS_RATE, seed=1, env__full_action_space=True),
        run("pong", "a3c", 8_000, threads=2, optimizer__lr=paper_rate("pong", "a3c"), seed=0),
        run("breakout", "n_step_q", 8_000, threads=2, optimizer__lr=paper_rate("breakout", "n_step_q"), seed=0),
        run("pong", "a3c", 8_000, threads=2, optimizer__lr=AUTHORS_RATE, seed=1, algo__t_max=20),
    ]


EXPERIMENT = Experiment(
    "atari_games",
    "Figures 1, 3 and 4 on Atari",
    {
        "smoke": Scale(
            (
                *SMOKE_EVALUATIONS,
                "optimizer.anneal_frames=320_000_000",
                "evaluation.max_frames=1000",
                "checkpoint.copies_every=4_000",
            ),
            lambda scores: smoke_runs(),
        ),
        "laptop": Scale(LAPTOP, lambda scores: runs()),
    },
)

if __name__ == "__main__":
    main(EXPERIMENT)
