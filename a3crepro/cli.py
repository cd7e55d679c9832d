"""The command line of training: checks everything before anything starts, then lets Hydra run the jobs.

Exit status: 0 finished; 2 a mistake in the command or configuration; 130 stopped by Ctrl-C, SIGTERM or SIGHUP after
saving; 1 anything else.
"""

import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from a3crepro.common.errors import UserError
from a3crepro.runs.command_line import end_at_once_on_signals, escape_unencodable_output, run_command


def main() -> None:
    """Trains one run, or those of a multirun."""
    run_command(_train_command)


def _train_command() -> None:
    import hydra

    from a3crepro.config import conf_directory, normalized_overrides

    arguments, runs = _parsed(sys.argv[1:]), 1
    taken = normalized_overrides(arguments.overrides, arguments.config_dir)
    for word, another in zip(arguments.overrides, taken, strict=True):
        sys.argv[sys.argv.index(word)] = another
    arguments.overrides = taken
    if not (arguments.help or arguments.hydra_help or arguments.cfg or arguments.info or arguments.shell_completion):
        runs = check(arguments)
    if arguments.multirun or runs != 1:  # workers of launchers notice the end of their parent, and save
        end_at_once_on_signals("; runs in progress save; run the same command to resume them")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # lets exceptions through to `run_command`, which prints one line
    try:
        hydra.main(config_path=str(conf_directory()), config_name="config", version_base="1.3")(_job)()
    except _Failed as failed:
        raise failed.error from None


def _parsed(command_line: Sequence[str]) -> Any:
    """Hydra's options and the overrides, which it has no public way to read before `hydra.main` does."""
    from hydra._internal.utils import get_args_parser

    from a3crepro.runs.arguments import unknown_option

    def refuse(message: str) -> NoReturn:
        unknown = message.removeprefix("unrecognized arguments: ").split()[0]
        if unknown in command_line:
            raise UserError(unknown_option(unknown, command_line[command_line.index(unknown) + 1 :][:1]))
        raise UserError(message)

    parser = get_args_parser()
    parser.error = refuse  # type: ignore[method-assign]
    return parser.parse_args(command_line)


def _job(config: Any) -> Any:
    """One training run, in any of Hydra's launchers; the error of a single run bypasses Hydra."""
    from a3crepro.common.processes import worker_of_a_launcher
    from a3crepro.config import multirun_job
    from a3crepro.runs.training import train

    escape_unencodable_output()
    try:
        with worker_of_a_launcher():
            return train(config)
    except Exception as error:
        if multirun_job() is not None:
            raise
        raise _Failed(error) from error


class _Failed(BaseException):
    """Carries the error of a single run through Hydra, which would print it in several lines."""

    def __init__(self, error: Exception) -> None:
        self.error = error


def check(arguments: Any) -> int:
    """Checks the configuration of every job before the first one starts, and returns the number of jobs."""
    from a3crepro.config import check_launcher, compose, jobs

    check_launcher(arguments.overrides)
    where = {"config_dir": arguments.config_dir, "config_name": arguments.config_name or "config"}
    found = jobs(arguments.overrides, arguments.multirun, **where)
    for overrides in found:
        config = compose(*overrides, **where)
    if len(found) == 1:  # jobs of a multirun may run on other machines
        from a3crepro.runs.resources import check_resources
        from a3crepro.runs.trackers import check_trackers
        from a3crepro.runs.training import initial_state

        check_resources(config, initial_state(config))  # before Hydra creates the directory
        check_trackers(config)
    return len(found)
