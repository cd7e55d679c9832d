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
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import yaml

from a3crepro.config import Config, build
from a3crepro.settings import UserError

EPISODES = ("frames", "seconds", "thread", "score", "episode_frames", "real_seconds")
EVALUATIONS = ("frames", "seconds", "score_mean", "score_median", "score_std", "episodes", "real_seconds")
PACKAGES = (
    "torch",
    "numpy",
    "numba",
    "gymnasium",
    "ale-py",
    "minatar",
    "hydra-core",
    "pydantic",
    "opencv-python-headless",
)


class RunError(Exception):
    """A run cannot start or go on, through no mistake in the configuration (status 1)."""


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
        self._file = open(path, "ab", buffering=0)

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

    def drop_after(self, frames: int) -> None:
        """Drops the rows past a restored checkpoint, whose frames will be played again, and a last, incomplete row."""
        lines = self.path.read_text().splitlines(keepends=True)
        kept = [line for line in lines[1:] if line.endswith("\n") and int(line.split(",", 1)[0]) <= frames]
        if len(kept) < len(lines) - 1:
            self.close()
            write_text(self.path, lines[0] + "".join(kept))
            self._file = open(self.path, "ab", buffering=0)

    def frames(self) -> set[int]:
        """The frames of all rows."""
        return {int(line.split(",", 1)[0]) for line in self.path.read_text().splitlines()[1:]}

    def close(self) -> None:
        self._file.close()


# ---- Checkpoints ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Checkpoint:
    """Everything needed to go on: arrays of numbers, and a few numbers about them."""

    arrays: Mapping[str, np.ndarray]
    seconds: float
    """Since the start of training, over all its starts together; virtual where the execution's time is."""
    real_seconds: float
    """The same on a clock on the wall."""
    start: int
    """How often the run had been started before it was written."""

    @property
    def frames(self) -> int:
        return int(self.arrays["counters"][:, 0].sum())


def save_checkpoint(directory: Path, checkpoint: Checkpoint) -> None:
    """Writes `checkpoint.npz` and keeps the one before as `checkpoint_before.npz`; at any moment one is whole."""
    current, before = directory / "checkpoint.npz", directory / "checkpoint_before.npz"
    numbers = {
        "seconds": np.float64(checkpoint.seconds),
        "real_seconds": np.float64(checkpoint.real_seconds),
        "start": np.int64(checkpoint.start),
    }
    new = directory / "checkpoint_new.npz"
    write_atomically(new, lambda file: np.savez(file, **checkpoint.arrays, **numbers))  # type: ignore[arg-type]
    if current.exists():
        os.replace(current, before)
    os.replace(new, current)


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


def _read_checkpoint(path: Path) -> Checkpoint:
    with np.load(path, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    seconds, real_seconds, start = (float(arrays.pop(name)) for name in ("seconds", "real_seconds", "start"))
    return Checkpoint(arrays, seconds, real_seconds, int(start))


# ---- The directory -------------------------------------------------------------------------------------------------


class RunDirectory:
    """The directory of one run, held by one process.

    Args:
      path: made if it is not there.
      config: a directory that holds another configuration is refused.

    Raises:
      RunError: another process holds the directory.
      UserError: it holds another configuration; the line names the keys that differ.
    """

    def __init__(self, path: Path, config: Config) -> None:
        self.path, self.config = path, config
        path.mkdir(parents=True, exist_ok=True)
        self._lock = open(path / "lock", "w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise RunError(f"{path} is in use by another process") from None
        try:
            self._check_config()
            self._open()
        except BaseException:
            self._lock.close()
            raise

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
        (self.path / "snapshots").mkdir(exist_ok=True)
        self.episodes = Table(self.path / "episodes.csv", EPISODES)
        self.evaluations = Table(self.path / "evaluations.csv", EVALUATIONS)

    def _write_config(self) -> None:
        write_text(self.path / "config.yaml", yaml.safe_dump(self.config.plain(), sort_keys=False))

    def _write_manifest(self) -> None:
        path = self.path / "manifest.json"
        manifest = json.loads(path.read_text()) if path.exists() else {"starts": []}
        if self.summary() is None:
            manifest["starts"].append(this_start())
            write_text(path, json.dumps(manifest, indent=2) + "\n")

    def restore(self, warn: Callable[[str], None]) -> Checkpoint | None:
        """The checkpoint to go on from; rows and snapshots past it are dropped, for they will be made again."""
        damaged: list[str] = []
        checkpoint = load_checkpoint(self.path, damaged.append)
        for description in damaged:
            warn(description)
            # A damaged one must not become "the one before", which is whole.
            os.replace(self.path / "checkpoint.npz", self.path / "checkpoint_damaged.npz")
        frames = checkpoint.frames if checkpoint else -1
        for table in (self.episodes, self.evaluations):
            table.drop_after(frames)
        recorded = self.evaluations.frames()
        for path in (self.path / "snapshots").glob("*.npz"):
            if int(path.stem) > frames or int(path.stem) in recorded:
                path.unlink()
        return checkpoint

    def save(self, checkpoint: Checkpoint) -> None:
        save_checkpoint(self.path, checkpoint)

    # Snapshots of θ wait here for their evaluation, so that a run that is stopped loses none.

    def save_snapshot(self, frames: int, parameters: np.ndarray, seconds: float, real_seconds: float) -> Path:
        path = self.path / "snapshots" / f"{frames:012d}.npz"
        times = {"seconds": np.float64(seconds), "real_seconds": np.float64(real_seconds)}
        write_atomically(path, lambda file: np.savez(file, parameters=parameters, **times))  # type: ignore[arg-type]
        return path

    def last_evaluation(self) -> int:
        """The frames of the last evaluation that is recorded or waits; 0 where there is none."""
        return max([0, *self.evaluations.frames(), *(frames for frames, _ in self.waiting_snapshots())])

    def waiting_snapshots(self) -> list[tuple[int, Path]]:
        return sorted((int(path.stem), path) for path in (self.path / "snapshots").glob("*.npz"))

    def record_evaluation(self, frames: int, scores: Mapping[str, float | int]) -> None:
        """Writes the row of an evaluation and removes its snapshot."""
        path = self.path / "snapshots" / f"{frames:012d}.npz"
        with np.load(path, allow_pickle=False) as snapshot:
            times = {
                "seconds": round(float(snapshot["seconds"]), 3),
                "real_seconds": round(float(snapshot["real_seconds"]), 3),
            }
        self.evaluations.append({"frames": frames, **scores, **times})
        path.unlink()

    def summary(self) -> dict[str, Any] | None:
        """The summary of a finished run, None before."""
        path = self.path / "summary.json"
        return json.loads(path.read_text()) if path.exists() else None

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Writes the summary: the mark of a finished run."""
        with contextlib.suppress(OSError):
            (self.path / "snapshots").rmdir()
        write_text(self.path / "summary.json", json.dumps(summary, indent=2) + "\n")


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
        "command": ["python", "-m", "a3crepro", *sys.argv[1:]],
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        **git_state(),
        "host": socket.gethostname(),
        "cores": len(os.sched_getaffinity(0)),
    }


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
