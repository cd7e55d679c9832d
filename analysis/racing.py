"""Figure S6: the four methods in four settings of a race, as shares of a reference score.

  python analysis/racing.py [scale=laptop]

The paper's reference is a human tester's score; this reproduction's is that of a scripted driver that knows its
position. The two play the same role but are not the same.
"""

import pandas as pd
from matplotlib.axes import Axes

from a3crepro.experiments import figures
from a3crepro.experiments.figures import METHODS, OWN, Page, Results, markdown, script
from a3crepro.experiments.results import select, stacked
from a3crepro.experiments.statistics import interval_of_mean
from a3crepro.runs.command_line import run_command

SETTINGS = {
    "racing/slow": "Slow car, no bots", "racing/slow_bots": "Slow car, bots", "racing/fast": "Fast car, no bots",
    "racing/fast_bots": "Fast car, bots",
}  # fmt: skip
HUMAN = {"Slow car, no bots": 4553.0, "Slow car, bots": 4556.0, "Fast car, no bots": 5472.0, "Fast car, bots": 5534.0}
"""The paper's human tester's lines, read off Figure S6."""
LAST = 10
"""Points at the end of a curve: hours in the paper's, evaluations in this reproduction's."""


def of_expert(scores: pd.DataFrame) -> pd.Series:
    """Scores as shares of the scripted driver's."""
    return scores["score"] / scores["env"].map({env: figures.reference(env, "expert") for env in SETTINGS})


def paper_shares() -> pd.DataFrame:
    """The paper's curves as shares of its human tester's score."""
    table = figures.paper("figs6_torcs")
    return table.assign(share=table["score"] / table["setting"].map(HUMAN), run="paper")


def own_shares(results: Results | None) -> pd.DataFrame:
    """Evaluations of `chosen_runs` as shares of the expert's score."""
    if results is None:
        return pd.DataFrame(columns=["setting", "method", "run", "frames", "seconds", "share"])
    scores = results.evaluations(chosen_runs(results))
    return scores.assign(setting=scores["env"].map(SETTINGS), share=of_expert(scores))


def chosen_runs(results: Results) -> pd.DataFrame:
    """The representative runs of a method in a setting; `share` is the final score as a share of the expert's."""
    return results.representative(["env", "method"], results.runs.assign(share=of_expert(results.runs)))


def draw(axes: Axes, table: pd.DataFrame, setting: str, x: str) -> None:
    """Draws a line per method, the mean of its runs; where there are several, shaded from the least to the greatest."""
    for method, name in METHODS.items():
        curves = select(table, setting=setting, method=method)
        if len(curves):
            along, shares = stacked(curves, x, "share")
            style = {"dashes": figures.DASHES[method], "label": name}
            axes.plot(along, shares.mean(0), color=figures.COLORS[method], linewidth=1.2, **style)
            if len(shares) > 1:
                bounds = {"color": figures.COLORS[method], "alpha": 0.15, "linewidth": 0}
                axes.fill_between(along, shares.min(0), shares.max(0), **bounds)
    figures.draw_level(axes, 1.0, "expert")
    axes.set(ylim=(-0.1, 1.15))


@script("racing")
def main(results: Results | None) -> Page:
    """Draws the figure and writes the table of last shares."""
    from_paper, own = paper_shares(), own_shares(results)
    own = own.assign(million_frames=own["frames"].astype(float) / 1e6)
    sources = [("", from_paper, "hours", "human tester")]
    sources += [(f", {OWN}", own, "million_frames", "expert")] if results else []
    figure, grid = figures.panels(len(HUMAN), len(sources), 2.6, 2.2)
    for line, (source, table, x, driver) in zip(grid, sources, strict=True):
        for axes, setting in zip(line, HUMAN, strict=True):
            draw(axes, table, setting, x)
            seeds = select(table, setting=setting).groupby("method")["run"].nunique().max() if source else 0
            note = f", {seeds} seed{'s' if seeds > 1 else ''}" if seeds else ""
            axes.set(title=setting + source + note, xlabel=x.replace("_", " "))
        line[0].set_ylabel(f"share of the {driver}")
    figures.legend_below(figure, grid[0][:1])
    rows = [row for setting in HUMAN for row in theirs_in(from_paper, setting)]
    rows += [row for env in SETTINGS if results for row in own_in(results, env)]
    caption = (
        "Shares of the reference driver's score: the paper's human tester, and the scripted driver of this "
        f"reproduction. The paper's: the maxima of its curves, and the mean of their last {LAST} hours. {OWN}'s, with "
        f"held-out seeds, after the frames that are given: the final score; the mean of the last {LAST} evaluations, "
        "which are all of a run of 2.5M frames; and, for A3C, which samples its actions, the last score of its most "
        "probable ones. Means over seeds, with 95 % intervals from five on; shaded: from the least to the greatest of "
        "several seeds."
    )
    header = ["setting", "score", *METHODS.values(), "random policy", "reference's score"]
    return figure, markdown(header, rows), caption


def last_mean(shares: pd.Series) -> float:
    """The mean of a curve's last points, in order."""
    return float(shares.iloc[-LAST:].mean())


def theirs_in(table: pd.DataFrame, setting: str) -> list[list[str]]:
    """The paper's maximum shares in a setting, and those at the end."""
    curves = [select(table, setting=setting, method=method).sort_values("hours")["share"] for method in METHODS]
    return [
        [setting, name, *(f"{of(curve):.0%}" if len(curve) else "–" for curve in curves), "–", f"{HUMAN[setting]:.0f}"]
        for name, of in (("maximum", pd.Series.max), (f"last {LAST} hours", last_mean))
    ]


def own_in(results: Results, env: str) -> list[list[str]]:
    """This reproduction's shares in a setting: final, over the last evaluations, and greedy."""
    expert, runs = figures.reference(env, "expert"), select(chosen_runs(results), env=env)
    curves = select(own_shares(results), env=env).sort_values("frames").groupby("run")["share"]
    runs = runs.assign(last=runs["run"].map(curves.agg(last_mean)), greedy=runs["greedy_score"] / expert)
    references = f"{figures.reference(env, 'random') / expert:.1%}", f"{expert:.1f}"
    return [
        [
            f"{SETTINGS[env]}, {OWN}",
            name,
            *(cell(select(runs, method=method), column) for method in METHODS),
            *references,
        ]
        for name, column in (
            ("final", "share"),
            (f"last {LAST} evaluations", "last"),
            ("most probable actions", "greedy"),
        )
    ]


def cell(runs: pd.DataFrame, column: str) -> str:
    """A method's shares, in per cent."""
    if runs.empty or runs[column].isna().any():
        return "–"
    return f"{interval_of_mean(100 * runs[column])} %, {runs['budget'].max() / 1e6:g}M frames"


if __name__ == "__main__":
    run_command(main, __doc__)
