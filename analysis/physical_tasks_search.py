"""Figure S7: final scores on physical tasks over learning rates, with the paper's good rates as read off its figure.

  python analysis/physical_tasks_search.py [scale=laptop]

A panel holds the runs of one length on one task.
"""

import pandas as pd
from matplotlib.axes import Axes

from a3crepro.experiments import figures
from a3crepro.experiments.experiment import HELD_OUT
from a3crepro.experiments.figures import Page, Results, markdown, script
from a3crepro.experiments.results import select
from a3crepro.runs.command_line import run_command
from analysis.physical_tasks import (
    COLUMNS,
    PANELS,
    PAPERS,
    PIXELS,
    SEARCHED,
    SECOND,
    THIRD,
    WHOLE_EPISODES,
    control,
)

SCHEMES = {
    PAPERS: ("o", 0), WHOLE_EPISODES: ("^", 1), "rollouts of 20, ε 0.1": ("x", 2), SEARCHED: ("<", 3),
    "rollouts of 100, ε 1e-05": (">", 4), SECOND: ("D", 0), "rollouts of 20, entropy cost 1": ("d", 1),
    THIRD: ("P", 2), "scaled frames, actions of 4 steps": ("*", 3),
}  # fmt: skip
"""Ways to learn, with their markers and colours; those that share a colour are in different panels."""


def draw_ranges(axes: Axes) -> None:
    """Draws the paper's ranges of good learning rates, as read off Figure S7."""
    table = figures.paper("figs7_s8_mujoco_readings").dropna(subset=["S7_good_lr_low", "S7_good_lr_high"])
    low, high = table["S7_good_lr_low"], table["S7_good_lr_high"]
    axes.barh(table["domain"], high - low, left=low, color="0.5", height=0.6)
    axes.set(xscale="log", xlim=(7e-6, 0.15), xlabel="learning rate", title="the paper: good rates,\nread off S7")
    axes.tick_params(axis="y", labelsize=6)


def draw_rates(axes: Axes, runs: pd.DataFrame, task: str, steps: int) -> None:
    """Draws a point per run."""
    for scheme, (marker, number) in SCHEMES.items():
        points = select(runs, task=task, budget=steps, scheme=scheme)
        if len(points):
            color = figures.PALETTE[number]
            style = {"color": color, "markersize": 4.5, "label": scheme}
            style |= {} if marker == "x" else {"markeredgecolor": "0.15", "markeredgewidth": 0.5}
            axes.plot(points["learning_rate"], points["score"], marker, **style)
    title = f"{task}\n{steps / 1e6:g}M steps"
    axes.set(xscale="log", xlim=(7e-6, 0.15), title=title, xlabel="learning rate", ylabel="final score")


@script("physical_tasks_search", "physical_tasks")
def main(results: Results | None) -> Page:
    """Draws the figure and writes the table."""
    runs = control(results)[0] if results else pd.DataFrame(columns=["task", "budget", "seed"])
    runs = runs[runs["seed"] < HELD_OUT]
    found = runs[["task", "budget"]].drop_duplicates().itertuples(index=False)
    places = sorted(found, key=lambda place: (place.task in PIXELS, place.budget, list(PANELS).index(place.task)))
    figure, (*own, last) = figures.rows_of_panels(len(places) + 1, COLUMNS, figures.WIDTH / COLUMNS, 2.1)
    for axes, (task, steps) in zip(own, places, strict=True):
        draw_rates(axes, runs, task, steps)
    draw_ranges(last)
    if places:
        figures.legend_below(figure, own, columns=3)
    caption = (
        "Points: runs of the searches, one seed each. The paper's updates: whole episodes without bootstrapping, "
        "separate LSTM networks, one variance. Rollouts: of 20 or 100 steps with bootstrapping, one network without "
        "LSTM, mean and variances within bounds, scaled observations (from pixels one network with an LSTM, unscaled; "
        "or scaled, actions held for 4 steps). Whole episodes, else as rollouts: the same but for the updates. An "
        "entropy cost of 0.03 or 1 instead of 1e-4, and separate networks: with a rate that falls over 100M steps. The "
        "table has the best of the runs. The whole experiment, held-out seeds included:"
    )
    return figure, table_of(runs), caption


def table_of(runs: pd.DataFrame) -> str:
    """A row per task with the best of each way to learn or, if nothing has been run, the paper's good rates."""
    if runs.empty:
        readings = figures.paper("figs7_s8_mujoco_readings")
        rows = [
            [row.domain, row.input, f"{row.S7_good_lr_low:g} to {row.S7_good_lr_high:g}"]
            for row in readings.itertuples()
            if row.S7_good_lr_low == row.S7_good_lr_low
        ]
        return markdown(["paper's domain", "input", "good rates (S7)"], rows)
    rows = [
        [task, PANELS[task], *(best_of(select(runs, task=task, scheme=scheme)) for scheme in SCHEMES)]
        for task in dict.fromkeys(runs["task"])
    ]
    return markdown(["task", "paper's domain", *SCHEMES], rows)


def best_of(runs: pd.DataFrame) -> str:
    """The maximum, the number of runs that it is taken over, and their steps."""
    if runs.empty:
        return "–"
    return f"{runs['score'].max():.1f} of {len(runs)} runs x {runs['budget'].max() / 1e6:g}M steps"


if __name__ == "__main__":
    run_command(main, __doc__)
