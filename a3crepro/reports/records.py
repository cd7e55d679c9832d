"""What a report shows of a run, read from its directory while it goes on or after it ended, damaged or not."""

import io
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from a3crepro.common.errors import UserError
from a3crepro.config import dotted_items
from a3crepro.experiments.results import RESULTS
from a3crepro.runs.metrics import METRICS
from a3crepro.runs.policies import PARAMETERS
from a3crepro.runs.run_directory import EPISODES, EVALUATIONS

TABLES = {"episodes": EPISODES, "evaluations": EVALUATIONS, "metrics": METRICS}
TEXTS = ("thread_frames_per_second",)
"""Columns whose cells are no numbers."""
EPOCH_FRAMES = 4_000_000
"""Frames in an epoch of the paper's Figure 3."""


@dataclass(frozen=True)
class Record:
    """A run at one moment."""

    directory: Path
    config: Mapping[str, Any]
    """Values of the configuration, by dotted key."""
    env: str
    tables: Mapping[str, pd.DataFrame]
    """Tables by name, see `TABLES`; without rows where there is no such table."""
    raw: Mapping[str, list[list[str]]]
    """The cells of their rows, as written."""
    summary: Mapping[str, Any]
    """Summary of a finished run; else empty."""
    commit: str
    written: float
    """When the run last wrote something: seconds since then."""
    notes: list[str] = field(default_factory=list)
    """What is missing or damaged, a line each."""

    @property
    def frames(self) -> int:
        """Frames trained for, as far as the tables say."""
        last = [int(table["frames"].iloc[-1]) for table in self.tables.values() if len(table)]
        return int(self.summary.get("frames") or max(last, default=0))

    @property
    def is_virtual(self) -> bool:
        """Whether `seconds` are virtual."""
        return bool(self.config.get("execution.name") == "virtual_time")

    @property
    def state(self) -> str:
        """Whether it is finished, else how far it has come."""
        if self.summary:
            return "finished"
        budget = self.config.get("frames")
        share = f" ({self.frames / budget:.0%} of the frames)" if isinstance(budget, int) and budget else ""
        return f"not finished{share}, last written {_ago(self.written)} ago"


def read_record(directory: Path) -> Record:
    """Reads a run's directory without writing to it or locking it.

    Raises:
      UserError: it is not a run directory.
    """
    if not (directory / "config.yaml").is_file():
        raise UserError(f"{directory} is not a run directory: it has no config.yaml")
    if (directory / PARAMETERS).exists():
        raise UserError(f"{directory} is a trained agent's directory; allowed: a run's")
    notes: list[str] = []
    config = dict(dotted_items(_read(directory / "config.yaml", yaml.safe_load, notes)))
    tables, raw = {}, {}
    is_finished = (directory / "summary.json").exists()
    for name, columns in TABLES.items():
        raw[name] = _rows(directory / f"{name}.csv", columns, notes, is_finished)
        tables[name] = _numbers(raw[name], columns)
    attempts = _read(directory / "manifest.json", json.loads, notes).get("starts")
    last = attempts[-1] if isinstance(attempts, list) and attempts and isinstance(attempts[-1], dict) else {}
    summary = _read(directory / "summary.json", json.loads, notes) if is_finished else {}
    files = [directory / "config.yaml", *(directory / f"{name}.csv" for name in TABLES)]
    written = time.time() - max(map(_modified, files))
    env, commit = _env(config, last), str(last.get("git_commit") or "unknown")
    return Record(directory, config, env, tables, raw, summary, commit, written, notes)


def _read(path: Path, parse: Any, notes: list[str]) -> dict[str, Any]:
    """The mapping in a file; empty, with a note, if it is missing or damaged."""
    try:
        found = parse(path.read_text())
    except FileNotFoundError:
        notes.append(f"{path.name} is missing")
    except (OSError, ValueError, yaml.YAMLError) as error:
        notes.append(f"{path.name} is damaged: {' '.join(str(error).split())[:200]}")
    else:
        if isinstance(found, dict):
            return found
        notes.append(f"{path.name} is damaged: unexpected content")
    return {}


def _rows(path: Path, columns: Sequence[str], notes: list[str], is_finished: bool) -> list[list[str]]:
    """The cells of the whole rows of a table; a last row that is being written is left out.

    If the run is finished, nothing is being written, and a last row that is cut off is damage.
    """
    try:
        header, *lines = path.read_bytes().decode(errors="replace").split("\n")
    except FileNotFoundError:
        notes.append(f"{path.name} is missing")
        return []
    except OSError as error:
        notes.append(f"{path.name} cannot be read: {error.strerror}")
        return []
    if header.split(",") != list(columns):
        notes.append(f"{path.name} is damaged: its first line does not name its columns")
        lines = []
    whole = [row for row in (line.split(",") for line in lines[:-1]) if _is_whole(row, columns)]
    rows = len(lines[:-1]) + (is_finished and any(lines[-1:]))
    if len(whole) < rows:
        notes.append(f"{path.name} is damaged: {rows - len(whole)} of {rows} rows are left out")
    return whole


def _is_whole(row: Sequence[str], columns: Sequence[str]) -> bool:
    if len(row) != len(columns) or not row[0].isdigit():
        return False
    try:
        for name, cell in zip(columns, row, strict=True):
            [float(part) for part in (cell.split() if name in TEXTS else [cell or "nan"])]
    except ValueError:
        return False
    return True


def _numbers(rows: list[list[str]], columns: Sequence[str]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=list(columns), dtype=str)
    for column in columns:
        if column not in TEXTS:
            table[column] = pd.to_numeric(table[column], errors="coerce").astype(float)
    return table


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _env(config: Mapping[str, Any], attempt: Mapping[str, Any]) -> str:
    """The environment, as on the command line if the manifest says so."""
    choices = attempt.get("choices")
    chosen = choices.get("env") if isinstance(choices, dict) else None
    if chosen and chosen != "gym":
        return str(chosen)
    parts = [config.get(f"env.{key}") for key in ("name", "game", "id", "task")]
    parts = parts[1:] if parts[0] == "atari" else parts
    return "/".join(str(part) for part in parts if part) or "unknown"


def _ago(seconds: float) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} seconds"


def labels_of(records: Sequence[Record]) -> list[str]:
    """A short label for each run: what differs in their paths, or the whole path."""
    paths = [record.directory.absolute().parts for record in records]
    shared = 0
    while len(paths) > 1 and all(len(path) > shared + 1 and path[shared] == paths[0][shared] for path in paths):
        shared += 1
    shortened = ["/".join(path[shared:]) for path in paths]
    return shortened if len(paths) > 1 else [paths[0][-1]]


def differing_keys(records: Sequence[Record]) -> list[str]:
    """The keys of the configuration whose values differ between runs."""
    keys = dict.fromkeys(key for record in records for key in record.config)
    missing = object()
    return [key for key in keys if any(record.config.get(key, missing) != records[0].config.get(key, missing)
                                       for record in records)]  # fmt: skip


def paper_curve(record: Record, x: str, notes: list[str]) -> pd.DataFrame | None:
    """The paper's curve of this game and method: columns `x`, score, band_low and band_high.

    Args:
      record: the run.
      x: `frames` (Figure 3, with the run's number of threads, or 16) or `seconds` (Figure 1).
      notes: receives a line if there is none.
    """
    name, unit, size = {"frames": ("fig3_s9_data_efficiency", "epoch", EPOCH_FRAMES),
                        "seconds": ("fig1_learning_speed", "hours", 3600)}[x]  # fmt: skip
    try:
        text = (RESULTS / "paper" / f"{name}.csv").read_text()
    except OSError:
        notes.append("The paper's curves are not shown: they are in results/paper of a checkout.")
        return None
    table, method = pd.read_csv(io.StringIO(text)), record.config.get("algo.name", "an unknown method")
    curve = table[(table["game"] == record.env) & (table["method"] == method)]
    if "threads" in curve:
        threads = record.config.get("threads")
        curve = curve[curve["threads"] == (threads if threads in set(curve["threads"]) else 16)]
    if curve.empty:
        notes.append(f"The paper has no curve of {method} in {record.env}.")
        return None
    with_x: pd.DataFrame = curve.assign(**{x: curve[unit] * size})
    return with_x
