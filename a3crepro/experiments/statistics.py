"""Statistics for figures and claims: pure functions of scores. NaN marks a level that was never reached."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest, norm, trim_mean
from scipy.stats import t as student_t

RESAMPLES = 10_000
"""Resamples of a bootstrap."""

Array = np.ndarray
Statistic = Callable[..., Array]
"""Maps values [..., n] to [...], given `axis=-1`, such as `np.mean`."""
Score = TypeVar("Score", float, Array)
"""The score of one run, or an array of several."""


def interquartile_mean(values: Array, axis: int = -1) -> Array:
    """The mean of the middle half (Agarwal et al. 2021)."""
    return np.asarray(trim_mean(values, 0.25, axis=axis))


# ---- Curves ----------------------------------------------------------------------------------------------------------


def first_crossing(x: Array, scores: Array, level: float) -> float:
    """The x at which a piecewise linear curve first reaches a level; NaN if it never does."""
    reached = np.flatnonzero(scores >= level)
    if not reached.size:
        return float("nan")
    k = int(reached[0])
    if k == 0:
        return float(x[0])
    share = (level - scores[k - 1]) / (scores[k] - scores[k - 1])
    return float(x[k - 1] + share * (x[k] - x[k - 1]))


def part_of_rise(scores: Array, share: float) -> float:
    """The level at this share of the rise from a curve's first value to its maximum."""
    return float(scores[0] + share * (scores.max() - scores[0]))


def fitted_speed(hours: Array, scores: Array, epochs: Array, scores_by_epoch: Array) -> tuple[float, float]:
    """Least-squares fit of the epochs per hour that map a curve over hours onto one over epochs.

    Returns:
      The speed, in steps of 0.01, and the root mean square error as a share of the first curve's range. NaN and
      infinity if the curves share fewer than three points.
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
"""Sample size below which Student's t replaces the bootstrap, which is too narrow (n = 6: 95 % covers 88 %)."""


def bootstrap(values: Array, statistic: Statistic = np.mean, seed: int = 0) -> Interval:
    """A statistic of independent values [n] with its percentile bootstrap interval."""
    rng = np.random.default_rng(seed)
    drawn = values[rng.integers(len(values), size=(RESAMPLES, len(values)))]
    return _interval(float(statistic(values, axis=-1)), statistic(drawn, axis=-1))


def interval_of_mean(sample: npt.ArrayLike) -> Interval:
    """The mean of independent values [n] with its interval, which is infinite for a single value."""
    values = np.asarray(sample, float)
    if len(values) >= FEW:
        return bootstrap(values)
    value = float(np.mean(values))
    if len(values) < 2:
        return Interval(value, float("-inf"), float("inf"))
    half = float(student_t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return Interval(value, value - half, value + half)


def band(scores: Array) -> Array:
    """Pointwise 95 % intervals of the mean of curves [runs, points]: [2, points]."""
    return np.array([interval_of_mean(point)[1:] for point in scores.T]).T


def interval_of_difference(*pairs: tuple[Array, Array]) -> Interval:
    """The difference between the means of two independent samples (Welch's t).

    For several pairs (one per game, say), the mean of their differences. The pairs are fixed, not sampled: only
    variation within them enters the interval.
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
    """The ratio of geometric means of independent positive samples; for several pairs, its geometric mean."""
    logarithms = ((np.log(above), np.log(below)) for above, below in pairs)
    return Interval(*(float(np.exp(value)) for value in interval_of_difference(*logarithms)))


def interval_of_shares(one: Array, other: Array) -> Interval:
    """The difference between two conditions, over paired trials [n], in the share of trials with some property.

    Agresti and Min (2005): Wald's interval with half a trial added to each of the four outcomes, so that it does not
    collapse where few trials differ.
    """
    n, more, less = len(one) + 2, (one & ~other).sum() + 0.5, (~one & other).sum() + 0.5
    middle = (more - less) / n
    half = float(norm.ppf(0.975) * np.sqrt(((more + less) / n - middle**2) / n))
    return Interval(float(one.mean() - other.mean()), middle - half, middle + half)


def interval_of_proportion(hits: int, trials: int) -> Interval:
    """The share of successes in independent trials, with Wilson's interval, which stays within 0 to 1."""
    found = binomtest(hits, trials).proportion_ci(method="wilson")
    return Interval(hits / trials, float(found.low), float(found.high))


def stratified_bootstrap(scores: Sequence[Array], statistic: Statistic, seed: int = 0) -> Interval:
    """A statistic over games with a bootstrap over each game's runs [runs] (Agarwal et al. 2021).

    The interquartile mean is over all runs of all games, other statistics are over the games' mean scores. With one run
    per game, the games themselves are resampled.
    """
    if max(len(runs) for runs in scores) == 1:
        return bootstrap(np.concatenate(scores), statistic, seed)
    rng = np.random.default_rng(seed)
    whole = statistic is interquartile_mean

    def of(games: Sequence[Array]) -> Array:
        values = np.concatenate(games, -1) if whole else np.stack([runs.mean(-1) for runs in games], -1)
        return np.asarray(statistic(values, axis=-1))

    drawn = of([runs[rng.integers(len(runs), size=(RESAMPLES, len(runs)))] for runs in scores])
    return _interval(float(of(scores)), drawn)


# ---- Learning rates --------------------------------------------------------------------------------------------------


class GoodRates(NamedTuple):
    """The range of learning rates at which a method learns, and the collapses within it."""

    low: float
    high: float
    inside: int
    """Runs within the range."""
    collapsed: int
    """Runs within the range that ended below 5 % of the best."""
    cut_off: bool
    """Whether an end of the range is an end of the rates tried, so that it may extend further."""

    @property
    def decades(self) -> float:
        return float(np.log10(self.high / self.low))

    def in_words(self) -> tuple[str, str]:
        """The range, and its decades; ≥ marks a range that may extend further."""
        return f"{self.low:.1e} to {self.high:.1e}", f"{'≥' if self.cut_off else ''}{self.decades:.2f}"


def good_rates(rates: Array, scores: Array, of_best: int = 1, share: float = 0.5) -> GoodRates:
    """The range of rates whose runs reach `share` (default: half) of the mean of the best `of_best` runs.

    `scores` are above the game's minimum; if none is, no rate is good. Collapses in the paper's data, for A3C,
    n-step Q, one-step Q and one-step Sarsa: relative to the best run, 0 of 114, 11 of 175, 4 of 149 and 4 of 133;
    relative to the mean of the best five, 1 of 142, 11 of 178, 4 of 152 and 4 of 133.
    """
    return rates_above(rates, scores, part_of_best(scores, of_best, share), 0.05 * float(scores.max()))


def part_of_best(scores: Array, of_best: int, share: float = 0.5) -> float:
    """The score a run must reach for its rate to be good."""
    return share * float(np.sort(scores)[-of_best:].mean())


def rates_above(rates: Array, scores: Array, line: float, collapse: float) -> GoodRates:
    """The range of rates whose runs reach a line; NaN if none does or the line is not finite."""
    good = (scores >= line) & (line > 0)
    if not good.any():
        return GoodRates(float("nan"), float("nan"), 0, 0, cut_off=False)
    low, high = float(rates[good].min()), float(rates[good].max())
    inside = scores[(rates >= low) & (rates <= high)]
    return GoodRates(low, high, len(inside), int((inside < collapse).sum()), low == rates.min() or high == rates.max())


def decades_of_good_rates(games: Sequence[tuple[Array, Array]], of_best: int, seed: int = 0) -> Interval:
    """The median over games of the decades of good rates.

    Each game's runs, (rates, scores), are resampled; the score they must reach is kept fixed.
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
    """Indices of the k best scores, best first; all if k is None."""
    return np.argsort(-scores, kind="stable")[:k]


# ---- Human-normalised scores -----------------------------------------------------------------------------------------


def human_normalised(score: Score, random: float, human: float) -> Score:
    """100 (score - random) / (human - random): per cent of the human's margin over a random policy."""
    return 100 * (score - random) / (human - random)


def table_1(scores: Mapping[str, Score], randoms: Mapping[str, float], humans: Mapping[str, float]) -> dict[str, Score]:
    """Human-normalised scores per game, computed as for the paper's Table 1.

    Where a random policy beats the human (Video Pinball from human starts), random counts as 0 in a table of all 57
    games, which reproduces the paper's rows. The plain formula reproduces the rows of 49 games.
    """
    whole = len(scores) == len(randoms)
    return {
        game: human_normalised(score, 0.0 if whole and randoms[game] > humans[game] else randoms[game], humans[game])
        for game, score in scores.items()
    }
