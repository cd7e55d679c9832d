"""Child processes of a run: forked from a server that has imported everything, connected by a pipe, never orphaned."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import multiprocessing
import multiprocessing.forkserver
import multiprocessing.resource_tracker
import os
import select
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.synchronize import Lock
from pathlib import Path
from typing import Any, ClassVar

from a3crepro.common.errors import RunError, UserError
from a3crepro.common.output import pipe_safe_output
from a3crepro.common.signals import SIGNALS, ignore_all

CONTEXT = multiprocessing.get_context("forkserver")


class ProcessDied(Exception):
    """A process of the run raised an exception or was killed; the message has its traceback or signal.

    For a `UserError` or `RunError`, the message has its line only.
    """


class ScriptError(UserError, SystemExit):
    """A run's processes cannot import the script, which each of them does first.

    Uncaught, it ends the script with its line and no traceback (status 1).
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.code = f'a3crepro: {text} start training under `if __name__ == "__main__":`'

    def __str__(self) -> str:
        return str(self.code)


UNGUARDED = 113
"""Exit code of a process in which importing the script began to train."""


def check_script() -> None:
    """Refuses a script that is no file (`ScriptError`); ends the process if it is a child that imports the script."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        os._exit(UNGUARDED)  # the main process reports it
    main = sys.modules["__main__"]
    path = getattr(main, "__file__", None)
    if path is not None and getattr(main, "__spec__", None) is None and not Path(path).exists():
        raise ScriptError("training from a script needs a file: worker processes import it. Save the script, and")


class _Failure(str):
    """The last message of a process that raised an exception."""


FINISHED = None
"""The last message of a process whose target returned."""
_preloaded: list[str] = []
PARENT = "A3CREPRO_PARENT"
"""The environment variable with the process id of the fork server's parent."""


def preload(modules: Sequence[str]) -> None:
    """Adds modules that the server imports when it starts, so that all processes share their memory."""
    _preloaded.extend(name for name in modules if name not in _preloaded)


def start_server() -> None:
    """Starts the fork server, unless it is running.

    Each process has one arithmetic thread; with more, products would wait for cores that other processes use.
    """
    added = {"OMP_NUM_THREADS": "1", PARENT: str(os.getpid())}
    before = {name: os.environ[name] for name in added if name in os.environ}
    os.environ.update(added)
    try:
        CONTEXT.set_forkserver_preload(["a3crepro.common._imports_begin", *_preloaded, "a3crepro.runs._preload"])
        # A signal to the process group must not end the server during its imports, nor the resource tracker; the
        # processes forked from the server inherit the mask.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            multiprocessing.resource_tracker.ensure_running()
            signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # it unblocks some of them
            with _short_temporary_directory():
                multiprocessing.forkserver.ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    finally:
        for name in added:
            del os.environ[name]
        os.environ.update(before)


def wait_for_server() -> None:
    """Starts the server and waits until it has imported everything: seconds, or a minute if kernels are compiled."""
    start_server()
    process = CONTEXT.Process(target=os.getpid)
    process.start()
    process.join()


def end_with_parent(wanted: bool) -> None:
    """Sets whether Linux kills this process when its parent, or the parent's thread that started it, ends.

    The server itself notices the end of its parent only after all imports.
    """
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL if wanted else 0)
    if wanted and os.getppid() != int(os.environ[PARENT]):
        os._exit(1)  # it has ended already


def make_lock() -> Lock:
    """A lock for the run's processes; starts the server first, whose signal mask the resource tracker needs, too."""
    start_server()
    return CONTEXT.Lock()


@contextlib.contextmanager
def _short_temporary_directory() -> Iterator[None]:
    """A temporary directory for the server's socket, whose path may have at most 107 bytes."""
    before, longest = tempfile.tempdir, 107 - len("/pymp-________/listener-________")
    if len(os.fsencode(tempfile.gettempdir())) > longest:
        shorter = [path for path in ("/tmp", "/var/tmp", "/dev/shm") if os.access(path, os.W_OK | os.X_OK)]
        if not shorter:
            raise UserError(f"TMPDIR: the path should have at most {longest} bytes, got {tempfile.gettempdir()}")
        tempfile.tempdir = shorter[0]
    try:
        yield
    finally:
        tempfile.tempdir = before


class Child:
    """A process that runs `target(connection, *args)`, where both ends may send through the connection.

    It ignores the signals that stop a run, and ends when the main process ends.
    """

    def __init__(self, name: str, target: Callable[..., None], *args: Any) -> None:
        start_server()
        self.name = name
        self.finished = False
        self.connection, theirs = CONTEXT.Pipe()
        self.process = CONTEXT.Process(target=_main, args=(target, theirs, *args), name=name)
        self.process.start()
        theirs.close()

    def receive(self) -> Iterator[Any]:
        """Yields the messages received so far; `ProcessDied` if the process ended before its work did."""
        try:
            while not self.finished and self.connection.poll():
                message = self.connection.recv()
                if message is FINISHED:
                    self.finished = True
                elif isinstance(message, _Failure):
                    raise ProcessDied(f"{self.name} {message}")
                else:
                    yield message
        except (EOFError, ConnectionResetError):
            self.process.join(timeout=2)
            code = self.process.exitcode
            if code == UNGUARDED:
                said = "worker processes import this script, so it must not train on import:"
                raise ScriptError(said) from None
            how = f"ended with exit code {code}"
            if code is not None and code < 0:
                how = f"was killed by {_signal_name(-code)}"
            raise ProcessDied(f"{self.name} {how}") from None
        # The fork server closes the sentinel when this process ends; without an end, the server died.
        if not self.finished and wait([self.process.sentinel], 0) and not any_is_gone([self], 0):
            raise ProcessDied("the fork server was killed")

    def end(self, grace: float = 0.0) -> None:
        """Waits at most `grace` seconds for the process to end, then kills it."""
        if not any_is_gone([self], grace):
            assert self.process.pid is not None
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGKILL)
            any_is_gone([self], 5)
        self.process.join(timeout=1)
        self.connection.close()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # most real-time signals have no name
        return f"signal {number}"


def wait_for_messages(children: Sequence[Child], timeout: float) -> None:
    """Waits until one of these processes sends something or ends, at most `timeout` seconds."""
    wait([child.connection for child in children if not child.finished], timeout)


def any_is_gone(children: Sequence[Child], timeout: float) -> bool:
    """Whether one of these processes ends within `timeout` seconds.

    The kernel closes its end of the connection, also if the fork server has died.
    """
    poll = select.poll()
    for child in children:
        poll.register(child.connection, 0)  # reports hang-ups only
    return bool(poll.poll(1000 * timeout))


def _main(target: Callable[..., None], connection: Connection, *args: Any) -> None:
    ignore_all()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    set_up_arithmetic()
    gc.freeze()  # what is there now stays; searching it for garbage again and again would take time
    try:
        with pipe_safe_output(notice=""):
            target(connection, *args)
        connection.send(FINISHED)
    except BaseException as error:
        text = f"failed: {error}" if isinstance(error, UserError | RunError) else f"failed:\n{traceback.format_exc()}"
        with contextlib.suppress(OSError):
            connection.send(_Failure(text))
        raise SystemExit(1) from None


def set_up_arithmetic() -> None:
    """Sets one arithmetic thread, and flushes denormal numbers, which cost a hundred times as much, to 0."""
    import torch

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


def _end_with_parent() -> None:
    """Ends this process when the main process ends, even by SIGKILL."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


# ---- In a worker of joblib's launcher --------------------------------------------------------------------------------


class Launcher:
    """Watches the launcher's process from one of its workers, so that no worker outlives it."""

    watched: ClassVar[Launcher | None] = None

    def __init__(self) -> None:
        self._pid = os.getppid()
        threading.Thread(target=self._stop_with_it, daemon=True).start()

    @property
    def is_gone(self) -> bool:
        return os.getppid() != self._pid

    def _stop_with_it(self) -> None:
        """Sends SIGTERM to this process: a run in progress stops after saving; between two runs the process ends."""
        while not self.is_gone:
            time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGTERM)


@contextlib.contextmanager
def worker_of_a_launcher() -> Iterator[None]:
    """Runs a job in a launcher's worker, and ends the process afterwards if the launcher has ended.

    In a worker of joblib's, sets a start method that can start the processes of a run.
    """
    if multiprocessing.get_start_method(allow_none=True) == "loky":
        multiprocessing.set_start_method("forkserver", force=True)
        Launcher.watched = Launcher()
    try:
        yield
    finally:
        if Launcher.watched and Launcher.watched.is_gone:
            os._exit(1)  # no other process would end this one
