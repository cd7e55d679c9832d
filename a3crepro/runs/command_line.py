"""What all commands have in common: help, version, and errors and signals in one line with an exit status."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import NoReturn

from a3crepro.common.output import UNWRITTEN, lasting_output
from a3crepro.common.settings import RunError, UserError, check_python
from a3crepro.common.signals import handle
from a3crepro.common.version import __version__


def run_command(command: Callable[[], None], usage: str | None = None, needs_words: bool = False) -> None:
    """Runs a command and turns its errors into one line and an exit status.

    Args:
      command: what is run.
      usage: printed instead where the command line asks for help.
      needs_words: whether the usage is printed for an empty command line, too (status 2).
    """
    asked = set(sys.argv[1:]) & {"-h", "--help"}
    with lasting_output(notice="" if asked else UNWRITTEN):  # of a help text, who has read enough closes the rest
        write_whatever_the_locale()
        if usage and (asked or (needs_words and not sys.argv[1:])):
            print(usage)
            raise SystemExit(0 if asked else 2)
        if "--version" in sys.argv[1:]:
            print(version_line())
            raise SystemExit(0)
        try:
            check_python()
        except RunError as error:
            _end(str(error), 1)
        _run(command)


def version_line() -> str:
    """The version of this package, and of those that results depend on most."""
    packages = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "ale-py", "gymnasium"))
    return f"a3crepro {__version__} ({packages})"


def _run(command: Callable[[], None]) -> None:
    end_at_once_on_signals("")  # until training begins, which has handlers of its own
    threading.excepthook = _told_by_main_thread
    try:
        command()
    except JobsFailed as error:
        _end_of_jobs(error.failures)
    except BaseException as error:
        told = line_of(error)
        if told is None:
            raise
        _end(*told)


def write_whatever_the_locale() -> None:
    """Lets a character that the output's encoding does not have be written as an escape, instead of raising."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):  # a stream of somebody else's
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def line_of(error: BaseException) -> tuple[str, int] | None:
    """What is told of an error, and the exit status; None: a fault of the program, whose traceback tells more."""
    from hydra.errors import HydraException

    from a3crepro.common.processes import ProcessDied
    from a3crepro.config import one_line
    from a3crepro.runs.training import Stopped

    match error:
        case UserError():
            return str(error), 2
        case HydraException():
            return one_line(error), 2
        case Stopped():
            return str(error), 130
        case RunError() | ProcessDied():
            return str(error), 1
        case OSError(filename=str() | bytes() as path):
            return f"cannot use {os.fsdecode(path)}: {error.strerror}", 1
        case OSError():
            return error.strerror or str(error), 1
    return None


class JobsFailed(Exception):
    """Jobs of a multirun failed: the directory and the error of each."""

    def __init__(self, failures: Sequence[tuple[str, BaseException]]) -> None:
        super().__init__(f"{len(failures)} jobs failed")
        self.failures = failures


def _end_of_jobs(failures: Sequence[tuple[str, BaseException]]) -> NoReturn:
    """A line for each; the status of all, if it is one."""
    sys.stdout.flush()
    statuses = set()
    for directory, error in failures:
        told = line_of(error)
        if told is None:
            traceback.print_exception(error)
        line, status = told or (repr(error), 1)
        print(f"a3crepro: {directory}: {line}", file=sys.stderr, flush=True)
        statuses.add(status)
    raise SystemExit(statuses.pop() if len(statuses) == 1 else 1)


def end_at_once_on_signals(saying: str) -> None:
    """Nothing is to be saved here; and no exception may come out of the imports, for torch's own would abort."""

    def end(number: int, _: object) -> NoReturn:
        with contextlib.suppress(OSError):  # a terminal that was closed
            os.write(2, f"a3crepro: stopped by {signal.Signals(number).name}{saying}\n".encode())
        os._exit(130)

    handle(end)


def _told_by_main_thread(arguments: threading.ExceptHookArgs) -> None:
    """What TensorBoard's thread could not write is raised again at the next write, and told then."""
    if not issubclass(arguments.exc_type, OSError):
        threading.__excepthook__(arguments)


def _end(message: str, status: int) -> NoReturn:
    sys.stdout.flush()
    print(f"a3crepro: {message}", file=sys.stderr, flush=True)
    raise SystemExit(status)
