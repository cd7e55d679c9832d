"""Output whose reader has gone."""

import contextlib
import errno
import os
import subprocess
import sys

import pytest
from helpers import PATIENCE, SMALL, summary
from tiny_runs import TINY

from a3crepro import compose, train
from a3crepro.common.output import pipe_safe_output


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
        "a3crepro: standard output cannot be written (Broken pipe): continuing without it"
    ]


def test_a_stream_without_a_file_of_the_system_is_dropped_too(monkeypatch):
    class Closed(list):
        def write(self, text):
            raise OSError(errno.EIO, "hung up")

        flush = fileno = lambda self: self.write("")

    monkeypatch.setattr(sys, "stdout", Closed())
    monkeypatch.setattr(sys, "stderr", Closed())
    with pipe_safe_output():
        print("nobody reads this", flush=True)
        print("nor this", file=sys.stderr, flush=True)


EVALUATE = (".evaluate", "env=toy/catch", "policy=random", "episodes=5")


@pytest.mark.parametrize("command", [pytest.param((), marks=pytest.mark.slow), EVALUATE], ids=["train", "evaluate"])
def test_a_command_whose_output_was_closed_from_the_start_does_its_work(tmp_path, command):
    words = command[1:] or (*SMALL, "frames=400", "execution=virtual_time")
    module = "".join(("a3crepro", *command[:1]))
    shell = ["bash", "-c", 'exec "$@" <&- >&- 2>error', "-", sys.executable, "-m", module, *words]
    assert subprocess.run(shell, cwd=tmp_path, timeout=PATIENCE).returncode == 0
    assert (tmp_path / "error").read_text() == ""
    assert command or summary(tmp_path / "run")["frames"] >= 400
