"""Curves for several numbers of actor-learners: what Figures 3, S9, 4 and S10 have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from a3crepro.figures import METHODS, THREADS, Ours, legend_below, panels, title

COLORS = dict(zip(THREADS, sns.color_palette("viridis_r", len(THREADS) + 1)[1:], strict=True))
MARKERS = dict(zip(THREADS, "o^sDv", strict=True))
FRESH = 1000
"""Seeds from here on are those of the best rates."""


class Curve(NamedTuple):
    """Scores over some x; of several runs, [runs, points], with the paper's as a single one."""

    x: np.ndarray
    scores: np.ndarray


Curves = dict[tuple[str, str, int], Curve]
"""By game, method and number of actor-learners."""


def paper_curves(table: pd.DataFrame, x: str) -> Curves:
    """The paper's, which are means of 3 or 5 runs."""
    groups = table.groupby(["game", "method", "threads"])
    return {key: Curve(part[x].to_numpy(float), part["score"].to_numpy(float)[None]) for key, part in groups}


def our_curves(mine: Ours | None, x: str, unit: float = 1.0) -> Curves:
    """Ours, of the fresh seeds at each cell's best rate, by evaluations; where there are none yet, nothing."""
    if mine is None:
        return {}
    found: Curves = {}
    table = mine.evaluations()
    for key, part in table[table["seed"] >= FRESH].groupby(["env", "method", "threads"]):
        runs = [run.sort_values("frames") for _, run in part.groupby("run")]
        length = min(len(run) for run in runs)
        found[key] = Curve(
            np.mean([run[x].to_numpy(float)[:length] for run in runs], axis=0) / unit,
            np.stack([run["score"].to_numpy(float)[:length] for run in runs]),
        )
    return found


def draw(curves: Curves, xlabel: str, limit: Callable[[str], float | None]) -> Figure:
    """A row a method, a column a game, a line a number of actor-learners; of several runs the interquartile range."""
    games = list(dict.fromkeys(game for game, _, _ in curves))
    figure, grid = panels(games, len(METHODS))
    for line, method in zip(grid, METHODS, strict=True):
        for axes, game in zip(line, games, strict=True):
            for (_, _, threads), curve in _of(curves, game, method):
                _draw_curve(axes, curve, threads)
            axes.set_xlim(0, limit(game))
            if method == next(iter(METHODS)):
                axes.set_title(title(game))
            if method == list(METHODS)[-1]:
                axes.set_xlabel(xlabel)
        line[0].set_ylabel(f"{METHODS[method]}\nscore")
    legend_below(figure, grid.flat, "actor-learners")
    return figure


def _of(curves: Curves, game: str, method: str) -> list[tuple[tuple[str, str, int], Curve]]:
    return sorted((key, curve) for key, curve in curves.items() if key[:2] == (game, method))


def _draw_curve(axes: Axes, curve: Curve, threads: int) -> None:
    color = COLORS[threads]
    axes.plot(curve.x, curve.scores.mean(0), color=color, linewidth=1, label=str(threads), marker=MARKERS[threads],
              markersize=2.5, markevery=max(1, len(curve.x) // 6))  # fmt: skip
    if len(curve.scores) > 1:
        axes.fill_between(curve.x, *np.percentile(curve.scores, (25, 75), axis=0), color=color, alpha=0.2, linewidth=0)
