"""Figures 2 and S11: final scores over learning rates, for the paper's fifty per game and this reproduction's.

python analysis/learning_rates.py [scale=laptop]
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from a3crepro.experiments.figures import (
    COLORS,
    METHODS,
    MIN_SCORES,
    NOTHING,
    TITLES,
    load_results,
    markdown,
    number,
    panels,
    paper,
    save,
    scale_of,
)
from a3crepro.experiments.results import select
from a3crepro.experiments.statistics import good_rates
from a3crepro.runs.command_line import run_command

BEST = 5
"""Number of best runs whose mean measures a good rate (§5.6)."""
LESS = 0.4
"""A share of that mean, shown besides one half, for ranges that end where scores hardly rise."""


def points(game: str, method: str, table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Rates and final scores of a game and method, sorted by rate."""
    here = select(table, game=game, method=method).sort_values("learning_rate")
    return here["learning_rate"].to_numpy(), here["score"].to_numpy(dtype=float)


def draw(axes: Axes, rates: np.ndarray, scores: np.ndarray, method: str, least: float) -> None:
    """Draws a point per run and shades the range of good rates."""
    found = good_rates(rates, scores - least)
    if found.inside:
        axes.axvspan(found.low, found.high, color=COLORS[method], alpha=0.12, linewidth=0)
    axes.plot(rates, scores, "o", color=COLORS[method], markersize=2.5)
    axes.set_xscale("log")


def greedy_of_best(game: str, method: str, table: pd.DataFrame) -> str:
    """The greedy scores of the five best policies, if measured."""
    if "greedy_score" not in table:
        return "–"
    best = select(table, game=game, method=method).nlargest(BEST, "score")["greedy_score"]
    return number(float(best.mean()))


def above(runs: pd.DataFrame) -> str:
    """Shares of RMSProp's statistics above ε, where it differs from SGD: median and maximum over runs."""
    if "share_g_above_epsilon" not in runs:
        return "–"
    share = runs["share_g_above_epsilon"]
    return f"{share.median():.2%}, {share.max():.2%}"


def row(method: str, rates: np.ndarray, scores: np.ndarray, least: float) -> list[str]:
    """A table row for the points."""
    found = good_rates(rates, scores - least)
    wider = (good_rates(rates, scores - least, of_best=BEST, share=share) for share in (0.5, LESS))
    decades = (f"{'≥' if one.cut_off else ''}{one.decades:.2f}" for one in (found, *wider))
    return [
        METHODS[method], str(len(rates)), f"{np.sort(scores)[-BEST:].mean():,.1f}",
        f"{found.low:.1e} to {found.high:.1e}", *decades, f"{found.collapsed} of {found.inside}",
    ]  # fmt: skip


def main() -> None:
    """Draws the figure and writes its table."""
    scale = scale_of(sys.argv[1:])
    data, results = paper("fig2_s11_learning_rates"), load_results("learning_rates", scale)
    tables = {"": data, ", ours": results.runs.rename(columns={"env": "game"})} if results else {"": data}
    columns = [(game, whose) for whose, table in tables.items() for game in table["game"].unique()]
    figure, grid = panels([game for game, _ in columns], len(METHODS))
    rows = []
    for line, method in zip(grid, METHODS, strict=True):
        first: dict[str, Axes] = {}
        for axes, (game, whose) in zip(line, columns, strict=True):
            if game in first:  # on the paper's scale
                axes.sharey(first[game])
            first.setdefault(game, axes)
            rates, scores = points(game, method, tables[whose])
            least = MIN_SCORES.get(game, 0.0)
            if len(rates):
                draw(axes, rates, scores, method, least)
                cells = row(method, rates, scores, least)
                here = select(tables[whose], game=game, method=method)
                rows.append([TITLES[game] + whose, *cells, greedy_of_best(game, method, tables[whose]), above(here)])
            if method == next(iter(METHODS)):
                axes.set_title(TITLES[game] + whose)
            if method == list(METHODS)[-1]:
                axes.set_xlabel("learning rate")
        line[0].set_ylabel(f"{METHODS[method]}\nscore")
    header = ["game", "method", "runs", f"mean of the best {BEST}", "good rates", "decades", f"decades, best {BEST}",
              f"decades, {LESS:.0%} of the best {BEST}", "collapsed inside", f"the best {BEST}, greedily",
              "g > ε, median and greatest of the runs"]  # fmt: skip
    caption = (
        "Good rates: from the least to the greatest whose run reached half of the best run's score (above the game's "
        "least score); ≥: they end where the rates do; best 5: half, or another share, of the mean of the best five "
        "runs. Collapsed: "
        f"below 5 % of the best. {results.caption() if results else NOTHING}"
    )
    save(figure, "learning_rates", scale, markdown(header, rows), caption)


if __name__ == "__main__":
    run_command(main, __doc__)
