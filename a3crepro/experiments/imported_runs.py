"""Runs that a sweep imports from its tables in `results/`, because they were made on another machine, say."""

from __future__ import annotations

import shlex
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pandas as pd

from a3crepro.common.errors import UserError

TABLES = ("runs.csv", "scores.csv")
DIAGNOSTICS = "diagnostics.csv"
"""Beside them, of experiments that were run since runs have recorded them."""


@dataclass(frozen=True)
class ImportedRuns:
    """The imported runs of one directory of tables, by name; none where there are no tables."""

    directory: Path | None = None
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    """By their files' names. All cells are text, as it was written."""

    @cached_property
    def _rows(self) -> dict[str, dict[Hashable, str]]:
        """The runs' rows, by name: they are asked for one by one, again and again."""
        return {row["run"]: row for row in self.tables["runs.csv"].to_dict("records")} if self.tables else {}

    @staticmethod
    def of(directory: Path) -> ImportedRuns:
        """Reads a directory.

        Raises:
          UserError: it holds no tables.
        """
        try:
            tables = {name: pd.read_csv(directory / name, dtype=str, keep_default_na=False) for name in TABLES}
        except OSError as error:
            raise UserError(f"--collected: {directory}: nothing was collected there") from error
        if (directory / DIAGNOSTICS).exists():
            tables[DIAGNOSTICS] = pd.read_csv(directory / DIAGNOSTICS, dtype=str, keep_default_na=False)
        return ImportedRuns(directory, tables)

    def __contains__(self, run: str) -> bool:
        return run in self._rows

    def without(self, runs: Iterable[str]) -> ImportedRuns:
        """All but these."""
        others = {name: table[~table["run"].isin(list(runs))] for name, table in self.tables.items()}
        return ImportedRuns(self.directory, others)

    def frames(self, run: str) -> int:
        """Frames that it was trained for."""
        return int(self._rows[run]["frames"])

    def score(self, run: str) -> float | None:
        """The mean score of a run's final evaluation; None where there is none."""
        text = self._rows[run]["score"] if run in self else ""
        return float(text) if text else None

    def core_seconds(self, run: str) -> float:
        """What it took."""
        return float(self._rows[run]["core_seconds"])

    def check(self, run: str, words: Sequence[str]) -> None:
        """Whether a run was made with these overrides, in this order.

        Raises:
          UserError: it was not.
        """
        if self._rows[run]["command"] != shlex.join(["python", "-m", "a3crepro", *words]):
            raise UserError(f"{self.directory}: {run} has another configuration than the sweep says")

    def rows(self, name: str, runs: Iterable[str]) -> pd.DataFrame:
        """Of a table, the rows of these runs; no rows and no columns where there are no tables."""
        table = self.tables.get(name, pd.DataFrame({"run": []}))
        return table[table["run"].isin(list(runs))]
