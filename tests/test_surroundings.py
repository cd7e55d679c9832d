"""What the shell, the system and the machine around a run are like."""

import contextlib
import errno
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import tempfile
import types
from multiprocessing.connection import arbitrary_address

import pytest
from helpers import PATIENCE, SMALL, summary, wait_until

from a3crepro import compose, train
from a3crepro.output import lasting_output
from a3crepro.processes import Launcher, ScriptError, start_server
from a3crepro.signals import SIGNALS
from a3crepro.training import stop_signals

TINY = ("env=toy/catch", "threads=2", "frames=400", "evaluation.episodes=0", "logging.tensorboard=false")

# ---- Output that nobody reads ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def broken_pipe():
    """Standard output is a pipe whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", buffering=1) as stream, contextlib.redirect_stdout(stream):
        yield


@pytest.mark.parametrize("execution", ["hogwild", "virtual_time"])
def test_a_run_goes_on_without_output_when_its_reader_is_gone_and_says_so(tmp_path, capfd, execution):
    config = compose(*TINY, f"execution={execution}", "logging.every_seconds=0.01")
    with broken_pipe():
        found = train(config, tmp_path)
    assert summary(tmp_path) == found
    assert capfd.readouterr().err.splitlines() == [
        "a3crepro: standard output cannot be written (Broken pipe): going on without it"
    ]


def test_a_stream_without_a_file_of_the_system_is_dropped_too(monkeypatch):
    class Closed(list):
        def write(self, text):
            raise OSError(errno.EIO, "hung up")

        flush = fileno = lambda self: self.write("")

    monkeypatch.setattr(sys, "stdout", Closed())
    monkeypatch.setattr(sys, "stderr", Closed())
    with lasting_output():
        print("nobody reads this", flush=True)
        print("nor this", file=sys.stderr, flush=True)


EVALUATE = (".evaluate", "env=toy/catch", "policy=random", "episodes=5")


@pytest.mark.parametrize("command", [(), pytest.param(EVALUATE, marks=pytest.mark.slow)], ids=["train", "evaluate"])
def test_a_command_whose_output_was_closed_from_the_start_does_its_work(tmp_path, command):
    words = command[1:] or (*SMALL, "frames=400", "execution=virtual_time")
    module = "".join(("a3crepro", *command[:1]))
    shell = ["bash", "-c", 'exec "$@" <&- >&- 2>error', "-", sys.executable, "-m", module, *words]
    assert subprocess.run(shell, cwd=tmp_path, timeout=PATIENCE).returncode == 0
    assert (tmp_path / "error").read_text() == ""
    assert command or summary(tmp_path / "run")["frames"] >= 400


# ---- Systems that lack something -------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS])
def test_no_process_needs_a_pidfd(tmp_path, monkeypatch, number):
    def refused(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "pidfd_open", refused)
    assert train(compose(*TINY), tmp_path)["frames"] >= 400
    parent = [os.getppid()]
    monkeypatch.setattr(os, "getppid", lambda: parent[0])
    with stop_signals(SIGNALS) as received:
        launcher = Launcher()
        assert not launcher.is_gone
        parent[0] = 1
        wait_until(lambda: received)
        assert launcher.is_gone and received == [signal.SIGTERM]


def test_a_long_path_of_temporary_files_is_none_of_the_servers_socket(tmp_path, monkeypatch):
    long = tmp_path / ("x" * 118)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    monkeypatch.delitem(multiprocessing.current_process()._config, "tempdir", raising=False)
    bound = []

    def bind():
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(arbitrary_address("AF_UNIX"))
            bound.append(listener.getsockname())

    monkeypatch.setattr("multiprocessing.forkserver.ensure_running", bind)
    start_server()
    assert len(bound) == 1 and tempfile.gettempdir() == str(long)


# ---- Scripts ---------------------------------------------------------------------------------------------------------

SCRIPT = f"""
import a3crepro
a3crepro.train(a3crepro.compose(*{TINY!r}), "run")
"""


def is_refused(tmp_path, words, said, **options):
    done = subprocess.run(
        [sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, **options
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and said in done.stderr and 'if __name__ == "__main__":' in done.stderr
    assert not (tmp_path / "run" / "summary.json").exists()


def test_a_script_that_is_no_file_is_refused(tmp_path, monkeypatch):
    script = types.ModuleType("__main__")
    script.__file__ = "<stdin>"
    monkeypatch.setitem(sys.modules, "__main__", script)
    with pytest.raises(ScriptError, match="put it into a file"):
        train(compose(*TINY), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_script_on_standard_input_is_told_what_to_do(tmp_path):
    is_refused(tmp_path, ["-"], "put it into a file", input=SCRIPT)
    assert not (tmp_path / "run").exists()


def test_a_script_that_trains_as_it_is_imported_is_told_what_to_do(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    is_refused(tmp_path, ["script.py"], "which trains then")
