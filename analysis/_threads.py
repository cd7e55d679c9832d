"""Curves for several numbers of actor-learners, for Figures 3, S9, 4 and S10."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from a3crepro.experiments.experiment import HELD_OUT
from a3crepro.experiments.figures import (
    METHODS,
    OWN,
    THREADS,
    Results,
    draw_runs,
    legend_below,
    method_panels,
    random_score,
)
from a3crepro.experiments.results import stacked
from a3crepro.experiments.statistics import (
    Interval,
    best_rate,
    final_score,
    first_crossing,
    part_of_rise,
    ratio_of_geometric_means,
    smoothed,
)
from analysis._verdicts import Verdict, decide, mark_of

COLORS = dict(zip(THREADS, sns.color_palette("viridis_r", len(THREADS) + 1)[1:], strict=True))
MARKERS = dict(zip(THREADS, "o^sDv", strict=True))


class Curve(NamedTuple):
    """Scores [runs, points] over some x; the paper's curves have a single run."""

    x: np.ndarray
    scores: np.ndarray
    band: np.ndarray | None = None
    """The paper's, [2, points]; it does not say what it is."""


Curves = dict[tuple[str, str, int], Curve]
"""Curves by game, method and number of actor-learners."""


def paper_curves(table: pd.DataFrame, x: str) -> Curves:
    """The paper's curves, which are means of 3 or 5 runs."""
    return {
        key: Curve(
            part[x].to_numpy(float),
            part["score"].to_numpy(float)[None],
            part[["band_low", "band_high"]].to_numpy(float).T,
        )
        for key, part in table.groupby(["game", "method", "threads"])
    }


CELL = ["env", "method", "threads"]


def chosen_runs(results: Results, common: bool = False) -> pd.DataFrame:
    """The representative runs of each cell: at its best rate, where held-out seeds were run there.

    Args:
      results: of a sweep that may hold held-out seeds at two rates of a cell.
      common: instead, only runs at the rate that is best in all cells of a game and method together.
    """
    runs, (own, shared) = results.runs, best_rates(results.runs)
    cells = list(runs[CELL].itertuples(index=False, name=None))
    if common:
        at_shared = runs["learning_rate"] == [shared.get(cell[:2]) for cell in cells]
        return results.representative(CELL, runs[at_shared])
    held_out = runs["seed"] >= HELD_OUT
    at_own = runs["learning_rate"] == [own.get(cell, shared.get(cell[:2])) for cell in cells]
    has_own = (held_out & at_own).groupby([runs[key] for key in CELL]).transform("any")
    return results.representative(CELL, runs[~held_out | at_own | ~has_own])


def best_rates(runs: pd.DataFrame) -> tuple[dict[tuple[str, str, int], float], dict[tuple[str, str], float]]:
    """The best rate of each cell, and that of the cells of each game and method together; not by held-out seeds."""
    own, shared = {}, {}
    for (env, method), table in runs[runs["seed"] < HELD_OUT].groupby(CELL[:2]):
        scores = table.pivot_table(index="threads", columns="learning_rate", values="score").dropna(axis=1)
        if scores.empty:
            continue
        above = scores.to_numpy() - random_score(str(env))
        shared[str(env), str(method)] = scores.columns[best_rate(above)]
        for threads, row in zip(scores.index, above, strict=True):
            own[str(env), str(method), threads] = scores.columns[best_rate(row)]
    return own, shared


def own_curves(results: Results | None, x: str, unit: float = 1.0, common: bool = False) -> Curves:
    """This reproduction's curves, by evaluations, for cells that have representative runs; `common` as there."""
    if results is None:
        return {}
    found: Curves = {}
    for key, part in results.evaluations(chosen_runs(results, common)).groupby(CELL):
        along, scores = stacked(part, x)
        found[key] = Curve(along / unit, scores)
    return found


BANDS = (
    f"Bands: the paper's; {OWN}'s 95 % intervals of the mean. Thin lines: the runs, where there are fewer than five."
)


def draw(from_paper: Curves, own: Curves, xlabel: str, logarithmic: bool = False) -> Figure:
    """Draws a column per method, a row per game and source, and a line per number of actor-learners.

    Panels of the same game and method share their axes. `logarithmic`: log scale for x in all panels, without x = 0.
    """
    sources = {"": from_paper, f", {OWN}": own}
    games = {source: list(dict.fromkeys(game for game, _, _ in curves)) for source, curves in sources.items()}
    figure, found = method_panels(games, list(METHODS), xlabel, share_x=True)
    for axes, method, game, source in found:
        for threads in THREADS:
            if curve := sources[source].get((game, method, threads)):
                marker = {"marker": MARKERS[threads], "markersize": 2.5, "markevery": max(1, len(curve.x) // 6)}
                shown = curve.x > 0 if logarithmic else curve.x >= 0
                x, scores = curve.x[shown], curve.scores[:, shown]
                draw_runs(axes, x, scores, COLORS[threads], linewidth=1, label=str(threads), **marker)
                if curve.band is not None:
                    axes.fill_between(x, *curve.band[:, shown], color=COLORS[threads], alpha=0.15, linewidth=0)
        if logarithmic:
            axes.set_xscale("log")
            axes.xaxis.set(major_locator=LogLocator(subs=(1, 3)), major_formatter="{x:g}", minor_locator=NullLocator())
        else:
            axes.set_xlim(left=0)
    legend_below(figure, figure.axes, "actor-learners")
    return figure


# ---- When runs reach a level -----------------------------------------------------------------------------------------


def mean_ratio(curves: Curves, method: str, threads: int, share: float) -> float:
    """The x at which the mean curve of one actor-learner reaches a share of its rise, over that of n actor-learners.

    The mean over games; NaN if no game has both.
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


def levels(curves: Curves, share: float, threads: int = 1) -> dict[str, float]:
    """Levels for games in which all methods have runs with this many actor-learners.

    A level is this share of the anchor, the mean over methods of their mean final scores, above a random policy's.
    """
    found = {}
    for game in sorted({game for game, _, _ in curves}):
        single = [curves[game, method, threads] for method in METHODS if (game, method, threads) in curves]
        if len(single) == len(METHODS):
            anchor = float(np.mean([np.mean([*map(final_score, curve.scores)]) for curve in single]))
            found[game] = random_score(game) + share * (anchor - random_score(game))
    return found


LATE_SHARE = 0.7
"""Share of the annealing horizon after which steps are so small that reaching a level counts as late."""
MAX_MISSED = 0.05
"""Share of the runs that may have missed a level, or been there from the first, without making a ratio a bound."""
LEGEND = (
    "Runs: held-out seeds at each cell's best rate, or, where there are none, those that ended best. Geometric means "
    "with 95 % intervals (Welch's t of the logarithms); in brackets how many runs got there, with one actor-learner "
    f"and with several, and how many of them after {LATE_SHARE:.0%} of the annealing of the learning rate; ≥, ≤, ?: "
    "bounds, for runs that did not get there or were there at the first evaluation."
)


class Times(NamedTuple):
    """The x at which each run first reached a level, or its end if it did not."""

    x: np.ndarray
    missed: int
    before: int
    """Runs that reached the level by their first evaluation, so that their times are upper bounds."""
    late: int
    """Runs that reached the level late in the annealing."""

    @staticmethod
    def together(parts: Sequence[Times]) -> Times:
        """Combines the times of several games."""
        counts = np.sum([part[1:] for part in parts], axis=0)
        return Times(np.concatenate([part.x for part in parts]), *map(int, counts))

    def __str__(self) -> str:
        return f"{len(self.x) - self.missed}/{len(self.x)}{f' ({self.late} late)' if self.late else ''}"


def times(curve: Curve, level: float) -> Times:
    """The times of one cell's runs, by their smoothed curves."""
    found = np.array([first_crossing(curve.x, run, level) for run in smoothed(curve.scores)])
    missed = np.isnan(found)
    late = found > LATE_SHARE * curve.x[-1]  # False for NaN
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
        """The kind of bound: late runs above and early runs below would increase the ratio; a few runs do not count."""
        few = MAX_MISSED * min(len(self.one.x), len(self.several.x))
        greater, smaller = self.one.missed + self.several.before, self.several.missed + self.one.before
        return mark_of(*(count if count > few else 0 for count in (greater, smaller)))

    def verdict(self, line: float, effect: str = "–") -> Verdict:
        """Whether the ratio is above the line, as far as bounds permit."""
        return decide(self.ratio, line, effect, self.mark, len(self.several.x), "runs")

    def __str__(self) -> str:
        return f"{self.mark}{self.ratio} [{self.one}, {self.several}]"


def speedup(curves: Curves, to: Mapping[str, float], method: str, threads: int) -> SpeedUp | None:
    """The speed-up of n actor-learners over one, to a level in each game; None if no game has both."""
    return speedup_from_times(
        *(
            (times(curves[game, method, 1], level), times(curves[game, method, threads], level))
            for game, level in to.items()
            if {(game, method, 1), (game, method, threads)} <= curves.keys()
        )
    )


def speedup_from_times(*pairs: tuple[Times, Times]) -> SpeedUp | None:
    """The first times over the second, as geometric mean over pairs (one per game, say); None if there are no pairs."""
    if not pairs:
        return None
    one, other = (Times.together(parts) for parts in zip(*pairs, strict=True))
    return SpeedUp(ratio_of_geometric_means(*((first.x, second.x) for first, second in pairs)), one, other)
