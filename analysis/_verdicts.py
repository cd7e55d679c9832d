"""Verdicts on claims, shared by all rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from a3crepro.experiments.figures import Results, load_results
from a3crepro.experiments.statistics import Array, GoodRates, Interval, decades_of_good_rates, good_rates


class Verdict(NamedTuple):
    """The verdict and the effect size."""

    verdict: str
    effect: str


NO_DATA = "not decided: not run at this scale"
BOUND = "not decided: a bound only"


def decided(interval: Interval, line: float) -> str:
    """Decides by the side of the line on which the interval lies; greater agrees with the paper."""
    if interval.low > line:
        return "reproduced"
    return "not reproduced" if interval.high < line else "not decided: the interval holds the line"


class RangeOfRates(NamedTuple):
    """The width of the good learning rates, over games or tasks."""

    decades: Interval
    parts: list[GoodRates]
    """One range per game."""

    @property
    def cut_off(self) -> bool:
        """Whether some range ends at the last rate tried, so that it may be wider."""
        return any(part.cut_off for part in self.parts)

    @property
    def collapses(self) -> tuple[int, int]:
        """Collapsed runs inside the ranges, and all runs inside them."""
        return sum(part.collapsed for part in self.parts), sum(part.inside for part in self.parts)

    def verdict(self, line: float) -> str:
        """The verdict; a range that may be wider does not refute a claim."""
        found = decided(self.decades, line)
        return BOUND if found == "not reproduced" and self.cut_off else found


def range_of_rates(games: Sequence[tuple[Array, Array]], of_best: int) -> RangeOfRates:
    """The range from each game's rates and scores; `of_best` as in `good_rates`."""
    return RangeOfRates(decades_of_good_rates(games, of_best), [good_rates(*game, of_best) for game in games])


def joined(verdicts: Sequence[str]) -> str:
    """Combines the parts of a claim: reproduced if all are, not reproduced if one is not."""
    for found in ("not reproduced", "not decided"):
        if any(verdict.startswith(found) for verdict in verdicts):
            share = f" ({sum(verdict == 'reproduced' for verdict in verdicts)} of {len(verdicts)} parts reproduced)"
            return found + share
    return "reproduced" if verdicts else NO_DATA


def with_data(sweep: str) -> Callable[[Callable[[Results], Verdict]], Callable[[str], Verdict]]:
    """A rule on the tables of a sweep; undecided without them."""

    def decorate(rule: Callable[[Results], Verdict]) -> Callable[[str], Verdict]:
        def decide(scale: str) -> Verdict:
            results = load_results(sweep, scale)
            return Verdict(NO_DATA, "–") if results is None else rule(results)

        return decide

    return decorate
