"""Atari learning curves of this reproduction and of the paper, for figures, tables and claims on the five games."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from a3crepro.experiments import figures
from a3crepro.experiments.figures import paper
from a3crepro.experiments.results import overridden, read_table, select
from a3crepro.experiments.statistics import Array, Interval, first_crossing

PAPER_GAMES = ("beam_rider", "breakout", "pong", "qbert", "space_invaders")
LAST = 3
"""Evaluations averaged in a final score."""
AUTHORS_RATE = 7e-4
Z = 1.96
"""Half-width of a 95 % interval, in standard errors."""


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
    def is_serializable(self) -> bool:
        """Whether the run is feed-forward, in virtual time, and with all the paper's values."""
        return self.network == "mnih2013" and self.execution == "virtual_time" and not self.overrides

    @property
    def final(self) -> Interval:
        """The mean of the last three evaluations; the interval is over their episodes, not over seeds."""
        last = self.table.tail(LAST)
        error = math.sqrt((last["score_std"] ** 2 / last["episodes"]).sum()) / len(last)
        value = float(last["score"].mean())
        return Interval(value, value - Z * error, value + Z * error)

    def smoothed(self) -> Array:
        """Running means of each evaluation and up to two before it, [evaluations]."""
        return self.table["score"].rolling(LAST, min_periods=1).mean().to_numpy(float)


def curves(scale: str) -> list[Curve]:
    """The curves of all evaluated runs of `atari_games`, finished or not."""
    directory = figures.RESULTS / "atari_games" / scale
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
    return [curve for curve in found if curve.is_serializable and not math.isclose(curve.learning_rate, AUTHORS_RATE)]


def plain_run(found: Sequence[Curve], game: str, method: str) -> Curve | None:
    """The plain run of seed 0 for a game and method, or None if it has not started."""
    own = [curve for curve in at_paper_rates(found) if (curve.env, curve.method, curve.seed) == (game, method, 0)]
    return own[0] if own else None


def paper_curve(game: str, method: str) -> pd.DataFrame:
    """The paper's curve for 16 threads, by epochs (Figures 3 and S9): the mean of its best three of fifty rates."""
    return select(paper("fig3_s9_data_efficiency"), game=game, method=method, threads=16).sort_values("epoch")


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
    """A run compared with the paper's DQN in reaching DQN's best score."""

    best: float
    """DQN's best score."""
    dqn_hours: float
    """Hours DQN took to reach it, on its GPU."""
    hours: float
    """Virtual hours until the run's smoothed curve reached it; NaN if it never did."""
    end: float
    """Total virtual hours of the run."""

    @property
    def is_faster(self) -> bool | None:
        """None if undecided: the run ended before DQN's hours without reaching the score."""
        if not math.isnan(self.hours):
            return self.hours < self.dqn_hours
        return None if self.end < self.dqn_hours else False


def race_with_dqn(curve: Curve) -> Race:
    """Compares virtual hours, which model the paper's machine, with the paper's hours."""
    dqn = select(paper("fig1_learning_speed"), game=curve.env, method="dqn").sort_values("hours")
    best = dqn.loc[dqn["score"].idxmax()]
    hours = first_crossing(curve.table["hours"].to_numpy(float), curve.smoothed(), float(best["score"]))
    return Race(float(best["score"]), float(best["hours"]), hours, float(curve.table["hours"].iloc[-1]))
