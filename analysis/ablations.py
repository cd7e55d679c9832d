"""§4: final scores over learning rates, with the paper's exploration and with less of it.

python analysis/ablations.py [scale=laptop]
"""

import numpy as np

from a3crepro.experiments import figures
from a3crepro.experiments.figures import METHODS, TITLES, WIDTH, Page, Results, markdown, script
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
    """Draws a panel per method, and tabulates the differences."""
    figure, grid = figures.panels(len(METHODS), 1, WIDTH / len(METHODS), 2.4)
    rows = []
    for axes, (method, name) in zip(grid[0], METHODS.items(), strict=True):
        axes.set(title=name, xscale="log", xlabel="learning rate")
        if results is None:
            continue
        runs = select(with_and_without(results), method=method).sort_values("learning_rate")
        parts = [runs[~runs["less"]], runs[runs["less"]]]
        for color, (label, marker, line), part in zip(figures.PALETTE, KINDS, parts, strict=False):
            style = {"color": color, "markersize": 3, "linewidth": 1, "label": label}
            axes.plot(part["learning_rate"], part["score"], marker, linestyle=line, **style)
        differences = paired_differences(runs, "less", False, True)
        best = [np.sort(part["score"])[-number_of_best(len(part)) :].mean() for part in parts]
        games = ", ".join(TITLES[env] for env in runs["env"].unique())
        difference, n = ("–", 0) if differences is None else (interval_of_mean(differences), len(differences))
        best_of_each = (f"{score:.1f}" for score in best)
        rows.append([games, name, CHANGES.get(method, ONE_EPSILON), n, *best_of_each, difference])
    grid[0][0].set_ylabel("final score")
    figures.legend_below(figure, grid.flat)
    header = ["game", "method", "less exploration", "rates", "best tenth, the paper's", "best tenth, less",
              "difference, share of the game's best, 95 % interval"]  # fmt: skip
    caption = (
        "Each point is a run. The difference is that of the shares of the game's best score, above a random policy's, "
        "paired over learning rates: positive if the paper's exploration scores more."
    )
    return figure, markdown(header, rows), caption


if __name__ == "__main__":
    run_command(main, __doc__)
