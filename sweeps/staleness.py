"""How stale gradients are, against the number of actor-learners: A3C and one-step Q in virtual time.

  python sweeps/staleness.py [scale=smoke|laptop] [overrides]

Runs what is missing, one run after another, below `runs/staleness`: at the scale `laptop` 14 runs of 30,000 frames on
MinAtar Breakout, some three minutes. Then `python analysis/staleness.py runs/staleness/laptop` makes the table and
the figure.
"""

from __future__ import annotations

import sys

from a3crepro.cli import own_words, run_command
from a3crepro.sweep import train_in_turn

THREADS = (1, 2, 4, 8, 16, 32, 64)
FRAMES = {"smoke": 2_000, "laptop": 30_000}


def main() -> None:
    """Runs the experiment as the command line says."""
    own, overrides = own_words(sys.argv[1:], {"scale": "laptop"}, {"scale": FRAMES})
    common = ["env=minatar/breakout", "execution=virtual_time", f"frames={FRAMES[own['scale']]}"]
    runs = [[f"algo={algo}", f"threads={threads}"] for algo in ("a3c", "one_step_q") for threads in THREADS]
    train_in_turn(f"runs/staleness/{own['scale']}", runs, [*common, "evaluation.episodes=0", *overrides])


if __name__ == "__main__":
    run_command(main)
