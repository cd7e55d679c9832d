"""A run's directory: configuration, manifest, tables, checkpoints, summary. One process at a time, one writer.

Everything is either appended row by row or written under another name and renamed, so that a process that is killed, or
a disk that is full, leaves nothing half-written.
"""

from __future__ import annotations

import contextlib
import csv
import errno
import fcntl
import importlib.metadata
import io
import json
import math
import os
import platform
import socket
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

from a3crepro.common.machine import usable_cores
from a3crepro.common.plain import Tree, from_arrays, to_arrays
from a3crepro.common.settings import RunError as RunError
from a3crepro.common.settings import UserError
from a3crepro.config import Config, build, course
from a3crepro.learner.shared_state import Learnt
from a3crepro.runs.checkout import GitState, git_state

EPISODES = ("frames", "seconds", "thread", "score", "episode_frames", "real_seconds")
EVALUATIONS = ("frames", "seconds", "score_mean", "score_median", "score_std", "episodes", "real_seconds")
DIAGNOSTICS = ("frames", "entropy", "action_frequencies", "share_above_epsilon")
"""A row an evaluation: entropy in nats, share of each action in its games, share of g above the optimizer's ε."""
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


class Damaged(RunError):
    """A file is not what was written there."""


# ---- Files ---------------------------------------------------------------------------------------------------------


WRITTEN = (
    "config.yaml",
    "manifest.json",
    "uncommitted.patch",
    "episodes.csv",
    "evaluations.csv",
    "diagnostics.csv",
    "checkpoint_new.npz",
    "staleness.csv",
    "summary.json",
)
"""Files of a run that are first written under another name."""
CHECKPOINTS = ("checkpoint.npz", "checkpoint_before.npz")
NAMES = (
    *WRITTEN,
    *(f"{name}.tmp" for name in WRITTEN),
    *CHECKPOINTS,
    "checkpoint_damaged.npz",
    "manifest_damaged.json",
    "copies",
    "lock",
    "tensorboard",
)
"""Everything that a run has in its directory; a sweep has its own log, errors and marks there."""


class FileError(OSError):
    """An `OSError` that says what was tried, and with which file."""

    def __str__(self) -> str:
        return str(self.strerror)


@contextlib.contextmanager
def trying(what: str, path: Path) -> Iterator[None]:
    """Any `OSError` inside says what was tried with which file: few of the system's own do.

    Raises:
      FileError: "cannot write runs/x/checkpoint.npz: No space left on device", where `what` is "write".
    """
    try:
        yield
    except FileError:
        raise
    except OSError as error:
        raise FileError(error.errno, f"cannot {what} {path}: {error.strerror or error}") from error


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Writes a file under another name, to the disk, and renames it; a failure leaves the old one as it was."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        with trying("write", path):
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


def read_json(path: Path, is_whole: Callable[[Any], bool], remedy: str) -> Any:
    """What a JSON file holds.

    Raises:
      Damaged: it is no JSON, or not what was written there; the line ends with the remedy.
    """
    with trying("read", path):
        data = path.read_bytes()
    try:
        found = json.loads(data)
    except ValueError as error:
        raise Damaged(f"{path} is damaged ({error}); {remedy}") from error
    if not is_whole(found):
        raise Damaged(f"{path} is damaged (it holds something else); {remedy}")
    return found


class Table:
    """A CSV file that grows by whole rows, each written at once."""

    def __init__(self, path: Path, columns: tuple[str, ...]) -> None:
        self.path, self.columns = path, columns
        if not path.exists():
            write_text(path, ",".join(columns) + "\n")
        self._open()

    def _open(self) -> None:
        with trying("write", self.path):
            self._file = open(self.path, "ab", buffering=0)
            self.rows = max(0, self.path.read_bytes().count(b"\n") - 1)

    def append(self, row: Mapping[str, Any]) -> None:
        """Adds a row; where the disk is full, no part of it stays."""
        line = io.StringIO()
        csv.DictWriter(line, self.columns, lineterminator="\n").writerow(row)
        data = line.getvalue().encode()
        with trying("write", self.path):
            size = os.fstat(self._file.fileno()).st_size
            try:
                if self._file.write(data) != len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError:
                os.ftruncate(self._file.fileno(), size)
                raise
        self.rows += 1

    def truncate(self, rows: int, frames: float = math.inf) -> int:
        """Keeps so many rows; the others belong to steps past a restored checkpoint, which will be taken again.

        What is no whole row is dropped. Where the header is missing, it is restored; which of the rows left belong to
        the checkpoint, is then seen by its frames.

        Returns:
          How many rows are missing.
        """
        header = (",".join(self.columns) + "\n").encode()
        lines = self.path.read_bytes().splitlines(keepends=True)
        if lines and self._is_row(lines[0]):
            kept = [line for line in lines if self._is_row(line) and int(line.split(b",")[0]) <= frames][:rows]
        else:
            kept = [line for line in lines[1 : rows + 1] if self._is_row(line)]
        if [header, *kept] != lines:
            self.close()
            write_atomically(self.path, lambda file: file.write(b"".join([header, *kept])))
            self._open()
        return rows - len(kept)

    def _is_row(self, line: bytes) -> bool:
        """Whether a line is whole, and no header."""
        cells = line.split(b",")
        return line.endswith(b"\n") and len(cells) == len(self.columns) and cells[0].isdigit()

    def sync(self) -> None:
        """Returns when all rows are on the disk."""
        with trying("write", self.path):
            os.fsync(self._file.fileno())

    def last_frames(self) -> int:
        """The frames of the last row, 0 where there is none."""
        return int(self.path.read_bytes().splitlines()[-1].split(b",", 1)[0]) if self.rows else 0

    def close(self) -> None:
        self._file.close()


# ---- Checkpoints ---------------------------------------------------------------------------------------------------


class Waiting(NamedTuple):
    """θ that waits for its evaluation."""

    parameters: np.ndarray
    sums: np.ndarray
    seconds: float
    real_seconds: float
    share_above_epsilon: float | None = None


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
    current, before = (directory / name for name in CHECKPOINTS)
    waiting = {str(frames): tuple(what) for frames, what in checkpoint.waiting.items()}
    others = to_arrays({"tree": checkpoint.tree, "waiting": waiting, "numbers": tuple(checkpoint.numbers)})
    arrays = {**checkpoint.arrays, **{f"{OTHERS}{name}": array for name, array in others.items()}}
    new = directory / "checkpoint_new.npz"
    write_atomically(new, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]
    with trying("write", current):
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
      FileError: one cannot be read, which does not mean that it is damaged.
    """
    damaged = []
    for name in CHECKPOINTS:
        path = directory / name
        file = _opened(path)
        if file is None:
            continue
        try:
            with file:
                checkpoint = _read_checkpoint(file)
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


def _opened(path: Path) -> BinaryIO | None:
    """A file to read; None where it is not there, not even for the moment in which a new one takes its name."""
    with trying("read", path):
        try:
            return open(path, "rb")
        except FileNotFoundError:
            return None


def _read_checkpoint(file: BinaryIO) -> Checkpoint:
    with np.load(file, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    names = [name for name in arrays if name.startswith(OTHERS)]
    others = from_arrays({name.removeprefix(OTHERS): arrays.pop(name) for name in names})
    waiting = {int(frames): Waiting(*what) for frames, what in others["waiting"].items()}
    return Checkpoint(arrays, others["tree"], waiting, Numbers(*others["numbers"]))


# ---- The directory -------------------------------------------------------------------------------------------------


LOOKS = 6
"""So often a lock is tried for: a sweep that asks whether a run is going on holds it for a moment."""
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
"""How file systems say that they have none."""
SUMMARY = ("frames", "updates", "seconds", "frames_per_second", "score_mean", "score_median", "episodes")


class RunDirectory:
    """The directory of one run, held by one process.

    A damaged manifest is kept as `manifest_damaged.json`, and a new list of starts begins. A damaged summary counts as
    none, where there is a checkpoint: the run goes on from that and writes its summary anew.

    Args:
      path: made if it is not there.
      config: a directory that holds another configuration is refused.
      warn: is told, in a line each, what is not as it should be and does not keep the run from going on.

    Raises:
      InUse: another process holds the directory.
      UserError: it holds another configuration (the line names the keys that differ), or none, but files of a run's
        names, all of which stay as they are.
      Damaged: its summary is, and it has no checkpoint.
    """

    def __init__(self, path: Path, config: Config, warn: Callable[[str], object] = print) -> None:
        self.path, self.config, self.warn = path, config, warn
        with trying("make the directory", path):
            path.mkdir(parents=True, exist_ok=True)
        self._refuse_foreign()
        with trying("write", path / "lock"):
            self._lock = open(path / "lock", "ab")
        try:
            self._take_lock()
            self._check_config()
            self._open()
        except BaseException:
            self._lock.close()
            raise

    def _refuse_foreign(self) -> None:
        """A directory that is no run's, and holds what a run would write, stays as it is, without even a lock."""
        held = [name for name in NAMES if (self.path / name).exists()]
        if (self.path / "config.yaml").exists():
            stored_config(self.path)
            return
        lock = self.path / "lock"
        if lock.is_file() and lock.stat().st_size == 0:  # a start that was killed before it had written more
            held = [name for name in held if name not in ("lock", "config.yaml.tmp")]
        if held:
            raise UserError(
                f"{self.path} is no run's directory: it has no config.yaml, and it holds {', '.join(held)}; "
                "choose another one with hydra.run.dir=…, or remove these files"
            )

    def _take_lock(self) -> None:
        path = self.path / "lock"
        with trying("lock", path):
            for _ in range(LOOKS):
                try:
                    fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return
                except BlockingIOError:
                    time.sleep(0.05)
                except OSError as error:
                    if error.errno not in NO_LOCKS:
                        raise
                    said = f"{path} cannot be locked ({error.strerror})"
                    self.warn(f"{said}: nothing keeps another process from training in this directory, too")
                    return
        raise InUse(f"{self.path} is in use by another process")

    @cached_property
    def is_exact(self) -> bool:
        """Whether the run, stopped and gone on with, is to the bit what it would have been."""
        return self.config.is_exact and self.config.env.supports_exact_resume()

    def __enter__(self) -> RunDirectory:
        return self

    def __exit__(self, *_: object) -> None:
        self.episodes.close()
        self.evaluations.close()
        self.diagnostics.close()
        self._lock.close()

    def _check_config(self) -> None:
        if not (self.path / "config.yaml").exists():
            return
        stored = stored_config(self.path)
        old, new = course(stored), course(self.config)
        differing = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
        if differing == ["frames"]:  # so the learning rate falls as it did
            self._check_budget(stored.frames)
        elif differing:
            said = ", ".join(f"{key} ({old.get(key)!r} there, {new.get(key)!r} here)" for key in differing)
            hint = "; frames is a budget alone where optimizer.anneal_frames is set" if "frames" in differing else ""
            hint += "; choose another directory with hydra.run.dir=…, or remove this one"
            raise UserError(f"{self.path} holds another configuration: {said}{hint}")
        if stored != self.config and not (self.path / "summary.json").exists():
            self._write_config()

    def _check_budget(self, before: int) -> None:
        """Lets a run go on to more frames than before, or to fewer, if it has not trained for more already."""
        if self.config.frames > before:
            (self.path / "summary.json").unlink(missing_ok=True)
            return
        checkpoint = load_checkpoint(self.path, lambda _: None)
        if checkpoint and checkpoint.frames > self.config.frames:
            raise UserError(
                f"frames: {self.path} has trained for {checkpoint.frames:,}, got {self.config.frames:,}; allowed: at "
                "least as many, or another directory (hydra.run.dir=…)"
            )

    def _open(self) -> None:
        for leftover in (self.path / f"{name}.tmp" for name in WRITTEN):
            if leftover.is_file():
                leftover.unlink()
        if not (self.path / "config.yaml").exists():
            self._write_config()
        self.summary = self._read_summary()
        if self.summary is None:
            self._add_start()
        self.episodes = Table(self.path / "episodes.csv", EPISODES)
        self.evaluations = Table(self.path / "evaluations.csv", EVALUATIONS)
        self.diagnostics = Table(self.path / "diagnostics.csv", DIAGNOSTICS)

    def _write_config(self) -> None:
        write_text(self.path / "config.yaml", yaml.safe_dump(self.config.plain(), sort_keys=False))

    def _read_summary(self) -> dict[str, Any] | None:
        """The summary of a finished run, None before."""
        if not (self.path / "summary.json").exists():
            return None
        if not any((self.path / name).exists() for name in CHECKPOINTS):
            return summary_of(self.path, "there is no checkpoint to make it of; put it back, or remove the directory")
        try:
            return summary_of(self.path, "the run goes on from its checkpoint, and writes it anew")
        except Damaged as error:
            self.warn(str(error))
            return None

    def _add_start(self) -> None:
        path, starts = self.path / "manifest.json", list[dict[str, Any]]()
        try:
            if path.exists():
                starts = starts_of(self.path, "it is kept as manifest_damaged.json, and a new list of starts begins")
        except Damaged as error:
            self.warn(str(error))
            with trying("rename", path):
                os.replace(path, self.path / "manifest_damaged.json")
        git = git_state()
        if git.difference:
            self._keep_difference(git)
        starts.append({**this_start(git), "exact_resume": self.is_exact})
        write_text(path, json.dumps({"starts": starts}, indent=2) + "\n")

    def _keep_difference(self, git: GitState) -> None:
        """Adds to `uncommitted.patch` what this start ran beside its commit, if the last start was another."""
        path = self.path / "uncommitted.patch"
        kept = path.read_bytes() if path.exists() else b""
        new = f"# Changes to commit {git.commit}:\n".encode() + (git.difference or b"")
        if not kept.endswith(new):
            heading = f"# From the start of {this_moment()} on:\n".encode()
            write_atomically(path, lambda file: file.write(kept + heading + new))

    def restore(self) -> Checkpoint | None:
        """The checkpoint to go on from; rows past it are dropped, for they will be made again."""
        damaged: list[str] = []
        checkpoint = load_checkpoint(self.path, damaged.append)
        for description in damaged:
            self.warn(description)
            # A damaged one must not become "the one before", which is whole.
            with trying("rename", self.path / "checkpoint.npz"):
                os.replace(self.path / "checkpoint.npz", self.path / "checkpoint_damaged.npz")
        frames = checkpoint.frames if checkpoint else 0
        counted = (checkpoint.numbers.episodes, checkpoint.numbers.evaluations) if checkpoint else (0, 0)
        for table, rows in zip((self.episodes, self.evaluations), counted, strict=True):
            if lost := table.truncate(rows, frames):
                self.warn(f"{table.path} lacks {lost} of {rows} rows that the checkpoint counts; going on without them")
        self.diagnostics.truncate(counted[1], frames)  # a row an evaluation; fewer, of a run of before there were any
        return checkpoint

    def save(self, checkpoint: Checkpoint) -> None:
        """Saves a checkpoint, when the rows that it counts are on the disk."""
        self._sync()
        save_checkpoint(self.path, checkpoint)

    def keep(self, frames: int, learnt: Learnt, statistics: np.ndarray) -> None:
        """Writes what was learnt after so many frames, and the optimizer's statistics, to `copies/FRAMES.npz`."""
        path = self.path / "copies" / f"{frames}.npz"
        with trying("write", path):
            path.parent.mkdir(exist_ok=True)
        arrays = {**learnt._asdict(), "statistics": statistics}
        write_atomically(path, lambda file: np.savez(file, **arrays))

    def _sync(self) -> None:
        for table in (self.episodes, self.evaluations, self.diagnostics):
            table.sync()

    def finish(self, summary: Mapping[str, Any], staleness: np.ndarray) -> None:
        """Writes how stale gradients were, then the summary: the mark of a finished run.

        Args:
          summary: what `summary.json` holds.
          staleness: how many gradients came to a θ that had had 0, 1, 2, … updates since they read it, [n].
        """
        self._sync()
        rows = "".join(f"{updates},{staleness[updates]}\n" for updates in np.flatnonzero(staleness))
        write_text(self.path / "staleness.csv", "updates,gradients\n" + rows)
        write_text(self.path / "summary.json", json.dumps(summary, indent=2) + "\n")


def starts_of(
    directory: Path, remedy: str = "put it back, or remove the directory and run it again"
) -> list[dict[str, Any]]:
    """What the manifest of a run's directory says of each of its starts, in order.

    Raises:
      Damaged: the manifest is; the line ends with the remedy.
    """
    starts: list[dict[str, Any]] = read_json(directory / "manifest.json", _is_manifest, remedy)["starts"]
    return starts


def _is_manifest(found: Any) -> bool:
    starts = found.get("starts") if isinstance(found, dict) else None
    return isinstance(starts, list) and len(starts) > 0 and all(isinstance(start, dict) for start in starts)


def summary_of(directory: Path, remedy: str) -> dict[str, Any]:
    """The summary of a finished run.

    Raises:
      Damaged: it is; the line ends with the remedy.
    """
    summary: dict[str, Any] = read_json(directory / "summary.json", _is_summary, remedy)
    return summary


def _is_summary(found: Any) -> bool:
    return isinstance(found, dict) and all(isinstance(found.get(key, ""), int | float | None) for key in SUMMARY)


def stored_config(directory: Path) -> Config:
    """The configuration of a run's directory.

    Raises:
      UserError: there is none, or it is not one of this version.
    """
    path = directory / "config.yaml"
    with trying("read", path):
        if not path.is_file():
            raise UserError(f"{directory} is no run's directory: it has no config.yaml")
        data = path.read_bytes()
    try:
        return build(yaml.safe_load(data))
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{path} is damaged: {' '.join(str(error).split())}") from error
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def this_start(git: GitState) -> dict[str, Any]:
    """Command, versions, commit and machine: what a result depends on beside its configuration."""
    return {
        "command": ["python", "-m", "a3crepro", *_words()],
        "date": this_moment(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "git_commit": git.commit,
        "git_clean": git.is_clean,
        "host": socket.gethostname(),
        "cores": usable_cores(),
    }


def this_moment() -> str:
    """Date and time, UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


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
