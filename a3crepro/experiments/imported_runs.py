"""Runs imported from a sweep's tables in `results/`, for example those made on another machine."""

from __future__ import annotations

import re
import shlex
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pandas as pd

from a3crepro.common.errors import UserError
from a3crepro.experiments.results import DIAGNOSTICS, final_scores

TABLES = ("runs.csv", "scores.csv")


def read_cells(path: Path) -> pd.DataFrame:
    """A table whose cells are text, exactly as written; an empty one of runs and frames if the file is missing."""
    if not path.exists():
        return pd.DataFrame({"run": [], "frames": []}, dtype=str)
    return pd.read_csv(path, dtype=str, keep_default_na=False)


@dataclass(frozen=True)
class ImportedRuns:
    """The imported runs of one table directory, by name; empty if there are no tables."""

    directory: Path | None = None
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    """Tables by file name. All cells are text, exactly as written."""

    @cached_property
    def _rows(self) -> dict[str, dict[Hashable, str]]:
        """Rows by run name, cached for repeated lookups."""
        return {row["run"]: row for row in self.tables["runs.csv"].to_dict("records")} if self.tables else {}

    @staticmethod
    def of(directory: Path) -> ImportedRuns:
        """Reads a directory of tables.

        Raises:
          UserError: it has no tables.
        """
        try:
            tables = {name: pd.read_csv(directory / name, dtype=str, keep_default_na=False) for name in TABLES}
        except OSError as error:
            raise UserError(f"--collected: {directory}: nothing was collected there") from error
        return ImportedRuns(directory, {**tables, DIAGNOSTICS: read_cells(directory / DIAGNOSTICS)})

    def __contains__(self, run: str) -> bool:
        return run in self._rows

    def without(self, runs: Iterable[str]) -> ImportedRuns:
        """All runs except these."""
        others = {name: table[~table["run"].isin(list(runs))] for name, table in self.tables.items()}
        return ImportedRuns(self.directory, others)

    def frames(self, run: str) -> int:
        """Frames the run was trained for."""
        return int(self._rows[run]["frames"])

    @cached_property
    def _scores(self) -> Mapping[str, float]:
        """Final scores by run name."""
        return final_scores(self.tables["scores.csv"]) if self.tables else {}

    def score(self, run: str) -> float | None:
        """The final score of a run; None if it was not evaluated, or is not among these."""
        return self._scores.get(run)

    def core_seconds(self, run: str) -> float:
        """The cost of the run, in core-seconds."""
        return float(self._rows[run]["core_seconds"])

    def check(self, run: str, words: Sequence[str]) -> None:
        """Checks that a run was made with these overrides, in this order; Hydra's own (its directory) may differ.

        Raises:
          UserError: it was not.
        """
        made = [word for word in shlex.split(self._rows[run]["command"]) if not word.startswith("hydra.")]
        if list(map(_plain, made)) != list(map(_plain, ["python", "-m", "a3crepro", *words])):
            raise UserError(f"{self.directory}: {run} has another configuration than the sweep says")

    def rows(self, name: str, runs: Iterable[str]) -> pd.DataFrame:
        """The rows of these runs, as far as they are imported, in a table; empty if there are no tables."""
        table = self.tables.get(name, pd.DataFrame({"run": []}))
        return table[table["run"].isin([run for run in runs if run in self])]


def _plain(word: str) -> str:
    """An override without underscores between digits: 40_000_000 is 40000000."""
    return re.sub(r"(?<=\d)_(?=\d)", "", word)
