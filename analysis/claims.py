"""The paper's claims, each with the rule that decides it and what our data say: `python analysis/claims.py [scale=…]`.

The rules are fixed here before the runs are looked at. A claim is *reproduced* where the 95 % interval lies on its side
of the line, *not reproduced* where it lies on the other, *not decided* where the line is in the interval or the data
are not there.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from _threads import Curves, our_curves
from speedup import anchor, complete, speedup, times

from a3crepro.cli import run_command
from a3crepro.figures import FIGURES, LEAST, METHODS, Ours, markdown, ours, scale_of, title
from a3crepro.statistics import Interval, bootstrap, bootstrap_ratio, good_rates

VALUE_BASED = ("one_step_q", "one_step_sarsa", "n_step_q")
ONE_STEP = ("one_step_q", "one_step_sarsa")
REFERENCE = 0.5
"""Of the anchor: the level for times and frames."""


class Verdict(NamedTuple):
    """What the data say, and by how much."""

    verdict: str
    effect: str


class Claim(NamedTuple):
    """A claim of the paper."""

    text: str
    where: str
    rule: str
    decide: Callable[[str], Verdict]


NO_DATA = "not decided: not run at this scale"


def decided(interval: Interval, line: float) -> str:
    """By the side on which the interval lies; greater is as the paper says."""
    if interval.low > line:
        return "reproduced"
    return "not reproduced" if interval.high < line else "not decided: the interval holds the line"


def joined(verdicts: list[str]) -> str:
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


# ---- Rules -----------------------------------------------------------------------------------------------------------

UNTRAINED = {
    "minatar/asterix": 0.51,
    "minatar/breakout": 0.39,
    "minatar/freeway": 0.45,
    "minatar/seaquest": 0.07,
    "minatar/space_invaders": 4.32,
}
"""Mean scores of a random policy: `python -m a3crepro.evaluate env=… policy=random episodes=300 seed=0`."""


@with_data("learning_speed")
def trains(mine: Ours) -> Verdict:
    """The best three rates of each game and method."""
    verdicts, effects = [], []
    for (env, method), runs in mine.runs.groupby(["env", "method"]):
        if env not in UNTRAINED:
            continue
        scores = np.sort(runs["score"].to_numpy(float))[-3:]
        if len(scores) < 3:
            continue
        found = bootstrap(scores)
        verdicts.append(decided(found, UNTRAINED[env]))
        if verdicts[-1] != "reproduced":
            effects.append(f"{title(env)}, {METHODS[method]}: {found} against {UNTRAINED[env]}")
    return Verdict(joined(verdicts), "; ".join(effects) or f"all {len(verdicts)} pairs of game and method")


def faster_than_dqn(scale: str) -> Verdict:
    """There is no DQN here."""
    return Verdict("not decided: no DQN baseline has been run", "–")


def _of_fresh(mine: Ours) -> tuple[Curves, Curves, str]:
    """Curves over frames and over seconds, and the game for which they are complete."""
    by_frames, by_seconds = our_curves(mine, "frames"), our_curves(mine, "seconds")
    games = complete(by_frames)
    return by_frames, by_seconds, games[0] if games else ""


@with_data("thread_scaling")
def n_step_is_faster(mine: Ours) -> Verdict:
    """Frames of one-step Q over those of n-step Q, with 16 actor-learners."""
    curves, _, game = _of_fresh(mine)
    keys = [(game, method, 16) for method in ("one_step_q", "n_step_q")]
    if any(key not in curves for key in keys):
        return Verdict(NO_DATA, "–")
    level = REFERENCE * anchor(curves, game)
    one, several = (times(curves, key, level) for key in keys)
    ratio = bootstrap_ratio(one.seconds, several.seconds, geometric=True)
    return Verdict(decided(ratio, 1.0), f"{title(game)}: {ratio} times as many frames [{one}, {several}]")


@with_data("thread_scaling")
def a3c_is_best(mine: Ours) -> Verdict:
    """Final scores with 16 actor-learners, A3C's over those of the best other method."""
    runs = mine.runs[(mine.runs["seed"] >= 1000) & (mine.runs["threads"] == 16)]
    scores = {method: part["score"].to_numpy(float) for method, part in runs.groupby("method")}
    if set(scores) != set(METHODS):
        return Verdict(NO_DATA, "–")
    other = max((method for method in scores if method != "a3c"), key=lambda method: scores[method].mean())
    ratio = bootstrap_ratio(scores["a3c"], scores[other])
    return Verdict(decided(ratio, 1.0), f"A3C over {METHODS[other]}: {ratio}, on one game")


def half_the_time(scale: str) -> Verdict:
    """Needs 57 games."""
    mine = ours("atari_table", scale)
    if mine is None or scale != "paper":
        return Verdict("not decided: needs the 57 games of the scale `paper`", "–")
    return Verdict("not decided: see figures/atari_table.md", "–")


@with_data("thread_scaling")
def speeds_up(mine: Ours) -> Verdict:
    """All methods above 10 with 16."""
    return _speedups(mine, tuple(METHODS), 10.0)


@with_data("thread_scaling")
def superlinear(mine: Ours) -> Verdict:
    """One-step methods above 16 with 16."""
    return _speedups(mine, ONE_STEP, 16.0)


def _speedups(mine: Ours, methods: tuple[str, ...], line: float) -> Verdict:
    _, curves, game = _of_fresh(mine)
    if any((game, method, 16) not in curves for method in methods):
        return Verdict(NO_DATA, "–")
    level = REFERENCE * anchor(curves, game)
    found = {method: speedup(curves, game, method, 16, level) for method in methods}
    return Verdict(
        joined([decided(one.ratio, line) for one in found.values()]),
        "; ".join(f"{METHODS[method]} {one}" for method, one in found.items()),
    )


@with_data("thread_scaling")
def less_data(mine: Ours) -> Verdict:
    """Value-based methods above 1; A3C is told."""
    curves, _, game = _of_fresh(mine)
    if any((game, method, 16) not in curves for method in METHODS):
        return Verdict(NO_DATA, "–")
    level = REFERENCE * anchor(curves, game)
    found = {method: speedup(curves, game, method, 16, level) for method in METHODS}
    return Verdict(
        joined([decided(found[method].ratio, 1.0) for method in ONE_STEP]),
        "; ".join(f"{METHODS[method]} {one}" for method, one in found.items()),
    )


@with_data("thread_scaling")
def stabilises(mine: Ours) -> Verdict:
    """Share of the rates at which a run learns: ends above the reference."""
    curves, _, game = _of_fresh(mine)
    if not game:
        return Verdict(NO_DATA, "–")
    level = REFERENCE * anchor(curves, game)
    grid = mine.runs[(mine.runs["seed"] < 1000) & (mine.runs["env"] == game)]
    verdicts, effects = [], []
    for method in VALUE_BASED:
        learnt = grid[grid["method"] == method].assign(learnt=lambda runs: runs["score"] >= level)
        both = learnt.pivot_table(index="learning_rate", columns="threads", values="learnt", aggfunc="mean")
        if not {1, 16} <= set(both.columns):
            return Verdict(NO_DATA, "–")
        difference = bootstrap((both[16].astype(float) - both[1].astype(float)).dropna().to_numpy())
        verdicts.append(decided(difference, 0.0))
        effects.append(f"{METHODS[method]}: {both[1].mean():.0%} with 1, {both[16].mean():.0%} with 16, {difference}")
    return Verdict(joined(verdicts), "; ".join(effects))


def _ablation(mine: Ours, methods: tuple[str, ...], line: float) -> Verdict:
    verdicts, effects = [], []
    for method in methods:
        runs = mine.runs[mine.runs["method"] == method]
        table = runs.assign(less=runs["variant"] != "").pivot_table(
            index=["env", "learning_rate"], columns="less", values="score"
        )
        if set(table.columns) != {False, True}:
            return Verdict(NO_DATA, "–")
        difference = bootstrap((table[False] - table[True]).dropna().to_numpy())
        verdicts.append(decided(difference, line))
        effects.append(f"{METHODS[method]}: {difference} in mean score, {len(table)} rates")
    return Verdict(joined(verdicts), "; ".join(effects))


@with_data("ablations")
def mixture_is_robust(mine: Ours) -> Verdict:
    """Paired over rates."""
    return _ablation(mine, VALUE_BASED, 0.0)


@with_data("ablations")
def entropy_helps(mine: Ours) -> Verdict:
    """Paired over rates."""
    return _ablation(mine, ("a3c",), 0.0)


@with_data("learning_rates")
def wide_range(mine: Ours) -> Verdict:
    """At least one decade, and no more than 5 % of the runs inside it collapsed."""
    verdicts, effects = [], []
    for (env, method), runs in mine.runs.groupby(["env", "method"]):
        found = good_rates(runs["learning_rate"].to_numpy(), runs["score"].to_numpy(float) - LEAST.get(str(env), 0.0))
        good = found.decades >= 1 and found.collapsed <= 0.05 * found.inside
        verdicts.append("reproduced" if good else "not reproduced")
        effects.append(f"{METHODS[method]}: {found.decades:.2f} decades, {found.collapsed} of {found.inside} collapsed")
    return Verdict(joined(verdicts), "; ".join(effects))


@with_data("optimizers")
def shared_is_robust(mine: Ours) -> Verdict:
    """Paired over rates, at the paper's ε and at the small one."""
    return _optimizers(mine, "shared_rmsprop", "rmsprop")


@with_data("optimizers")
def rmsprop_is_robust(mine: Ours) -> Verdict:
    """Paired over rates, at the paper's ε and at the small one."""
    return _optimizers(mine, "rmsprop", "momentum_sgd")


def _optimizers(mine: Ours, one: str, other: str) -> Verdict:
    verdicts, effects = [], []
    for method, runs in mine.runs.groupby("method"):
        for epsilon in sorted(runs["epsilon"].dropna().unique()):
            kept = runs[runs["epsilon"].isna() | (runs["epsilon"] == epsilon)]
            both = kept.pivot_table(index=["env", "learning_rate"], columns="optimizer", values="score")
            if not {one, other} <= set(both.columns):
                continue
            difference = bootstrap((both[one] - both[other]).dropna().to_numpy())
            verdicts.append(decided(difference, 0.0))
            effects.append(f"{METHODS[str(method)]}, ε {epsilon:g}: {difference}")
    return Verdict(joined(verdicts), "; ".join(effects) or "–")


OF_ANCHOR = f"to {REFERENCE:.0%} of the anchor"
CLAIMS = (
    Claim("all four methods train on every game", "§5.1",
          "best three rates' final scores above a random policy's, each game", trains),
    Claim("they tend to learn faster than DQN", "§5.1, Fig 1", "time to DQN's best", faster_than_dqn),
    Claim("n-step methods learn faster than one-step ones on some games", "§5.1",
          f"frames of one-step Q {OF_ANCHOR} over n-step Q's above 1", n_step_is_faster),
    Claim("A3C is best overall", "§5.1", "A3C's final score over the best other's above 1", a3c_is_best),
    Claim("A3C exceeds earlier methods' mean in half the time", "Table 1",
          "bootstrap of mean and median", half_the_time),
    Claim("16 threads speed every method up by an order of magnitude", "§5.5, Table 2",
          f"speed-up {OF_ANCHOR} above 10", speeds_up),
    Claim("one-step methods speed up superlinearly", "§5.5, Table 2",
          f"speed-up of 16 {OF_ANCHOR} above 16", superlinear),
    Claim("one-step methods need less data with more threads", "§5.5, Fig 3",
          "frames with 1 over frames with 16 above 1", less_data),
    Claim("parallel actor-learners stabilise value-based methods", "§6",
          "more rates at which it learns with 16 than with 1", stabilises),
    Claim("different ε in different threads improve robustness", "§4",
          "paired over rates: mixture less one ε of 0.1 above 0", mixture_is_robust),
    Claim("the entropy bonus prevents premature convergence", "§4",
          "paired over rates: β 0.01 less β 0 above 0", entropy_helps),
    Claim("a wide range of good learning rates, with virtually no collapse inside it", "§5.6, Fig 2",
          "at least a decade above half of the best, at most 5 % collapsed inside", wide_range),
    Claim("RMSProp is more robust than momentum SGD", "§7, Fig S5", "paired over rates: above 0", rmsprop_is_robust),
    Claim("Shared RMSProp is more robust than RMSProp", "§7, Fig S5", "paired over rates: above 0", shared_is_robust),
)  # fmt: skip


def table(scale: str) -> pd.DataFrame:
    """All claims with their verdicts."""
    return pd.DataFrame(
        {"claim": claim.text, "where": claim.where, "decided by": claim.rule, **claim.decide(scale)._asdict()}
        for claim in CLAIMS
    ).rename(columns={"effect": "effect, 95 % interval"})


def main() -> None:
    """Prints the table and writes it to `figures/claims.md`."""
    scale = scale_of(sys.argv[1:])
    found = table(scale)
    sweeps = ("learning_rates", "thread_scaling", "optimizers", "learning_speed", "ablations")
    captions = [f"{sweep}: {mine.caption()}" for sweep in sweeps if (mine := ours(sweep, scale))]
    text = markdown(list(found.columns), found.to_numpy().tolist()) + "\n\n" + "\n\n".join(captions) + "\n"
    FIGURES.mkdir(exist_ok=True)
    (FIGURES / ("claims.md" if scale == "laptop" else f"claims-{scale}.md")).write_text(text)
    print(text)


if __name__ == "__main__":
    run_command(main)
