"""From runs' directories to tidy tables that can be committed, and from there to figures: collect → frame → drawing."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from a3crepro.run_directory import stored_config
from a3crepro.settings import UserError

RESULTS = Path(__file__).resolve().parent.parent / "results"
"""The committed tables of a checkout."""

BINS = 100
"""Points of a training curve: the games of a run in so many equal parts of its budget."""


def describe(directory: Path) -> dict[str, Any]:
    """What identifies a run in every table: its choices and its seed."""
    config = stored_config(directory)
    return {
        "env": config.env.title,
        "algo": config.algo.name,
        "network": config.network.title,
        "implementation": config.network.implementation,
        "optimizer": config.optimizer.name,
        "execution": config.execution.name,
        "lr": config.optimizer.lr,
        "threads": config.threads,
        "seed": config.seed,
    }


def runs_table(directories: Iterable[Path]) -> pd.DataFrame:
    """A row for each run: what it was, the command, commit and date that made it, and its summary.

    A run that did not finish is kept, with an empty summary.
    """
    rows = []
    for directory in directories:
        starts = json.loads((directory / "manifest.json").read_text())["starts"]
        first = starts[0]
        path = directory / "summary.json"
        summary = json.loads(path.read_text()) if path.exists() else {}
        rows.append(
            {
                **describe(directory),
                **summary,
                "starts": len(starts),
                "date": first["date"],
                "commit": first["git_commit"],
                "clean": first["git_clean"],
                "cores": first["cores"],
                "torch": first["packages"]["torch"],
                "command": shlex.join(first["command"]),
            }
        )
    return pd.DataFrame(rows)


def evaluations_table(directories: Iterable[Path]) -> pd.DataFrame:
    """All evaluations of all runs."""
    return pd.concat([_with_run(directory, pd.read_csv(directory / "evaluations.csv")) for directory in directories])


def training_table(directories: Iterable[Path], bins: int = BINS) -> pd.DataFrame:
    """The games of the actor-learners, in equal parts of each run's budget: mean score and number of games.

    `frames` and `seconds` are those of a part's last game.
    """
    tables = []
    for directory in directories:
        games = pd.read_csv(directory / "episodes.csv")
        part = np.minimum(games["frames"] * bins // max(1, stored_config(directory).frames), bins - 1)
        grouped = games.groupby(part)
        table = grouped.agg(frames=("frames", "max"), seconds=("seconds", "max"), score=("score", "mean"))
        table["games"] = grouped.size()
        tables.append(_with_run(directory, table.reset_index(drop=True)))
    return pd.concat(tables)


def _with_run(directory: Path, table: pd.DataFrame) -> pd.DataFrame:
    for position, (key, value) in enumerate(describe(directory).items()):
        table.insert(position, key, value)
    return table


def stacked(table: pd.DataFrame, x: str) -> tuple[np.ndarray, np.ndarray]:
    """The mean of a column [points] and the scores [runs, points] of a table's runs, up to the shortest one's end."""
    runs = [run.sort_values("frames") for _, run in table.groupby("run")]
    length = min(len(run) for run in runs)
    along, scores = (np.stack([run[key].to_numpy(float)[:length] for run in runs]) for key in (x, "score"))
    return along.mean(0), scores


def select(table: pd.DataFrame, **values: Any) -> pd.DataFrame:
    """The rows with these values in the columns of these names."""
    for column, value in values.items():
        table = table[table[column] == value]
    return table


def collect(directories: Iterable[Path], into: Path) -> None:
    """Writes `runs.csv`, `evaluations.csv` and `training.csv` of these runs.

    Raises:
      UserError: a directory is no run's.
    """
    directories = sorted(directories)
    if not directories:
        raise UserError("collect: needs at least one run's directory")
    into.mkdir(parents=True, exist_ok=True)
    for name, table in (
        ("runs", runs_table(directories)),
        ("evaluations", evaluations_table(directories)),
        ("training", training_table(directories).round({"seconds": 1, "score": 4})),
    ):
        table.to_csv(into / f"{name}.csv", index=False)


def find_runs(roots: Iterable[Path]) -> list[Path]:
    """The runs' directories at or below these."""
    return sorted({path.parent for root in roots for path in root.rglob("manifest.json")})
