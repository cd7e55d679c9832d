"""The paper's claims, each with the rule that decides it and what our data say: `python analysis/claims.py [scale=…]`.

The rules are fixed here before the runs are looked at, and where a line is a matter of taste (how wide is wide?) the
paper's own data are on its good side. A claim is *reproduced* where the 95 % interval lies on its side of the line,
*not reproduced* where it lies on the other, *not decided* where the line is in the interval, a bound does not tell, or
the data are not there.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from _control import PAPERS, by_chance, control, is_learnt, over_time, suite_score
from _threads import Curves, SpeedUp, compared, our_curves, speedup, times
from atari_table import our_normalised
from labyrinth import EXPERT as MAZES_EXPERT
from labyrinth import RANDOM as MAZES_RANDOM
from racing import chosen_runs, our_shares
from speedup import anchor, complete

from a3crepro.cli import run_command
from a3crepro.figures import FIGURES, LEAST, METHODS, Ours, markdown, ours, paper, scale_of, title
from a3crepro.run_directory import write_text
from a3crepro.statistics import (
    Interval,
    bootstrap,
    first_crossing,
    good_rates,
    interval_of_mean,
    mean,
    stratified_bootstrap,
)
from a3crepro.sweeping.experiment import FRESH

VALUE_BASED = ("one_step_q", "one_step_sarsa", "n_step_q")
ONE_STEP = ("one_step_q", "one_step_sarsa")
REFERENCE = 0.5
"""Of the anchor: the level for times and frames."""
WIDE = 0.5
"""Decades of good rates, median over games: the paper's data have 0.76 (one-step Sarsa) to 1.17 (n-step Q)."""
FEW_COLLAPSES = 0.1
"""Share of the runs inside: the paper's data have 0 (A3C) to 0.063 (n-step Q)."""
WIDE_IN_CONTROL = 1.0
"""Decades, median over tasks: the readings of the paper's panels have 1.0 (Pendulum) to 2.0 (Walker 2D)."""
STRATEGY = 0.25
"""Of the expert's score: twice what one gets who goes straight on, blindly, and turns where there is no way on."""
SHARE_OF_REFERENCE = 0.75
"""§5.2: A3C reached 75 to 90 % of the human tester's score."""
PRIORITIZED = 463.6
"""Mean human-normalised score of the best earlier method, trained for 8 days (Table 1)."""


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

MINATAR_RANDOM = {
    "minatar/asterix": 0.51,
    "minatar/breakout": 0.39,
    "minatar/freeway": 0.45,
    "minatar/seaquest": 0.07,
    "minatar/space_invaders": 4.32,
}
"""Mean scores of a random policy: `python -m a3crepro.evaluate env=… policy=random episodes=300 seed=0`."""


def untrained(env: str) -> float:
    """A random policy's score; NaN where it is not known."""
    if env in MINATAR_RANDOM:
        return MINATAR_RANDOM[env]
    return float(paper("human_random_scores").set_index("game")["noop_random"].get(env, float("nan")))


@with_data("learning_speed")
def trains(mine: Ours) -> Verdict:
    """The best three rates of each game and method, chosen by the evaluation before the last, scored by the last."""
    verdicts, effects = [], []
    for (env, method), scores in mine.evaluations().groupby(["env", "method"]):
        last_two = [run.sort_values("frames")["score"].to_numpy(float)[-2:] for _, run in scores.groupby("run")]
        chosen = sorted((run for run in last_two if len(run) == 2), key=lambda run: run[0])[-3:]
        if len(chosen) < 3:
            continue
        found, line = interval_of_mean(np.array([run[1] for run in chosen])), untrained(str(env))
        verdicts.append(decided(found, line))
        if verdicts[-1] != "reproduced":
            effects.append(f"{title(str(env))}, {METHODS[str(method)]}: {found} against {line}")
    return Verdict(joined(verdicts), "; ".join(effects) or f"all {len(verdicts)} pairs of game and method")


def faster_than_dqn(scale: str) -> Verdict:
    """There is no DQN here."""
    return Verdict("not decided: no DQN baseline has been run", "–")


def _reached(mine: Ours, x: str, methods: tuple[str, ...]) -> tuple[Curves, str, float] | None:
    """Curves over x, the game, and the level, where these methods have runs with 1 and with 16 actor-learners."""
    curves = our_curves(mine, x)
    for game in complete(curves):
        if all((game, method, 16) in curves for method in methods):
            return curves, game, REFERENCE * anchor(curves, game)
    return None


@with_data("thread_scaling")
def n_step_is_faster(mine: Ours) -> Verdict:
    """Frames of one-step Q over n-step Q's, with 16 actor-learners; one game cannot refute what is said of some."""
    data = _reached(mine, "frames", ("one_step_q", "n_step_q"))
    if data is None:
        return Verdict(NO_DATA, "–")
    curves, game, level = data
    found = compared(*(times(curves[game, method, 16], level) for method in ("one_step_q", "n_step_q")))
    verdict = found.verdict(1.0)
    verdict = "not decided: not on this game" if verdict == "not reproduced" else verdict
    return Verdict(verdict, f"{title(game)}: {found} times as many frames")


@with_data("learning_speed")
def a3c_is_best(mine: Ours) -> Verdict:
    """Final scores over the game's best, paired by game and learning rate; against each other method."""
    scores = mine.runs.pivot_table(index=["env", "learning_rate"], columns="method", values="score")
    if set(scores.columns) != set(METHODS):
        return Verdict(NO_DATA, "–")
    least = scores.index.get_level_values("env").map(lambda env: LEAST.get(env, 0.0)).to_numpy()[:, None]
    scores = (scores - least).dropna()
    shares = scores.div(scores.groupby("env").transform("max").max(axis=1), axis=0)
    found = {method: bootstrap((shares["a3c"] - shares[method]).to_numpy()) for method in VALUE_BASED}
    effect = "; ".join(f"less {METHODS[method]} {difference}" for method, difference in found.items())
    return Verdict(joined([decided(difference, 0.0) for difference in found.values()]), effect)


def half_the_time(scale: str) -> Verdict:
    """A3C's mean after 4 days (1,000M frames), over the games that were run."""
    mine = ours("atari_table", scale)
    values = our_normalised(mine).get("ours, mnih2015, 1,000M frames") if mine and scale == "paper" else None
    if values is None or len(values) < 57:
        return Verdict("not decided: needs the 57 games of the scale `paper`", "–")
    found = stratified_bootstrap(values, mean)
    return Verdict(decided(found, PRIORITIZED), f"{found} %")


@with_data("thread_scaling")
def speeds_up(mine: Ours) -> Verdict:
    """All methods above 10 with 16."""
    return _with_16(mine, "seconds", tuple(METHODS), 10.0)


@with_data("thread_scaling")
def superlinear(mine: Ours) -> Verdict:
    """One-step methods above 16 with 16; in virtual time that is data efficiency above 1."""
    return _with_16(mine, "seconds", ONE_STEP, 16.0)


@with_data("thread_scaling")
def less_data(mine: Ours) -> Verdict:
    """One-step methods above 1; the others are told."""
    return _with_16(mine, "frames", ONE_STEP, 1.0)


def _with_16(mine: Ours, x: str, methods: tuple[str, ...], line: float) -> Verdict:
    data = _reached(mine, x, tuple(METHODS))
    if data is None:
        return Verdict(NO_DATA, "–")
    curves, game, level = data
    found: dict[str, SpeedUp] = {method: speedup(curves, game, method, 16, level) for method in METHODS}
    effect = "; ".join(f"{METHODS[method]} {one}" for method, one in found.items())
    return Verdict(joined([found[method].verdict(line) for method in methods]), effect)


@with_data("thread_scaling")
def stabilises(mine: Ours) -> Verdict:
    """Share of the rates at which a run learns: ends above the reference."""
    data = _reached(mine, "frames", VALUE_BASED)
    if data is None:
        return Verdict(NO_DATA, "–")
    _, game, level = data
    grid = mine.runs[(mine.runs["seed"] < FRESH) & (mine.runs["env"] == game)]
    verdicts, effects = [], []
    for method in VALUE_BASED:
        learnt = grid[grid["method"] == method].assign(learnt=lambda runs: (runs["score"] >= level).astype(float))
        both = learnt.pivot_table(index="learning_rate", columns="threads", values="learnt").dropna()
        difference = interval_of_mean((both[16] - both[1]).to_numpy())
        verdicts.append(decided(difference, 0.0))
        effects.append(f"{METHODS[method]}: {both[1].mean():.0%} with 1, {both[16].mean():.0%} with 16, {difference}")
    return Verdict(joined(verdicts), "; ".join(effects))


def _paired(table: pd.DataFrame, one: object, other: object) -> Interval | None:
    """The mean of one column less another, paired by rows; None where one of them is not there."""
    if not {one, other} <= set(table.columns):
        return None
    return interval_of_mean((table[one] - table[other]).dropna().to_numpy(float))


def _ablation(mine: Ours, methods: tuple[str, ...]) -> Verdict:
    verdicts, effects = [], []
    for method in methods:
        runs = mine.runs[mine.runs["method"] == method].assign(less=lambda runs: runs["variant"] != "")
        difference = _paired(
            runs.pivot_table(index=["env", "learning_rate"], columns="less", values="score"), False, True
        )
        if difference is None:
            return Verdict(NO_DATA, "–")
        verdicts.append(decided(difference, 0.0))
        effects.append(f"{METHODS[method]}: {difference}")
    return Verdict(joined(verdicts), "; ".join(effects))


@with_data("ablations")
def mixture_is_robust(mine: Ours) -> Verdict:
    """Paired over rates."""
    return _ablation(mine, VALUE_BASED)


@with_data("ablations")
def entropy_helps(mine: Ours) -> Verdict:
    """Paired over rates."""
    return _ablation(mine, ("a3c",))


@with_data("learning_rates")
def wide_range(mine: Ours) -> Verdict:
    """By method, over the games in which its best run has three times a random policy's score."""
    verdicts, effects = [], []
    for method in METHODS:
        ranges = []
        for env, runs in mine.runs[mine.runs["method"] == method].groupby("env"):
            least = LEAST.get(str(env), 0.0)
            scores = runs["score"].to_numpy(float) - least
            if scores.max() > 3 * (untrained(str(env)) - least):
                ranges.append(good_rates(runs["learning_rate"].to_numpy(), scores))
        decades = float(np.median([found.decades for found in ranges])) if ranges else 0.0
        collapsed, inside = (sum(getattr(found, name) for found in ranges) for name in ("collapsed", "inside"))
        good = decades >= WIDE and collapsed <= FEW_COLLAPSES * inside
        verdicts.append("reproduced" if good else "not reproduced")
        effects.append(f"{METHODS[method]}: {decades:.2f} decades, {collapsed} of {inside} collapsed")
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
            table = kept.pivot_table(index=["env", "learning_rate"], columns="optimizer", values="score")
            difference = _paired(table, one, other)
            if difference is not None:
                verdicts.append(decided(difference, 0.0))
                effects.append(f"{METHODS[str(method)]}, ε {epsilon:g}: {difference}")
    return Verdict(joined(verdicts), "; ".join(effects) or "–")


@with_data("mujoco")
def solves_control(mine: Ours) -> Verdict:
    """Each task above a random policy, and most of those that the Suite's own A3C was scored on as good as that."""
    runs, _ = control(mine)
    shown = over_time(mine, runs)
    if not shown["task"].str.endswith("_pixels").any():
        return Verdict("not decided: no runs from pixels", "–")
    verdicts, effects, as_good = [], [], []
    for task, scores in shown.groupby("task"):
        found = interval_of_mean(scores[scores["budget"] == scores["budget"].min()]["score"].to_numpy(float))
        verdicts.append(decided(found, by_chance(str(task))))
        effects.append(f"{task}: {found} against {by_chance(str(task)):g} by chance")
        if (theirs := suite_score(str(task))) == theirs:
            as_good.append(found.value >= theirs)
    most = "reproduced" if as_good and np.mean(as_good) > 0.5 else "not reproduced"
    effects.append(f"as good as the Suite's own A3C on {sum(as_good)} of {len(as_good)}")
    return Verdict(joined([*verdicts, most]), "; ".join(effects))


@with_data("mujoco")
def wide_in_control(mine: Ours) -> Verdict:
    """By the paper's updates, over the tasks that the best run learnt. A range that is cut off by the rates has a +."""
    runs, _ = control(mine)
    search = runs[(runs["seed"] < FRESH) & (runs["scheme"] == PAPERS)]
    decades, effects = [], []
    for task, table in search.groupby("task"):
        if not is_learnt(str(task), table["score"].max()):
            continue
        rates, scores = (table[column].to_numpy(float) for column in ("learning_rate", "score"))
        found = good_rates(rates, scores - by_chance(str(task)))
        cut_off = "+" if found.low == rates.min() or found.high == rates.max() else ""
        decades.append(found.decades)
        effects.append(f"{task}: {found.decades:.2f}{cut_off} decades")
    if not decades:
        return Verdict("not decided: no task was learnt", "–")
    wide = float(np.median(decades)) >= WIDE_IN_CONTROL
    return Verdict("reproduced" if wide else "not reproduced", "; ".join(effects))


@with_data("labyrinth")
def explores(mine: Ours) -> Verdict:
    """Fresh seeds' final scores in new mazes, which evaluations draw apart from training."""
    scores = mine.runs[(mine.runs["seed"] >= FRESH) & (mine.runs["env"] == "labyrinth")]["score"].to_numpy(float)
    if not scores.size:
        return Verdict(NO_DATA, "–")
    found, expert = interval_of_mean(scores), MAZES_EXPERT["labyrinth"]
    effect = f"{found} against {MAZES_RANDOM['labyrinth']:g} by chance and the expert's {expert:g}"
    return Verdict(decided(found, STRATEGY * expert), effect)


@with_data("racing")
def drives_best(mine: Ours) -> Verdict:
    """In the settings where there are fresh seeds, or else in all: A3C's share of the expert's score."""
    runs = chosen_runs(mine)
    seeded = runs[runs["seed"] >= FRESH]
    verdicts, effects = [], []
    for env, table in (seeded if len(seeded) else runs).groupby("env"):
        shares = table.groupby("method")["share"]
        others = shares.mean().drop("a3c", errors="ignore")
        if "a3c" not in shares.groups or others.empty:
            continue
        a3c = interval_of_mean(shares.get_group("a3c").to_numpy(float))
        verdicts.append(decided(a3c, max(others.max(), SHARE_OF_REFERENCE)))
        effects.append(f"{env}: A3C {a3c}, best other {others.max():.2f} ({METHODS[str(others.idxmax())]})")
    return Verdict(joined(verdicts), "; ".join(effects) or "–")


@with_data("racing")
def multi_step_drives_sooner(mine: Ours) -> Verdict:
    """Frames to half of A3C's best, of one-step methods over those of multi-step ones; mean of each setting's ratios.

    A method that never gets there counts with its end: as a one-step method that makes the ratio a bound from below,
    as a multi-step one a bound from above.
    """
    ratios, missed = [], {"one-step": 0, "multi-step": 0}
    for _, table in our_shares(mine).groupby("setting"):
        curves = {str(method): curve.groupby("frames")["share"].mean() for method, curve in table.groupby("method")}
        if "a3c" not in curves:
            continue
        found = {method: _frames_to(curve, 0.5 * curves["a3c"].max()) for method, curve in curves.items()}
        for method, (_, reached) in found.items():
            missed["one-step" if method in ONE_STEP else "multi-step"] += not reached
        pairs = [
            found[one][0] / found[several][0]
            for one in ONE_STEP
            for several in ("n_step_q", "a3c")
            if one in found and several in found
        ]
        ratios += [np.log(pairs).mean()] if pairs else []
    if len(ratios) < 2:
        return Verdict(NO_DATA, "–")
    interval = Interval(*np.exp(interval_of_mean(np.array(ratios))))
    verdict = decided(interval, 1.0)
    if missed["one-step" if verdict == "not reproduced" else "multi-step"]:
        verdict = "not decided: a bound only"
    counts = ", ".join(f"{count} {kind} curves never got there" for kind, count in missed.items() if count)
    return Verdict(verdict, f"{interval} times as many frames, {len(ratios)} settings{'; ' if counts else ''}{counts}")


def _frames_to(curve: pd.Series, level: float) -> tuple[float, bool]:
    """Frames to a level, and whether it was reached; the last ones, where not."""
    frames = curve.index.to_numpy(float)
    found = first_crossing(frames, curve.to_numpy(float), level)
    return (found, True) if np.isfinite(found) else (float(frames[-1]), False)


OF_ANCHOR = f"to {REFERENCE:.0%} of the anchor"
CLAIMS = (
    Claim("all four methods train on every game", "§5.1",
          "best three rates (by the evaluation before) score above a random policy, each game", trains),
    Claim("they tend to learn faster than DQN", "§5.1, Fig 1", "time to DQN's best", faster_than_dqn),
    Claim("n-step methods learn faster than one-step ones on some games", "§5.1",
          f"frames of one-step Q {OF_ANCHOR} over n-step Q's above 1", n_step_is_faster),
    Claim("A3C is best overall", "§5.1",
          "score over the game's best, paired by game and rate: above each other method's", a3c_is_best),
    Claim("A3C exceeds earlier methods' mean in half the time", "Table 1",
          f"mean after 4 days above {PRIORITIZED} %, bootstrap over games", half_the_time),
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
          f"median of games: {WIDE} decades above half of the best; at most {FEW_COLLAPSES:.0%} collapsed inside",
          wide_range),
    Claim("A3C solves physical tasks from state and from pixels", "§5.3",
          "each task above a random policy; on most at least the Control Suite's own A3C's score", solves_control),
    Claim("its range of good learning rates is wide on them", "§9, Fig S7",
          f"median of tasks: {WIDE_IN_CONTROL:g} decade above half of what the best adds to chance", wide_in_control),
    Claim("A3C drives best, at 75 to 90 % of the reference", "§5.2, Fig S6",
          f"final score above {SHARE_OF_REFERENCE:.0%} of the scripted driver's, above the others'", drives_best),
    Claim("the multi-step methods learn to drive much faster", "Fig S6",
          "frames of one-step methods over those of n-step Q and A3C to half of A3C's best: above 1",
          multi_step_drives_sooner),
    Claim("A3C learns a general strategy for mazes it has not seen", "§5.4",
          f"final score in new mazes above {STRATEGY:.0%} of the expert's, who sees the maze from above", explores),
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
    sweeps = (
        "learning_rates", "thread_scaling", "optimizers", "learning_speed", "ablations", "mujoco", "racing", "labyrinth"
    )  # fmt: skip
    captions = [f"{sweep}: {mine.caption()}" for sweep in sweeps if (mine := ours(sweep, scale))]
    text = markdown(list(found.columns), found.to_numpy().tolist()) + "\n\n" + "\n\n".join(captions) + "\n"
    FIGURES.mkdir(exist_ok=True)
    write_text(FIGURES / ("claims.md" if scale == "laptop" else f"claims-{scale}.md"), text)
    print(text)


if __name__ == "__main__":
    run_command(main, __doc__)
