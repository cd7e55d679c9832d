"""Small runs and checkpoints for the tests of run directories."""

import functools
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from a3crepro import compose
from a3crepro.config import Config
from a3crepro.runs import command_line
from a3crepro.runs.checkpoint import Checkpoint, Counters, PendingEvaluation
from a3crepro.runs.run_directory import RunDirectory
from a3crepro.runs.training import initial_state


@functools.cache
def config(*overrides: str) -> Config:
    return compose("env=toy/catch", "threads=2", "frames=0", "logging.tensorboard=false", *overrides)


def checkpoint(number: int, rows: int = 0) -> Checkpoint:
    counters = np.zeros((2, 8), np.int64)
    counters[:, 0] = number
    arrays = {"parameters": np.full(1000, number, np.float32), "counters": counters}
    waiting = {7 * number: PendingEvaluation(np.arange(3, dtype=np.float32), np.zeros(0), 1.0, 2.0)}
    numbers = Counters(0.5 * number, 0.25 * number, number, rows, rows)
    return Checkpoint(arrays, {"learners": [np.full(3, number), None]}, waiting, numbers)


def begun(directory: Path, mine: Config | None = None) -> None:
    """A run with a checkpoint at frame 2, and three rows in each table, at frames 1, 2 and 3."""
    mine = mine or config()
    state = initial_state(mine)
    state.counters[0, 0] = 2
    with RunDirectory(directory, mine) as run:
        for table in (run.episodes, run.evaluations):
            for row in (1, 2, 3):
                table.append({**dict.fromkeys(table.columns, 0.5), "frames": row})
        run.save(Checkpoint(state.arrays(), None, {}, Counters(9.0, 9.0, 0, 2, 2)))


def end(run: RunDirectory) -> Callable[[], None]:
    return lambda: run.finish({"frames": 1}, np.zeros(1))


def told(capfd: pytest.CaptureFixture[str], command: Callable[[], object]) -> tuple[object, str]:
    """The exit status and the line of a command."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as end:
        patch.setattr(command_line, "end_at_once_on_signals", lambda _: None)
        patch.setattr(threading, "excepthook", threading.excepthook)
        command_line.run_command(command)
    (line,) = capfd.readouterr().err.splitlines()
    return end.value.code, line
