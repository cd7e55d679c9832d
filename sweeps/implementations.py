"""The same learning with and without autograd: four methods on MinAtar Breakout, three seeds each, on both paths.

  python sweeps/implementations.py [scale=smoke|laptop] [overrides]

Runs what is missing, one run after another, below `runs/implementations`; a run that was stopped goes on. At the
scale `laptop` these are 24 runs of 500,000 frames with 8 actor-learners: some forty minutes on two cores. Then
`python analysis/collect_runs.py results/implementations runs/implementations/laptop` makes the tables and `python
analysis/implementations.py` the figure.
"""

from __future__ import annotations

import sys

from a3crepro.cli import own_words, run_command
from a3crepro.config import choices
from a3crepro.sweep import train_in_turn

FRAMES = {"smoke": 20_000, "laptop": 500_000}


def main() -> None:
    """Runs the experiment as the command line says."""
    own, overrides = own_words(sys.argv[1:], {"scale": "laptop"}, {"scale": FRAMES})
    frames = FRAMES[own["scale"]]
    common = [
        "env=minatar/breakout",
        "threads=8",
        f"frames={frames}",
        f"evaluation.every={frames // 5}",
        "evaluation.episodes=30",
    ]
    runs = [
        [f"algo={algo}", f"network.implementation={path}", f"seed={seed}"]
        for seed in (0, 1, 2)
        for path in ("fast", "module")
        for algo in choices("algo")
    ]
    train_in_turn(f"runs/implementations/{own['scale']}", runs, [*common, *overrides])


if __name__ == "__main__":
    run_command(main)
