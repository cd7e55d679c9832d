"""Figure S6: the four methods in four settings of a race, as shares of a reference player, the paper's and ours.

  python analysis/racing.py [scale=laptop]

The paper's reference is a human tester's score, ours that of a scripted driver that sees where it is: they stand in for
each other and are not the same.
"""

from __future__ import annotations

import sys

import pandas as pd
from matplotlib.axes import Axes

from a3crepro.cli import run_command
from a3crepro.figures import (
    COLORS,
    DASHES,
    METHODS,
    NOTHING,
    Ours,
    legend_below,
    markdown,
    ours,
    panels,
    paper,
    reference,
    save,
    scale_of,
)
from a3crepro.results import select, stacked, standing_for
from a3crepro.statistics import interval_of_mean

SETTINGS = {
    "racing/slow": "Slow car, no bots", "racing/slow_bots": "Slow car, bots", "racing/fast": "Fast car, no bots",
    "racing/fast_bots": "Fast car, bots",
}  # fmt: skip
HUMAN = {"Slow car, no bots": 4553.0, "Slow car, bots": 4556.0, "Fast car, no bots": 5472.0, "Fast car, bots": 5534.0}
"""The paper's human tester's lines, read off Figure S6."""


def of_expert(scores: pd.DataFrame) -> pd.Series:
    """Scores as shares of the scripted driver's."""
    return scores["score"] / scores["env"].map({env: reference(env, "expert") for env in SETTINGS})


def paper_shares() -> pd.DataFrame:
    """The paper's curves as shares of its human tester's score."""
    table = paper("figs6_torcs")
    return table.assign(share=table["score"] / table["setting"].map(HUMAN), run="paper")


def our_shares(mine: Ours | None) -> pd.DataFrame:
    """Evaluations of `chosen_runs` as shares of the expert's score."""
    if mine is None:
        return pd.DataFrame(columns=["setting", "method", "run", "frames", "share"])
    scores = mine.evaluations()
    scores = scores[scores["run"].isin(chosen_runs(mine)["run"])]
    return scores.assign(setting=scores["env"].map(SETTINGS), share=of_expert(scores))


def chosen_runs(mine: Ours) -> pd.DataFrame:
    """Those that stand for a method in a setting. Their `share` is the final score as a share of the expert's."""
    return standing_for(mine.runs.assign(share=of_expert(mine.runs)), ["env", "method"], mine.notes["best"])


def draw(axes: Axes, table: pd.DataFrame, setting: str, x: str) -> None:
    """A line a method: the mean of its runs."""
    for method, name in METHODS.items():
        curves = select(table, setting=setting, method=method)
        if len(curves):
            along, shares = stacked(curves, x, "share")
            axes.plot(along, shares.mean(0), color=COLORS[method], dashes=DASHES[method], linewidth=1.2, label=name)
    axes.axhline(1.0, color="black", linewidth=0.8, linestyle=":")
    axes.set(title=setting, ylim=(-0.1, 1.15))


def main() -> None:
    """Draws the figure and writes the table of last shares."""
    scale = scale_of(sys.argv[1:])
    mine = ours("racing", scale)
    theirs, own = paper_shares(), our_shares(mine)
    own = own.assign(million_frames=own["frames"].astype(float) / 1e6)
    figure, grid = panels(list(HUMAN), 2 if mine else 1, 2.6, 2.2)
    for axes, setting in zip(grid[0], HUMAN, strict=True):
        draw(axes, theirs, setting, "hours")
        axes.set_xlabel("hours")
    for axes, setting in zip(grid[1] if mine else (), HUMAN, strict=False):
        draw(axes, own, setting, "million_frames")
        axes.set(title=f"{setting}, ours", xlabel="million frames")
    grid[0][0].set_ylabel("share of the human tester")
    if mine:
        grid[1][0].set_ylabel("share of the expert")
    legend_below(figure, grid[0][:1])
    rows = [theirs_in(theirs, setting) for setting in HUMAN]
    rows += [ours_in(mine, env) for env in SETTINGS if mine]
    caption = (
        "Shares of the reference player's score: the greatest on the way of the paper's curves, of its human tester's; "
        "our final evaluations, of the scripted driver's, with fresh seeds (mean with 95 % interval) or else of the "
        f"best rate, after so many frames. {mine.caption() if mine else NOTHING}"
    )
    header = ["setting", *METHODS.values(), "random player", "reference's score"]
    save(figure, "racing", scale, markdown(header, rows), caption)


def theirs_in(table: pd.DataFrame, setting: str) -> list[str]:
    """The paper's greatest shares in a setting."""
    curves = (select(table, setting=setting, method=method)["share"] for method in METHODS)
    return [setting, *(f"{curve.max():.0%}" if len(curve) else "–" for curve in curves), "–", f"{HUMAN[setting]:.0f}"]


def ours_in(mine: Ours, env: str) -> list[str]:
    """Our final shares in a setting."""
    table, expert = select(chosen_runs(mine), env=env), reference(env, "expert")
    cells = [final_share(select(table, method=method)) for method in METHODS]
    return [f"{SETTINGS[env]}, ours", *cells, f"{reference(env, 'random') / expert:.1%}", f"{expert:.1f}"]


def final_share(runs: pd.DataFrame) -> str:
    """A method's, in per cent."""
    if runs.empty:
        return "–"
    return f"{interval_of_mean(100 * runs['share'].to_numpy(float))} %, {runs['budget'].max() / 1e6:g}M frames"


if __name__ == "__main__":
    run_command(main, __doc__)
