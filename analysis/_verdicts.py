"""How claims are decided: what all rules have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from a3crepro.figures import Ours, ours
from a3crepro.statistics import Interval


class Verdict(NamedTuple):
    """What the data say, and by how much."""

    verdict: str
    effect: str


NO_DATA = "not decided: not run at this scale"
BOUND = "not decided: a bound only"


def decided(interval: Interval, line: float) -> str:
    """By the side on which the interval lies; greater is as the paper says."""
    if interval.low > line:
        return "reproduced"
    return "not reproduced" if interval.high < line else "not decided: the interval holds the line"


def joined(verdicts: Sequence[str]) -> str:
    """Of a claim with several parts: reproduced where all are, not reproduced where one is not."""
    for found in ("not reproduced", "not decided"):
        if any(verdict.startswith(found) for verdict in verdicts):
            share = f" ({sum(verdict == 'reproduced' for verdict in verdicts)} of {len(verdicts)} parts reproduced)"
            return found + share
    return "reproduced" if verdicts else NO_DATA


def with_data(sweep: str) -> Callable[[Callable[[Ours], Verdict]], Callable[[str], Verdict]]:
    """A rule on the tables of a sweep; without these nothing is decided."""

    def decorate(rule: Callable[[Ours], Verdict]) -> Callable[[str], Verdict]:
        def decide(scale: str) -> Verdict:
            mine = ours(sweep, scale)
            return Verdict(NO_DATA, "–") if mine is None else rule(mine)

        return decide

    return decorate
