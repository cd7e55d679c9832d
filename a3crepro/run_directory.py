"""A run's directory: configuration, manifest, tables, checkpoints, summary. One process at a time, one writer.

Everything is either appended row by row or written under another name and renamed, so that a process that is killed, or
a disk that is full, leaves nothing half-written.
"""

from __future__ import annotations

import contextlib
import csv
import fcntl
import importlib.metadata
import io
import json
import os
import platform
import socket
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import yaml

from a3crepro.config import Config, build
from a3crepro.plain import Tree, from_arrays, to_arrays
from a3crepro.settings import RunError as RunError
from a3crepro.settings import UserError

EPISODES = ("frames", "seconds", "thread", "score", "episode_frames", "real_seconds")
EVALUATIONS = ("frames", "seconds", "score_mean", "score_median", "score_std", "episodes", "real_seconds")
PACKAGES = (
    "torch",
    "numpy",
    "numba",
    "gymnasium",
    "mujoco",
    "dm-control",
    "ale-py",
    "minatar",
    "hydra-core",
    "pydantic",
    "opencv-python-headless",
)


class InUse(RunError):
    """Another process trains there."""


# ---- Files ---------------------------------------------------------------------------------------------------------


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Writes a file under another name, to the disk, and renames it; a failure leaves the old one as it was."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        with open(temporary, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Writes a text file as `write_atomically` does."""
    write_atomically(path, lambda file: file.write(text.encode()))


class Table:
    """A CSV file that grows by whole rows, each written at once."""

    def __init__(self, path: Path, columns: tuple[str, ...]) -> None:
        self.path, self.columns = path, columns
        if not path.exists():
            write_text(path, ",".join(columns) + "\n")
        self._open()

    def _open(self) -> None:
        self._file = open(self.path, "ab", buffering=0)
        self.rows = self.path.read_bytes().count(b"\n") - 1

    def append(self, row: Mapping[str, Any]) -> None:
        """Adds a row; where the disk is full, no part of it stays."""
        line = io.StringIO()
        csv.DictWriter(line, self.columns, lineterminator="\n").writerow(row)
        size = os.fstat(self._file.fileno()).st_size
        try:
            data = line.getvalue().encode()
            if self._file.write(data) != len(data):
                raise OSError(28, os.strerror(28), str(self.path))
        except OSError:
            os.ftruncate(self._file.fileno(), size)
            raise
        self.rows += 1

    def truncate(self, rows: int) -> None:
        """Keeps so many rows; the others belong to steps past a restored checkpoint, which will be taken again."""
        lines = self.path.read_bytes().splitlines(keepends=True)
        kept = [line for line in lines[1 : rows + 1] if line.endswith(b"\n")]
        if len(kept) < len(lines) - 1:
            self.close()
            write_atomically(self.path, lambda file: file.write(b"".join([lines[0], *kept])))
            self._open()

    def last_frames(self) -> int:
        """The frames of the last row, 0 where there is none."""
        return int(self.path.read_text().splitlines()[-1].split(",", 1)[0]) if self.rows else 0

    def close(self) -> None:
        self._file.close()


# ---- Checkpoints ---------------------------------------------------------------------------------------------------


class Waiting(NamedTuple):
    """θ that waits for its evaluation."""

    parameters: np.ndarray
    sums: np.ndarray
    seconds: float
    real_seconds: float


@dataclass(frozen=True)
class Checkpoint:
    """Everything needed to go on: arrays of numbers, and a few numbers about them."""

    arrays: Mapping[str, np.ndarray]
    """Of the shared state."""
    tree: Tree
    """Of the actor-learners and the execution; None: they begin anew."""
    waiting: Mapping[int, Waiting]
    """Evaluations that have not been recorded, by their frames."""
    numbers: Numbers

    @property
    def frames(self) -> int:
        return int(self.arrays["counters"][:, 0].sum())


class Numbers(NamedTuple):
    """The numbers of a checkpoint."""

    seconds: float
    """Since the start of training, over all its starts together; virtual where the execution's time is."""
    real_seconds: float
    """The same on a clock on the wall."""
    start: int
    """How often the run had been started before it was written."""
    episodes: int
    """Rows of the table of this name."""
    evaluations: int
    """Rows of the table of this name."""


def save_checkpoint(directory: Path, checkpoint: Checkpoint) -> None:
    """Writes `checkpoint.npz` and keeps the one before as `checkpoint_before.npz`; at any moment one is whole."""
    current, before = directory / "checkpoint.npz", directory / "checkpoint_before.npz"
    waiting = {str(frames): tuple(what) for frames, what in checkpoint.waiting.items()}
    others = to_arrays({"tree": checkpoint.tree, "waiting": waiting, "numbers": tuple(checkpoint.numbers)})
    arrays = {**checkpoint.arrays, **{f"{OTHERS}{name}": array for name, array in others.items()}}
    new = directory / "checkpoint_new.npz"
    write_atomically(new, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]
    if current.exists():
        os.replace(current, before)
    os.replace(new, current)


OTHERS = "other."
"""How the names of a checkpoint's arrays begin that are not of the shared state."""


def load_checkpoint(directory: Path, warn: Callable[[str], None]) -> Checkpoint | None:
    """The last checkpoint, or, where it is damaged, the one before; None where there was never one.

    Nothing in it is executed: the file holds arrays of numbers, and each has a checksum.

    Raises:
      RunError: there are checkpoints, and all of them are damaged.
    """
    damaged = []
    for name in ("checkpoint.npz", "checkpoint_before.npz"):
        path = directory / name
        if not path.exists():
            continue
        try:
            checkpoint = _read_checkpoint(path)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
            damaged.append(f"{path} ({error})")
            continue
        for description in damaged:
            warn(f"damaged checkpoint {description}; going on with {path}")
        return checkpoint
    if damaged:
        raise RunError(f"no checkpoint is whole: {'; '.join(damaged)}; to begin anew, remove the directory")
    return None


def last_checkpoint(directory: Path, warn: Callable[[str], None]) -> Checkpoint:
    """The same, of a run that should have one.

    Raises:
      UserError: it has none yet.
      RunError: all of them are damaged.
    """
    checkpoint = load_checkpoint(directory, warn)
    if checkpoint is None:
        raise UserError(f"{directory} holds no checkpoint yet")
    return checkpoint


def _read_checkpoint(path: Path) -> Checkpoint:
    with np.load(path, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    names = [name for name in arrays if name.startswith(OTHERS)]
    others = from_arrays({name.removeprefix(OTHERS): arrays.pop(name) for name in names})
    waiting = {int(frames): Waiting(*what) for frames, what in others["waiting"].items()}
    return Checkpoint(arrays, others["tree"], waiting, Numbers(*others["numbers"]))


# ---- The directory -------------------------------------------------------------------------------------------------


LOOKS = 6
"""So often a lock is tried for: a sweep that asks whether a run is going on holds it for a moment."""


class RunDirectory:
    """The directory of one run, held by one process.

    Args:
      path: made if it is not there.
      config: a directory that holds another configuration is refused.

    Raises:
      InUse: another process holds the directory.
      UserError: it holds another configuration; the line names the keys that differ.
    """

    def __init__(self, path: Path, config: Config) -> None:
        self.path, self.config = path, config
        path.mkdir(parents=True, exist_ok=True)
        self._lock = open(path / "lock", "w")
        try:
            self._take_lock()
            self._check_config()
            self._open()
        except BaseException:
            self._lock.close()
            raise

    def _take_lock(self) -> None:
        for _ in range(LOOKS):
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                time.sleep(0.05)
        raise InUse(f"{self.path} is in use by another process")

    @cached_property
    def is_exact(self) -> bool:
        """Whether the run, stopped and gone on with, is to the bit what it would have been."""
        return self.config.execution.is_exact(self.config) and self.config.env.tells_its_state()

    def __enter__(self) -> RunDirectory:
        return self

    def __exit__(self, *_: object) -> None:
        self.episodes.close()
        self.evaluations.close()
        self._lock.close()

    def _check_config(self) -> None:
        if not (self.path / "config.yaml").exists():
            return
        stored = stored_config(self.path)
        old, new = dict(_items(stored.plain())), dict(_items(self.config.plain()))
        differing = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
        grows = self.config.frames > stored.frames and self.config.optimizer.anneal_frames is not None
        if grows:
            differing.remove("frames")
        if differing:
            said = ", ".join(f"{key} ({old.get(key)!r} there, {new.get(key)!r} here)" for key in differing)
            hint = "; frames may only grow, where optimizer.anneal_frames is set" if "frames" in differing else ""
            hint += "; choose another directory with hydra.run.dir=…, or remove this one"
            raise UserError(f"{self.path} holds another configuration: {said}{hint}")
        if grows:
            (self.path / "summary.json").unlink(missing_ok=True)
            self._write_config()

    def _open(self) -> None:
        for leftover in self.path.glob("**/*.tmp"):
            leftover.unlink()
        if not (self.path / "config.yaml").exists():
            self._write_config()
        self._write_manifest()
        self.episodes = Table(self.path / "episodes.csv", EPISODES)
        self.evaluations = Table(self.path / "evaluations.csv", EVALUATIONS)

    def _write_config(self) -> None:
        write_text(self.path / "config.yaml", yaml.safe_dump(self.config.plain(), sort_keys=False))

    def _write_manifest(self) -> None:
        path = self.path / "manifest.json"
        manifest = json.loads(path.read_text()) if path.exists() else {"starts": []}
        if self.summary() is None:
            manifest["starts"].append({**this_start(), "exact_resume": self.is_exact})
            write_text(path, json.dumps(manifest, indent=2) + "\n")

    def restore(self, warn: Callable[[str], None]) -> Checkpoint | None:
        """The checkpoint to go on from; rows past it are dropped, for they will be made again."""
        damaged: list[str] = []
        checkpoint = load_checkpoint(self.path, damaged.append)
        for description in damaged:
            warn(description)
            # A damaged one must not become "the one before", which is whole.
            os.replace(self.path / "checkpoint.npz", self.path / "checkpoint_damaged.npz")
        self.episodes.truncate(checkpoint.numbers.episodes if checkpoint else 0)
        self.evaluations.truncate(checkpoint.numbers.evaluations if checkpoint else 0)
        return checkpoint

    def save(self, checkpoint: Checkpoint) -> None:
        save_checkpoint(self.path, checkpoint)

    def summary(self) -> dict[str, Any] | None:
        """The summary of a finished run, None before."""
        path = self.path / "summary.json"
        return json.loads(path.read_text()) if path.exists() else None

    def finish(self, summary: Mapping[str, Any], staleness: np.ndarray) -> None:
        """Writes how stale gradients were, then the summary: the mark of a finished run.

        Args:
          summary: what `summary.json` holds.
          staleness: how many gradients came to a θ that had had 0, 1, 2, … updates since they read it, [n].
        """
        rows = "".join(f"{updates},{staleness[updates]}\n" for updates in np.flatnonzero(staleness))
        write_text(self.path / "staleness.csv", "updates,gradients\n" + rows)
        write_text(self.path / "summary.json", json.dumps(summary, indent=2) + "\n")


def starts_of(directory: Path) -> list[dict[str, Any]]:
    """What the manifest of a run's directory says of each of its starts, in order."""
    starts: list[dict[str, Any]] = json.loads((directory / "manifest.json").read_text())["starts"]
    return starts


def stored_config(directory: Path) -> Config:
    """The configuration of a run's directory.

    Raises:
      UserError: there is none, or it is not one of this version.
    """
    path = directory / "config.yaml"
    try:
        return build(yaml.safe_load(path.read_text()))
    except FileNotFoundError:
        raise UserError(f"{directory} is no run's directory: it has no config.yaml") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path} is damaged: {' '.join(str(error).split())}") from error
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _items(values: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(values, dict):
        for key, value in values.items():
            yield from _items(value, f"{prefix}.{key}" if prefix else key)
    else:
        yield prefix, values


def this_start() -> dict[str, Any]:
    """Command, versions, commit and machine: what a result depends on beside its configuration."""
    return {
        "command": ["python", "-m", "a3crepro", *_words()],
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        **git_state(),
        "host": socket.gethostname(),
        "cores": len(os.sched_getaffinity(0)),
    }


def _words() -> list[str]:
    """What the command line of this run is, or would be, were it not one of several."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    if HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN:
        return list(HydraConfig.get().overrides.task)
    return sys.argv[1:]


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def git_state() -> dict[str, Any]:
    """The commit that the package is at, and whether the tree was clean; None outside a checkout."""
    root = Path(__file__).resolve().parent.parent

    def git(*words: str) -> str | None:
        if not (root / ".git").exists():
            return None
        try:
            done = subprocess.run(
                ["git", "-C", str(root), *words], capture_output=True, text=True, check=True, timeout=10
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    status = git("status", "--porcelain", "--untracked-files=no")
    return {"git_commit": git("rev-parse", "HEAD"), "git_clean": None if status is None else status == ""}
