"""The first runs: four methods on MinAtar Breakout, and A3C on Atari Breakout and Pong beside the paper's.

python analysis/first_runs.py [scale=laptop]
"""

import pandas as pd
from matplotlib.axes import Axes

from a3crepro.experiments import figures
from a3crepro.experiments.figures import METHODS, TITLES, Page, Results, markdown, number, script
from a3crepro.experiments.results import select
from a3crepro.runs.command_line import run_command
from analysis._atari import EPOCH_FRAMES, paper_curve

GAMES = ("breakout", "pong")
STYLES = (("-", "o"), ("--", "^"))
"""Lines of training episodes and markers of evaluations, by learning rate."""
KINDS = ("training episodes", "evaluations")
AROUND = 3
"""Number of the paper's rates to show on each side of this reproduction's."""


def draw(axes: Axes, scores: pd.DataFrame) -> None:
    """Draws each rate's training scores as lines and its evaluations as points."""
    for color, styles, (rate, table) in zip(figures.PALETTE, STYLES, scores.groupby("learning_rate"), strict=False):
        is_training = table["score_type"] == "training"
        for style, part, kind in zip(styles, (table[is_training], table[~is_training]), KINDS, strict=True):
            axes.plot(part["frames"] / 1e6, part["score"], style, color=color, markersize=3, linewidth=1,
                      label=f"{kind}, learning rate {rate:g}")  # fmt: skip


def draw_paper(axes: Axes, game: str, frames: int) -> None:
    """Draws the paper's A3C with 16 threads (Figure 3), up to this many frames."""
    curve = paper_curve(game, "a3c")
    curve = curve[curve["epoch"] <= frames / EPOCH_FRAMES + 0.01]  # a run ends with the rollout that reaches its frames
    millions = curve["epoch"] * EPOCH_FRAMES / 1e6
    axes.plot(millions, curve["score"], "k--", linewidth=1, label="the paper, best 3 of 50")
    axes.fill_between(
        millions, curve["band_low"], curve["band_high"], color="black", alpha=0.12, linewidth=0, label="its band"
    )


def beside_paper(runs: pd.DataFrame) -> str:
    """Final scores on Atari beside the paper's curve and its band after the same number of frames (Figure 3)."""
    rows = []
    for run in runs[runs["env"].isin(GAMES)].sort_values(["env", "learning_rate"]).itertuples():
        here = select(paper_curve(run.env, "a3c"), epoch=round(run.frames / EPOCH_FRAMES)).iloc[0]
        rows.append([f"`{run.env}`", f"{run.learning_rate:g}", f"{run.frames / 1e6:.0f}M", number(run.last_score),
                     f"{here.score:.1f} ({here.band_low:.1f} to {here.band_high:.1f})"])  # fmt: skip
    return markdown(["environment", "learning rate", "frames", "last score", "the paper's curve there (band)"], rows)


def papers_rates(game: str, rate: float) -> str:
    """The paper's final scores at rates around a given one, after 200M frames (Figure 2)."""
    table = select(figures.paper("fig2_s11_learning_rates"), game=game, method="a3c").sort_values("learning_rate")
    place = int((table["learning_rate"] - rate).abs().to_numpy().argmin())
    near = table.iloc[max(0, place - AROUND) : place + AROUND + 1]
    return markdown([f"`{game}`: the paper's learning rate", *(f"{value:.2e}" for value in near["learning_rate"])],
                    [["its final score", *map(number, near["score"])]])  # fmt: skip


def table_of(runs: pd.DataFrame) -> str:
    """The final evaluations."""
    header = ["environment", "method", "threads", "learning rate", "frames", "last score, mean of episodes"]
    rows = [
        [f"`{run.env}`", METHODS[run.method], str(run.threads), f"{run.learning_rate:g}", f"{run.frames / 1e6:.0f}M",
         number(run.last_score)]
        for run in runs.sort_values(["env", "method", "learning_rate"]).itertuples()
    ]  # fmt: skip
    return markdown(header, rows)


def tables(results: Results) -> str:
    """The final evaluations, and those on Atari beside the paper's."""
    runs = results.runs
    best = runs[runs["env"] == "breakout"].nlargest(1, "last_score")["learning_rate"]
    return "\n\n".join([table_of(runs), beside_paper(runs), *(papers_rates("breakout", rate) for rate in best)])


@script("first_runs")
def main(results: Results | None) -> Page:
    """Draws the figure and writes the table."""
    figure, grid = figures.panels(3, 2, 3.2, 2.6)
    places = list(grid.flat)
    for axes, (method, title) in zip(places, METHODS.items(), strict=False):
        if results:
            draw(axes, select(results.scores, env="minatar/breakout", method=method))
        axes.set(title=f"MinAtar Breakout, {title}, 8 threads", ylim=(0, 14))
    for axes, game in zip(places[len(METHODS) :], GAMES, strict=True):
        scores = select(results.scores, env=game) if results else pd.DataFrame({"frames": [20_000_000]})
        if results:
            draw(axes, scores)
        draw_paper(axes, game, scores["frames"].max())
        axes.set(title=f"Atari {TITLES[game]}, A3C, 16 threads")
    for axes in places:
        axes.set_xlabel("million frames")
    for axes in grid[:, 0]:
        axes.set_ylabel("score")
    figures.legend_below(figure, places, columns=3)
    return figure, tables(results) if results else "", ""


if __name__ == "__main__":
    run_command(main, __doc__)
