"""The first runs: four methods on MinAtar Breakout, with and without autograd; A3C on Atari Breakout and Pong.

  python sweeps/first_runs.py [scale=smoke|laptop] [part=minatar|atari|all] [overrides]

Runs what is missing, one run after another, in `runs/`; a run that was stopped goes on. At the scale `laptop`, on two
cores, MinAtar takes an hour and a half (24 runs of 1M frames) and Atari an hour and a half (2 runs of 20M frames). Then
`python analysis/collect.py results/first_runs runs` makes the tables and `python analysis/first_runs.py` the figure.
"""

from __future__ import annotations

import subprocess
import sys

from a3crepro.cli import run_command
from a3crepro.settings import UserError

MINATAR = [
    ["env=minatar/breakout", f"algo={algo}", "threads=8", "evaluation.episodes=30", f"seed={seed}", *implementation]
    for seed in (0, 1, 2)
    for implementation in ([], ["network.implementation=module"])
    for algo in ("a3c", "n_step_q", "one_step_sarsa", "one_step_q")
]
SCHEDULE = ["optimizer.anneal_frames=320_000_000", "evaluation.every=2_000_000"]
ATARI = [[f"env={game}", "algo=a3c", "threads=16", "seed=0", *SCHEDULE] for game in ("breakout", "pong")]
PARTS = {"minatar": MINATAR, "atari": ATARI}
FRAMES = {
    "smoke": {"minatar": 20_000, "atari": 20_000},
    "laptop": {"minatar": 1_000_000, "atari": 20_000_000},
}


def main() -> None:
    """Runs the experiment as the command line says."""
    own = {"scale": "laptop", "part": "all"}
    overrides = []
    for argument in sys.argv[1:]:
        key, _, value = argument.partition("=")
        if key in own:
            own[key] = value
        else:
            overrides.append(argument)
    for key, allowed in (("scale", [*FRAMES]), ("part", [*PARTS, "all"])):
        if own[key] not in allowed:
            raise UserError(f"{key}: allowed: {', '.join(allowed)}; got {own[key]!r}")
    for part in PARTS if own["part"] == "all" else (own["part"],):
        for run in PARTS[part]:
            train([*run, f"frames={FRAMES[own['scale']][part]}", *overrides])


def train(arguments: list[str]) -> None:
    """One run, in a process of its own; ends the sweep where the run does not finish."""
    command = ["-m", "a3crepro", *arguments]
    print("python", *command, flush=True)
    status = subprocess.run([sys.executable, *command]).returncode
    if status:
        raise SystemExit(status)


if __name__ == "__main__":
    run_command(main)
