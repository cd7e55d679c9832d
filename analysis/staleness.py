"""Updates of θ between an actor-learner's copy and the arrival of its gradient, against the number of actor-learners.

  python analysis/staleness.py [scale=laptop] [--collect]

With --collect, first makes the table from the runs of `sweeps/staleness.py`.
"""

import itertools
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from a3crepro.experiments.collect import runs_table
from a3crepro.experiments.command import Command
from a3crepro.experiments.figures import OWN, markdown, panels, save
from a3crepro.experiments.results import short_commits
from a3crepro.runs.command_line import run_command
from a3crepro.runs.files import write_text
from analysis._collected import own_tables
from sweeps.staleness import EXPERIMENT

METHODS = {"a3c": "A3C, t_max = 5", "one_step_q": "one-step Q, I_AsyncUpdate = 5"}
EXPECTED = {"a3c": 1.0, "one_step_q": 0.6}
"""Mean staleness per additional actor-learner: of a one-step method's five steps, the k-th waits for 6 - k, not 5."""
COLUMNS = ["method", "env", "threads", "seed", "frames", "commit", "date", "command"]


def collect(scale: str, into: Path) -> None:
    """The table of the sweep's runs: a row for each number of updates."""
    command = Command(EXPERIMENT, [f"scale={scale}"])
    tables = []
    for row in runs_table(command, command.runs()).to_dict("records"):
        table = pd.read_csv(command.root / row["run"] / "staleness.csv")
        tables.append(table.assign(**{key: row[key] for key in COLUMNS})[[*COLUMNS, *table.columns]])
    into.mkdir(parents=True, exist_ok=True)
    table = pd.concat(tables).sort_values(["method", "threads", "updates"])
    write_text(into / "staleness.csv", table.to_csv(index=False))


def means(table: pd.DataFrame) -> pd.Series:
    """Mean number of updates, by method and actor-learners."""
    weighted = (table["gradients"] * table["updates"]).groupby([table["method"], table["threads"]]).sum()
    found: pd.Series = weighted / table.groupby(["method", "threads"])["gradients"].sum()
    return found


def draw(axes: Axes, table: pd.DataFrame, expected_each: float, title: str) -> list[list[str]]:
    """Draws the distribution of a method's staleness for each number of actor-learners; returns rows of the table."""
    colors, dashes = sns.color_palette("viridis", table["threads"].nunique()), itertools.cycle(("-", "--", "-.", ":"))
    mean, rows = means(table).droplevel("method"), []
    for color, (threads, counts) in zip(colors, table.groupby("threads"), strict=True):
        counts = counts.sort_values("updates")
        share, expected = counts["gradients"] / counts["gradients"].sum(), expected_each * (threads - 1)
        if threads > 1:  # alone, no gradient is stale
            label = f"{threads}: {mean[threads]:.2f} ({expected:.1f})"
            style = {"linestyle": next(dashes), "linewidth": 1, "label": label}
            axes.step(counts["updates"], share.cumsum(), where="post", color=color, **style)
        rows.append([title, str(threads), f"{mean[threads]:.2f}", f"{expected:.1f}"])
    axes.set(title=title, xlabel="staleness: updates of θ since it was read")
    axes.set_xscale("symlog", base=2, linthresh=1)
    ticks = [0, *2 ** np.arange(8)]
    axes.set_xticks(ticks, ticks)
    axes.set(ylim=(0, 1.02))  # now: it fixes the limits of x, too
    axes.legend(title="actor-learners: mean (if no episode ended)", fontsize=7, title_fontsize=7, ncol=4,
                loc="upper center", bbox_to_anchor=(0.5, -0.17))  # fmt: skip
    return rows


def main() -> None:
    """Collects and draws as the command line specifies."""
    scale, directory = own_tables(sys.argv[1:], "staleness", ["staleness"], collect)
    table = pd.read_csv(directory / "staleness.csv")
    rows: list[list[str]] = []
    figure, grid = panels(len(METHODS), width=5.0, height=3.8)
    for axes, (method, title) in zip(grid[0], METHODS.items(), strict=True):
        rows += draw(axes, table[table["method"] == method], EXPECTED[method], title)
    grid[0][0].set_ylabel("share of gradients, cumulative")
    commits = ", ".join(short_commits(table["commit"])) or "unknown"
    runs, frames = table.groupby(["method", "threads"]).ngroups, table["frames"].max()
    caption = f"{OWN}: {runs} runs of {frames:,} frames on MinAtar Breakout, commit {commits}"
    save(
        figure, "staleness", scale, markdown(["method", "actor-learners", "mean", "if no episode ended"], rows), caption
    )


if __name__ == "__main__":
    run_command(main, __doc__)
