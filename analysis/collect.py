"""Makes an experiment's tidy tables from its runs.

  python analysis/collect.py SWEEP [scale=smoke|laptop|paper] [--unfinished] [overrides]

The words are those of `python sweeps/SWEEP.py`. Writes `results/SWEEP/SCALE/`. Runs that are not done, or that are not
what the sweep says, are refused; with --unfinished, what is done is collected, and what is missing is told and noted.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from a3crepro.cli import run_command
from a3crepro.results import RESULTS
from a3crepro.settings import UserError
from a3crepro.sweeping.collect import collect, told
from a3crepro.sweeping.command import Command

SWEEPS = Path(__file__).resolve().parent.parent / "sweeps"


def main() -> None:
    """Collects as the command line says."""
    names = sorted(path.stem for path in SWEEPS.glob("*.py") if "EXPERIMENT = " in path.read_text())
    arguments = sys.argv[1:]
    if not arguments or arguments[0] not in names:
        raise UserError(f"the first word should be one of {', '.join(names)}")
    sys.path.insert(0, str(SWEEPS))
    experiment = importlib.import_module(arguments[0]).EXPERIMENT
    if experiment.tables:  # a view: its tables are those of the whole
        experiment = importlib.import_module(experiment.tables).EXPERIMENT
    command = Command(experiment, [word for word in arguments[1:] if word != "--unfinished"])
    into = RESULTS / experiment.name / command.root.name
    warnings = collect(command, into, "--unfinished" in arguments)
    print(f"{into}: {command.title}")
    if warnings:
        print(told(warnings), file=sys.stderr)


if __name__ == "__main__":
    run_command(main, __doc__)
