"""What figures and claims are computed with: pure functions of scores. NaN stands for what was never reached."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from scipy.stats import binomtest, norm, trim_mean
from scipy.stats import t as student_t

RESAMPLES = 10_000
"""Of a bootstrap."""

Array = np.ndarray
Statistic = Callable[[Array], Array]
"""From values [..., n] to [...]."""
Score = TypeVar("Score", float, Array)
"""Of one run, or of several."""


def mean(values: Array) -> Array:
    """Over the last axis."""
    return np.asarray(np.mean(values, axis=-1))


def median(values: Array) -> Array:
    """Over the last axis."""
    return np.asarray(np.median(values, axis=-1))


def interquartile_mean(values: Array) -> Array:
    """The mean of the middle half, over the last axis (Agarwal et al. 2021)."""
    return np.asarray(trim_mean(values, 0.25, axis=-1))


# ---- Curves ----------------------------------------------------------------------------------------------------------


def first_crossing(x: Array, scores: Array, level: float) -> float:
    """The x at which a curve, drawn with straight lines, first reaches a level; NaN where it never does."""
    reached = np.flatnonzero(scores >= level)
    if not reached.size:
        return float("nan")
    k = int(reached[0])
    if k == 0:
        return float(x[0])
    share = (level - scores[k - 1]) / (scores[k] - scores[k - 1])
    return float(x[k - 1] + share * (x[k] - x[k - 1]))


def part_of_rise(scores: Array, share: float) -> float:
    """The level at this share of the way from a curve's first value to its greatest."""
    return float(scores[0] + share * (scores.max() - scores[0]))


def fitted_speed(hours: Array, scores: Array, epochs: Array, scores_by_epoch: Array) -> tuple[float, float]:
    """Epochs an hour for which a curve over hours lies on one over epochs: the least squares, and how far it is off.

    Returns:
      The speed, in steps of 0.01; the root of the mean square, as a share of the first curve's range. NaN where they
      have fewer than three points in common.
    """
    best = (float("nan"), float("inf"))
    for speed in np.round(np.arange(0.05, 8, 0.01), 2):
        common = hours * speed <= epochs[-1]
        if common.sum() < 3:
            continue
        difference = np.interp(hours[common] * speed, epochs, scores_by_epoch) - scores[common]
        off = float(np.sqrt(np.mean(difference**2)) / np.ptp(scores))
        if off < best[1]:
            best = (float(speed), off)
    return best


# ---- Intervals -------------------------------------------------------------------------------------------------------


class Interval(NamedTuple):
    """An estimate with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        bounds = f"{self.low:.2f} to {self.high:.2f}" if math.isfinite(self.high - self.low) else "no interval"
        return f"{self.value:.2f} ({bounds})"

    def __contains__(self, value: object) -> bool:
        return isinstance(value, (int, float)) and self.low <= value <= self.high


def _interval(value: float, drawn: Array) -> Interval:
    low, high = np.percentile(drawn, (2.5, 97.5))
    return Interval(float(value), float(low), float(high))


FEW = 15
"""Below so many values a percentile bootstrap is too narrow (of 6, its 95 % interval covers 88 %): Student's t then."""


def bootstrap(values: Array, statistic: Statistic = mean, seed: int = 0) -> Interval:
    """A statistic of independent values [n] with the percentile bootstrap's interval."""
    rng = np.random.default_rng(seed)
    drawn = values[rng.integers(len(values), size=(RESAMPLES, len(values)))]
    return _interval(float(statistic(values)), statistic(drawn))


def interval_of_mean(values: Array) -> Interval:
    """The mean of independent values [n]; of one alone nothing is known but itself."""
    if len(values) >= FEW:
        return bootstrap(values)
    value = float(np.mean(values))
    if len(values) < 2:
        return Interval(value, float("-inf"), float("inf"))
    half = float(student_t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return Interval(value, value - half, value + half)


def band(scores: Array) -> Array:
    """The 95 % interval of the mean of some curves [runs, points], point by point: [2, points]."""
    return np.array([interval_of_mean(point)[1:] for point in scores.T]).T


def interval_of_difference(*pairs: tuple[Array, Array]) -> Interval:
    """The mean of one sample less that of another, which is independent of it (Welch's t).

    Of several pairs (of as many games, say) the mean of their differences; they stand for themselves alone, so only
    what varies within them makes the interval.
    """
    value = float(np.mean([np.mean(one) - np.mean(other) for one, other in pairs]))
    samples = [sample for pair in pairs for sample in pair]
    if min(len(sample) for sample in samples) < 2:
        return Interval(value, float("-inf"), float("inf"))
    parts = np.array([np.var(sample, ddof=1) / len(sample) for sample in samples]) / len(pairs) ** 2
    if not parts.sum():
        return Interval(value, value, value)
    freedom = parts.sum() ** 2 / sum(part**2 / (len(sample) - 1) for part, sample in zip(parts, samples, strict=True))
    half = float(student_t.ppf(0.975, freedom) * np.sqrt(parts.sum()))
    return Interval(value, value - half, value + half)


def ratio_of_geometric_means(*pairs: tuple[Array, Array]) -> Interval:
    """Of independent samples of positive numbers, by logarithms; of several pairs the ratios' geometric mean."""
    logarithms = ((np.log(above), np.log(below)) for above, below in pairs)
    return Interval(*(float(np.exp(value)) for value in interval_of_difference(*logarithms)))


def interval_of_shares(one: Array, other: Array) -> Interval:
    """The share of trials [n] in which something holds in one of two paired conditions, less that in the other.

    Agresti and Min (2005): Wald's interval with half a trial more of each of the four outcomes, so that it does not
    shrink to nothing where few trials differ.
    """
    n, more, less = len(one) + 2, (one & ~other).sum() + 0.5, (~one & other).sum() + 0.5
    middle = (more - less) / n
    half = float(norm.ppf(0.975) * np.sqrt(((more + less) / n - middle**2) / n))
    return Interval(float(one.mean() - other.mean()), middle - half, middle + half)


def interval_of_proportion(hits: int, trials: int) -> Interval:
    """The share of independent trials in which something holds: Wilson's interval, which stays inside 0 to 1."""
    found = binomtest(hits, trials).proportion_ci(method="wilson")
    return Interval(hits / trials, float(found.low), float(found.high))


def stratified_bootstrap(scores: Sequence[Array], statistic: Statistic, seed: int = 0) -> Interval:
    """A statistic over games; the runs of each game [runs] are resampled (Agarwal et al. 2021).

    The interquartile mean is over all runs of all games, other statistics over the games' mean scores. With one run a
    game there is nothing to resample but the games themselves, and that is done.
    """
    if max(len(runs) for runs in scores) == 1:
        return bootstrap(np.concatenate(scores), statistic, seed)
    rng = np.random.default_rng(seed)
    whole = statistic is interquartile_mean

    def of(games: Sequence[Array]) -> Array:
        return statistic(np.concatenate(games, -1) if whole else np.stack([mean(runs) for runs in games], -1))

    drawn = of([runs[rng.integers(len(runs), size=(RESAMPLES, len(runs)))] for runs in scores])
    return _interval(float(of(scores)), drawn)


# ---- Learning rates --------------------------------------------------------------------------------------------------


class GoodRates(NamedTuple):
    """The range of learning rates in which a method learns, and what happens inside it."""

    low: float
    high: float
    inside: int
    """Runs between the two."""
    collapsed: int
    """Runs between the two that ended below 5 % of the best."""
    cut_off: bool
    """Whether one of the two is the end of the rates that were tried: the range may go on beyond it."""

    @property
    def decades(self) -> float:
        return float(np.log10(self.high / self.low))


def good_rates(rates: Array, scores: Array, of_best: int = 1, share: float = 0.5) -> GoodRates:
    """From the least to the greatest rate whose run reached half (or another share) of the mean of so many best runs.

    Scores are above the game's least possible one; where none is, no rate is good. With the best run's as the line, the
    paper's data have collapses in 0 of 114 runs of A3C, 11 of 175 of n-step Q, 4 of 149 of one-step Q and 4 of 133 of
    one-step Sarsa; with the best five runs' mean 1 of 142, 11 of 178, 4 of 152 and 4 of 133.
    """
    return rates_above(rates, scores, part_of_best(scores, of_best, share), 0.05 * float(scores.max()))


def part_of_best(scores: Array, of_best: int, share: float = 0.5) -> float:
    """The line that a good rate's run reaches."""
    return share * float(np.sort(scores)[-of_best:].mean())


def rates_above(rates: Array, scores: Array, line: float, collapse: float) -> GoodRates:
    """The range of rates whose runs reach a line; of no rate, NaN, where none does or the line is no score."""
    good = (scores >= line) & (line > 0)
    if not good.any():
        return GoodRates(float("nan"), float("nan"), 0, 0, cut_off=False)
    low, high = float(rates[good].min()), float(rates[good].max())
    inside = scores[(rates >= low) & (rates <= high)]
    return GoodRates(low, high, len(inside), int((inside < collapse).sum()), low == rates.min() or high == rates.max())


def decades_of_good_rates(games: Sequence[tuple[Array, Array]], of_best: int, seed: int = 0) -> Interval:
    """The median over games of the decades of good rates.

    The runs of each game, (rates, scores), are resampled; the line that they are to reach stays where it is.
    """
    rng = np.random.default_rng(seed)
    lines = [part_of_best(scores, of_best) for _, scores in games]

    def decades(resample: bool) -> Iterator[float]:
        for (rates, scores), line in zip(games, lines, strict=True):
            drawn = rng.integers(len(rates), size=len(rates)) if resample else slice(None)
            yield rates_above(rates[drawn], scores[drawn], line, 0.0).decades

    medians = [np.median(np.nan_to_num(list(decades(True)))) for _ in range(RESAMPLES // 10)]
    return _interval(float(np.median(np.nan_to_num(list(decades(False))))), np.array(medians))


def best(scores: Array, k: int | None) -> Array:
    """The numbers of the k best, best first; of all, where k is None."""
    return np.argsort(-scores, kind="stable")[:k]


# ---- Human-normalised scores -----------------------------------------------------------------------------------------


def human_normalised(score: Score, random: float, human: float) -> Score:
    """100 (score - random) / (human - random): in per cent of what a person adds to a random policy."""
    return 100 * (score - random) / (human - random)


def table_1(scores: Mapping[str, Score], randoms: Mapping[str, float], humans: Mapping[str, float]) -> dict[str, Score]:
    """Each game's human-normalised score, as the paper's Table 1 counts it.

    Where a random policy is better than the person (Video Pinball from human starts), random counts as 0 in a table of
    all 57 games: so the paper's rows come out. The rows of 49 games come out by the plain formula.
    """
    whole = len(scores) == len(randoms)
    return {
        game: human_normalised(score, 0.0 if whole and randoms[game] > humans[game] else randoms[game], humans[game])
        for game, score in scores.items()
    }
