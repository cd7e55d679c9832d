"""The other processes of a run: forked from a server with everything imported, heard through a pipe, never orphans."""

from __future__ import annotations

import contextlib
import ctypes
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
from a3crepro.common.output import lasting_output
from a3crepro.common.signals import SIGNALS, ignore_all

CONTEXT = multiprocessing.get_context("forkserver")


class ProcessDied(Exception):
    """A process of the run raised an exception or was killed; the message has its traceback or signal.

    The line alone of a mistake of the user's, or of an environment's, that only showed there.
    """


class ScriptError(UserError, SystemExit):
    """A script that a run's processes cannot import, as each of them does first.

    Where nothing catches it, it ends the script with its line alone, without a traceback (status 1).
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.code = f'a3crepro: {text} below `if __name__ == "__main__":`'

    def __str__(self) -> str:
        return str(self.code)


UNGUARDED = 113
"""Exit code of a process that came upon training when it imported the script."""


def check_script() -> None:
    """Refuses, before training, a script that is no file; in a process that imports the script, ends that.

    Raises:
      ScriptError: the script came from standard input.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        os._exit(UNGUARDED)  # it is the main process that tells
    main = sys.modules["__main__"]
    path = getattr(main, "__file__", None)
    if path is not None and getattr(main, "__spec__", None) is None and not Path(path).exists():
        raise ScriptError("the processes of a run import the script: put it into a file, and what trains")


class _Failure:
    """The last message of a process that raised an exception: how it failed."""

    def __init__(self, text: str) -> None:
        self.text = text


class _Finished:
    """The last message of a process that came to its end."""


_preloaded = ["a3crepro.runs._preload"]
PARENT = "A3CREPRO_PARENT"
"""The environment variable that tells the fork server who started it."""


def preload(modules: Sequence[str]) -> None:
    """The server imports these, too, if it does not run yet: what all processes need is then in memory once."""
    _preloaded.extend(name for name in modules if name not in _preloaded)


def start_server() -> None:
    """Starts the server that processes are forked from, if it does not run yet.

    One thread a process: with more, each product would wait for cores that the other processes use.
    """
    added = {"OMP_NUM_THREADS": "1", PARENT: str(os.getpid())}
    before = {name: os.environ.pop(name, None) for name in added}
    os.environ.update(added)
    try:
        begin, end = (f"a3crepro.common._imports_{what}" for what in ("begin", "end"))
        CONTEXT.set_forkserver_preload([begin, *_preloaded, end])
        # A signal to the whole process group must not end the server in the middle of its imports; the server and all
        # that is forked from it keep the mask, and so does the resource tracker, which SIGHUP would end.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            multiprocessing.resource_tracker.ensure_running()
            signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # it unblocks some of them
            with _short_temporary_directory():
                multiprocessing.forkserver.ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    finally:
        for name, value in before.items():
            del os.environ[name]
            if value is not None:
                os.environ[name] = value


def wait_for_server() -> None:
    """Starts the server, and returns when it has imported everything: seconds, a minute where it has to compile."""
    start_server()
    process = CONTEXT.Process(target=os.getpid)
    process.start()
    process.join()


def end_with_parent(wanted: bool) -> None:
    """Whether Linux kills the server when the process that started it, or its thread that did so, is gone.

    The server notices that by itself, but not before it has imported everything.
    """
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL if wanted else 0)
    if wanted and os.getppid() != int(os.environ[PARENT]):
        os._exit(1)  # it is gone already


def make_lock() -> Lock:
    """A lock of the run's processes; Python's resource tracker, which it needs, is started as `start_server` does."""
    start_server()
    return CONTEXT.Lock()


@contextlib.contextmanager
def _short_temporary_directory() -> Iterator[None]:
    """The server's socket lies in one, and the path of a socket has at most 107 bytes."""
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
    """A process that runs `target(connection, *args)`; both ends may send through the connection.

    It ignores the signals that stop a run, which are for its main process, and ends itself when that is gone.
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
            if self._exit_code() == UNGUARDED:
                raise ScriptError(
                    "the processes of a run import the script, which trains then: put what trains"
                ) from None
            raise ProcessDied(f"{self.name} {self._how_it_died()}") from None
        # The sentinel is the fork server's word that this process ended: without the end, the server is gone.
        if not self.finished and wait([self.process.sentinel], 0) and not any_is_gone([self], 0):
            raise ProcessDied("the fork server was killed")

    def _exit_code(self) -> int | None:
        self.process.join(timeout=2)
        return self.process.exitcode

    def _how_it_died(self) -> str:
        code = self._exit_code()
        if code is not None and code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"

    def end(self, grace: float = 0.0) -> None:
        """Waits for the process, `grace` seconds at most, then kills it; afterwards it is gone."""
        if not any_is_gone([self], grace):
            assert self.process.pid is not None
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGKILL)
            any_is_gone([self], 5)
        self.process.join(timeout=1)
        self.connection.close()


def wait_for_messages(children: Sequence[Child], timeout: float) -> None:
    """Returns when one of these processes has sent something or died, or after `timeout` seconds."""
    wait([child.connection for child in children if not child.finished], timeout)


def any_is_gone(children: Sequence[Child], timeout: float) -> bool:
    """Whether one of these processes has ended, now or within `timeout` seconds, whatever it has sent before.

    Its end of the connection is closed then, by the kernel: this is right where the fork server is gone, too.
    """
    poll = select.poll()
    for child in children:
        poll.register(child.connection, 0)  # nothing but the end
    return bool(poll.poll(1000 * timeout))


def _main(target: Callable[..., None], connection: Connection, *args: Any) -> None:
    ignore_all()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    set_up_arithmetic()
    try:
        with lasting_output(notice=""):
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

    def __init__(self) -> None:
        self._pid = os.getppid()
        threading.Thread(target=self._stop_with_it, daemon=True).start()

    @property
    def is_gone(self) -> bool:
        return os.getppid() != self._pid

    def _stop_with_it(self) -> None:
        """A run in progress stops, as by SIGTERM, after saving; between two runs the process ends at once."""
        while not self.is_gone:
            time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGTERM)


@contextlib.contextmanager
def worker_of_a_launcher() -> Iterator[None]:
    """A job in whatever process a launcher runs it in: ends the process after it if the launcher is gone by then.

    In one of joblib's, whose own way to start processes cannot start those of a run, by the way that can.
    """
    if multiprocessing.get_start_method(allow_none=True) == "loky":
        multiprocessing.set_start_method("forkserver", force=True)
        Launcher.watched = Launcher()
    try:
        yield
    finally:
        if Launcher.watched and Launcher.watched.is_gone:
            os._exit(1)  # nobody is there who could end this process
