"""Figure S5: final scores of all runs, best to worst, for the three optimizers, in the paper and in this reproduction.

python analysis/optimizers.py [scale=laptop]
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from a3crepro.experiments.figures import (
    METHODS,
    NOTHING,
    TITLES,
    Results,
    legend_below,
    load_results,
    markdown,
    panels,
    paper,
    save,
    scale_of,
)
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
COLORS = dict(zip(LABELS.values(), sns.color_palette("colorblind"), strict=False))
DASHES = dict(zip(LABELS.values(), (LONG, "--", "-", ":", "-."), strict=True))


def of_paper() -> pd.DataFrame:
    """The paper's data: a row per run, by rank."""
    table = paper("figs5_optimizers").rename(columns={"game": "env", "final_score": "score"})
    label = {name: text for (name, epsilon), text in LABELS.items() if epsilon != 1e-5}
    return table.assign(label=table["optimizer"].map(label))


def of_ours(results: Results | None) -> pd.DataFrame:
    """This reproduction's data: a row per run."""
    if results is None:
        return pd.DataFrame(columns=["env", "method", "label", "score", "learning_rate"])
    keys = [
        (name, None if epsilon != epsilon else epsilon)
        for name, epsilon in results.runs[["optimizer", "epsilon"]].itertuples(index=False)
    ]
    return results.runs.assign(label=[LABELS.get(key, str(key)) for key in keys])


def ranked(table: pd.DataFrame, env: str, method: str, label: str) -> np.ndarray:
    """Final scores, best first."""
    here = select(table, env=env, method=method, label=label)
    return np.sort(here["score"].to_numpy(float))[::-1]


def draw(axes: Axes, table: pd.DataFrame, env: str, method: str) -> None:
    """Draws a line per optimizer."""
    for label, color in COLORS.items():
        scores = ranked(table, env, method, label)
        if scores.size:
            axes.plot(
                np.linspace(0, 1, len(scores)), scores, linestyle=DASHES[label], color=color, linewidth=1.2, label=label
            )


def main() -> None:
    """Draws the figure and writes its tables."""
    scale = scale_of(sys.argv[1:])
    results = load_results("optimizers", scale)
    from_paper, own = of_paper(), of_ours(results)
    columns = [(game, whose) for whose, table in (("", from_paper), (", ours", own)) for game in table["env"].unique()]
    methods = ("n_step_q", "a3c")
    figure, grid = panels([game for game, _ in columns], len(methods))
    rows = []
    for line, method in zip(grid, methods, strict=True):
        first: dict[str, Axes] = {}
        for axes, (game, whose) in zip(line, columns, strict=True):
            if game in first:  # on the paper's scale
                axes.sharey(first[game])
            first.setdefault(game, axes)
            table = own if whose else from_paper
            draw(axes, table, game, method)
            axes.set_title(f"{TITLES[game]}{whose}, {METHODS[method]}")
            for label in COLORS:
                scores = ranked(table, game, method, label)
                if scores.size:
                    rows.append([TITLES[game] + whose, METHODS[method], label, len(scores), f"{scores.max():,.1f}",
                                 str(interval_of_mean(scores)),
                                 *_rates(own if whose else None, game, method, label),
                                 _share(results if whose else None, game, method, label)])  # fmt: skip
        line[0].set_ylabel("final score")
    for axes in grid[-1]:
        axes.set_xlabel("rank among the runs")
    legend_below(figure, grid.flat)
    header = ["game", "method", "optimizer", "runs", "best", "mean, 95 % interval", "good rates", "decades",
              "g > ε, median of the runs"]  # fmt: skip
    caption = (
        "Runs from the best (0) to the worst (1). Good rates: those at which half of the mean of the best five runs is "
        "reached; the paper's rates are not known run by run. "
        f"{results.caption() if results else NOTHING}"
    )
    save(figure, "optimizers", scale, markdown(header, rows), caption)


def _rates(own: pd.DataFrame | None, game: str, method: str, label: str) -> list[str]:
    """The range of good rates and its decades."""
    if own is None:
        return ["–", "–"]
    here = select(own, env=game, method=method, label=label)
    found = good_rates(here["learning_rate"].to_numpy(float), here["score"].to_numpy(float), of_best=5)
    return [f"{found.low:.1e} to {found.high:.1e}", f"{'≥' if found.cut_off else ''}{found.decades:.2f}"]


def _share(results: Results | None, game: str, method: str, label: str) -> str:
    """The share of the statistics above ε, where RMSProp differs from SGD."""
    if results is None:
        return "–"
    here = select(of_ours(results), env=game, method=method, label=label)
    share = here["share_g_above_epsilon"].median()
    return "–" if share != share else f"{share:.2%}"


if __name__ == "__main__":
    run_command(main, __doc__)
