"""Rules that decide the paper's claims on physical tasks, races and mazes."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from a3crepro.experiments.experiment import HELD_OUT
from a3crepro.experiments.figures import METHODS, Results, reference
from a3crepro.experiments.results import stacked
from a3crepro.experiments.statistics import first_crossing, interval_of_difference, smoothed
from analysis._rules import ONE_STEP
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
        if set(shares) != set(METHODS) or min(map(len, shares.values())) < 2:
            continue
        a3c = shares.pop("a3c")
        best = max(shares, key=lambda method: float(shares[method].mean()))
        share, more = decided_by_seeds(a3c, SHARE_OF_REFERENCE), interval_of_difference((a3c, shares[best]))
        verdicts += [share, decide(more, 0.0)]
        effects.append(f"{env}: {share.effect}, {more} more than the best other ({METHODS[best]})")
    return combine(verdicts, "; ".join(effects) or "–")


@with_data("racing")
def multi_step_drives_sooner(results: Results) -> Verdict:
    """Frames to half of A3C's best: one-step over multi-step methods, averaged within each setting.

    A method that never gets there counts with its end, which makes the ratio a lower bound for a one-step method and an
    upper bound for a multi-step one.
    """
    ratios, missed = times_as_long(own_shares(results), "frames")
    from_paper, _ = times_as_long(paper_shares(), "hours")
    if len(ratios) < 2:
        return Verdict(Outcome.NOT_DECIDED, reason="fewer than two settings", parts=0)
    counts = "".join(f"; {count} {kind} curves never got there" for kind, count in missed.items() if count)
    found = decided_by_seeds(np.exp(ratios), MIN_RATIO)
    effect = (
        f"frames of one-step over those of multi-step methods: {np.exp(ratios.mean()):.2f}, {found.effect}, by "
        f"settings{counts}; the paper's curves, by hours: {np.exp(from_paper.mean()):.1f}"
    )
    misleading = {Outcome.REPRODUCED: "multi-step", Outcome.NOT_REPRODUCED: "one-step"}.get(found.outcome)
    if misleading and missed[misleading]:
        return Verdict(Outcome.NOT_DECIDED, effect, "a bound only")
    return found._replace(effect=effect)


def times_as_long(table: pd.DataFrame, x: str) -> tuple[np.ndarray, dict[str, int]]:
    """Logarithms of the ratios [settings], and how many curves of each kind never reached half of A3C's best."""
    ratios, missed = [], {"one-step": 0, "multi-step": 0}
    for _, of_setting in table.groupby("setting"):
        each = {str(method): stacked(runs, x, "share") for method, runs in of_setting.groupby("method")}
        curves = {method: (along, smoothed(shares.mean(0))) for method, (along, shares) in each.items()}
        if "a3c" not in curves:
            continue
        level = 0.5 * curves["a3c"][1].max()
        found = {method: _reached(*curve, level) for method, curve in curves.items()}
        for method, (_, reached) in found.items():
            missed["one-step" if method in ONE_STEP else "multi-step"] += not reached
        pairs = [
            found[one][0] / found[several][0]
            for one in ONE_STEP
            for several in ("n_step_q", "a3c")
            if one in found and several in found
        ]
        ratios += [np.log(pairs).mean()] if pairs else []
    return np.array(ratios), missed


def _reached(along: np.ndarray, shares: np.ndarray, level: float) -> tuple[float, bool]:
    """Where a curve reaches a level, or its end if it does not; and whether it does."""
    found = first_crossing(along, shares, level)
    return (found, True) if np.isfinite(found) else (float(along[-1]), False)
