"""What all commands have in common: help, version, and errors and signals in one line with an exit status."""

import contextlib
import importlib.metadata
import multiprocessing.util
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import NoReturn

import a3crepro
from a3crepro.common.errors import RunError, UserError, check_python
from a3crepro.common.output import UNWRITTEN, pipe_safe_output
from a3crepro.common.signals import handle


def run_command(command: Callable[[], None], usage: str | None = None, needs_arguments: bool = False) -> None:
    """Runs a command and turns its errors into one line and an exit status.

    Args:
      command: parses its arguments itself.
      usage: printed for `--help`.
      needs_arguments: print the usage for an empty command line, too (status 2).
    """
    help_requested = set(sys.argv[1:]) & {"-h", "--help"}
    with pipe_safe_output(notice="" if help_requested else UNWRITTEN):  # help is often piped to `head`
        escape_unencodable_output()
        if usage and (help_requested or (needs_arguments and not sys.argv[1:])):
            print(usage)
            raise SystemExit(0 if help_requested else 2)
        if "--version" in sys.argv[1:]:
            packages = (f"{name} {importlib.metadata.version(name)}" for name in ("torch", "ale-py", "gymnasium"))
            print(f"a3crepro {a3crepro.__version__} ({', '.join(packages)})")
            raise SystemExit(0)
        try:
            check_python()
        except RunError as error:
            _end(str(error), 1)
        _run(command)


def _run(command: Callable[[], None]) -> None:
    end_at_once_on_signals("")  # training installs its own handlers
    threading.excepthook = _thread_excepthook
    try:
        command()
    except JobsFailed as error:
        _end_of_jobs(error.failures)
    except BaseException as error:
        message = line_of(error)
        if message is None:
            raise
        _end(*message)


def escape_unencodable_output() -> None:
    """Writes characters that the output's encoding lacks as escapes, instead of raising."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):  # e.g. captured by a test
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def line_of(error: BaseException) -> tuple[str, int] | None:
    """The line for an error and the exit status; None for an unexpected error, whose traceback is printed."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from a3crepro.common.processes import ProcessDied
    from a3crepro.config import one_line
    from a3crepro.runs.training import Stopped

    match error:
        case UserError():
            return str(error), 2
        case HydraException() | OmegaConfBaseException():
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
    """Prints a line for each; exits with their common status, else 1."""
    sys.stdout.flush()
    statuses = set()
    for directory, error in failures:
        message = line_of(error)
        if message is None:
            traceback.print_exception(error)
        line, status = message or (repr(error), 1)
        print(f"a3crepro: {directory}: {line}", file=sys.stderr, flush=True)
        statuses.add(status)
    raise SystemExit(statuses.pop() if len(statuses) == 1 else 1)


def end_at_once_on_signals(saying: str) -> None:
    """Ends the process without an exception, at which torch's imports would abort; only while nothing must be saved."""

    def end(number: int, _: object) -> NoReturn:
        with contextlib.suppress(OSError):  # a terminal that was closed
            os.write(2, f"a3crepro: stopped by {signal.Signals(number).name}{saying}\n".encode())
        with contextlib.suppress(Exception):
            multiprocessing.util._run_finalizers(0)  # type: ignore[attr-defined] # removes semaphores, else it warns
        os._exit(130)

    handle(end)


def _thread_excepthook(arguments: threading.ExceptHookArgs) -> None:
    """Ignores `OSError`: TensorBoard raises what its thread could not write again at the next write."""
    if not issubclass(arguments.exc_type, OSError):
        threading.__excepthook__(arguments)


def _end(message: str, status: int) -> NoReturn:
    sys.stdout.flush()
    print(f"a3crepro: {message}", file=sys.stderr, flush=True)
    raise SystemExit(status)
