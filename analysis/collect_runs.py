"""Makes the tables of single runs: `python analysis/collect_runs.py results/NAME RUN_DIR [RUN_DIR …]`.

Each RUN_DIR is a run's directory, or one with runs somewhere below it.
"""

import sys
from pathlib import Path

from a3crepro.cli import run_command
from a3crepro.results import collect, find_runs
from a3crepro.settings import UserError


def main() -> None:
    """Collects as the command line says."""
    if len(sys.argv) < 3:
        raise UserError("usage: python analysis/collect_runs.py results/NAME RUN_DIR [RUN_DIR …]")
    collect(find_runs(Path(argument) for argument in sys.argv[2:]), Path(sys.argv[1]))


if __name__ == "__main__":
    run_command(main)
