"""Rules that decide the paper's claims on physical tasks, races and mazes."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from a3crepro.experiments.experiment import HELD_OUT
from a3crepro.experiments.figures import METHODS, Results, reference
from a3crepro.experiments.results import stacked
from a3crepro.experiments.statistics import interval_of_difference, smoothed
from analysis._rules import ONE_STEP
from analysis._threads import Curve, SpeedUp, Times, speedup_from_times, times
from analysis._verdicts import (
    NOT_RUN,
    Outcome,
    Verdict,
    combine,
    decide,
    decided_by_seeds,
    range_of_rates,
    with_data,
)
from analysis.labyrinth import chosen
from analysis.physical_tasks import (
    PAPERS,
    PIXELS,
    SEARCHED,
    SECOND,
    control,
    is_learnt,
    observation_independent_score,
    over_time,
    suite_score,
)
from analysis.racing import chosen_runs, own_shares, paper_shares

SEVERAL = 8
"""Minimum number of rates needed to determine a task's range."""
MIN_DECADES = 1.0
"""Decades, mean over tasks: the readings of the paper's panels have 1.0 (Pendulum) to 2.0 (Walker 2D)."""
TWICE = 2.0
"""Multiple of the score of the policy `blind`, which ignores its observations: it walks on and turns at walls."""
SHARE_OF_REFERENCE = 0.75
"""§5.2: A3C reached 75 to 90 % of the human tester's score."""
MIN_RATIO = 2.0
"""Ratio that counts as much faster."""
MULTI_STEP = ("n_step_q", "a3c")
MIN_SEEDS = 2
"""Of all methods in a setting of a race that counts."""
LEVEL_SHARE = 0.5
"""Of the best of A3C's smoothed mean curve: the level for times in races."""


@with_data("physical_tasks")
def solves_control(results: Results) -> Verdict:
    """Each task beats the policies that ignore their observations; most match the Control Suite's own A3C."""
    runs, _ = control(results)
    shown = over_time(results, runs)
    if not shown["task"].isin(list(PIXELS)).any():
        return Verdict(Outcome.NOT_DECIDED, reason="no runs from pixels", parts=0)
    verdicts, finals = [], {}
    for task, runs in shown.groupby("task"):
        finals[str(task)] = runs["score"].to_numpy(float)
        steps = f"{runs['budget'].max() / 1e6:g}M steps"
        verdicts.append(
            decided_by_seeds(finals[str(task)], observation_independent_score(str(task)), f"{task}, {steps}: ")
        )
    effects = [verdict.effect for verdict in verdicts]
    as_good, by_planet = (beside_the_suite(finals, printed) for printed in ("1e8_steps", "planet"))
    effects.append(f"as good as the Suite's own A3C {as_good.effect}; as the PlaNet paper prints its scores "
                   f"{by_planet.effect}")  # fmt: skip
    return combine([*verdicts, as_good], "; ".join(effects))


def beside_the_suite(finals: Mapping[str, np.ndarray], printed: str) -> Verdict:
    """Whether most tasks with a score of the Control Suite's own A3C match it, and how many do."""
    from_paper = {task: score for task in finals if (score := suite_score(task, printed)) == score}
    as_good = [decided_by_seeds(finals[task], score).outcome for task, score in from_paper.items()]
    by_mean = sum(finals[task].mean() >= score for task, score in from_paper.items())
    effect = (
        f"on at least {as_good.count(Outcome.REPRODUCED)} of {len(as_good)}, worse on at least "
        f"{as_good.count(Outcome.NOT_REPRODUCED)}, by the mean as good on {by_mean}"
    )
    return most_of(as_good)._replace(effect=effect, parts=len(as_good))


def most_of(outcomes: Sequence[Outcome]) -> Verdict:
    """Whether more than half of the outcomes are "reproduced", or cannot be."""
    half = len(outcomes) / 2
    if outcomes.count(Outcome.REPRODUCED) > half:
        return Verdict(Outcome.REPRODUCED)
    if outcomes.count(Outcome.NOT_REPRODUCED) >= half:
        return Verdict(Outcome.NOT_REPRODUCED)
    return Verdict(Outcome.NOT_DECIDED, reason="too few seeds on most")


@with_data("physical_tasks")
def wide_in_control(results: Results) -> Verdict:
    """For the scheme, the paper's or rollouts, that learned the largest share of its tasks, over these tasks.

    A + marks a range cut off by the rates tried. The third search has too few rates for one.
    """
    runs, _ = control(results)
    search = runs[runs["seed"] < HELD_OUT]
    schemes = {scheme: learnt_tasks(search, scheme) for scheme in (PAPERS, SEARCHED, SECOND)}
    scheme, (learnt, _) = max(schemes.items(), key=lambda found: len(found[1][0]) / max(1, found[1][1]))
    if not learnt:
        return Verdict(Outcome.NOT_DECIDED, reason="no task was learnt", parts=0)
    found = range_of_rates(list(learnt.values()))
    effect = "; ".join(
        f"{task}: {part.decades:.2f}{'+' if part.cut_off else ''}"
        for task, part in zip(learnt, found.parts, strict=True)
    )
    collapsed, inside = found.collapses
    text = f"{scheme}: {found.mark}{found.decades} decades ({effect}), {collapsed} of {inside} collapsed"
    return found.verdict(MIN_DECADES, text)


def learnt_tasks(search: pd.DataFrame, scheme: str) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], int]:
    """Rates and scores of the tasks that a method's best run learned, and the number of tasks tried.

    Tasks run at only a few rates are excluded, as they have no range.
    """
    tables = {str(task): table for task, table in search[search["scheme"] == scheme].groupby("task")}
    tried = {task: table for task, table in tables.items() if len(table) >= SEVERAL}
    learnt = {
        task: (
            table["learning_rate"].to_numpy(float),
            table["score"].to_numpy(float) - observation_independent_score(task),
        )
        for task, table in ((task, table.sort_values("learning_rate")) for task, table in tried.items())
        if is_learnt(task, table["score"].max())
    }
    return learnt, len(tried)


@with_data("labyrinth")
def explores(results: Results) -> Verdict:
    """Final scores in new mazes, which evaluations draw separately from training: held-out seeds, else best rates."""
    scores = chosen(results, "labyrinth")["score"].to_numpy(float)
    if not scores.size:
        return NOT_RUN
    blind, expert = reference("labyrinth", "blind"), reference("labyrinth", "expert")
    found = decided_by_seeds(scores, TWICE * blind)
    return found._replace(
        effect=f"{found.effect}; {blind:.1f} for the policy that ignores its observations, the expert's {expert:.1f}"
    )


@with_data("racing")
def drives_best(results: Results) -> Verdict:
    """A3C's share of the expert's score, in the settings where all methods have several runs."""
    verdicts, effects = [], []
    for env, table in chosen_runs(results).groupby("env"):
        shares = {str(method): share.to_numpy(float) for method, share in table.groupby("method")["share"]}
        if set(shares) != set(METHODS) or min(map(len, shares.values())) < MIN_SEEDS:
            continue
        a3c = shares.pop("a3c")
        best = max(shares, key=lambda method: float(shares[method].mean()))
        share, more = decided_by_seeds(a3c, SHARE_OF_REFERENCE), interval_of_difference((a3c, shares[best]))
        verdicts += [share, decide(more, 0.0)]
        effects.append(f"{env}: {share.effect}, {more} more than the best other ({METHODS[best]})")
    return combine(verdicts, "; ".join(effects) or "–")


@with_data("racing")
def multi_step_drives_sooner(results: Results) -> Verdict:
    """Frames to half of A3C's best, of one-step methods over those of each multi-step one, by settings with seeds."""
    own, from_paper = times_as_long(own_shares(results), "frames", MIN_SEEDS), times_as_long(paper_shares(), "hours")
    if not own:
        return Verdict(Outcome.NOT_DECIDED, reason="no setting in which all methods have several seeds", parts=0)
    theirs = ", ".join(f"{METHODS[method]} {found.ratio.value:.1f}" for method, found in from_paper.items())
    verdict = combine([found.verdict(MIN_RATIO, f"{METHODS[method]}: {found}") for method, found in own.items()])
    return verdict._replace(effect=f"{verdict.effect}; the paper's curves, by hours: {theirs}")


def times_as_long(table: pd.DataFrame, x: str, seeds: int = 1) -> dict[str, SpeedUp]:
    """How much longer one-step methods take to half of A3C's best, for each multi-step method.

    Over the settings in which all methods have as many runs; empty if there are none.
    """
    pairs: dict[str, list[tuple[Times, Times]]] = {method: [] for method in MULTI_STEP}
    for _, of_setting in table.groupby("setting"):
        groups = {str(method): runs for method, runs in of_setting.groupby("method")}
        if not groups.keys() >= METHODS.keys() or min(groups[method]["run"].nunique() for method in METHODS) < seeds:
            continue
        curves = {method: Curve(*stacked(groups[method], x, "share")) for method in METHODS}
        level = LEVEL_SHARE * float(smoothed(curves["a3c"].scores.mean(0)).max())
        to = {method: times(curve, level) for method, curve in curves.items()}
        for several, found in pairs.items():
            found += [(to[one], to[several]) for one in ONE_STEP]
    found_of = {method: speedup_from_times(*found) for method, found in pairs.items()}
    return {method: found for method, found in found_of.items() if found is not None}
