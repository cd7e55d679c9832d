"""The progress of an experiment's runs, read from their directories by any process."""

import contextlib
import fcntl
import io
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import pandas as pd

from a3crepro.experiments.experiment import Run
from a3crepro.experiments.imported_runs import ImportedRuns
from a3crepro.experiments.statistics import final_score
from a3crepro.runs.files import DamagedFile, trying
from a3crepro.runs.run_directory import EVALUATIONS, summary_of

MARK = "sweep.json"
"""Written last, by the sweep: the run is finished and scored."""
ERROR = "error.txt"
"""The traceback of the run's most recent failure."""


class RunState(Enum):
    """The state of a run."""

    DONE = "done"
    RUNNING = "running"
    FAILED = "failed"
    STOPPED = "stopped"
    MISSING = "missing"


def is_done(directory: Path, frames: int = 0) -> bool:
    """Whether the run in a directory is finished, with at least `frames` frames (its budget may grow), and scored."""
    if not (directory / MARK).exists():
        return False
    if not frames:
        return True
    try:
        return int(summary_of(directory, "it will be rewritten")["frames"]) >= frames
    except (OSError, DamagedFile):  # the budget was raised, or the file is rebuilt from the checkpoint
        return False


def state_of(directory: Path, frames: int = 0) -> RunState:
    """The state of a run with this budget; the directory need not exist."""
    if is_done(directory, frames):
        return RunState.DONE
    if is_locked(directory):
        return RunState.RUNNING
    if (directory / ERROR).exists():
        return RunState.FAILED
    return RunState.STOPPED if (directory / "manifest.json").exists() else RunState.MISSING


def states_of(runs: Iterable[Run], root: Path, imported: ImportedRuns) -> dict[Run, RunState]:
    """The states of runs with directories below `root`; imported runs are done."""
    return {run: RunState.DONE if run.name in imported else state_of(root / run.name, run.budget or 0) for run in runs}


def is_locked(directory: Path) -> bool:
    """Whether a process holds the directory's lock; False if the file system has no locks."""
    try:
        with open(directory / "lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # no lock file, or a file system without locks
        return False
    return False


def last_row(table: Path) -> Mapping[str, float]:
    """The numbers in the last complete row of a run's table; empty if there is none or the file is unreadable."""
    try:
        with open(table, "rb") as file:
            header = file.readline()
            file.seek(max(len(header), file.seek(0, os.SEEK_END) - 4096))
            lines = [line for line in file.readlines() if line.endswith(b"\n")]
        return dict(zip(header.decode().strip().split(","), map(float, lines[-1].split(b",")), strict=True))
    except (OSError, ValueError, IndexError):
        return {}


def frames_of(directory: Path) -> int:
    """Frames trained for so far, except those of unfinished episodes."""
    return int(last_row(directory / "episodes.csv").get("frames", 0))


def real_seconds_of(directory: Path) -> float:
    """Wall-clock seconds of training so far."""
    rows = (last_row(directory / name) for name in ("episodes.csv", "evaluations.csv"))
    return max(row.get("real_seconds", 0.0) for row in rows)


def summary_of_done(directory: Path) -> dict[str, Any]:
    """The summary of a run that is done.

    Raises:
      DamagedFile: the file is damaged; the message says how to fix it.
    """
    return summary_of(directory, f"remove {directory / MARK}, and the sweep resumes the run")


@dataclass(frozen=True)
class Overview:
    """All runs of an experiment at one moment."""

    states: Mapping[Run, RunState]
    frames: Mapping[Run, int]
    budget: Mapping[Run, int]
    core_hours_done: float
    core_hours_left: float | None
    """None if there is nothing to estimate from."""

    @property
    def counts(self) -> Counter[RunState]:
        return Counter(self.states.values())

    def summary_line(self) -> str:
        """A one-line summary."""
        counts = self.counts
        parts = [f"{counts[RunState.DONE]} of {len(self.states)} done"]
        parts += [
            f"{counts[state]} {state.value}" for state in RunState if state is not RunState.DONE and counts[state]
        ]
        frames, budget = sum(self.frames.values()), sum(self.budget.values())
        left = "unknown how much" if self.core_hours_left is None else in_core_time(3600 * self.core_hours_left)
        parts.append(f"{in_frames(frames)} of {in_frames(budget)} frames")
        parts.append(f"{in_core_time(3600 * self.core_hours_done)} used, {left} to go")
        return ", ".join(parts)


def in_frames(number: float) -> str:
    """Formats a number of frames in millions, or in thousands below one million."""
    if number < 1e6:
        return f"{number / 1e3:,.1f}k"
    return f"{number / 1e6:,.1f}M" if number < 1e7 else f"{number / 1e6:,.0f}M"


def in_core_time(seconds: float) -> str:
    """Formats core-seconds in core-hours, or in core-minutes below one core-hour."""
    return f"{seconds / 3600:,.1f} core-hours" if seconds >= 3600 else f"{seconds / 60:.1f} core-minutes"


def final_score_of(directory: Path) -> float | None:
    """The final score of a run; None if it is not finished, or was not evaluated."""
    if state_of(directory) is not RunState.DONE or not summary_of_done(directory)["episodes"]:
        return None
    return score_of_evaluations(directory)


def score_of_evaluations(directory: Path) -> float:
    """The final score of a finished run that was evaluated; a `DamagedFile` if rows of its table are missing."""
    evaluations = whole_table(directory / "evaluations.csv", EVALUATIONS, 1)
    return final_score(evaluations["score_mean"].to_numpy(float))


def whole_table(path: Path, columns: Sequence[str], rows: int) -> pd.DataFrame:
    """Reads a run's table and checks that it holds every row its checkpoint counts.

    Raises:
      DamagedFile: rows are missing.
    """
    with trying("read", path):
        data = path.read_bytes()
    with contextlib.suppress(ValueError):  # raised by pandas if the file is no table
        table = pd.read_csv(io.BytesIO(data))
        whole = data.endswith(b"\n") and set(columns) <= set(table.columns) and len(table) >= rows
        if whole and table[columns[-1]].notna().all():
            return table
    raise DamagedFile(
        f"{path} is damaged: rows are missing; put it back, or remove the directory and run the sweep again"
    )
