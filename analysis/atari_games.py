"""Figures 1, 3 and 4 on Atari: curves over the paper's, by epochs and by hours, and a table of the five games.

python analysis/atari_games.py [scale=laptop]

Rules, fixed before the runs: a final score is the mean of a run's last three evaluations, with the interval of their
episodes. It is compared with the paper's curve after as many epochs (the middle of the three), its band, the ratio of
the two and the lag, the epochs needed beyond the paper's to reach the same score. "Faster than DQN" compares virtual
hours to the best score of the paper's DQN, from a curve smoothed over three evaluations, with the paper's own hours.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from a3crepro.experiments.figures import (
    COLORS,
    METHODS,
    NAMES,
    OWN,
    TITLES,
    draw_paper,
    legend_below,
    markdown,
    number,
    panels,
    paper,
    save,
    scale_of,
)  # fmt: skip
from a3crepro.experiments.results import select
from a3crepro.experiments.statistics import human_normalised
from a3crepro.runs.command_line import run_command
from analysis._atari import (
    PAPER_GAMES,
    Curve,
    at_paper_rates,
    beside_paper,
    curves,
    paper_curve,
    plain_run,
    race_with_dqn,
)  # fmt: skip

ROWS = (("a3c",), ("n_step_q",), ("one_step_q", "one_step_sarsa"))
"""Methods in each row of panels by epochs."""
EPOCHS = 20.0
"""Minimum extent of the panels: 80M frames."""
OTHERS = {
    "noisynet_paper_a3c_noop_320Mframes": "NoisyNet's A3C, 320M, no-op",
    "pfrl_a3c_noop_best_3seeds": "PFRL's A3C, 320M, no-op, best of 3 seeds",
}


def draw(axes: Axes, game: str, methods: Sequence[str], x: str, own: Sequence[Curve], end: float) -> None:
    """Draws the paper's curves, dashed, up to an end, and the runs: thick for seed 0, thin for others."""
    for method in methods:
        hours = select(paper("fig1_learning_speed"), game=game, method=method)
        theirs = hours if x == "hours" else paper_curve(game, method)
        draw_paper(axes, theirs[theirs[x] <= end], x, method, dashes=(3, 1.5), label=f"the paper's {NAMES[method]}")
    for curve in own:
        style = {"linewidth": 0.6, "markersize": 2, "label": f"{OWN}, other seeds"}
        if curve.seed == 0:
            style = {"linewidth": 1.4, "markersize": 4, "label": f"{OWN}, {METHODS[curve.method]}"}
        axes.plot(curve.table[x], curve.table["score"], color=COLORS[curve.method], marker=".", **style)


def figure_of(found: Sequence[Curve]) -> Figure:
    """Three rows by epochs, one by hours; a column per game."""
    figure, grid = panels(len(PAPER_GAMES), len(ROWS) + 1, 2.6, 2.1)
    plain = at_paper_rates(found)
    for column, game in enumerate(PAPER_GAMES):
        own = [curve for curve in plain if curve.env == game]
        for axes, methods in zip(grid[:, column], ROWS, strict=False):
            here = [curve for curve in own if curve.method in methods]
            draw(axes, game, methods, "epoch", here, max([EPOCHS, *(curve.epochs for curve in here)]))
            axes.set(xlabel="epochs of 4M frames")
        draw(grid[-1][column], game, list(NAMES), "hours", own, math.inf)
        grid[-1][column].set(xlabel=f"hours ({OWN}: virtual)")
        grid[0][column].set(title=TITLES[game])
    for row in grid:
        row[0].set_ylabel("score")
    legend_below(figure, grid.flat, columns=6)
    return figure


def table_of(found: Sequence[Curve]) -> str:
    """A row per run: its final score beside the paper's, and its time beside DQN's."""
    header = ["game", "method", "what differs", "seed", "learning rate", "epochs", "final score", "paper's then",
              "its band", "ratio", "lag, epochs", "hours to DQN's best", "DQN's hours"]  # fmt: skip
    rows = []
    for curve in sorted(found, key=lambda curve: (curve.env, list(METHODS).index(curve.method), curve.seed)):
        beside, race, final = beside_paper(curve), race_with_dqn(curve), curve.final
        rows.append([
            TITLES[curve.env], METHODS[curve.method], differs(curve), curve.seed, f"{curve.learning_rate:.4g}",
            f"{curve.epochs:.1f}{'' if curve.finished else ', unfinished'}", f"{final}", number(beside.paper),
            f"{beside.band[0]:.1f} to {beside.band[1]:.1f}", number(beside.ratio, 2),
            "ahead of its end" if math.isinf(beside.lag) else f"{beside.lag:.1f}",
            "never" if math.isnan(race.hours) else f"{race.hours:.1f}", f"{race.dqn_hours:.0f}",
        ])  # fmt: skip
    return markdown(header, rows)


def differs(curve: Curve) -> str:
    """How a run differs from the plain one."""
    overrides = " ".join(f"{key}={value}" for key, value in curve.overrides.items())
    plain = ("", "mnih2013", "virtual_time")
    return ", ".join(part for part in (overrides, curve.network, curve.execution) if part not in plain) or "–"


def five_games(found: Sequence[Curve]) -> str:
    """A3C's scores in the format of Table S3, raw and human-normalised, beside published ones."""
    scores = paper("human_random_scores").set_index("game")
    others = paper("other_reproductions_a3c").set_index("game")
    header = ["game", "random (no-op)", "human (no-op)", f"{OWN}, no-op", "epochs", "% of human",
              "paper's A3C FF, 320M, human starts", *OTHERS.values()]  # fmt: skip
    rows = []
    for game in PAPER_GAMES:
        curve = plain_run(found, game, "a3c")
        random, human = (float(scores.loc[game, f"noop_{who}"]) for who in ("random", "human"))
        own = ["–"] * 3
        if curve:
            share = human_normalised(curve.final.value, random, human)
            own = [f"{curve.final.value:,.1f}", f"{curve.epochs:.0f}", f"{share:.0f}"]
        published = [f"{others.loc[game, column]:,.1f}" for column in ("paper_a3c_ff_1day_humanstart", *OTHERS)]
        rows.append([TITLES[game], f"{random:,.1f}", f"{human:,.1f}", *own, *published])
    return markdown(header, rows)


def main() -> None:
    """Draws the figure and writes both tables."""
    scale = scale_of(sys.argv[1:])
    found = curves(scale)
    unfinished = sum(not curve.finished for curve in found)
    caption = (
        "The paper's curves are means of its best three rates of fifty with 16 threads (by epochs) and of its best "
        "five (by hours), and it does not say what its band is; those of a3crepro have one rate and one seed each, 16 "
        "actor-learners in virtual time, sampled policies (value-based: ε 0.05), ten games an evaluation. Virtual "
        "hours are a model of the paper's machine. Final scores: the last three evaluations; intervals are of their "
        f"episodes, not of seeds. {OWN}: {len(found)} runs, {unfinished} of them unfinished."
    )
    save(figure_of(found), "atari_games", scale, f"{table_of(found)}\n\n{five_games(found)}", caption)


if __name__ == "__main__":
    run_command(main, __doc__)
