"""Runs on the five Atari games beside the paper's curves and its DQN.

Rules, fixed before the runs: a final score is the mean of a run's last three evaluations, with the interval of their
episodes. It is compared with the paper's curve after as many epochs (the middle of the three), its band, the ratio of
the two and the lag, the epochs needed beyond the paper's to reach the same score.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import t as student_t

from a3crepro.experiments import figures
from a3crepro.experiments.results import committed, overridden, read_table, select
from a3crepro.experiments.statistics import LAST, Array, Interval, first_crossing
from sweeps.atari_games import paper_rate

EPOCH_FRAMES = 4_000_000


class Curve(NamedTuple):
    """The evaluations of one run."""

    run: str
    env: str
    method: str
    network: str
    execution: str
    overrides: dict[str, str]
    """Keys that the sweep overrides for only some of its runs."""
    threads: int
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
        """Whether the run is feed-forward, in virtual time, with 16 actor-learners and all the paper's values."""
        usual = (self.network, self.execution, self.threads) == ("mnih2013", "virtual_time", 16)
        return usual and not self.overrides

    @property
    def final(self) -> Interval:
        """The mean of the last three evaluations; the interval (Student's) is over their episodes, not over seeds."""
        last = self.table.tail(LAST)
        variances = last["score_std"] ** 2 / (last["episodes"] - 1)  # the table's deviations divide by n, not n - 1
        error = math.sqrt(variances.sum()) / len(last)
        half = float(student_t.ppf(0.975, last["episodes"].sum() - len(last))) * error
        value = float(last["score"].mean())
        return Interval(value, value - half, value + half)

    def score_at(self, epoch: float) -> float:
        """The score of the evaluation after so many epochs; NaN if there is none."""
        at = self.table.loc[self.table["epoch"].sub(epoch).abs() < 0.05, "score"]
        return float(at.iloc[0]) if len(at) else math.nan

    def smoothed(self) -> Array:
        """Running means of each evaluation and up to two before it, [evaluations]."""
        return self.table["score"].rolling(LAST, min_periods=1).mean().to_numpy(float)


def curves(scale: str, sweep: str = "atari_games") -> list[Curve]:
    """The curves of all evaluated runs of a sweep, finished or not."""
    directory = committed(sweep, scale)
    return [
        curve
        for name, finished in (("scores", True), ("unfinished", False))
        if (directory / f"{name}.csv").exists()
        for curve in _curves(read_table(directory / f"{name}.csv"), finished)
    ]


def _curves(table: pd.DataFrame, finished: bool) -> Iterator[Curve]:
    table = table[table["score_type"] != "training"]
    table, keys = table.assign(hours=table["seconds"] / 3600, epoch=table["frames"] / EPOCH_FRAMES), overridden(table)
    for run, rows in table.groupby("run", sort=False):
        first = rows.iloc[0]
        yield Curve(
            str(run), first["env"], first["method"], first["network"], first["execution"],
            {key: first[key] for key in keys if first[key]},
            int(first["threads"]), int(first["seed"]), float(first["learning_rate"]), finished,
            rows.sort_values("frames"),
        )  # fmt: skip


def at_paper_rates(found: Sequence[Curve]) -> list[Curve]:
    """The plain runs at the rates that were fixed beforehand, without those at single other ones."""
    return [
        curve
        for curve in found
        if curve.is_plain and f"{curve.learning_rate:.4g}" == f"{paper_rate(curve.env, curve.method):.4g}"
    ]


def plain_run(found: Sequence[Curve], game: str, method: str) -> Curve | None:
    """The plain run of seed 0 for a game and method, or None if it has not started."""
    own = [curve for curve in at_paper_rates(found) if (curve.env, curve.method, curve.seed) == (game, method, 0)]
    return own[0] if own else None


def paper_curve(game: str, method: str, threads: int = 16) -> pd.DataFrame:
    """The paper's curve by epochs (Figures 3 and S9): the mean of its best three of fifty rates."""
    curves = figures.paper("fig3_s9_data_efficiency")
    return select(curves, game=game, method=method, threads=threads).sort_values("epoch")


class Beside(NamedTuple):
    """A final score compared with the paper's curve."""

    paper: float
    """The paper's score after the same number of epochs."""
    band: tuple[float, float]
    ratio: float
    """The final score divided by the paper's; NaN unless both are positive."""
    lag: float
    """Epochs needed beyond the paper's to reach the same final score; infinite if the paper never reached it."""


def beside_paper(curve: Curve) -> Beside:
    """Compares a final score with the paper's with as many threads, at the middle of the evaluations it averages."""
    from_paper = paper_curve(curve.env, curve.method, curve.threads)
    epoch = float(curve.table["epoch"].tail(LAST).mean())

    def at(column: str) -> float:
        return float(np.interp(epoch, from_paper["epoch"], from_paper[column]))

    score = at("score")
    reached = first_crossing(
        from_paper["epoch"].to_numpy(float), from_paper["score"].to_numpy(float), curve.final.value
    )
    lag = -math.inf if math.isnan(reached) else epoch - reached
    final = curve.final.value
    ratio = final / score if min(final, score) > 0 else math.nan
    return Beside(score, (at("band_low"), at("band_high")), ratio, lag)


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
