"""Converts tables collected by version eba4b92 or earlier, in which a run's settings were not columns yet.

  python results/convert_tables.py results/SWEEP/SCALE [RUNS]

`env` becomes Hydra's choice (`atari/pong` was the title of `pong`). `variant` (`key=value key=value`) becomes one
column per key, named like the key in the configuration, empty where a run does not override it. With RUNS, the
directory that holds the runs (`runs/laptop`), evaluations also get the columns `score_std` and `episodes`, which these
versions left out. All other cells stay as they are. Tables that are converted already are left alone.
"""

import csv
import sys
from pathlib import Path

TABLES = ("runs.csv", "scores.csv", "unfinished.csv")
SPREAD = ("score_std", "episodes")
"""What the spread of an evaluation's scores is computed from."""


def converted(row: dict[str, str], keys: list[str]) -> dict[str, str]:
    """A row whose settings are columns."""
    found: dict[str, str] = {}
    for column, cell in row.items():
        if column == "variant":
            overrides = dict(word.split("=", 1) for word in cell.split())
            found |= {key: overrides.get(key, "") for key in keys}
        else:
            found[column] = cell.removeprefix("atari/") if column == "env" else cell
    return found


def with_spread(row: dict[str, str], runs: Path) -> dict[str, str]:
    """A row of scores with the standard deviation and the number of the evaluation's episodes."""
    if row["score_type"] == "training":
        return row | dict.fromkeys(SPREAD, "")
    with open(runs / row["run"] / "evaluations.csv", newline="") as file:
        (evaluation,) = (one for one in csv.DictReader(file) if one["frames"] == row["frames"])
    return row | {column: evaluation[column] for column in SPREAD}


def convert(directory: Path, runs: Path | None = None) -> None:
    """Converts the tables of one directory in place."""
    tables = {}
    for path in (directory / name for name in TABLES):
        if path.exists():
            with open(path, newline="") as file:
                tables[path] = list(csv.DictReader(file))
    for path in (path for path, rows in tables.items() if not rows):
        path.unlink()  # nothing but an empty header
    old = {path: rows for path, rows in tables.items() if rows and "variant" in rows[0]}
    variants = [row["variant"].split() for rows in old.values() for row in rows]
    keys = list(dict.fromkeys(word.partition("=")[0] for words in variants for word in words))
    for path, rows in old.items():
        new = [converted(row, keys) for row in rows]
        if runs is not None and path.name != "runs.csv" and "score_std" not in new[0]:
            new = [with_spread(row, runs) for row in new]
        with open(path, "w", newline="") as file:
            table = csv.DictWriter(file, list(new[0]), lineterminator="\n")
            table.writeheader()
            table.writerows(new)


if __name__ == "__main__":
    convert(*map(Path, sys.argv[1:]))
