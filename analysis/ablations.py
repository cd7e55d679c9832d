"""§4: final scores over learning rates, with the paper's exploration and with less of it.

python analysis/ablations.py [scale=laptop]
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from a3crepro.experiments import figures
from a3crepro.experiments.figures import METHODS, TITLES, WIDTH, Page, Results, markdown, number, script
from a3crepro.experiments.results import select
from a3crepro.experiments.statistics import interval_of_mean, number_of_best
from a3crepro.runs.command_line import run_command
from analysis._rules import paired_differences, with_and_without

KINDS = (("the paper's exploration", "o", "-"), ("less exploration", "^", "--"))
"""Labels, markers and lines: without and with the changed value."""
CHANGES = {"a3c": "β = 0 instead of 0.01"}
"""What less exploration is; of the other methods, `ONE_EPSILON`."""
ONE_EPSILON = "every final ε 0.1 instead of a mixture"


@script("ablations")
def main(results: Results | None) -> Page:
    """Draws a panel per method and one of A3C's entropies, and tabulates the differences."""
    figure, grid = figures.panels(3, 2, WIDTH / 3, 2.4)
    rows, entropies = [], ""
    for axes, (method, name) in zip(grid.flat, METHODS.items(), strict=False):
        axes.set(title=name, ylabel="final score")
        if results is None:
            continue
        runs = select(with_and_without(results), method=method).sort_values("learning_rate")
        parts = [runs[~runs["less"]], runs[runs["less"]]]
        draw(axes, parts, "score")
        if method == "a3c":
            parts = [with_entropies(part, results.diagnostics) for part in parts]
            draw(grid.flat[len(METHODS)], parts, "entropy")
            entropies = table_of_entropies(*parts)
        differences = paired_differences(runs, "less", False, True)
        best = [np.sort(part["score"])[-number_of_best(len(part)) :].mean() for part in parts]
        games = ", ".join(TITLES[env] for env in runs["env"].unique())
        difference, n = ("–", 0) if differences is None else (interval_of_mean(differences), len(differences))
        best_of_each = (f"{score:.1f}" for score in best)
        rows.append([games, name, CHANGES.get(method, ONE_EPSILON), n, *best_of_each, difference])
    grid.flat[len(METHODS)].set(title="A3C's policy at the end", ylabel="mean entropy, nats")
    grid.flat[-1].set_visible(False)
    for axes in grid.flat:
        axes.set(xscale="log", xlabel="learning rate")
    figures.legend_below(figure, grid.flat)
    header = ["game", "method", "less exploration", "rates", "best tenth's mean, with the paper's exploration",
              "with less exploration", "difference, share of the game's best, 95 % interval"]  # fmt: skip
    caption = (
        "Each point is a run. The difference is that of the shares of the game's best score, above a random policy's, "
        "paired over learning rates: positive if the paper's exploration scores more. Entropies: of the policy, over "
        "the states of the last evaluation."
    )
    return figure, "\n\n".join(filter(None, [markdown(header, rows), entropies])), caption


def draw(axes: Axes, parts: Sequence[pd.DataFrame], column: str) -> None:
    """Draws a column over learning rates, a line per kind of exploration."""
    for color, (label, marker, line), part in zip(figures.PALETTE, KINDS, parts, strict=False):
        style = {"color": color, "markersize": 3, "linewidth": 1, "label": label}
        axes.plot(part["learning_rate"], part[column], marker, linestyle=line, **style)


def with_entropies(runs: pd.DataFrame, diagnostics: pd.DataFrame) -> pd.DataFrame:
    """The runs with the `entropy` at their last evaluation, NaN for those that did not record it."""
    last = diagnostics.sort_values("frames").groupby("run")["entropy"].last()
    return runs.assign(entropy=runs["run"].map(last).astype(float))


def table_of_entropies(papers: pd.DataFrame, less: pd.DataFrame) -> str:
    """Medians over learning rates, and at how many of them the entropy is lower with less exploration."""
    both = pd.concat([table.set_index("learning_rate")["entropy"] for table in (papers, less)], axis=1).dropna()
    if both.empty:
        return ""
    one, other = both.to_numpy().T
    medians = [number(float(np.median(values)), 2) for values in (one, other)]
    header = ["A3C's entropy at the end, nats, median", "with β = 0", "lower with β = 0"]
    return markdown(header, [[*medians, f"at {int((other < one).sum())} of {len(both)} rates"]])


if __name__ == "__main__":
    run_command(main, __doc__)
