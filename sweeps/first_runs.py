"""The first runs: four methods on MinAtar Breakout, A3C on Atari Breakout and Pong.

  python sweeps/first_runs.py [scale=smoke|laptop] [overrides]

Runs what is missing, one run after another, in `runs/`; a run that was stopped goes on. Then
`python analysis/collect.py results/first_runs runs` makes the tables and `python analysis/first_runs.py` the figure.
"""

from __future__ import annotations

import subprocess
import sys

from a3crepro.cli import run_command
from a3crepro.settings import UserError

FRAMES = {"smoke": 20_000, "laptop": 2_000_000}
METHODS = ("a3c", "n_step_q", "one_step_sarsa", "one_step_q")
MINATAR = [
    [f"algo={algo}", "env=minatar/breakout", "threads=8", "evaluation.episodes=30", "seed=0"] for algo in METHODS
]
ATARI = [
    ["algo=a3c", f"env={game}", "threads=16", "evaluation.every=500_000", "seed=0"] for game in ("breakout", "pong")
]


def main() -> None:
    """Runs the experiment as the command line says."""
    scale, overrides = "laptop", []
    for argument in sys.argv[1:]:
        if argument.startswith("scale="):
            scale = argument.partition("=")[2]
        else:
            overrides.append(argument)
    if scale not in FRAMES:
        raise UserError(f"scale: allowed: {', '.join(FRAMES)}; got {scale!r}")
    for run in (*MINATAR, *ATARI):
        command = ["-m", "a3crepro", *run, f"frames={FRAMES[scale]}", *overrides]
        print("python", *command, flush=True)
        status = subprocess.run([sys.executable, *command]).returncode
        if status:
            raise SystemExit(status)


if __name__ == "__main__":
    run_command(main)
