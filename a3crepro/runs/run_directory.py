"""The directory of a run: configuration, manifest, tables, checkpoints, summary. One process at a time writes to it."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from a3crepro.common.errors import RunError, UserError
from a3crepro.config import Config, build, effective_values
from a3crepro.learner.shared_state import PolicySnapshot
from a3crepro.runs.checkpoint import (
    CHECKPOINTS,
    NEW_CHECKPOINT,
    Checkpoint,
    Counters,
    load_checkpoint,
    save_checkpoint,
)
from a3crepro.runs.files import DamagedFile, Table, read_json, trying, write_atomically, write_text
from a3crepro.runs.manifest import GitState, attempts_of, git_state, this_attempt, utc_now
from a3crepro.runs.metrics import METRICS

EPISODES = ("frames", "seconds", "thread", "score", "episode_frames", "real_seconds")
EVALUATIONS = ("frames", "seconds", "score_mean", "score_median", "score_std", "episodes", "real_seconds")
DIAGNOSTICS = ("frames", "entropy", "action_frequencies", "share_above_epsilon")
"""A row per evaluation: entropy in nats, share of each action in its episodes, share of g above the optimizer's ε."""
SUMMARY = ("frames", "updates", "seconds", "frames_per_second", "score_mean", "score_median", "episodes")
WRITTEN = ("config.yaml", "manifest.json", "uncommitted.patch", "episodes.csv", "evaluations.csv", "diagnostics.csv",
           "metrics.csv", NEW_CHECKPOINT, "staleness.csv", "summary.json")  # fmt: skip
"""Files that are written to a temporary name first."""
NAMES = (*WRITTEN, *(f"{name}.tmp" for name in WRITTEN), *CHECKPOINTS, "checkpoint_damaged.npz",
         "manifest_damaged.json", "copies", "lock", "tensorboard")  # fmt: skip
"""Everything a run writes to its directory; a sweep adds its own log, errors and marks."""
LOCK_ATTEMPTS = 6
"""A sweep that asks whether a run is active holds the lock for a moment."""
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
"""Errors of file systems without locks."""


class DirectoryInUse(RunError):
    """Another process trains in the directory."""


class RunDirectory:
    """The directory of a run, locked by one process.

    A damaged manifest is kept as `manifest_damaged.json`, and a new one begins. A damaged summary is ignored if there
    is a checkpoint: the run resumes from it and writes a new summary.

    Args:
      path: created if it does not exist.
      config: a directory with another configuration is refused.
      warn: called with a line for each problem that does not keep the run from going on.

    Raises:
      DirectoryInUse: another process has locked the directory.
      UserError: it holds another configuration (the line names the keys that differ), or files of a run's names
        without a configuration. All files stay as they are.
      DamagedFile: its summary is damaged, and it has no checkpoint.
    """

    def __init__(self, path: Path, config: Config, warn: Callable[[str], object] = print) -> None:
        self.path, self.config, self.warn = path, config, warn
        with trying("make the directory", path):
            path.mkdir(parents=True, exist_ok=True)
        self._refuse_other_directories()
        with trying("write", path / "lock"):
            self._lock = open(path / "lock", "ab")
        try:
            self._take_lock()
            self._check_config()
            self._open()
        except BaseException:
            self._lock.close()
            raise

    def _refuse_other_directories(self) -> None:
        """Refuses a directory that is not a run's but holds files of a run's names, without even locking it."""
        held = [name for name in NAMES if (self.path / name).exists()]
        if (self.path / "config.yaml").exists():
            stored_config(self.path)
            return
        lock = self.path / "lock"
        if lock.is_file() and lock.stat().st_size == 0:  # of an attempt that was killed before it wrote more
            held = [name for name in held if name not in ("lock", "config.yaml.tmp")]
        if held:
            raise UserError(
                f"{self.path} is not a run directory: it has no config.yaml, and it holds {', '.join(held)}; "
                "choose another one with hydra.run.dir=…, or remove these files"
            )

    def _take_lock(self) -> None:
        path = self.path / "lock"
        with trying("lock", path):
            for _ in range(LOCK_ATTEMPTS):
                try:
                    fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return
                except BlockingIOError:
                    time.sleep(0.05)
                except OSError as error:
                    if error.errno not in NO_LOCKS:
                        raise
                    problem = f"cannot lock {path} ({error.strerror})"
                    self.warn(f"{problem}: another process could train in this directory at the same time")
                    return
        raise DirectoryInUse(f"{self.path} is in use by another process")

    @cached_property
    def is_exact(self) -> bool:
        """Whether a resumed run is bit-identical to an uninterrupted one."""
        return self.config.is_exact and self.config.env.supports_exact_resume()

    def __enter__(self) -> RunDirectory:
        return self

    def __exit__(self, *_: object) -> None:
        for file in (*self.tables, self._lock):
            file.close()

    def _check_config(self) -> None:
        """Refuses another configuration; writes this one if there is none."""
        if not (self.path / "config.yaml").exists():
            self._write_config()
            return
        stored = stored_config(self.path)
        old, new = effective_values(stored), effective_values(self.config)
        differing = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
        if differing == ["frames"]:
            self._check_budget(stored.frames)
        elif differing:
            values = ", ".join(f"{key} ({old.get(key)!r} there, {new.get(key)!r} here)" for key in differing)
            only_if = "; frames can be changed on resume only if optimizer.anneal_frames is set"
            hint = only_if if "frames" in differing else ""
            hint += "; choose another directory with hydra.run.dir=…, or remove this one"
            raise UserError(f"{self.path} was created with another configuration: {values}{hint}")
        if stored != self.config and not (self.path / "summary.json").exists():
            self._write_config()

    def _check_budget(self, stored_frames: int) -> None:
        """Accepts a larger budget, or a smaller one that has not been exceeded yet."""
        if self.config.frames > stored_frames:
            (self.path / "summary.json").unlink(missing_ok=True)
            return
        checkpoint = load_checkpoint(self.path, lambda _: None)
        if checkpoint and checkpoint.frames > self.config.frames:
            raise UserError(
                f"frames: {self.path} has already trained for {checkpoint.frames:,} frames, got "
                f"{self.config.frames:,}; allowed: at least {checkpoint.frames:,}, or another directory "
                "(hydra.run.dir=…)"
            )

    def _open(self) -> None:
        for leftover in (self.path / f"{name}.tmp" for name in WRITTEN):
            if leftover.is_file():
                leftover.unlink()
        self.summary = self._read_summary()
        if self.summary is None:
            self._add_attempt()
        self.episodes = Table(self.path / "episodes.csv", EPISODES)
        self.evaluations = Table(self.path / "evaluations.csv", EVALUATIONS)
        self.diagnostics = Table(self.path / "diagnostics.csv", DIAGNOSTICS)
        self.metrics = Table(self.path / "metrics.csv", METRICS)
        self.tables = (self.episodes, self.evaluations, self.diagnostics, self.metrics)

    def _write_config(self) -> None:
        write_text(self.path / "config.yaml", yaml.safe_dump(self.config.model_dump(), sort_keys=False))

    def _read_summary(self) -> dict[str, Any] | None:
        """The summary of a finished run; None before."""
        if not (self.path / "summary.json").exists():
            return None
        if not any((self.path / name).exists() for name in CHECKPOINTS):
            remedy = "it cannot be rebuilt without a checkpoint; restore the file or remove the directory"
            return summary_of(self.path, remedy)
        try:
            return summary_of(self.path, "the run resumes from its checkpoint and writes it again")
        except DamagedFile as error:
            self.warn(str(error))
            return None

    def _add_attempt(self) -> None:
        path, attempts = self.path / "manifest.json", list[dict[str, Any]]()
        try:
            if path.exists():
                attempts = attempts_of(self.path, "it is kept as manifest_damaged.json, and a new one begins")
        except DamagedFile as error:
            self.warn(str(error))
            with trying("rename", path):
                os.replace(path, self.path / "manifest_damaged.json")
        git = git_state()
        if git.difference:
            self._keep_difference(git)
        composition = self.config.composition
        attempts.append(
            {**this_attempt(git, composition.overrides), **composition._asdict(), "exact_resume": self.is_exact}
        )
        write_text(path, json.dumps({"starts": attempts}, indent=2) + "\n")

    def _keep_difference(self, git: GitState) -> None:
        """Appends the uncommitted changes to `uncommitted.patch`, unless they are those of the last attempt."""
        path = self.path / "uncommitted.patch"
        kept = path.read_bytes() if path.exists() else b""
        new = f"# Changes to commit {git.commit}:\n".encode() + (git.difference or b"")
        if not kept.endswith(new):
            heading = f"# From the start of {utc_now()} on:\n".encode()
            write_atomically(path, lambda file: file.write(kept + heading + new))

    def restore(self) -> Checkpoint | None:
        """Loads the checkpoint to resume from, and drops the rows past it."""
        damaged: list[str] = []
        checkpoint = load_checkpoint(self.path, damaged.append)
        for description in damaged:
            self.warn(description)
            with trying("rename", self.path / "checkpoint.npz"):  # else it would replace the whole one before
                os.replace(self.path / "checkpoint.npz", self.path / "checkpoint_damaged.npz")
        frames = checkpoint.frames if checkpoint else 0
        counters = checkpoint.counters if checkpoint else Counters(0.0, 0.0, 0, 0, 0)
        counted = {self.episodes: counters.episodes, self.evaluations: counters.evaluations,
                   self.metrics: counters.metrics}  # fmt: skip
        for table, rows in counted.items():
            if lost := table.truncate(rows, frames):
                recorded = f"{rows} rows recorded in the checkpoint"
                self.warn(f"{table.path} lacks {lost} of the {recorded}; continuing without them")
        self.diagnostics.truncate(counters.evaluations, frames)  # fewer rows in runs of older versions
        return checkpoint

    def save(self, checkpoint: Checkpoint) -> None:
        """Saves a checkpoint, after the rows that it counts."""
        self._sync()
        save_checkpoint(self.path, checkpoint)

    def keep_copy(self, frames: int, snapshot: PolicySnapshot, statistics: np.ndarray) -> None:
        """Writes parameters and optimizer statistics to `copies/FRAMES.npz`."""
        path = self.path / "copies" / f"{frames}.npz"
        with trying("write", path):
            path.parent.mkdir(exist_ok=True)
        arrays = {**snapshot._asdict(), "statistics": statistics}
        write_atomically(path, lambda file: np.savez(file, **arrays))

    def last_copy(self) -> int:
        """The frames of the last file in `copies/`; 0 without any."""
        numbers = [path.stem for path in (self.path / "copies").glob("*.npz")]
        return max((int(number) for number in numbers if number.isdecimal()), default=0)

    def _sync(self) -> None:
        for table in self.tables:
            table.sync()

    def finish(self, summary: Mapping[str, Any], staleness: np.ndarray) -> None:
        """Writes the staleness of gradients, then the summary, which marks a finished run.

        `staleness` [n]: the number of gradients applied to a θ that had had 0, 1, 2, … updates since they read it.
        """
        self._sync()
        rows = "".join(f"{updates},{staleness[updates]}\n" for updates in np.flatnonzero(staleness))
        write_text(self.path / "staleness.csv", "updates,gradients\n" + rows)
        write_text(self.path / "summary.json", json.dumps(summary, indent=2) + "\n")


def summary_of(directory: Path, remedy: str) -> dict[str, Any]:
    """The summary of a finished run; a `DamagedFile` with the remedy if it is damaged."""
    return dict(read_json(directory / "summary.json", _is_summary, remedy))


def _is_summary(found: Any) -> bool:
    return isinstance(found, dict) and all(isinstance(found.get(key, ""), int | float | None) for key in SUMMARY)


def stored_config(directory: Path) -> Config:
    """The configuration in a run's directory; a `UserError` if there is none, or it is not valid in this version."""
    path = directory / "config.yaml"
    with trying("read", path):
        if not path.is_file():
            raise UserError(f"{directory} is not a run directory: it has no config.yaml")
        data = path.read_bytes()
    try:
        return build(yaml.safe_load(data), stored=True)
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{path} is damaged: {' '.join(str(error).split())}") from error
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
