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

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from a3crepro.experiments.figures import (
    COLORS,
    METHODS,
    TITLES,
    legend_below,
    markdown,
    number,
    panels,
    paper,
    save,
    scale_of,
)
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
)

ROWS = (("a3c",), ("n_step_q",), ("one_step_q", "one_step_sarsa"))
"""Methods in each row of panels by epochs."""
EPOCHS = 20.0
"""Minimum extent of the panels: 80M frames."""
PALE = 0.15
NAMES = {"dqn": "DQN", **METHODS}
OTHERS = {
    "noisynet_paper_a3c_noop_320Mframes": "NoisyNet's A3C, 320M, no-op",
    "pfrl_a3c_noop_best_3seeds": "PFRL's A3C, 320M, no-op, best of 3 seeds",
}


def draw_paper(axes: Axes, curve: pd.DataFrame, x: str, method: str, end: float) -> None:
    """Draws the paper's curve, dashed, with its band, as far as this reproduction's runs extend."""
    curve = curve[curve[x] <= end]
    axes.plot(
        curve[x],
        curve["score"],
        color=COLORS[method],
        dashes=(3, 1.5),
        linewidth=1,
        label=f"the paper's {NAMES[method]}",
    )
    axes.fill_between(curve[x], curve["band_low"], curve["band_high"], color=COLORS[method], alpha=PALE, linewidth=0)


def draw_ours(axes: Axes, own: Sequence[Curve], x: str) -> None:
    """Draws the evaluations of each run: thick for seed 0 at the paper's rate, thin for others."""
    for curve in own:
        first = curve.seed == 0
        label = f"ours, {METHODS[curve.method]}" if first else "ours, other seeds"
        axes.plot(
            curve.table[x], curve.table["score"], color=COLORS[curve.method], marker=".", markersize=4 if first else 2,
            linewidth=1.4 if first else 0.6, label=label,
        )  # fmt: skip


def figure_of(found: Sequence[Curve]) -> Figure:
    """Three rows by epochs, one by hours; a column per game."""
    figure, grid = panels([""] * len(PAPER_GAMES), len(ROWS) + 1, 2.6, 2.1)
    plain = at_paper_rates(found)
    for column, game in enumerate(PAPER_GAMES):
        for row, methods in enumerate(ROWS):
            axes = grid[row][column]
            own = [curve for curve in plain if curve.env == game and curve.method in methods]
            end = max([EPOCHS, *(curve.epochs for curve in own)])
            for method in methods:
                draw_paper(axes, paper_curve(game, method), "epoch", method, end)
            draw_ours(axes, own, "epoch")
            axes.set(title=TITLES[game] if row == 0 else None, xlabel="epochs of 4M frames")
        axes, own = grid[-1][column], [curve for curve in plain if curve.env == game]
        for method in NAMES:
            table = select(paper("fig1_learning_speed"), game=game, method=method)
            draw_paper(axes, table, "hours", method, math.inf)
        draw_ours(axes, own, "hours")
        axes.set(xlabel="hours (ours: virtual)")
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
    parts = [
        " ".join(f"{key}={value}" for key, value in curve.overrides.items()),
        "" if curve.network == "mnih2013" else curve.network,
    ]
    parts.append("" if curve.execution == "virtual_time" else curve.execution)
    return ", ".join(part for part in parts if part) or "–"


def five_games(found: Sequence[Curve]) -> str:
    """A3C's scores in the format of Table S3, raw and human-normalised, beside published ones."""
    scores = paper("human_random_scores").set_index("game")
    others = paper("other_reproductions_a3c").set_index("game")
    header = ["game", "random (no-op)", "human (no-op)", "ours, no-op", "epochs", "% of human",
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
        "five (by hours), and it does not say what its band is; ours are one rate and one seed each, 16 actor-learners "
        "in virtual time, sampled policies (value-based: ε 0.05), ten games an evaluation. Virtual hours are a model "
        "of the paper's machine. Final scores: the last three evaluations; intervals are of their episodes, not of "
        f"seeds. Ours: {len(found)} runs, {unfinished} of them unfinished."
    )
    save(figure_of(found), "atari_games", scale, f"{table_of(found)}\n\n{five_games(found)}", caption)


if __name__ == "__main__":
    run_command(main, __doc__)
