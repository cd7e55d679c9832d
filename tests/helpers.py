"""Runs of the command line as their users start them, and what is read from the directories they leave."""

from __future__ import annotations

import contextlib
import csv
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from a3crepro.run_directory import Checkpoint, load_checkpoint

PATIENCE = 120
"""Seconds after which something that must happen soon is taken never to happen: long, for a busy machine."""

SMALL = ("env=toy/catch", "threads=2", "evaluation.episodes=0", "logging.tensorboard=false", "hydra.run.dir=run")
"""A run in the directory `run` that takes a few seconds."""
ENDLESS = "frames=1_000_000_000"


class Run:
    """A command in a session of its own."""

    def __init__(self, cwd: Path, *words: str, env: Mapping[str, str] | None = None, **popen: Any) -> None:
        self.directory = cwd / "run"
        self._files = [open(cwd / name, "w+") for name in ("stdout.txt", "stderr.txt")]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "a3crepro", *words],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=self._files[0],
            stderr=self._files[1],
            start_new_session=True,
            **popen,
        )

    @property
    def stdout(self) -> str:
        return self._read(0)

    @property
    def stderr(self) -> str:
        return self._read(1)

    def _read(self, index: int) -> str:
        return Path(self._files[index].name).read_text()

    def processes(self) -> list[psutil.Process]:
        """All processes of the run but the main one, the oldest first."""
        try:
            found = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        return sorted(found, key=lambda process: (process.create_time(), process.pid))

    def fork_server(self) -> psutil.Process:
        (found,) = {parent.pid: parent for process in self.processes() if (parent := process.parent())}.keys() - {
            self.process.pid
        }
        return psutil.Process(found)

    def workers(self) -> list[psutil.Process]:
        """Actor-learners, then the evaluator, if it was started."""
        server = self.fork_server()
        return [process for process in self.processes() if process.ppid() == server.pid]

    def send(self, number: signal.Signals, group: bool = False) -> None:
        (os.killpg if group else os.kill)(self.process.pid, number)

    def wait_until(self, happened: Callable[[], object], what: str) -> None:
        """Waits until something happened in the run, which must not end before."""
        deadline = time.monotonic() + PATIENCE
        while not happened():
            assert self.process.poll() is None, f"ended before {what}: {self.stdout}\n{self.stderr}"
            assert time.monotonic() < deadline, f"never {what}: {self.stdout}\n{self.stderr}"
            time.sleep(0.02)

    def wait_for_episodes(self, count: int = 20) -> None:
        path = self.directory / "episodes.csv"
        self.wait_until(lambda: path.exists() and path.read_bytes().count(b"\n") > count, f"{count} episodes")

    def wait(self, timeout: float = PATIENCE) -> int:
        return self.process.wait(timeout)

    def close(self) -> None:
        """Leaves nothing running, whatever failed."""
        left = self.processes()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait(10)
        for file in self._files:
            file.close()


@contextlib.contextmanager
def running(cwd: Path, *words: str, **options: Any) -> Iterator[Run]:
    """A run that is going on, and is gone afterwards."""
    cwd.mkdir(parents=True, exist_ok=True)
    run = Run(cwd, *words, **options)
    try:
        yield run
    finally:
        run.close()


def finished(cwd: Path, *words: str, **options: Any) -> Run:
    """A run that has ended by itself."""
    with running(cwd, *words, **options) as run:
        run.wait()
    return run


def gone_within(processes: list[psutil.Process], seconds: float) -> bool:
    """Whether none of these processes is left after so many seconds; one that waits to be reaped is gone."""
    deadline = time.monotonic() + seconds
    while any(map(alive, processes)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def rows(directory: Path, name: str = "episodes.csv") -> list[dict[str, str]]:
    """The rows of a table, each of which must be whole."""
    text = (directory / name).read_text()
    assert text.endswith("\n"), f"the last row of {name} is incomplete"
    header, *found = csv.reader(text.splitlines())
    assert all(len(row) == len(header) and row != header for row in found), f"{name} is not well-formed"
    return [dict(zip(header, row, strict=True)) for row in found]


def frames(directory: Path, name: str = "episodes.csv") -> list[int]:
    return [int(row["frames"]) for row in rows(directory, name)]


def summary(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / "summary.json").read_text())
    return found


def whole_checkpoint(directory: Path) -> Checkpoint:
    """The last checkpoint, which must be undamaged and hold nothing but finite numbers."""
    damaged: list[str] = []
    checkpoint = load_checkpoint(directory, damaged.append)
    assert checkpoint is not None, f"{directory} holds no checkpoint"
    assert not damaged
    assert math.isfinite(checkpoint.seconds)
    assert all(np.isfinite(array).all() for array in checkpoint.arrays.values())
    return checkpoint


def files(directory: Path) -> dict[str, bytes]:
    """Everything that a directory holds."""
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}
