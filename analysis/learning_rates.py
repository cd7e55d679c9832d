"""Figures 2 and S11: final scores over learning rates, for the paper's fifty per game and this reproduction's.

python analysis/learning_rates.py [scale=laptop]
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from a3crepro.experiments import figures
from a3crepro.experiments.figures import METHODS, OWN, TITLES, Page, Results, markdown, number, script
from a3crepro.experiments.results import select
from a3crepro.experiments.statistics import BEST, SHARES, good_rates, smoothed, width_of_good_rates
from a3crepro.runs.command_line import run_command

PAPER_EPSILON = 0.1
"""RMSProp's ε (the authors' e-mail; the paper gives none)."""


def points(game: str, method: str, table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Rates and final scores of a game and method, sorted by rate."""
    here = select(table, game=game, method=method).sort_values("learning_rate")
    return here["learning_rate"].to_numpy(), here["score"].to_numpy(dtype=float)


def draw(axes: Axes, rates: np.ndarray, scores: np.ndarray, method: str, least: float) -> None:
    """Draws a point per run and the smoothed curve, and shades the range above half of the best."""
    found = good_rates(rates, scores - least)
    if found.inside:
        axes.axvspan(found.low, found.high, color=figures.COLORS[method], alpha=0.12, linewidth=0)
    axes.plot(rates, scores, "o", color=figures.COLORS[method], markersize=2.5)
    axes.plot(rates, smoothed(scores), color=figures.COLORS[method], linewidth=0.8)
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
    decades = [good_rates(rates, scores - least, share).in_words()[1] for share in SHARES]
    mean = f"{width_of_good_rates(rates, scores - least):.2f}"
    best = f"{np.sort(scores)[-BEST:].mean():,.1f}"
    collapsed = f"{found.collapsed} of {found.inside}"
    return [METHODS[method], str(len(rates)), best, found.in_words()[0], *decades, mean, collapsed]


@script("learning_rates")
def main(results: Results | None) -> Page:
    """Draws the figure and writes its table."""
    tables = {"": figures.paper("fig2_s11_learning_rates")}
    for epsilon, runs in results.runs.groupby("epsilon", sort=False) if results else ():
        note = "" if epsilon == PAPER_EPSILON else f", ε {epsilon:g}"
        tables[f", {OWN}{note}"] = runs.rename(columns={"env": "game"})
    games = {source: table["game"].unique() for source, table in tables.items()}
    figure, found = figures.method_panels(games, list(METHODS), "learning rate")
    rows = []
    for axes, method, game, source in found:
        table, least = tables[source], figures.MIN_SCORES.get(game, 0.0)
        rates, scores = points(game, method, table)
        if len(rates):
            draw(axes, rates, scores, method, least)
            cells = row(method, rates, scores, least)
            here = select(table, game=game, method=method)
            rows.append([TITLES[game] + source, *cells, greedy_of_best(game, method, table), above(here)])
    header = ["game", "method", "runs", f"mean of the best {BEST}", "good rates (half)",
              *(f"decades, {share:.0%}" for share in SHARES), "mean", "collapsed inside", f"the best {BEST}, greedily",
              "g > ε, median and greatest of the runs"]  # fmt: skip
    caption = (
        "Points: runs; lines: scores smoothed over three neighbouring rates. Good rates: where the line is above a "
        "share (40, 50, 60 %) of the mean of the best five runs, above the game's least score; ≥: they end where the "
        "rates do. Collapsed: below 5 % of the best run. RMSProp's ε is 0.1 unless stated."
    )
    return figure, markdown(header, rows), caption


if __name__ == "__main__":
    run_command(main, __doc__)
