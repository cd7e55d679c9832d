"""The command line of training: checks everything before anything starts, then lets Hydra run the jobs.

Exit status: 0 finished; 2 a mistake in the command or configuration; 130 stopped by Ctrl-C or SIGTERM after saving; 1
anything else.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

from a3crepro.settings import RunError, UserError, check_python

Default = TypeVar("Default", str, None)
"""What a word that is not in the command stands for."""


def main() -> None:
    """Trains with the configuration that the command line gives."""
    run_command(_train_command)


def run_command(command: Callable[[], None], usage: str | None = None, needs_words: bool = False) -> None:
    """Runs a command and turns its errors into one line and an exit status.

    Args:
      command: what is run.
      usage: printed instead where the command line asks for help.
      needs_words: whether the usage is printed for an empty command line, too (status 2).
    """
    asked = set(sys.argv[1:]) & {"-h", "--help"}
    if usage and (asked or (needs_words and not sys.argv[1:])):
        print(usage)
        raise SystemExit(0 if asked else 2)
    try:
        check_python()
    except RunError as error:
        _end(str(error), 1)
    _end_at_once_on_signals("")  # until training begins, which has handlers of its own
    threading.excepthook = _told_by_main_thread
    from hydra.errors import HydraException

    from a3crepro.processes import ProcessDied
    from a3crepro.training import Stopped

    try:
        command()
    except UserError as error:
        _end(str(error), 2)
    except HydraException as error:
        _end("; ".join(line.strip() for line in str(error).splitlines() if line.strip()), 2)
    except Stopped as error:
        _end(str(error), 130)
    except (RunError, ProcessDied) as error:
        _end(str(error), 1)
    except OSError as error:
        _end(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}", 1)


def own_words(
    arguments: Sequence[str], defaults: Mapping[str, Default], allowed: Mapping[str, Collection[str]]
) -> tuple[dict[str, str | Default], list[str]]:
    """Parts a command's own `key=value` words from the overrides of the configuration; of several, the last one counts.

    Args:
      arguments: of the command line.
      defaults: of the command's own keys.
      allowed: values of those keys that have a choice.

    Raises:
      UserError: a value that is not allowed.
    """
    own: dict[str, str | Default] = {**defaults}
    overrides = []
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key in own:
            own[key] = value
        else:
            overrides.append(argument)
    for key, values in allowed.items():
        if own[key] not in values:
            raise UserError(f"{key}: allowed: {', '.join(values)}; got {own[key]!r}")
    return own, overrides


def positive_number(key: str, text: str) -> float:
    """The number that a word of the command line gives.

    Raises:
      UserError: it is none, or not greater than 0.
    """
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 1e6:
        raise UserError(f"{key}: should be a number greater than 0, got {text!r}")
    return number


def _end_at_once_on_signals(saying: str) -> None:
    """Nothing is to be saved here; and no exception may come out of the imports, for torch's own would abort."""

    def end(number: int, _: object) -> NoReturn:
        os.write(2, f"a3crepro: stopped by {signal.Signals(number).name}{saying}\n".encode())
        os._exit(130)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)


def _told_by_main_thread(arguments: threading.ExceptHookArgs) -> None:
    """What TensorBoard's thread could not write is raised again at the next write, and told then."""
    if not issubclass(arguments.exc_type, OSError):
        threading.__excepthook__(arguments)


def _end(message: str, status: int) -> NoReturn:
    sys.stdout.flush()
    print(f"a3crepro: {message}", file=sys.stderr, flush=True)
    raise SystemExit(status)


def _train_command() -> None:
    import hydra
    from hydra._internal.utils import get_args_parser

    from a3crepro.config import conf_directory, quoted, register_resolvers

    register_resolvers()
    sys.argv[1:] = [argument if argument.startswith("-") else quoted(argument) for argument in sys.argv[1:]]
    arguments = get_args_parser().parse_args()
    if not (arguments.help or arguments.hydra_help or arguments.cfg or arguments.info or arguments.shell_completion):
        check(arguments)
    if arguments.multirun:  # workers of launchers see that their parent is gone, and save
        _end_at_once_on_signals("; runs in progress save, and the same command goes on")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # exceptions come out as they are, for `run_command` to tell in one line
    try:
        hydra.main(config_path=str(conf_directory()), config_name="config", version_base="1.3")(_job)()
    except _Failed as failed:
        raise failed.error from None


def _job(config: Any) -> Any:
    """One training run, in any of Hydra's launchers.

    In a multirun the others go on where one fails, and Hydra tells which; a single one's failure passes Hydra by.
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from a3crepro.config import register_resolvers
    from a3crepro.processes import worker_of_a_launcher
    from a3crepro.training import train

    register_resolvers()
    try:
        with worker_of_a_launcher():
            return train(config)
    except Exception as error:
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            raise
        raise _Failed(error) from error


class _Failed(BaseException):
    """The error of a single run, on its way through Hydra, which would tell it in its own words."""

    def __init__(self, error: Exception) -> None:
        self.error = error


def check(arguments: Any) -> None:
    """Composes and checks the configuration of every job before the first one starts.

    Raises:
      UserError: one line that names the key and what is allowed.
    """
    from a3crepro.config import compose

    for overrides in jobs(arguments.overrides, arguments.multirun):
        compose(*overrides, config_dir=arguments.config_dir, config_name=arguments.config_name or "config")


def jobs(overrides: Sequence[str], multirun: bool) -> list[list[str]]:
    """The overrides of each job of a command line, as Hydra's own sweeper makes them."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    from a3crepro.config import quoted

    if not multirun:
        return [list(overrides)]
    try:
        parsed = OverridesParser.create().parse_overrides([quoted(override) for override in overrides])
        return [job for batch in BasicSweeper.split_arguments(parsed, None) for job in batch]
    except HydraException as error:
        raise UserError("; ".join(line.strip() for line in str(error).splitlines() if line.strip())) from error
