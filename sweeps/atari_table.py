"""Tables 1 and S3: A3C on all games at one learning rate: feed-forward for 1 and 4 days, and with LSTM cells.

  python sweeps/atari_table.py [scale=smoke|laptop|paper] [--dry-run|--status] [hydra/launcher=…] [overrides]

smoke: a few frames of all 57 games and of MinAtar Breakout.
laptop: the 5 MinAtar games with MinAtar's network, 600,000 frames per day, 3 seeds, 16 actor-learners in virtual time:
45 runs. paper: 57 games, 16 processes, 320M frames for 1 day and 1,000M for 4 (wiki): 171 runs.
For the paper's five games with all four methods, at rates of their own and against the paper's curves, see
`atari_games`; for Figure 1 on MinAtar with many rates per method, see `learning_speed`.
Core-hours at the scale laptop: 4.4.
"""

from collections.abc import Iterable, Mapping

import pandas as pd

from a3crepro.experiments.command import main
from a3crepro.experiments.experiment import Experiment, Run, Scale, run
from a3crepro.experiments.results import RESULTS
from sweeps._protocol import LAPTOP, LAPTOP_GAME, MINATAR_GAMES, PAPER, SMOKE

RATE = 7e-4
ATARI_GAMES = tuple(pd.read_csv(RESULTS / "paper" / "table_s3_human_starts.csv")["game"])
PAPER_VARIANTS: tuple[Mapping[str, object], ...] = (
    {"network": "mnih2015", "frames": 320_000_000},
    {"network": "mnih2015", "frames": 1_000_000_000},
    {"network": "mnih2015_lstm", "frames": 1_000_000_000},
)
LAPTOP_VARIANTS: tuple[Mapping[str, object], ...] = (
    {"network": "minatar", "frames": 600_000},
    {"network": "minatar", "frames": 2_400_000},
    {"network": "minatar", "network__lstm_cells": 128, "frames": 2_400_000},
)
SMOKE_ATARI: Mapping[str, object] = {"network": "mnih2015", "frames": 800, "evaluation__every": 0}
SMOKE_VARIANTS = tuple({**variant, "frames": 2_000 * number} for number, variant in enumerate(LAPTOP_VARIANTS, 1))


def table(games: Iterable[str], variants: Iterable[Mapping[str, object]], seeds: int, threads: int = 16) -> list[Run]:
    """A run for each seed, variant and game."""
    variants, games = list(variants), list(games)
    return [
        run(game, "a3c", threads=threads, **variant, optimizer__lr=RATE, seed=seed)
        for seed in range(seeds)
        for variant in variants
        for game in games
    ]


EXPERIMENT = Experiment(
    "atari_table",
    "Tables 1 and S3",
    {
        "smoke": Scale(
            (*SMOKE, "evaluation.max_frames=1000"),
            lambda scores: [
                *table([LAPTOP_GAME], SMOKE_VARIANTS, 1, threads=2),
                *table(ATARI_GAMES, [SMOKE_ATARI], 1, threads=2),
            ],
        ),
        "laptop": Scale(LAPTOP, lambda scores: table(MINATAR_GAMES, LAPTOP_VARIANTS, 3)),
        "paper": Scale(PAPER, lambda scores: table(ATARI_GAMES, PAPER_VARIANTS, 1)),
    },
)

if __name__ == "__main__":
    main(EXPERIMENT)
