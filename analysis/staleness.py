"""Draws `results/staleness/staleness.png`: how many updates θ has had between its copy and the gradient's arrival.

`python analysis/staleness.py [RUN_DIR …]` makes the table from these runs, first; without any, it draws the stored one.
"""

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns

from a3crepro.cli import run_command
from a3crepro.results import RESULTS, find_runs, runs_table

METHODS = {"a3c": "A3C, t_max = 5", "one_step_q": "one-step Q, I_AsyncUpdate = 5"}
EXPECTED = {"a3c": 1.0, "one_step_q": 0.6}
"""Mean staleness a further actor-learner: of five steps, the k-th of a one-step method waits for 6 - k, not for 5."""


def collect(roots: list[Path], directory: Path) -> None:
    """The table of these runs."""
    tables = []
    for run in find_runs(roots):
        if not (run / "staleness.csv").exists():
            print(f"{run} is not finished: left out")
            continue
        table, (row,) = pd.read_csv(run / "staleness.csv"), runs_table([run]).to_dict("records")
        for position, key in enumerate(("algo", "env", "threads", "seed", "frames", "commit", "date", "command")):
            table.insert(position, key, row[key])
        tables.append(table)
    directory.mkdir(parents=True, exist_ok=True)
    pd.concat(tables).sort_values(["algo", "threads", "updates"]).to_csv(directory / "staleness.csv", index=False)


def draw(table: pd.DataFrame, directory: Path) -> None:
    """A panel a method: the distribution for each number of actor-learners; means in the legend."""
    sns.set_theme(style="whitegrid", context="paper")
    figure, panels = plt.subplots(1, 2, figsize=(10, 3.8), sharey=True)
    for axes, (algo, title) in zip(panels, METHODS.items(), strict=True):
        here = table[table["algo"] == algo]
        colors = sns.color_palette("viridis", here["threads"].nunique())
        for color, (threads, counts) in zip(colors, here.groupby("threads"), strict=True):
            share = counts["gradients"] / counts["gradients"].sum()
            mean = (share * counts["updates"]).sum()
            label = f"{threads}: {mean:.2f} ({EXPECTED[algo] * (threads - 1):.1f})"
            axes.plot(counts["updates"] + 1, share, "o-", color=color, markersize=2, linewidth=1, label=label)
        axes.set(title=title, xscale="log", xlabel="updates since θ was read, plus 1")
        axes.set_xticks(2 ** np.arange(8), [str(2**i) for i in range(8)])
        axes.legend(title="actor-learners: mean (if no game ended)", fontsize=7, title_fontsize=7)
    panels[0].set_ylabel("share of gradients")
    figure.tight_layout()
    figure.savefig(directory / "staleness.png", dpi=150)


def main() -> None:
    """Collects and draws as the command line says."""
    directory = RESULTS / "staleness"
    if roots := [Path(argument) for argument in sys.argv[1:]]:
        collect(roots, directory)
    draw(pd.read_csv(directory / "staleness.csv"), directory)


if __name__ == "__main__":
    run_command(main)
