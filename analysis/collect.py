"""Collects an experiment's runs into tidy tables.

  python analysis/collect.py SWEEP [scale=smoke|laptop|paper] [--unfinished] [--collected] [overrides]

Takes the arguments of `python sweeps/SWEEP.py` and writes `results/SWEEP/SCALE/`. Fails if a run is not done or does
not match the sweep; `--unfinished` collects the runs that are done, and reports and records those that are missing.
`--collected` keeps the rows already in the tables and adds those of new runs.
"""

import importlib
import sys
from pathlib import Path

from a3crepro.common.errors import UserError
from a3crepro.experiments.collect import collect
from a3crepro.experiments.command import Command
from a3crepro.experiments.experiment import Experiment
from a3crepro.runs.command_line import run_command

SWEEPS = Path(__file__).resolve().parent.parent / "sweeps"


def experiment_of(name: str) -> Experiment:
    """The experiment defined by a file in `sweeps/`."""
    experiment: Experiment = importlib.import_module(f"sweeps.{name}").EXPERIMENT
    return experiment


def main() -> None:
    """Collects as the command line specifies."""
    names = sorted(path.stem for path in SWEEPS.glob("*.py") if "EXPERIMENT = " in path.read_text())
    arguments = sys.argv[1:]
    if not arguments or arguments[0] not in names:
        raise UserError(f"the first argument should be one of {', '.join(names)}")
    experiment = experiment_of(arguments[0])
    if experiment.tables:  # a view, without tables of its own
        experiment = experiment_of(experiment.tables)
    command = Command(experiment, [word for word in arguments[1:] if word != "--unfinished"])
    warnings = collect(command, "--unfinished" in arguments)
    print(f"{command.tables}: {command.title}")
    for warning in warnings[:10]:
        print(warning, file=sys.stderr)
    if len(warnings) > 10:
        print(f"and {len(warnings) - 10} more", file=sys.stderr)


if __name__ == "__main__":
    run_command(main, __doc__)
