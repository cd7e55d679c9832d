"""Our Atari curves and the paper's: what figures, tables and claims about the five games are computed from."""

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
"""Evaluations that a final score is the mean of."""
AUTHORS_RATE = 7e-4
Z = 1.96
"""Standard errors to either side of a 95 % interval."""


class Curve(NamedTuple):
    """The evaluations of one run."""

    run: str
    env: str
    method: str
    network: str
    execution: str
    overrides: dict[str, str]
    """Keys that its sweep overrides for some of its runs alone."""
    seed: int
    learning_rate: float
    finished: bool
    table: pd.DataFrame
    """A row an evaluation: `epoch` (4M frames), `hours` (of the execution's time), `score`, `score_std`, `episodes`."""

    @property
    def epochs(self) -> float:
        """How long it was trained."""
        return float(self.table["epoch"].iloc[-1])

    @property
    def is_serializable(self) -> bool:
        """Feed-forward, in virtual time, without a change of the paper's values."""
        return self.network == "mnih2013" and self.execution == "virtual_time" and not self.overrides

    @property
    def final(self) -> Interval:
        """The mean of the last three evaluations; the interval is that of their episodes, not of seeds."""
        last = self.table.tail(LAST)
        error = math.sqrt((last["score_std"] ** 2 / last["episodes"]).sum()) / len(last)
        value = float(last["score"].mean())
        return Interval(value, value - Z * error, value + Z * error)

    def smoothed(self) -> Array:
        """The mean of each evaluation and up to two before it, [evaluations]."""
        return self.table["score"].rolling(LAST, min_periods=1).mean().to_numpy(float)


def curves(scale: str) -> list[Curve]:
    """Those of all runs of `atari_games` that have been evaluated, finished or not."""
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
    """The plain runs but those at the authors' one rate for all games."""
    return [curve for curve in found if curve.is_serializable and not math.isclose(curve.learning_rate, AUTHORS_RATE)]


def plain_run(found: Sequence[Curve], game: str, method: str) -> Curve | None:
    """The plain run of seed 0 that stands for a game and method, if it has been begun."""
    own = [curve for curve in at_paper_rates(found) if (curve.env, curve.method, curve.seed) == (game, method, 0)]
    return own[0] if own else None


def paper_curve(game: str, method: str) -> pd.DataFrame:
    """The paper's with 16 threads, by epochs (Figures 3 and S9): the mean of its best three rates of fifty."""
    return select(paper("fig3_s9_data_efficiency"), game=game, method=method, threads=16).sort_values("epoch")


class Beside(NamedTuple):
    """A final score beside the paper's curve."""

    paper: float
    """The paper's score after as many epochs."""
    band: tuple[float, float]
    ratio: float
    """Ours over the paper's; NaN where the paper's is not positive."""
    lag: float
    """Epochs that we took more than the paper to come to our final score; infinite where the paper never came to it."""


def beside_paper(curve: Curve) -> Beside:
    """Compares a final score, at the middle of the evaluations that it is the mean of."""
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
    """A run and the paper's DQN on their way to DQN's best score."""

    best: float
    """DQN's best score."""
    dqn_hours: float
    """Hours that DQN took to it, on its GPU."""
    hours: float
    """Virtual hours until the smoothed curve of the run reached it; NaN where it never did."""
    end: float
    """Virtual hours that the run lasted."""

    @property
    def is_faster(self) -> bool | None:
        """None: it ended before DQN's hours without having reached the score, so nothing is decided."""
        if not math.isnan(self.hours):
            return self.hours < self.dqn_hours
        return None if self.end < self.dqn_hours else False


def race_with_dqn(curve: Curve) -> Race:
    """By virtual hours, which are a model of the paper's machine, against the paper's hours."""
    dqn = select(paper("fig1_learning_speed"), game=curve.env, method="dqn").sort_values("hours")
    best = dqn.loc[dqn["score"].idxmax()]
    hours = first_crossing(curve.table["hours"].to_numpy(float), curve.smoothed(), float(best["score"]))
    return Race(float(best["score"]), float(best["hours"]), hours, float(curve.table["hours"].iloc[-1]))
