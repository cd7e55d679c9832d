"""Figures 1, 3 and 4 on Atari: curves over the paper's, by epochs and by hours, and tables of the five games.

A second figure, `atari_a3c`, has A3C by epochs alone, in the games that have been run; a third, `atari_threads`, n-step
Q on Pong with several numbers of actor-learners.

python analysis/atari_games.py [scale=laptop]
"""

import math
import sys
from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from a3crepro.experiments import figures
from a3crepro.experiments.figures import METHODS, OWN, TITLES
from a3crepro.experiments.results import select, short_commits
from a3crepro.experiments.state import in_frames
from a3crepro.experiments.statistics import LAST
from a3crepro.runs.command_line import run_command
from analysis import _atari_tables as tables
from analysis._atari import Curve, at_paper_rates, curves, paper_curve
from sweeps._protocol import AUTHORS_RATE, PAPER_GAMES

COLUMNS = (("a3c",), ("n_step_q",), ("one_step_q", "one_step_sarsa"))
"""Methods in each column of panels by epochs."""
EPOCHS = 20.0
"""Minimum extent of the panels: 80M frames."""
MAX_COLUMNS = 3
"""Of the figure of A3C alone, so that its text is readable at a page's width."""


def draw(
    axes: Axes, game: str, methods: Sequence[str], x: str, own: Sequence[Curve], end: float, color: str | None = None
) -> None:
    """Draws the paper's curves, dashed, up to an end, and the runs: thick for seed 0 at the paper's rate.

    `color` is that of the runs, by default the method's.
    """
    for method in methods:
        hours = select(figures.paper("fig1_learning_speed"), game=game, method=method)
        theirs = hours if x == "hours" else paper_curve(game, method)
        label = f"the paper's {figures.NAMES[method]}"
        dashes = figures.DASHES[method] or (3, 1.5)  # a3crepro's runs are solid
        figures.draw_paper(axes, theirs[theirs[x] <= end], x, method, dashes=dashes, label=label)
    for curve in own:
        style: dict[str, Any] = {"linewidth": 0.6, "markersize": 2, "label": f"{OWN}, other seeds"}
        if not at_paper_rates([curve]):
            style |= {"linestyle": ":", "linewidth": 1, "label": f"{OWN}, other learning rates"}
        elif curve.seed == 0:
            style = {"linewidth": 1.4, "markersize": 4, "label": f"{OWN}, {METHODS[curve.method]}"}
        color_of = color or figures.COLORS[curve.method]
        axes.plot(curve.table[x], curve.table["score"], color=color_of, marker=".", **style)


def figure_of(found: Sequence[Curve]) -> Figure:
    """Three columns by epochs, one by hours; a row per game."""
    figure, grid = figures.panels(len(COLUMNS) + 1, len(PAPER_GAMES), figures.WIDTH / (len(COLUMNS) + 1), 1.9)
    plain = [curve for curve in found if curve.is_plain]
    for row, game in zip(grid, PAPER_GAMES, strict=True):
        own = [curve for curve in plain if curve.env == game]
        for axes, methods in zip(row, COLUMNS, strict=False):
            here = [curve for curve in own if curve.method in methods]
            draw(axes, game, methods, "epoch", here, max([EPOCHS, *(curve.epochs for curve in here)]))
            note_if_not_run(axes, here)
        draw(row[-1], game, list(figures.NAMES), "hours", own, math.inf)
        note_if_not_run(row[-1], own)
        row[0].set_ylabel(f"{TITLES[game]}\nscore")
    for axes, methods in zip(grid[0], COLUMNS, strict=False):
        axes.set_title(", ".join(METHODS[method] for method in methods))
    grid[0][-1].set_title("all, and DQN")
    for axes in grid[-1]:
        axes.set_xlabel("epochs of 4M frames")
    grid[-1][-1].set_xlabel(f"hours ({OWN}: virtual)")
    figures.legend_below(figure, grid.flat, columns=4)
    return figure


def note_if_not_run(axes: Axes, own: Sequence[Curve]) -> None:
    """Writes into a panel that the paper's curves are alone in it."""
    if not own:
        style = {"style": "italic", "color": "0.4", "fontsize": "small"}
        axes.text(0.97, 0.03, f"{OWN}: not run yet", transform=axes.transAxes, ha="right", **style)


def figure_of_a3c(runs: Sequence[Curve]) -> Figure:
    """By epochs, to half as many again as were run; a panel per game that has been run."""
    games = [game for game in PAPER_GAMES if any(curve.env == game for curve in runs)]
    columns = 2 if len(games) == 4 else min(len(games), MAX_COLUMNS)
    figure, all_axes = figures.rows_of_panels(len(games), columns, 7.2 / min(columns, 2), 2.7)
    for place, (axes, game) in enumerate(zip(all_axes, games, strict=True)):
        here = [curve for curve in runs if curve.env == game]
        draw(axes, game, ["a3c"], "epoch", here, 1.5 * max([EPOCHS, *(curve.epochs for curve in here)]), "black")
        figures.draw_level(axes, figures.reference(game), "random", "random policy")
        axes.set(title=TITLES[game], xlabel="epochs of 4M frames", ylabel="" if place % columns else "score")
    figures.legend_below(figure, all_axes, columns=3)
    return figure


def by_threads(found: Sequence[Curve]) -> list[Curve]:
    """The runs of n-step Q on Pong at the authors' rate, by number of actor-learners."""
    kind = ("pong", "n_step_q", AUTHORS_RATE)
    own = [curve for curve in found if (curve.env, curve.method, curve.learning_rate) == kind]
    return sorted(own, key=lambda curve: curve.threads)


def figure_by_threads(runs: Sequence[Curve]) -> Figure:
    """A panel per number of actor-learners, the paper's curve with as many threads in each."""
    figure, grid = figures.panels(len(runs), width=figures.WIDTH / len(runs), height=2.3)
    end = max(curve.epochs for curve in runs)
    for axes, curve in zip(grid[0], runs, strict=True):
        theirs, color = paper_curve(curve.env, curve.method, curve.threads), figures.COLORS[curve.method]
        figures.draw_paper(
            axes, theirs[theirs["epoch"] <= end], "epoch", curve.method, dashes=(3, 1.5), label="the paper's"
        )
        axes.plot(curve.table["epoch"], curve.table["score"], color=color, linewidth=1.4, marker=".", label=OWN)
        figures.draw_level(axes, figures.reference(curve.env), "random", "random policy")
        count = f"{curve.threads} actor-learner{'s' if curve.threads > 1 else ''}"
        axes.set(title=count, xlabel="epochs of 4M frames", ylim=(-22, 22))
    grid[0][0].set_ylabel("score")
    figures.legend_below(figure, grid.flat)
    return figure


def caption(found: Sequence[Curve]) -> str:
    """How to read the figure and the table of these runs, and what was run."""
    unfinished = sum(not curve.finished for curve in found)
    return (
        "Dashed: the paper's curves, means of its best three rates of fifty with as many threads (by epochs) and of "
        "its best five (by hours); it does not say what its band is. Points: evaluations of a3crepro, ten games each, "
        "sampled policies (value-based: ε 0.05), 16 actor-learners unless it says otherwise. Final scores: means of "
        "the last three evaluations, beside the paper's curve at the middle one; intervals are of their episodes, not "
        "of seeds. Above random: "
        "(final score - random policy's) / (the paper's - random policy's). Lag: epochs needed beyond the paper's to "
        "reach the final score; on a plateau it says nothing. Hours are virtual, a model of the paper's machine; DQN's "
        "are its own. Runs with LSTM cells stand beside the paper's feed-forward curve. "
        f"{OWN}: {len(found)} runs, {unfinished} of them unfinished; {provenance(found)}."
    )


def provenance(found: Sequence[Curve]) -> str:
    """Frames, and the commits of the code."""
    frames = sum(int(curve.table["frames"].iloc[-1]) for curve in found)
    commits = short_commits(pd.Series([commit for curve in found for commit in curve.table["commit"].unique()]))
    return f"{in_frames(frames)} frames, commit {', '.join(commits) or 'unknown'}"


def main() -> None:
    """Draws the figures and writes their tables."""
    scale = figures.scale_of(sys.argv[1:])
    found = curves(scale)
    parts = [tables.runs(found), tables.equal_frames(found), tables.five_games(found), tables.diagnostics(found, scale)]
    figures.save(figure_of(found), "atari_games", scale, "\n\n".join(filter(None, parts)), caption(found))
    if a3c := [curve for curve in at_paper_rates(found) if curve.method == "a3c" and len(curve.table) >= LAST]:
        figures.save(figure_of_a3c(a3c), "atari_a3c", scale, tables.runs(a3c), caption(a3c))
    if len(several := by_threads(found)) > 1:
        figures.save(figure_by_threads(several), "atari_threads", scale, tables.runs(several), caption(several))


if __name__ == "__main__":
    run_command(main, __doc__)
