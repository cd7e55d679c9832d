"""Rules that decide the paper's claims on games. All games have equal weight."""

from collections.abc import Iterable, Iterator
from functools import partial

import numpy as np
import pandas as pd

from a3crepro.experiments.experiment import HELD_OUT
from a3crepro.experiments.figures import (
    METHODS,
    MIN_SCORES,
    TITLES,
    Results,
    load_results,
    random_score,
    reference,
    references,
)
from a3crepro.experiments.results import committed, overridden
from a3crepro.experiments.statistics import (
    MIN_RUNS,
    bootstrap,
    interval_of_difference,
    interval_of_mean,
    interval_of_proportion,
    interval_of_shares,
)
from analysis._threads import Curves, levels, own_curves, speedup, speedup_from_times, times
from analysis._verdicts import (
    NOT_RUN,
    Outcome,
    Verdict,
    combine,
    decide,
    decided_by_seeds,
    of_sweep,
    on_some,
    range_of_rates,
    with_data,
)
from analysis.atari_table import normalised, own_normalised
from analysis.learning_rates import PAPER_EPSILON
from sweeps.thread_scaling import HELD_OUT_SEEDS

VALUE_BASED = ("one_step_q", "one_step_sarsa", "n_step_q")
ONE_STEP = ("one_step_q", "one_step_sarsa")
TWICE = 2.0
"""Times a random policy's score, from which a run counts as having learnt."""
REFERENCE = 0.5
"""Share of the anchor used as the level for times and frames."""
MIN_GAMES_TO_REJECT = 5
"""Games without a difference needed to reject a claim about "some games"; the paper's figures have as many."""
ONE_SIDED = 0.025
"""Probability that a 95 % interval lies above the line without an effect."""
MIN_DECADES = 0.5
"""Decades of good rates, mean over games: the paper's data have 0.87 (one-step Sarsa) to 1.16 (n-step Q)."""
MAX_COLLAPSES = 0.15
"""Share of the runs inside: the paper's data have 0.01 (A3C) to 0.06 (n-step Q)."""
ASSUMED = "virtual time assumes that 16 actor-learners make 16 times as many steps; runs on 16 real cores would decide"
"""Why speed-ups decide nothing there: they are 16 times the data efficiency, which has a claim of its own."""
AFTER_4_DAYS = ("mnih2015", 1_000_000_000)
"""Network and frames."""


# ---- Learning speed --------------------------------------------------------------------------------------------------


def by_pair(results: Results) -> dict[tuple[str, str], np.ndarray]:
    """Final scores of the representative runs, by game and method."""
    runs = results.representative(["env", "method"])
    return {
        (str(env), str(method)): table["score"].to_numpy(float)
        for (env, method), table in runs.groupby(["env", "method"])
    }


def without_observations(env: str) -> float:
    """What a run has to exceed: `TWICE` a random policy's score, and that of the best constant action."""
    least = MIN_SCORES.get(env, 0.0)
    constants = references(env).query("policy == 'constant'")["score_mean"]
    return float(max([least + TWICE * (reference(env) - least), *constants]))


@with_data("learning_speed")
def trains(results: Results) -> Verdict:
    """Counts the runs of each game and method that end above what policies that ignore their observations score."""
    found, parts = by_pair(results), []
    for env in sorted(results.runs["env"].unique()):
        for method, name in METHODS.items():
            pair = f"{TITLES[env]}, {name}: "
            runs = found.get((env, method))
            missing = Verdict(Outcome.NOT_RUN, f"{pair}missing")
            parts.append(missing if runs is None else decided_by_seeds(runs, without_observations(env), pair))
    others = [part.effect for part in parts if part.outcome is not Outcome.REPRODUCED]
    return combine(parts, "; ".join(others) or f"all {len(parts)} pairs of game and method")


@with_data("learning_speed")
def a3c_is_best(results: Results) -> Verdict:
    """Compares A3C's final scores with each other method's, as shares of the game's best mean, averaged over games."""
    found = by_pair(results)
    games = sorted(results.runs["env"].unique())
    if any((env, method) not in found for env in games for method in METHODS):
        return Verdict(Outcome.NOT_DECIDED, reason="runs are missing", parts=0)
    shares = {}
    for env in games:
        scores = {method: found[env, method] - random_score(env) for method in METHODS}
        most = max(float(score.mean()) for score in scores.values())
        shares |= {(env, method): score / most for method, score in scores.items()}
    parts = []
    for method in VALUE_BASED:
        less = interval_of_difference(*((shares[env, "a3c"], shares[env, method]) for env in games))
        runs = min(len(shares[env, method]) for env in games)
        parts.append(decide(less, 0.0, f"minus {METHODS[method]} {less}", n=runs, unit="seeds"))
    return combine(parts)


@with_data("learning_speed")
def n_step_is_faster(results: Results) -> Verdict:
    """Frames of the one-step methods divided by those of the others, per game."""
    curves, games = own_curves(results, "frames"), []
    for game, level in levels(curves, REFERENCE, threads=16).items():
        to = {method: times(curves[game, method, 16], level) for method in METHODS}
        found = speedup_from_times((to["one_step_q"], to["n_step_q"]), (to["one_step_sarsa"], to["a3c"]))
        assert found is not None
        games.append(found.verdict(1.0, f"{TITLES[game]}: {found} times as many frames"))
    if len(games) >= MIN_GAMES_TO_REJECT and {game.outcome for game in games} == {Outcome.NOT_REPRODUCED}:
        return combine(games)
    holds = sum(game.outcome is Outcome.REPRODUCED for game in games)
    return on_some(holds, len(games), ONE_SIDED, "; ".join(game.effect for game in games))


@of_sweep("atari_table")
def half_the_time(scale: str) -> Verdict:
    """A3C's mean over 57 games after 4 days, minus that of the best earlier method, which had 8 days."""
    results = load_results("atari_table", scale)
    values = own_normalised(results).get(AFTER_4_DAYS) if results and scale == "paper" else None
    from_paper = np.array(list(normalised("prioritized").values()))
    if values is None or len(values) < len(from_paper):
        return Verdict(Outcome.NOT_RUN, reason=f"needs the {len(from_paper)} games of the scale `paper`")
    own = np.array([runs.mean() for runs in values])
    games = np.arange(len(own))
    more = bootstrap(own - from_paper)
    of_medians = bootstrap(games, lambda drawn, axis: np.median(own[drawn], axis) - np.median(from_paper[drawn], axis))
    return decide(more, 0.0, f"means {more} %, medians {of_medians} %; no-op starts against human ones")


# ---- Numbers of actor-learners ---------------------------------------------------------------------------------------


def with_16(results: Results, x: str, methods: Iterable[str], line: float) -> Verdict:
    """Speed-ups of 16, as geometric means over games, of these methods, each cell at its best rate.

    The effect is of all methods, also at the best rate of 1 and 16 together, where only their number differs. Games
    count when all their cells have the runs that were planned.
    """
    curves, at_common = own_curves(results, x), own_curves(results, x, common=True)
    needed = HELD_OUT_SEEDS if results.scale == "laptop" else {}
    to = {
        game: level
        for game, level in levels(curves, REFERENCE).items()
        if has_all_cells(curves, game, needed.get(game, MIN_RUNS))
    }
    found = {method: one for method in METHODS if (one := speedup(curves, to, method, 16))}
    if len(found) < len(METHODS):
        return NOT_RUN
    effect = "; ".join(
        f"{METHODS[method]} {one}, at a common rate {speedup(at_common, to, method, 16) or '–'}"
        for method, one in found.items()
    )
    effect = f"{', '.join(TITLES[game] for game in to)}: {effect}"
    if x == "seconds" and results.is_virtual:
        return Verdict(Outcome.NOT_DECIDED, effect, ASSUMED, parts=0)
    return combine([found[method].verdict(line) for method in methods], effect)


def has_all_cells(curves: Curves, game: str, runs: int) -> bool:
    """Whether each method has at least so many runs with 1 and with 16 actor-learners."""
    cells = [curves.get((game, method, threads)) for method in METHODS for threads in (1, 16)]
    return all(cell is not None and len(cell.scores) >= runs for cell in cells)


speeds_up = with_data("thread_scaling", needs_all=False)(partial(with_16, x="seconds", methods=METHODS, line=10.0))
superlinear = with_data("thread_scaling", needs_all=False)(partial(with_16, x="seconds", methods=ONE_STEP, line=16.0))
less_data = with_data("thread_scaling", needs_all=False)(partial(with_16, x="frames", methods=ONE_STEP, line=1.0))


@with_data("thread_scaling", needs_all=False)
def stabilises(results: Results) -> Verdict:
    """Compares the shares of rates at which a run learns, that is, ends above the reference."""
    to = levels(own_curves(results, "frames"), REFERENCE)
    grid = results.runs[(results.runs["seed"] < HELD_OUT) & results.runs["env"].isin(list(to))]
    grid = grid.assign(learnt=grid["score"] >= grid["env"].map(to))
    parts = []
    for method in VALUE_BASED:
        learnt = grid[grid["method"] == method]
        both = learnt.pivot_table(index=["env", "learning_rate"], columns="threads", values="learnt")
        by_game = both.notna().all(axis=1).groupby("env")
        both = both[by_game.transform("all") & (by_game.transform("size") == grid["learning_rate"].nunique())]
        if both.empty or not {1, 16} <= set(both.columns):
            return NOT_RUN
        one, several = both[1].to_numpy(bool), both[16].to_numpy(bool)
        more = interval_of_shares(several, one)
        effect = (
            f"{METHODS[method]}: {one.mean():.0%} with 1, {several.mean():.0%} with 16, {more}, of {len(both)} rates"
        )
        parts.append(decide(more, 0.0, effect, n=len(both), unit="rates"))
    return combine(parts)


# ---- Learning rates, optimizers, exploration -------------------------------------------------------------------------


@with_data("learning_rates")
def wide_range(results: Results) -> Verdict:
    """The width per method, over the games in which its best run has three times a random policy's score; the collapses
    of all methods together.

    Decided at the paper's ε, or at the one where RMSProp's statistics are to it as they are on Atari.
    """
    epsilon = counterpart_epsilon(results)
    parts, collapses = [], np.zeros(2)
    for method, name in METHODS.items():
        of_method = results.runs[results.runs["method"] == method]
        games = list(learnt_games(of_method[of_method["epsilon"] == epsilon]))
        if not games:
            missing = Verdict(Outcome.NOT_RUN, f"{name}: missing")
            parts.append(missing if of_method.empty else Verdict(Outcome.NOT_REPRODUCED, f"{name}: no game was learnt"))
            continue
        found = range_of_rates(games)
        parts.append(found.verdict(MIN_DECADES, f"{name}: {found.mark}{found.decades} decades"))
        collapses += found.collapses
    collapsed, inside = map(int, collapses)
    if inside:
        holds = interval_of_proportion(inside - collapsed, inside)
        parts.append(decide(holds, 1 - MAX_COLLAPSES, f"all methods: {collapsed} of {inside} collapsed", n=inside))
    verdict = combine(parts)
    return verdict._replace(effect=f"ε {epsilon:g}: {verdict.effect}")


def counterpart_epsilon(results: Results) -> float:
    """The ε at which the share of RMSProp's statistics above it is nearest to that of the runs on Atari, with ε = 0.1.

    Compares medians, by their logarithms; shares below 1e-6 count as 1e-6. The paper's ε without runs on Atari.
    """
    shares = results.runs.groupby("epsilon")["share_g_above_epsilon"].median()
    path = committed("atari_games", "laptop", "diagnostics.csv")
    if not path.exists():
        return PAPER_EPSILON
    on_atari = pd.read_csv(path)["share_above_epsilon"].dropna().median()
    distances = (np.log(shares.clip(lower=1e-6)) - np.log(max(1e-6, on_atari))).abs()
    return float(distances.idxmin())


def learnt_games(runs: pd.DataFrame) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rates and scores above a random policy's, for each game in which some run scores three times as much."""
    for env, table in runs.sort_values("learning_rate").groupby("env"):
        least = MIN_SCORES.get(str(env), 0.0)
        if table["score"].max() - least > 3 * (reference(str(env)) - least):
            yield table["learning_rate"].to_numpy(float), table["score"].to_numpy(float) - random_score(str(env))


def as_shares(runs: pd.DataFrame) -> pd.Series:
    """Final scores as shares of the game's best, both above a random policy's."""
    scores = runs["score"] - runs["env"].map({env: random_score(env) for env in runs["env"].unique()})
    return scores / scores.groupby(runs["env"]).transform("max")


def paired_differences(runs: pd.DataFrame, column: str, one: object, other: object) -> pd.Series | None:
    """The differences between two values of a column, by game and rate; None if one of the values was not run."""
    table = runs.pivot_table(index=["env", "learning_rate"], columns=column, values="share")
    return (table[one] - table[other]).dropna() if {one, other} <= set(table.columns) else None


def paired(runs: pd.DataFrame, column: str, one: object, other: object) -> Verdict:
    """The mean difference between two values of a column, in shares of the game's best, paired by game and rate."""
    differences = paired_differences(runs, column, one, other)
    if differences is None:
        return NOT_RUN
    return decide(interval_of_mean(differences), 0.0, n=len(differences), unit="rates")


def all_of(parts: dict[str, Verdict]) -> Verdict:
    """Combines the verdicts of a claim's named parts, if all of them were run."""
    if NOT_RUN in parts.values():
        return NOT_RUN
    return combine([part._replace(effect=f"{name}: {part.effect}") for name, part in parts.items()])


def with_and_without(results: Results) -> pd.DataFrame:
    """The runs with their `share` of the game's best, and whether they have `less` than the paper's exploration."""
    less = (results.runs[overridden(results.runs)] != "").any(axis=1)
    return results.runs.assign(share=as_shares(results.runs), less=less)


def ablation(results: Results, methods: Iterable[str]) -> Verdict:
    """The runs with the paper's settings against those with less, paired over rates."""
    runs = with_and_without(results)
    return all_of({METHODS[method]: paired(runs[runs["method"] == method], "less", False, True) for method in methods})


def optimizers(results: Results, one: str, other: str) -> Verdict:
    """One optimizer against another, paired over rates, at the paper's ε and at the small one."""
    all_runs = results.runs.assign(share=as_shares(results.runs))
    return all_of(
        {
            f"{METHODS[str(method)]}, ε {epsilon:g}": paired(
                runs[runs["epsilon"].isna() | (runs["epsilon"] == epsilon)], "optimizer", one, other
            )
            for method, runs in all_runs.groupby("method")
            for epsilon in sorted(runs["epsilon"].dropna().unique())
        }
    )


mixture_is_robust = with_data("ablations")(partial(ablation, methods=VALUE_BASED))
entropy_helps = with_data("ablations")(partial(ablation, methods=("a3c",)))
shared_is_robust = with_data("optimizers")(partial(optimizers, one="shared_rmsprop", other="rmsprop"))
rmsprop_is_robust = with_data("optimizers")(partial(optimizers, one="rmsprop", other="momentum_sgd"))
