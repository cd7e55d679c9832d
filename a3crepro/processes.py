"""The other processes of a run: forked from a server with everything imported, heard through a pipe, never orphans."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.forkserver
import multiprocessing.resource_tracker
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, ClassVar

from a3crepro.settings import RunError, UserError

CONTEXT = multiprocessing.get_context("forkserver")


class ProcessDied(Exception):
    """A process of the run raised an exception or was killed; the message has its traceback or signal.

    The line alone of a mistake of the user's, or of an environment's, that only showed there.
    """


class _Failure:
    """The last message of a process that raised an exception: how it failed."""

    def __init__(self, text: str) -> None:
        self.text = text


class _Finished:
    """The last message of a process that came to its end."""


_preloaded = ["a3crepro.execution._preload"]


def preload(modules: Sequence[str]) -> None:
    """The server imports these, too, if it does not run yet: what all processes need is then in memory once."""
    _preloaded.extend(name for name in modules if name not in _preloaded)


def start_server() -> None:
    """Starts the server that processes are forked from, if it does not run yet.

    One thread a process: with more, each product would wait for cores that the other processes use.
    """
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        CONTEXT.set_forkserver_preload(list(_preloaded))
        multiprocessing.resource_tracker.ensure_running()  # it unblocks the signals
        # A signal to the whole process group must not end the server in the middle of its imports; the server and all
        # that is forked from it keep the mask.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
        try:
            multiprocessing.forkserver.ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


class Child:
    """A process that runs `target(connection, *args)`; both ends may send through the connection.

    It ignores Ctrl-C and SIGTERM, which are for the run's main process, and ends itself when that is gone.
    """

    def __init__(self, name: str, target: Callable[..., None], *args: Any) -> None:
        start_server()
        self.name = name
        self.finished = False
        self.connection, theirs = CONTEXT.Pipe()
        self.process = CONTEXT.Process(target=_main, args=(target, theirs, *args), name=name)
        self.process.start()
        theirs.close()
        assert self.process.pid is not None
        self._handle = os.pidfd_open(self.process.pid)  # still right when the server or the process is gone

    def receive(self) -> Iterator[Any]:
        """The messages that are there, without waiting.

        Raises:
          ProcessDied: the process ended before its work did.
        """
        try:
            while not self.finished and self.connection.poll():
                message = self.connection.recv()
                if isinstance(message, _Finished):
                    self.finished = True
                elif isinstance(message, _Failure):
                    raise ProcessDied(f"{self.name} {message.text}")
                else:
                    yield message
        except (EOFError, ConnectionResetError):
            raise ProcessDied(f"{self.name} {self._how_it_died()}") from None
        # The sentinel is the fork server's word that this process ended: without the end, the server is gone.
        if not self.finished and wait([self.process.sentinel], 0) and not wait([self._handle], 0):
            raise ProcessDied("the fork server was killed")

    def _how_it_died(self) -> str:
        self.process.join(timeout=2)
        code = self.process.exitcode
        if code is not None and code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"

    def end(self, grace: float = 0.0) -> None:
        """Waits for the process, `grace` seconds at most, then kills it; afterwards it is gone."""
        if not wait([self._handle], timeout=grace):
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)
            wait([self._handle], timeout=5)
        self.process.join(timeout=1)
        self.connection.close()
        os.close(self._handle)


def wait_for_messages(children: Sequence[Child], timeout: float) -> None:
    """Returns when one of these processes has sent something or died, or after `timeout` seconds."""
    wait([child.connection for child in children if not child.finished], timeout)


def _main(target: Callable[..., None], connection: Connection, *args: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    set_up_arithmetic()
    try:
        target(connection, *args)
        connection.send(_Finished())
    except BaseException as error:
        text = f"failed: {error}" if isinstance(error, UserError | RunError) else f"failed:\n{traceback.format_exc()}"
        with contextlib.suppress(OSError):
            connection.send(_Failure(text))
        raise SystemExit(1) from None


def set_up_arithmetic() -> None:
    """One thread, and numbers below the smallest normal one are 0: they would cost a hundred times as much."""
    import torch

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


def _end_with_parent() -> None:
    """However the main process ends, even by SIGKILL, this one does not outlive it."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


# ---- In a worker of joblib's launcher --------------------------------------------------------------------------------


class Launcher:
    """The launcher's process, as one of its workers sees it: no launcher's death, by SIGKILL even, leaves an orphan."""

    watched: ClassVar[Launcher | None] = None

    def __init__(self, pid: int) -> None:
        self._handle = os.pidfd_open(pid)
        threading.Thread(target=self._stop_with_it, daemon=True).start()

    @property
    def is_gone(self) -> bool:
        return bool(wait([self._handle], timeout=0))

    def _stop_with_it(self) -> None:
        """A run in progress stops, as by SIGTERM, after saving; between two runs the process ends at once."""
        wait([self._handle])
        os.kill(os.getpid(), signal.SIGTERM)


@contextlib.contextmanager
def worker_of_a_launcher() -> Iterator[None]:
    """A job in whatever process a launcher runs it in: ends the process after it if the launcher is gone by then.

    In one of joblib's, whose own way to start processes cannot start those of a run, by the way that can.
    """
    if multiprocessing.get_start_method(allow_none=True) == "loky":
        multiprocessing.set_start_method("forkserver", force=True)
        Launcher.watched = Launcher(os.getppid())
    try:
        yield
    finally:
        if Launcher.watched and Launcher.watched.is_gone:
            os._exit(1)  # nobody is there who could end this process
