"""Statistics for figures and claims: pure functions of scores. NaN marks a level that was never reached."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from scipy.stats import beta, binomtest, norm, trim_mean
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

LAST = 3
"""Number of evaluations whose mean is a run's final score."""


def final_score(evaluations: Array) -> float:
    """The mean of a run's last evaluations [evaluations]."""
    return float(np.mean(evaluations[-LAST:]))


def smoothed(scores: Array) -> Array:
    """Each score [..., n] averaged with its neighbours: of three, at both ends of two."""
    edged = np.pad(np.asarray(scores, float), [(0, 0)] * (np.ndim(scores) - 1) + [(1, 1)], constant_values=np.nan)
    return np.asarray(np.nanmean([edged[..., :-2], edged[..., 1:-1], edged[..., 2:]], axis=0))


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
        value, low, high = (f"{round(number, 2) + 0.0:.2f}" for number in self)  # no -0.00
        return f"{value} ({low} to {high})" if math.isfinite(self.high - self.low) else f"{value} (no interval)"

    def __contains__(self, value: object) -> bool:
        return isinstance(value, (int, float)) and self.low <= value <= self.high


def _interval(value: float, drawn: Array) -> Interval:
    low, high = np.percentile(drawn, (2.5, 97.5))
    return Interval(float(value), float(low), float(high))


MIN_RUNS_FOR_BOOTSTRAP = 30
"""Sample size below which Student's t replaces the bootstrap, which is too narrow (n = 6: 95 % covers 88 %)."""
MIN_RUNS = 5
"""Sample size below which a mean has no interval: the scores of a few runs have two peaks, learnt and not learnt."""


def bootstrap(values: Array, statistic: Statistic = np.mean, seed: int = 0) -> Interval:
    """A statistic of independent values [n] with its percentile bootstrap interval."""
    rng = np.random.default_rng(seed)
    drawn = values[rng.integers(len(values), size=(RESAMPLES, len(values)))]
    return _interval(float(statistic(values, axis=-1)), statistic(drawn, axis=-1))


def interval_of_mean(sample: npt.ArrayLike) -> Interval:
    """The mean of independent values [n] with its interval, which is infinite for fewer than `MIN_RUNS` values."""
    values = np.asarray(sample, float)
    if len(values) >= MIN_RUNS_FOR_BOOTSTRAP:
        return bootstrap(values)
    value = float(np.mean(values))
    if len(values) < MIN_RUNS:
        return Interval(value, float("-inf"), float("inf"))
    half = float(student_t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return Interval(value, value - half, value + half)


def band(scores: Array) -> Array:
    """Pointwise 95 % intervals of the mean of curves [runs, points]: [2, points]."""
    return np.array([interval_of_mean(point)[1:] for point in scores.T]).T


def interval_of_difference(*pairs: tuple[Array, Array]) -> Interval:
    """The difference between the means of two independent samples (Welch's t).

    For several pairs (one per game, say), the mean of their differences. The pairs are fixed, not sampled: only
    variation within them enters the interval, which is infinite if a sample has fewer than `MIN_RUNS` values.
    """
    value = float(np.mean([np.mean(one) - np.mean(other) for one, other in pairs]))
    samples = [sample for pair in pairs for sample in pair]
    if min(len(sample) for sample in samples) < MIN_RUNS:
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


def sample_size(interval: Interval, line: float, n: int) -> float:
    """About how many values an interval that excludes the line would take, if it narrows with the square root.

    Args:
      interval: of n values; its end beyond the line counts.
      line: within the interval.
      n: the number of values.
    """
    half = interval.value - interval.low if interval.value > line else interval.high - interval.value
    return n * (half / abs(interval.value - line)) ** 2 if interval.value != line else float("inf")


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

SHARES = (0.4, 0.5, 0.6)
"""A rate is good if its run reaches this share of the best runs' mean; a width is the mean over these shares."""
BEST = 0.1
"""The best runs are this share of all: the paper's best five of fifty (§5.6)."""
COLLAPSE = 0.05
"""A run collapsed if it ended below this share of the best run's score."""


def number_of_best(runs: int) -> int:
    """How many of the runs are the best ones."""
    return max(1, round(BEST * runs))


def edges(rates: Array) -> Array:
    """The bounds [n + 1] of the range that each rate [n] stands for, ascending: midpoints of the logarithms."""
    return np.asarray(np.sqrt(np.concatenate([rates[:1] ** 2, rates[1:] * rates[:-1], rates[-1:] ** 2])))


class GoodRates(NamedTuple):
    """The learning rates at which a method learns, and the collapses among them."""

    good: Array
    """Which rates are good, bool [n]."""
    low: float
    high: float
    decades: float
    """What the good rates stand for; rates between them that are not good do not count."""
    inside: int
    """Runs from the lowest good rate to the highest."""
    collapsed: int
    """Runs among these that collapsed."""
    cut_off: bool
    """Whether the lowest or highest rate tried is good, so that others may be, too."""

    def in_words(self) -> tuple[str, str]:
        """The lowest and highest good rate, and the decades; ≥ if they may be more."""
        if not self.inside:
            return "none", "0.00"
        return f"{self.low:.1e} to {self.high:.1e}", f"{'≥' if self.cut_off else ''}{self.decades:.2f}"


def good_rates(rates: Array, scores: Array, share: float = 0.5) -> GoodRates:
    """The rates whose runs reach a share of the mean of the best runs.

    Args:
      rates: [n], ascending, one run each.
      scores: [n], above a random policy's; if none is, no rate is good.
      share: of the mean of the best.
    """
    line = share * float(np.sort(scores)[-number_of_best(len(scores)) :].mean())
    good = (scores >= line) & (line > 0)
    if not good.any():
        return GoodRates(good, float("nan"), float("nan"), 0.0, 0, 0, cut_off=False)
    first, last = np.flatnonzero(good)[[0, -1]]
    inside = scores[first : last + 1]
    collapsed = int((inside < COLLAPSE * scores.max()).sum())
    decades = float(np.diff(np.log10(edges(rates)))[good].sum())
    return GoodRates(good, rates[first], rates[last], decades, len(inside), collapsed, bool(good[0] or good[-1]))


def width_of_good_rates(*games: tuple[Array, Array]) -> Interval:
    """The decades of good rates, as the mean over `SHARES` and games, each (rates, scores).

    With its interval as a proportion of the rates tried (Jeffreys'), as if they had been drawn at random. It is wider
    than necessary for a grid.
    """
    tried = float(np.mean([np.log10(rates[-1] / rates[0]) for rates, _ in games]))
    value = float(np.mean([good_rates(*game, share).decades for game in games for share in SHARES]))
    n = sum(len(rates) for rates, _ in games)
    hits = n * value / tried
    low, high = tried * beta.ppf((0.025, 0.975), hits + 0.5, n - hits + 0.5)
    return Interval(value, float(low), float(high))


def best_rate(scores: Array) -> int:
    """The index of the rate whose smoothed score is greatest; of several cells, their mean as shares of their best.

    A single run per rate is noisy; its neighbours are nearly the same experiment.

    Args:
      scores: [rates] or [cells, rates], rates ascending, above a random policy's.
    """
    curves = np.atleast_2d(smoothed(scores))
    return int((curves / np.maximum(1e-9, curves.max(-1, keepdims=True))).mean(0).argmax())


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
