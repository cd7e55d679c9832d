"""The command line of training: checks everything before anything starts, then lets Hydra run the jobs.

Exit status: 0 finished; 2 a mistake in the command or configuration; 130 stopped by Ctrl-C, SIGTERM or SIGHUP after
saving; 1 anything else.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from a3crepro.common.settings import UserError
from a3crepro.runs.command_line import end_at_once_on_signals, run_command, write_whatever_the_locale


def main() -> None:
    """Trains with the configuration that the command line gives."""
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
    if arguments.multirun or runs != 1:  # workers of launchers see that their parent is gone, and save
        end_at_once_on_signals("; runs in progress save, and the same command goes on")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # exceptions come out as they are, for `run_command` to tell in one line
    try:
        hydra.main(config_path=str(conf_directory()), config_name="config", version_base="1.3")(_job)()
    except _Failed as failed:
        raise failed.error from None


def _parsed(words: Sequence[str]) -> Any:
    """Hydra's options and the overrides."""
    from a3crepro.config import hydra_argument_parser
    from a3crepro.runs.arguments import unknown_option

    def refuse(message: str) -> NoReturn:
        unknown = message.removeprefix("unrecognized arguments: ").split()[0]
        if unknown in words:
            raise UserError(unknown_option(unknown, words[words.index(unknown) + 1 :][:1]))
        raise UserError(message)

    return hydra_argument_parser(refuse).parse_args(words)


def _job(config: Any) -> Any:
    """One training run, in any of Hydra's launchers.

    In a multirun the others go on where one fails, and its sweeper tells which; a single one's failure passes Hydra by.
    """
    from a3crepro.common.processes import worker_of_a_launcher
    from a3crepro.config import multirun_job
    from a3crepro.runs.training import train

    write_whatever_the_locale()
    try:
        with worker_of_a_launcher():
            return train(config)
    except Exception as error:
        if multirun_job() is not None:
            raise
        raise _Failed(error) from error


class _Failed(BaseException):
    """The error of a single run, on its way through Hydra, which would tell it in its own words."""

    def __init__(self, error: Exception) -> None:
        self.error = error


def check(arguments: Any) -> int:
    """Composes and checks the configuration of every job before the first one starts, and returns how many there are.

    Raises:
      UserError: one line that names the key and what is allowed.
    """
    from a3crepro.config import check_launcher, compose, jobs

    check_launcher(arguments.overrides)
    where = {"config_dir": arguments.config_dir, "config_name": arguments.config_name or "config"}
    found = jobs(arguments.overrides, arguments.multirun, **where)
    for overrides in found:
        config = compose(*overrides, **where)
    if len(found) == 1:  # those of a multirun may run on other machines
        from a3crepro.runs.needs import check_needs
        from a3crepro.runs.training import initial_state

        check_needs(config, initial_state(config))  # before Hydra makes the directory
    return len(found)
