"""What asynchrony contributes, and whether its model is right: A3C on MinAtar Breakout in three executions.

  python sweeps/executions.py [scale=smoke|laptop] [overrides]

Two actor-learners in processes and in virtual time; sixteen in virtual time and in rounds (A2C), both at the same
learning rate and at four times that, since a round makes one step where sixteen actor-learners would make sixteen. Runs
what is missing, one run after another, below `runs/executions`; a run that was stopped goes on. At the scale `laptop`
these are 60 runs of 500,000 frames: fifty minutes on two cores. Then
`python analysis/collect_runs.py results/executions runs/executions/laptop` makes the tables and
`python analysis/executions.py` the figure.
"""

from __future__ import annotations

import sys

from a3crepro.cli import own_words, run_command
from a3crepro.sweep import train_in_turn

CASES = [
    ["execution=hogwild", "threads=2"],
    ["execution=virtual_time", "threads=2"],
    ["execution=virtual_time", "threads=16"],
    ["execution=virtual_time", "threads=16", "optimizer.lr=28e-4"],
    ["execution=synchronous", "threads=16"],
    ["execution=synchronous", "threads=16", "optimizer.lr=28e-4"],
]
SCALES = {"smoke": (2, 20_000), "laptop": (10, 500_000)}
"""Seeds and frames."""


def main() -> None:
    """Runs the experiment as the command line says."""
    own, overrides = own_words(sys.argv[1:], {"scale": "laptop"}, {"scale": SCALES})
    seeds, frames = SCALES[own["scale"]]
    common = ["algo=a3c", "env=minatar/breakout", f"frames={frames}", f"evaluation.every={frames // 5}"]
    runs = [[*case, f"seed={seed}"] for seed in range(seeds) for case in CASES]
    train_in_turn(f"runs/executions/{own['scale']}", runs, [*common, "evaluation.episodes=30", *overrides])


if __name__ == "__main__":
    run_command(main)
