"""Figures 2 and S11: final scores over learning rates, for the paper's fifty per game and this reproduction's.

python analysis/learning_rates.py [scale=laptop]
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from a3crepro.experiments import figures
from a3crepro.experiments.figures import METHODS, OWN, TITLES, Page, Results, markdown, number, script
from a3crepro.experiments.results import select
from a3crepro.experiments.statistics import SHARES, edges, good_rates, number_of_best, width_of_good_rates
from a3crepro.runs.command_line import run_command

PAPER_EPSILON = 0.1
"""RMSProp's ε (the authors' e-mail; the paper gives none)."""


def points(game: str, method: str, table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Rates and final scores of a game and method, sorted by rate."""
    here = select(table, game=game, method=method).sort_values("learning_rate")
    return here["learning_rate"].to_numpy(), here["score"].to_numpy(dtype=float)


def draw(axes: Axes, rates: np.ndarray, scores: np.ndarray, method: str, random_score: float) -> None:
    """Draws a point per run and shades what the good rates stand for, darker where they are for higher shares."""
    bounds = edges(rates)
    for share in SHARES:
        for at in np.flatnonzero(good_rates(rates, scores - random_score, share).good):
            axes.axvspan(*bounds[at : at + 2], color=figures.COLORS[method], alpha=0.08, linewidth=0)
    axes.plot(rates, scores, "o", color=figures.COLORS[method], markersize=2.5)
    axes.set_xscale("log")


def greedy_of_best(game: str, method: str, table: pd.DataFrame) -> str:
    """The mean greedy score of the best runs' policies, if measured."""
    if "greedy_score" not in table:
        return "–"
    runs = select(table, game=game, method=method)
    return number(float(runs.nlargest(number_of_best(len(runs)), "score")["greedy_score"].mean()))


def above(runs: pd.DataFrame) -> str:
    """Shares of RMSProp's statistics above ε, where it differs from SGD: median and maximum over runs."""
    if "share_g_above_epsilon" not in runs:
        return "–"
    share = runs["share_g_above_epsilon"]
    return f"{share.median():.2%}, {share.max():.2%}"


def row(method: str, rates: np.ndarray, scores: np.ndarray, random_score: float) -> list[str]:
    """A table row for the points."""
    found = good_rates(rates, scores - random_score)
    decades = [good_rates(rates, scores - random_score, share).in_words()[1] for share in SHARES]
    mark = "≥" if any(part.startswith("≥") for part in decades) else ""
    mean = f"{mark}{width_of_good_rates((rates, scores - random_score))}"
    best = f"{np.sort(scores)[-number_of_best(len(scores)) :].mean():,.1f}"
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
        table, random_score = tables[source], figures.random_score(game)
        rates, scores = points(game, method, table)
        if len(rates):
            draw(axes, rates, scores, method, random_score)
            cells = row(method, rates, scores, random_score)
            here = select(table, game=game, method=method)
            rows.append([TITLES[game] + source, *cells, greedy_of_best(game, method, table), above(here)])
    header = ["game", "method", "runs", "mean of the best tenth", "good rates (half)",
              *(f"decades, {share:.0%}" for share in SHARES), "mean, 95 % interval", "collapsed inside",
              "the best tenth, greedily", "g > ε, median and greatest of the runs"]  # fmt: skip
    caption = (
        "Points: runs. A rate is good if its run reaches a share (40, 50, 60 %; shaded, darker where higher) of the "
        "mean of the best tenth of the runs, above a random policy's score; it stands for the range up to the middle "
        "between it and its neighbours. ≥: the lowest or highest rate tried is good. Collapsed: from the lowest to the "
        "highest good rate, below 5 % of the best run. RMSProp's ε is 0.1 unless stated."
    )
    return figure, markdown(header, rows), caption


if __name__ == "__main__":
    run_command(main, __doc__)
