"""Child processes on restricted systems, and scripts that they import."""

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
from helpers import PATIENCE, wait_until
from tiny_runs import TINY

from a3crepro import compose, train
from a3crepro.common.processes import Child, Launcher, ProcessDied, ScriptError, start_server
from a3crepro.common.signals import SIGNALS
from a3crepro.runs.training import stop_signals


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


@pytest.mark.parametrize(("number", "name"), [(signal.SIGKILL, "SIGKILL"), (signal.SIGRTMIN + 2, "signal 36")])
def test_a_killed_process_is_told_with_its_signal(number, name):
    child = Child.__new__(Child)
    child.name, child.finished = "actor-learner 0", False
    child.connection, theirs = multiprocessing.Pipe()
    theirs.close()
    child.process = types.SimpleNamespace(join=lambda timeout: None, exitcode=-number)
    with pytest.raises(ProcessDied, match=f"^actor-learner 0 was killed by {name}$"):
        list(child.receive())


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
    with pytest.raises(ScriptError, match="Save the script, and start training under"):
        train(compose(*TINY), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_script_on_standard_input_is_told_what_to_do(tmp_path):
    is_refused(tmp_path, ["-"], "Save the script", input=SCRIPT)
    assert not (tmp_path / "run").exists()


def test_a_script_that_trains_as_it_is_imported_is_told_what_to_do(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    is_refused(tmp_path, ["script.py"], "must not train on import: start training under")
