"""Verdicts on claims, shared by all rules."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest, norm

from a3crepro.experiments.figures import Results, load_results
from a3crepro.experiments.statistics import (
    SHARES,
    Array,
    GoodRates,
    Interval,
    good_rates,
    sample_size,
    width_of_good_rates,
)


class Outcome(StrEnum):
    """What a rule decides about a claim."""

    REPRODUCED = "reproduced"
    IN_PART = "reproduced in part"
    NOT_REPRODUCED = "not reproduced"
    NOT_DECIDED = "not decided"
    NOT_RUN = "not run yet"


DEFINITIONS = """\
A rule compares a 95 % interval with a threshold, for each part of a claim. *Reproduced*: in every part, the interval
lies on the claim's side of the threshold. *Not reproduced*: in at least one part, it lies on the other side, also after
a correction for the number of parts (Bonferroni). *Reproduced in part*: neither; some parts are reproduced, and the
others are open, because the interval contains the threshold, a bound is inconclusive, or runs are missing. *Not
decided*: all parts are open. *Not run yet*: the runs that would decide are missing altogether.
"""


class Verdict(NamedTuple):
    """The verdict on a claim, or on a part of one."""

    outcome: Outcome
    effect: str = "–"
    """The effect size."""
    reason: str = ""
    """Why a claim is open, or how many of its parts are reproduced."""
    parts: int = 1
    """The number of comparisons that it rests on."""
    p: float = 0.0
    """Of a part that is not reproduced: the probability by chance of an effect so far on the other side."""

    @property
    def text(self) -> str:
        return f"{self.outcome} ({self.reason})" if self.reason else str(self.outcome)


MAX_FACTOR = 10
"""A sample that would have to be more times as large is not named: the effect may be on either side of the line."""
NOT_RUN = Verdict(Outcome.NOT_RUN)
SIGNIFICANCE = 0.05
"""The probability by chance above which a number of games or runs decides nothing."""
CORRECTED = "against the claim, but not after a correction for the number of parts"
"""Why a part that alone would refute a claim is open."""


def decide(
    interval: Interval, line: float, effect: str | None = None, mark: str = "", n: int | None = None, unit: str = "runs"
) -> Verdict:
    """Decides by the side of the line on which the interval lies; greater agrees with the paper.

    Args:
      interval: the effect.
      line: the threshold.
      effect: the effect in words, by default the interval.
      mark: ≥ or ≤ if the effect is a lower or an upper bound, ? if both; a bound decides on one side at most.
      n: the size of the sample, from which an open verdict computes the one that it needs, if the effect stays.
      unit: what the sample consists of.
    """
    outcome, reason = Outcome.NOT_DECIDED, "the interval contains the threshold"
    if not math.isfinite(interval.high) and interval.low in (0.0, -math.inf):
        reason = "too few runs for an interval"
    if n and interval.low <= line <= interval.high and (needed := sample_size(interval, line, n)) <= MAX_FACTOR * n:
        reason += f"; about {needed:,.0f} {unit} instead of {n} would decide, if the effect stays as it is"
    if interval.low > line:
        outcome, reason = (Outcome.REPRODUCED, "") if mark in ("", "≥") else (outcome, "a bound only")
    elif interval.high < line:
        outcome, reason = (Outcome.NOT_REPRODUCED, "") if mark in ("", "≤") else (outcome, "a bound only")
    p = p_below(interval, line) if outcome is Outcome.NOT_REPRODUCED else 0.0
    return Verdict(outcome, str(interval) if effect is None else effect, reason, p=p)


def p_below(interval: Interval, line: float) -> float:
    """The two-sided p-value of an effect below the line, from its 95 % interval by the normal distribution."""
    half = interval.high - interval.value
    return 2 * float(norm.sf(norm.ppf(0.975) * (line - interval.value) / half)) if half > 0 else 0.0


def decided_by_seeds(scores: npt.ArrayLike, line: float, name: str = "") -> Verdict:
    """Decides by how many of a few runs end above the line; see `decided_by_majority`.

    Scores of a few runs often have two peaks, learnt and not learnt, of which a mean and its interval say little.
    """
    runs = np.asarray(scores, float)
    above, n = int((runs > line).sum()), len(runs)
    each = ", ".join(f"{score:.4g}" for score in sorted(runs))
    return decided_by_majority(above, n, f"{name}{above} of {n} above {line:.4g} ({each})")


def decided_by_majority(above: int, n: int, effect: str) -> Verdict:
    """Whether more than half are above: an exact binomial test against one half, one-sided, 5 %; five of five decide.

    How many more runs are named is a plan for fresh seeds, whose number is fixed before they are run: to add one after
    the other until they agree would decide by chance.
    """
    most, more = max(above, n - above), 0
    while p_of_majority(most + more, n + more) > SIGNIFICANCE:
        more += 1
    if more:
        side = "on one side of" if 2 * above == n else "above" if 2 * above > n else "below"
        return Verdict(Outcome.NOT_DECIDED, effect, f"{more} more {side} the threshold would decide")
    if 2 * above > n:
        return Verdict(Outcome.REPRODUCED, effect)
    return Verdict(Outcome.NOT_REPRODUCED, effect, p=p_of_majority(most, n))


def p_of_majority(most: int, n: int) -> float:
    """The probability that so many of n, or more, are on one given side, if each side is as likely."""
    return float(binomtest(most, n, 0.5, alternative="greater").pvalue)


def on_some(holds: int, games: int, null_probability: float, effect: str) -> Verdict:
    """Decides a claim about "some games": it holds in more of them than chance makes likely (binomial test, 5 %).

    That it holds in few of a few games does not refute it.

    Args:
      holds: in how many games it does.
      games: of how many.
      null_probability: the probability that it holds in a game without any effect.
      effect: in words.
    """
    if (
        games
        and (p_value := float(binomtest(holds, games, null_probability, alternative="greater").pvalue)) > SIGNIFICANCE
    ):
        reason = f"on {holds} of {games} games, as many or more by chance with a probability of {p_value:.0%}"
        return Verdict(Outcome.NOT_DECIDED, effect, reason, games)
    return Verdict(Outcome.REPRODUCED, effect, parts=games) if games else NOT_RUN


def mark_of(greater: int, smaller: int) -> str:
    """The kind of bound that an effect is, from the numbers of runs that would increase and decrease it."""
    return "?" if greater and smaller else "≥" if greater else "≤" if smaller else ""


class RangeOfRates(NamedTuple):
    """The width of the good learning rates, over games or tasks."""

    decades: Interval
    parts: list[GoodRates]
    """One per game, above half of its best."""
    is_cut_off: bool
    """Whether the lowest or highest rate tried is good somewhere, above one of the shares of the best."""

    @property
    def mark(self) -> str:
        """≥ if the width is a lower bound."""
        return "≥" if self.is_cut_off else ""

    @property
    def collapses(self) -> tuple[int, int]:
        """Collapsed runs inside the ranges, and all runs inside them."""
        return sum(part.collapsed for part in self.parts), sum(part.inside for part in self.parts)

    def verdict(self, line: float, effect: str) -> Verdict:
        """Whether the range is wider than the line; one that may be wider does not refute a claim."""
        return decide(self.decades, line, effect, self.mark)


def range_of_rates(games: Sequence[tuple[Array, Array]]) -> RangeOfRates:
    """The range from each game's rates and scores, as in `good_rates`."""
    is_cut_off = any(good_rates(*game, share).cut_off for game in games for share in SHARES)
    return RangeOfRates(width_of_good_rates(*games), [good_rates(*game) for game in games], is_cut_off)


def combine(parts: Sequence[Verdict], effect: str | None = None) -> Verdict:
    """The verdict on a claim from those on its parts, as `DEFINITIONS` says; its effect is by default all of theirs."""
    if effect is None:
        effect = "; ".join(part.effect for part in parts if part is not NOT_RUN) or "–"
    parts = corrected(parts)
    outcomes = {part.outcome for part in parts}
    comparisons = sum(part.parts for part in parts if part.outcome is not Outcome.NOT_RUN)
    if len(parts) == 1 or outcomes == {Outcome.REPRODUCED}:
        return parts[0]._replace(effect=effect, parts=comparisons)
    if outcomes <= {Outcome.NOT_RUN}:
        return Verdict(Outcome.NOT_RUN, effect)
    reproduced = sum(part.outcome is Outcome.REPRODUCED for part in parts)
    outcome = Outcome.IN_PART if reproduced else Outcome.NOT_DECIDED
    if Outcome.NOT_REPRODUCED in outcomes:
        outcome = Outcome.NOT_REPRODUCED
    return Verdict(outcome, effect, f"{reproduced} of {len(parts)} parts reproduced{what_is_open(parts)}", comparisons)


def corrected(parts: Sequence[Verdict]) -> list[Verdict]:
    """The parts, those open that would refute a claim only without a correction for their number (Bonferroni)."""
    n = sum(part.outcome is not Outcome.NOT_RUN for part in parts)
    return [
        part._replace(outcome=Outcome.NOT_DECIDED, reason=CORRECTED)
        if part.outcome is Outcome.NOT_REPRODUCED and part.p * n > SIGNIFICANCE
        else part
        for part in parts
    ]


def what_is_open(parts: Sequence[Verdict]) -> str:
    """How many parts are not run or not decided, and the most frequent reason; after semicolons, empty if none is."""
    open_ = [part for part in parts if part.outcome is Outcome.NOT_DECIDED]
    not_run = sum(part.outcome is Outcome.NOT_RUN for part in parts)
    text = f"; {not_run} not run" if not_run else ""
    if not open_:
        return text
    reason, count = Counter(part.reason for part in open_).most_common(1)[0]
    return f"{text}; {len(open_)} open{'' if count == len(open_) else f', {count} of them'}: {reason}"


Rule = Callable[[str], Verdict]
"""Decides a claim from the tables at a scale."""


def of_sweep(sweep: str) -> Callable[[Rule], Rule]:
    """Says which sweep's tables a rule reads, as its attribute `sweep`."""

    def decorate(rule: Rule) -> Rule:
        rule.sweep = sweep  # type: ignore[attr-defined]
        return rule

    return decorate


def with_data(sweep: str, needs_all: bool = True) -> Callable[[Callable[[Results], Verdict]], Rule]:
    """A rule on the tables of a sweep; not run without them, and not decided while planned runs are missing.

    Args:
      sweep: its name.
      needs_all: whether the rule needs all planned runs; else it looks itself for what it needs.
    """

    def decorate(rule: Callable[[Results], Verdict]) -> Rule:
        @of_sweep(sweep)
        def decide_at(scale: str) -> Verdict:
            results = load_results(sweep, scale)
            if results is None:
                return NOT_RUN
            missing = results.notes.get("planned", 0) - results.notes.get("runs", 0)
            if needs_all and missing > 0:
                return Verdict(
                    Outcome.NOT_DECIDED, reason=f"{missing} of {results.notes['planned']} runs are missing", parts=0
                )
            return rule(results)

        return decide_at

    return decorate
