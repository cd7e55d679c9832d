"""Figure S5: final scores of all runs, best to worst, for the three optimizers, in the paper and in this reproduction.

python analysis/optimizers.py [scale=laptop]
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from a3crepro.experiments import figures
from a3crepro.experiments.figures import METHODS, OWN, TITLES, Page, Results, markdown, script
from a3crepro.experiments.results import select
from a3crepro.experiments.statistics import good_rates, interval_of_mean
from a3crepro.runs.command_line import run_command

LABELS = {
    ("momentum_sgd", None): "momentum SGD",
    ("rmsprop", 0.1): "RMSProp, ε 0.1",
    ("shared_rmsprop", 0.1): "Shared RMSProp, ε 0.1",
    ("rmsprop", 1e-5): "RMSProp, ε 1e-5",
    ("shared_rmsprop", 1e-5): "Shared RMSProp, ε 1e-5",
}
LONG = (0, (8, 2))
"""Dash pattern: eight points on, two off."""
DASHES = dict(zip(LABELS.values(), (LONG, "--", "-", ":", "-."), strict=True))
PAPER_RANGE = "50 rates, 1e-04 to 1e-02"
"""§8."""
METHODS_COMPARED = ("n_step_q", "a3c")


def of_paper() -> pd.DataFrame:
    """The paper's data: a row per run, by rank."""
    table = figures.paper("figs5_optimizers").rename(columns={"game": "env", "final_score": "score"})
    label = {name: text for (name, epsilon), text in LABELS.items() if epsilon != 1e-5}
    return table.assign(label=table["optimizer"].map(label))


def of_own(results: Results | None) -> pd.DataFrame:
    """This reproduction's data: a row per run."""
    if results is None:
        return pd.DataFrame(columns=["env", "method", "label", "score", "learning_rate"])
    keys = [
        (name, None if epsilon != epsilon else epsilon)
        for name, epsilon in results.runs[["optimizer", "epsilon"]].itertuples(index=False)
    ]
    return results.runs.assign(label=[LABELS.get(key, str(key)) for key in keys])


def draw(axes: Axes, scores: np.ndarray, label: str) -> None:
    """Draws an optimizer's final scores, from the best to the worst, over their rank from 0 to 1."""
    color = figures.PALETTE[list(DASHES).index(label)]
    rank = np.linspace(0, 1, len(scores))
    axes.plot(rank, scores, linestyle=DASHES[label], color=color, linewidth=1.2, label=label)


@script("optimizers")
def main(results: Results | None) -> Page:
    """Draws the figure and writes its tables."""
    tables = {"": of_paper(), f", {OWN}": of_own(results)}
    games = {source: table["env"].unique() for source, table in tables.items()}
    figure, found = figures.method_panels(games, METHODS_COMPARED, "rank among the runs")
    rows = []
    for axes, method, game, source in found:
        if label := axes.get_ylabel():
            axes.set_ylabel(f"{label}\n({range_of(tables[source]) if source else PAPER_RANGE})")
        for label in DASHES:
            runs = select(tables[source], env=game, method=method, label=label)
            if runs.empty:
                continue
            scores = np.sort(runs["score"].to_numpy(float))[::-1]
            draw(axes, scores, label)
            cells = [len(scores), f"{scores.max():,.1f}", str(interval_of_mean(scores))]
            rows.append(
                [TITLES[game] + source, METHODS[method], label, *cells, *(rates(runs) if source else ["–"] * 3)]
            )
    figures.legend_below(figure, figure.axes)
    header = ["game", "method", "optimizer", "runs", "best", "mean, 95 % interval", "good rates", "decades",
              "g > ε, median of the runs"]  # fmt: skip
    caption = (
        "Runs from the best (0) to the worst (1). Good rates: those whose runs reach half of the mean of the best "
        "tenth of the runs, above a random policy's score; the paper's rates are not known run by run."
    )
    return figure, markdown(header, rows), caption


def range_of(runs: pd.DataFrame) -> str:
    """The learning rates tried."""
    tried = runs["learning_rate"]
    return f"{tried.nunique()} rates, {tried.min():.0e} to {tried.max():.0e}"


def rates(runs: pd.DataFrame) -> list[str]:
    """The range of good rates, its decades, and the share of the statistics above ε, where RMSProp differs from SGD."""
    runs = runs.sort_values("learning_rate")
    found = good_rates(
        runs["learning_rate"].to_numpy(float),
        runs["score"].to_numpy(float) - figures.random_score(str(runs["env"].iloc[0])),
    )
    share = runs["share_g_above_epsilon"].median()
    return [*found.in_words(), "–" if share != share else f"{share:.2%}"]


if __name__ == "__main__":
    run_command(main, __doc__)
