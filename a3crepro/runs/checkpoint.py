"""Checkpoints: everything a run needs to resume, as arrays of numbers. Nothing in them is executed."""

import contextlib
import os
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from a3crepro.common.errors import RunError, UserError
from a3crepro.common.serialization import PyTree, from_arrays, to_arrays
from a3crepro.runs.files import trying, write_atomically
from a3crepro.runs.metrics import Measurement, restored_measurement

CHECKPOINTS = ("checkpoint.npz", "checkpoint_before.npz")
NEW_CHECKPOINT = "checkpoint_new.npz"
OTHER = "other."
"""Prefix of the names of a checkpoint's arrays that are not of the shared state."""


class PendingEvaluation(NamedTuple):
    """Parameters that wait for their evaluation, and when they were taken."""

    parameters: np.ndarray
    sums: np.ndarray
    seconds: float
    real_seconds: float
    share_above_epsilon: float | None = None


class BestEvaluation(NamedTuple):
    """The parameters of the evaluation with the highest mean score so far, the first one of equals."""

    frames: int
    score: float
    parameters: np.ndarray
    sums: np.ndarray


class Counters(NamedTuple):
    """How far a run had come at a checkpoint."""

    seconds: float
    """Seconds since the start of training, over all attempts; virtual if the execution's time is."""
    real_seconds: float
    """Wall-clock seconds since the start of training, over all attempts."""
    attempt: int
    """How often the run had been started before."""
    episodes: int
    """Rows of `episodes.csv`."""
    evaluations: int
    """Rows of `evaluations.csv`."""
    metrics: int = 0
    """Rows of `metrics.csv`."""


@dataclass(frozen=True)
class Checkpoint:
    """Everything a run needs to resume."""

    arrays: Mapping[str, np.ndarray]
    """The shared state."""
    tree: PyTree
    """State of the actor-learners and the execution; None: they begin anew."""
    pending: Mapping[int, PendingEvaluation]
    """Evaluations that have not been recorded, by frames."""
    counters: Counters
    measured: Measurement | None = None
    """The totals at the last row of `metrics.csv`; None in checkpoints of older versions."""
    best: BestEvaluation | None = None
    """Best of the recorded evaluations; None before the first, and in checkpoints of older versions."""

    @property
    def frames(self) -> int:
        return int(self.arrays["counters"][:, 0].sum())


def save_checkpoint(directory: Path, checkpoint: Checkpoint) -> None:
    """Writes `checkpoint.npz` and keeps the last one as `checkpoint_before.npz`; one of them is always whole."""
    current, before = (directory / name for name in CHECKPOINTS)
    pending = {str(frames): tuple(evaluation) for frames, evaluation in checkpoint.pending.items()}
    others = to_arrays(
        {
            "tree": checkpoint.tree,
            "waiting": pending,
            "numbers": tuple(checkpoint.counters),
            "measured": checkpoint.measured and checkpoint.measured.get_state(),
            "best": checkpoint.best and tuple(checkpoint.best),
        }
    )
    arrays = {**checkpoint.arrays, **{f"{OTHER}{name}": array for name, array in others.items()}}
    new = directory / NEW_CHECKPOINT
    write_atomically(new, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]
    with trying("write", current):
        if current.exists():
            os.replace(current, before)
        os.replace(new, current)


def load_checkpoint(directory: Path, warn: Callable[[str], None]) -> Checkpoint | None:
    """Loads the last checkpoint, or, if it is damaged, the one before; None if there is none.

    Raises:
      RunError: all checkpoints are damaged.
      FileError: one cannot be read, which does not mean that it is damaged.
    """
    damaged = []
    for name in CHECKPOINTS:
        path = directory / name
        file = None
        with trying("read", path), contextlib.suppress(FileNotFoundError):  # if only while a new one takes its name
            file = open(path, "rb")
        if file is None:
            continue
        try:
            with file:
                checkpoint = _read_checkpoint(file)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
            damaged.append(f"{path} ({error})")
            continue
        for description in damaged:
            warn(f"damaged checkpoint {description}; using {path} instead")
        return checkpoint
    if damaged:
        raise RunError(f"all checkpoints are damaged: {'; '.join(damaged)}; to start over, remove the directory")
    return None


def last_checkpoint(directory: Path, warn: Callable[[str], None]) -> Checkpoint:
    """Loads the last checkpoint as `load_checkpoint` does; a `UserError` if there is none yet."""
    checkpoint = load_checkpoint(directory, warn)
    if checkpoint is None:
        raise UserError(f"{directory} holds no checkpoint yet")
    return checkpoint


def _read_checkpoint(file: BinaryIO) -> Checkpoint:
    with np.load(file, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    names = [name for name in arrays if name.startswith(OTHER)]
    others = from_arrays({name.removeprefix(OTHER): arrays.pop(name) for name in names})
    pending = {int(frames): PendingEvaluation(*values) for frames, values in others["waiting"].items()}
    measured, best = others.get("measured"), others.get("best")
    return Checkpoint(
        arrays,
        others["tree"],
        pending,
        Counters(*others["numbers"]),
        restored_measurement(measured) if measured else None,
        BestEvaluation(*best) if best else None,
    )
