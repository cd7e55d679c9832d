"""The first runs: four methods on MinAtar Breakout, and A3C on Atari Breakout and Pong.

  python sweeps/first_runs.py [scale=smoke|laptop] [part=minatar|atari|all] [overrides]

Runs what is missing, one run after another, below `runs/first_runs`; a run that was stopped goes on. At the scale
`laptop`, on two cores, MinAtar takes some twenty minutes (4 runs of 2M frames) and Atari two hours (3 runs
of 20M frames). Then `python analysis/collect_runs.py results/first_runs runs/first_runs/laptop` makes the tables and
`python analysis/first_runs.py` the figure.
"""

from __future__ import annotations

import sys

from a3crepro.cli import own_words, run_command
from a3crepro.config import choices
from a3crepro.sweep import train_in_turn

MINATAR = [[f"algo={algo}", "env=minatar/breakout", "threads=8", "seed=0"] for algo in choices("algo")]
ATARI = [
    *(["algo=a3c", f"env={game}", "threads=16", "seed=0"] for game in ("breakout", "pong")),
    [
        "algo=a3c",
        "env=breakout",
        "threads=16",
        "seed=0",
        "optimizer.lr=12e-4",
    ],  # the paper's best (Figure 2)
]
PARTS = {"minatar": MINATAR, "atari": ATARI}
COMMON = {
    "minatar": ["evaluation.episodes=30"],
    "atari": ["optimizer.anneal_frames=320_000_000", "evaluation.every=2_000_000"],
}
FRAMES = {
    "smoke": {"minatar": 20_000, "atari": 20_000},
    "laptop": {"minatar": 2_000_000, "atari": 20_000_000},
}


def main() -> None:
    """Runs the experiment as the command line says."""
    own, overrides = own_words(
        sys.argv[1:], {"scale": "laptop", "part": "all"}, {"scale": FRAMES, "part": [*PARTS, "all"]}
    )
    for part in PARTS if own["part"] == "all" else (own["part"],):
        frames = FRAMES[own["scale"]][part]
        common = [*COMMON[part], f"frames={frames}", *overrides]
        train_in_turn(f"runs/first_runs/{own['scale']}", PARTS[part], common)


if __name__ == "__main__":
    run_command(main)
