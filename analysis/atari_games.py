"""Figures 1, 3 and 4 on Atari: curves over the paper's, by epochs and by hours, and a table of the five games.

A second figure, `atari_a3c`, has A3C by epochs alone, in the games that have been run.

python analysis/atari_games.py [scale=laptop]

Rules, fixed before the runs: a final score is the mean of a run's last three evaluations, with the interval of their
episodes. It is compared with the paper's curve after as many epochs (the middle of the three), its band, the ratio of
the two and the lag, the epochs needed beyond the paper's to reach the same score. "Faster than DQN" compares virtual
hours to the best score of the paper's DQN, from a curve smoothed over three evaluations, with the paper's own hours.
"""

import math
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import t as student_t

from a3crepro.experiments import figures
from a3crepro.experiments.figures import METHODS, OWN, TITLES, markdown, number
from a3crepro.experiments.results import committed, overridden, read_table, select
from a3crepro.experiments.statistics import LAST, Array, Interval, first_crossing, human_normalised
from a3crepro.runs.command_line import run_command

PAPER_GAMES = ("beam_rider", "breakout", "pong", "qbert", "space_invaders")
AUTHORS_RATE = 7e-4
COLUMNS = (("a3c",), ("n_step_q",), ("one_step_q", "one_step_sarsa"))
"""Methods in each column of panels by epochs."""
EPOCHS = 20.0
"""Minimum extent of the panels: 80M frames."""
OTHERS = {
    "noisynet_paper_a3c_noop_320Mframes": "NoisyNet's A3C, 320M, no-op",
    "pfrl_a3c_noop_best_3seeds": "PFRL's A3C, 320M, no-op, best of 3 seeds",
}


class Curve(NamedTuple):
    """The evaluations of one run."""

    run: str
    env: str
    method: str
    network: str
    execution: str
    overrides: dict[str, str]
    """Keys that the sweep overrides for only some of its runs."""
    seed: int
    learning_rate: float
    finished: bool
    table: pd.DataFrame
    """A row per evaluation: `epoch` (4M frames), `hours` (of the execution), `score`, `score_std`, `episodes`."""

    @property
    def epochs(self) -> float:
        """Epochs of training."""
        return float(self.table["epoch"].iloc[-1])

    @property
    def is_plain(self) -> bool:
        """Whether the run is feed-forward, in virtual time, and with all the paper's values."""
        return self.network == "mnih2013" and self.execution == "virtual_time" and not self.overrides

    @property
    def final(self) -> Interval:
        """The mean of the last three evaluations; the interval (Student's) is over their episodes, not over seeds."""
        last = self.table.tail(LAST)
        error = math.sqrt((last["score_std"] ** 2 / (last["episodes"] - 1)).sum()) / len(
            last
        )  # n in the table's, not n - 1
        half = float(student_t.ppf(0.975, last["episodes"].sum() - len(last))) * error
        value = float(last["score"].mean())
        return Interval(value, value - half, value + half)

    def smoothed(self) -> Array:
        """Running means of each evaluation and up to two before it, [evaluations]."""
        return self.table["score"].rolling(LAST, min_periods=1).mean().to_numpy(float)


def curves(scale: str) -> list[Curve]:
    """The curves of all evaluated runs of `atari_games`, finished or not."""
    directory = committed("atari_games", scale)
    return [
        curve
        for name, finished in (("scores", True), ("unfinished", False))
        if (directory / f"{name}.csv").exists()
        for curve in _curves(read_table(directory / f"{name}.csv"), finished)
    ]


def _curves(table: pd.DataFrame, finished: bool) -> Iterator[Curve]:
    table = table[table["score_type"] != "training"]
    table, keys = table.assign(hours=table["seconds"] / 3600), overridden(table)
    for run, rows in table.groupby("run", sort=False):
        first = rows.iloc[0]
        yield Curve(
            str(run), first["env"], first["method"], first["network"], first["execution"],
            {key: first[key] for key in keys if first[key]},
            int(first["seed"]), float(first["learning_rate"]), finished, rows.sort_values("frames"),
        )  # fmt: skip


def at_paper_rates(found: Sequence[Curve]) -> list[Curve]:
    """The plain runs, except those at the authors' single rate for all games."""
    return [curve for curve in found if curve.is_plain and not math.isclose(curve.learning_rate, AUTHORS_RATE)]


def plain_run(found: Sequence[Curve], game: str, method: str) -> Curve | None:
    """The plain run of seed 0 for a game and method, or None if it has not started."""
    own = [curve for curve in at_paper_rates(found) if (curve.env, curve.method, curve.seed) == (game, method, 0)]
    return own[0] if own else None


def paper_curve(game: str, method: str) -> pd.DataFrame:
    """The paper's curve for 16 threads, by epochs (Figures 3 and S9): the mean of its best three of fifty rates."""
    return select(figures.paper("fig3_s9_data_efficiency"), game=game, method=method, threads=16).sort_values("epoch")


class Beside(NamedTuple):
    """A final score compared with the paper's curve."""

    paper: float
    """The paper's score after the same number of epochs."""
    band: tuple[float, float]
    ratio: float
    """The final score divided by the paper's; NaN unless the paper's is positive."""
    lag: float
    """Epochs needed beyond the paper's to reach the same final score; infinite if the paper never reached it."""


def beside_paper(curve: Curve) -> Beside:
    """Compares a final score with the paper's, at the middle of the evaluations it averages."""
    from_paper = paper_curve(curve.env, curve.method)
    epoch = float(curve.table["epoch"].tail(LAST).mean())

    def at(column: str) -> float:
        return float(np.interp(epoch, from_paper["epoch"], from_paper[column]))

    score = at("score")
    reached = first_crossing(
        from_paper["epoch"].to_numpy(float), from_paper["score"].to_numpy(float), curve.final.value
    )
    lag = -math.inf if math.isnan(reached) else epoch - reached
    return Beside(score, (at("band_low"), at("band_high")), curve.final.value / score if score > 0 else math.nan, lag)


class Race(NamedTuple):
    """A run compared with the paper's DQN, by hours: virtual ones, which model the paper's machine, and DQN's own."""

    best: float
    """DQN's best score."""
    dqn_hours: float
    """Hours DQN took to reach it, on its GPU."""
    hours: float
    """Hours until the run's smoothed curve reached it; NaN if it never did."""
    end: float
    """Total hours of the run."""
    dqn_score: float
    """DQN's score after as many hours, interpolated."""

    def in_words(self) -> str:
        """The hours, for a table."""
        return f"{self.hours:.1f}" if not math.isnan(self.hours) else f"more than {self.end:.1f}"


def race_with_dqn(curve: Curve) -> Race:
    """Compares a run in virtual time with DQN."""
    dqn = select(figures.paper("fig1_learning_speed"), game=curve.env, method="dqn").sort_values("hours")
    best = dqn.loc[dqn["score"].idxmax()]
    hours = first_crossing(curve.table["hours"].to_numpy(float), curve.smoothed(), float(best["score"]))
    end = float(curve.table["hours"].iloc[-1])
    dqn_score = float(np.interp(end, dqn["hours"], dqn["score"]))
    return Race(float(best["score"]), float(best["hours"]), hours, end, dqn_score)


# ---- Figure and tables -----------------------------------------------------------------------------------------------


def draw(
    axes: Axes, game: str, methods: Sequence[str], x: str, own: Sequence[Curve], end: float, color: str | None = None
) -> None:
    """Draws the paper's curves, dashed, up to an end, and the runs: thick for seed 0, thin for others.

    `color` is that of the runs, by default the method's.
    """
    for method in methods:
        hours = select(figures.paper("fig1_learning_speed"), game=game, method=method)
        theirs = hours if x == "hours" else paper_curve(game, method)
        label = f"the paper's {figures.NAMES[method]}"
        figures.draw_paper(axes, theirs[theirs[x] <= end], x, method, dashes=(3, 1.5), label=label)
    for curve in own:
        style = {"linewidth": 0.6, "markersize": 2, "label": f"{OWN}, other seeds"}
        if curve.seed == 0:
            style = {"linewidth": 1.4, "markersize": 4, "label": f"{OWN}, {METHODS[curve.method]}"}
        axes.plot(
            curve.table[x], curve.table["score"], color=color or figures.COLORS[curve.method], marker=".", **style
        )


def figure_of(found: Sequence[Curve]) -> Figure:
    """Three columns by epochs, one by hours; a row per game."""
    figure, grid = figures.panels(len(COLUMNS) + 1, len(PAPER_GAMES), figures.WIDTH / (len(COLUMNS) + 1), 1.9)
    plain = at_paper_rates(found)
    for row, game in zip(grid, PAPER_GAMES, strict=True):
        own = [curve for curve in plain if curve.env == game]
        for axes, methods in zip(row, COLUMNS, strict=False):
            here = [curve for curve in own if curve.method in methods]
            draw(axes, game, methods, "epoch", here, max([EPOCHS, *(curve.epochs for curve in here)]))
        draw(row[-1], game, list(figures.NAMES), "hours", own, math.inf)
        row[0].set_ylabel(f"{TITLES[game]}\nscore")
    for axes, methods in zip(grid[0], COLUMNS, strict=False):
        axes.set_title(", ".join(METHODS[method] for method in methods))
    grid[0][-1].set_title("all, and DQN")
    for axes in grid[-1]:
        axes.set_xlabel("epochs of 4M frames")
    grid[-1][-1].set_xlabel(f"hours ({OWN}: virtual)")
    figures.legend_below(figure, grid.flat, columns=4)
    return figure


def figure_of_a3c(runs: Sequence[Curve]) -> Figure:
    """By epochs, to half as many again as were run; a panel per game that has been run."""
    games = [game for game in PAPER_GAMES if any(curve.env == game for curve in runs)]
    figure, grid = figures.panels(len(games), 1, 3.6, 2.7)
    for axes, game in zip(grid[0], games, strict=True):
        here = [curve for curve in runs if curve.env == game]
        draw(axes, game, ["a3c"], "epoch", here, 1.5 * max(curve.epochs for curve in here), "black")
        figures.draw_level(axes, figures.reference(game), "random", "random policy")
        axes.set(title=TITLES[game], xlabel="epochs of 4M frames", ylabel="score" if game == games[0] else "")
    figures.legend_below(figure, grid.flat, columns=3)
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
            race.in_words(curve.finished), f"{race.dqn_hours:.0f}",
        ])  # fmt: skip
    return markdown(header, rows)


def differs(curve: Curve) -> str:
    """How a run differs from the plain one."""
    overrides = " ".join(f"{key}={value}" for key, value in curve.overrides.items())
    plain = ("", "mnih2013", "virtual_time")
    return ", ".join(part for part in (overrides, curve.network, curve.execution) if part not in plain) or "–"


def five_games(found: Sequence[Curve]) -> str:
    """A3C's scores in the format of Table S3, raw and human-normalised, beside published ones."""
    scores = figures.paper("human_random_scores").set_index("game")
    others = figures.paper("other_reproductions_a3c").set_index("game")
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
    scale = figures.scale_of(sys.argv[1:])
    found = curves(scale)
    unfinished = sum(not curve.finished for curve in found)
    caption = (
        "The paper's curves are means of its best three rates of fifty with 16 threads (by epochs) and of its best "
        "five (by hours), and it does not say what its band is; those of a3crepro have one rate and one seed each, 16 "
        "actor-learners in virtual time, sampled policies (value-based: ε 0.05), ten games an evaluation. Virtual "
        "hours are a model of the paper's machine. Final scores: the last three evaluations; intervals are of their "
        f"episodes, not of seeds. {OWN}: {len(found)} runs, {unfinished} of them unfinished."
    )
    figures.save(figure_of(found), "atari_games", scale, f"{table_of(found)}\n\n{five_games(found)}", caption)
    if a3c := [curve for curve in at_paper_rates(found) if curve.method == "a3c"]:
        figures.save(figure_of_a3c(a3c), "atari_a3c", scale, table_of(a3c), caption)


if __name__ == "__main__":
    run_command(main, __doc__)
