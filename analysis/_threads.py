"""Curves for several numbers of actor-learners: what Figures 3, S9, 4 and S10 have in common."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from a3crepro.figures import METHODS, THREADS, Ours, legend_below, panels, title
from a3crepro.results import stacked
from a3crepro.statistics import Interval, first_crossing, part_of_rise, ratio_of_geometric_means
from a3crepro.sweeping.experiment import FRESH

COLORS = dict(zip(THREADS, sns.color_palette("viridis_r", len(THREADS) + 1)[1:], strict=True))
MARKERS = dict(zip(THREADS, "o^sDv", strict=True))


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


def chosen_runs(mine: Ours) -> pd.DataFrame:
    """The runs that stand for a cell: fresh seeds at its best rate, or, as in the paper, those that ended best."""
    if mine.notes["best"] == 1:
        return mine.runs[mine.runs["seed"] >= FRESH]
    cells = mine.runs.sort_values("score", ascending=False).groupby(["env", "method", "threads"])
    return cells.head(mine.notes["best"])


def our_curves(mine: Ours | None, x: str, unit: float = 1.0) -> Curves:
    """Ours, by evaluations; where the runs that stand for a cell are not there yet, nothing."""
    if mine is None:
        return {}
    found: Curves = {}
    table = mine.evaluations()
    for key, part in table[table["run"].isin(chosen_runs(mine)["run"])].groupby(["env", "method", "threads"]):
        along, scores = stacked(part, x)
        found[key] = Curve(along / unit, scores)
    return found


def draw(theirs: Curves, ours: Curves, xlabel: str) -> Figure:
    """A row a method, a column a game and whose it is, a line a number of actor-learners.

    Of several runs the interquartile range is shaded. Where both have a game, its axes have one scale.
    """
    whose = {"": theirs, ", ours": ours}
    columns = [(game, name) for name, curves in whose.items() for game in dict.fromkeys(key[0] for key in curves)]
    figure, grid = panels([game for game, _ in columns], len(METHODS))
    for line, method in zip(grid, METHODS, strict=True):
        first: dict[str, Axes] = {}
        for axes, (game, name) in zip(line, columns, strict=True):
            if game in first:
                axes.sharex(first[game])
                axes.sharey(first[game])
            first.setdefault(game, axes)
            for (_, _, threads), curve in _of(whose[name], game, method):
                _draw_curve(axes, curve, threads)
            axes.set_xlim(left=0)
            if method == next(iter(METHODS)):
                axes.set_title(title(game) + (name if game in {key[0] for key in theirs} else ""))
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


# ---- When runs reach a level -----------------------------------------------------------------------------------------


def mean_ratio(curves: Curves, method: str, threads: int, share: float) -> float:
    """When the mean curve with one actor-learner reaches this share of its own rise, over when that with n does.

    The mean over games; NaN where no game has both.
    """
    ratios = []
    for game in {game for game, _, _ in curves}:
        one, several = curves.get((game, method, 1)), curves.get((game, method, threads))
        if one is None or several is None:
            continue
        level = part_of_rise(one.scores.mean(0), share)
        reached = (first_crossing(curve.x, curve.scores.mean(0), level) for curve in (one, several))
        ratios.append(next(reached) / next(reached))
    return float(np.mean(ratios)) if ratios else float("nan")


LATE = 0.7
"""Of the horizon over which the learning rate is annealed: who gets there later does so with small steps."""
LEGEND = (
    "Geometric means with 95 % intervals (Welch's t of the logarithms); in brackets how many runs got there, with one "
    "actor-learner and with several, and how many of them after "
    f"{LATE:.0%} of the annealing of the learning rate; ≥, ≤, ?: bounds, for runs that did not get there or were there "
    "at the first evaluation."
)


class Times(NamedTuple):
    """When each run first reached a level, in the curve's x. Who did not counts with its end, and is counted."""

    x: np.ndarray
    missed: int
    before: int
    """Runs that were there at their first evaluation: they were there sooner than they are said to be."""
    late: int
    """Runs that got there when most of the annealing was over."""

    def __str__(self) -> str:
        return f"{len(self.x) - self.missed}/{len(self.x)}{f' ({self.late} late)' if self.late else ''}"


def times(curve: Curve, level: float) -> Times:
    """Of the runs of one cell."""
    found = np.array([first_crossing(curve.x, run, level) for run in curve.scores])
    missed = np.isnan(found)
    late = found > LATE * curve.x[-1]  # NaN is not
    return Times(
        np.where(missed, curve.x[-1], found), int(missed.sum()), int((found == curve.x[0]).sum()), int(late.sum())
    )


class SpeedUp(NamedTuple):
    """The ratio of the geometric means of the times, with its interval."""

    ratio: Interval
    one: Times
    several: Times

    @property
    def mark(self) -> str:
        """What kind of bound it is: late ones above and early ones below would make it greater."""
        greater, smaller = self.one.missed + self.several.before, self.several.missed + self.one.before
        return "?" if greater and smaller else "≥" if greater else "≤" if smaller else ""

    def verdict(self, line: float) -> str:
        """Whether it is above the line, as far as bounds can tell."""
        if self.ratio.low > line and self.mark in ("", "≥"):
            return "reproduced"
        if self.ratio.high < line and self.mark in ("", "≤"):
            return "not reproduced"
        return "not decided: a bound only" if self.mark else "not decided: the interval holds the line"

    def __str__(self) -> str:
        return f"{self.mark}{self.ratio} [{self.one}, {self.several}]"


def speedup(curves: Curves, game: str, method: str, threads: int, level: float) -> SpeedUp:
    """Of n actor-learners over one, at one level."""
    return compared(*(times(curves[game, method, n], level) for n in (1, threads)))


def compared(one: Times, other: Times) -> SpeedUp:
    """The first's times over the other's."""
    return SpeedUp(ratio_of_geometric_means(one.x, other.x), one, other)
