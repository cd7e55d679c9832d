"""Rules that decide the paper's claims on its five Atari games, from `atari_games`: one rate and one seed per pair."""

from a3crepro.experiments.figures import METHODS, TITLES, reference
from a3crepro.experiments.statistics import LAST, first_crossing
from analysis._atari import Curve, curves, plain_run, race_with_dqn
from analysis._verdicts import NOT_RUN, Outcome, Verdict, combine, decide, decided_by_majority, of_sweep, on_some
from sweeps._protocol import PAPER_GAMES

ONE_STEP = ("one_step_q", "one_step_sarsa")
MULTI_STEP = ("n_step_q", "a3c")
LEVEL_SHARE = 0.5
"""Share of the way from a random policy to the lowest of the methods' best smoothed scores: the level for epochs."""


@of_sweep("atari_games")
def trains(scale: str) -> Verdict:
    """Compares the mean of the last three evaluations of each game and method with a random policy."""
    found, verdicts, effects = curves(scale), [], []
    if not found:
        return NOT_RUN
    for game in PAPER_GAMES:
        for method, name in METHODS.items():
            if (curve := plain_run(found, game, method)) is None:
                verdicts.append(NOT_RUN)
                continue
            verdict = decide(curve.final, reference(game))
            if (not curve.finished and verdict.outcome is Outcome.NOT_REPRODUCED) or len(curve.table) < LAST:
                verdict = Verdict(Outcome.NOT_DECIDED, verdict.effect, "the run has not ended")
            verdicts.append(verdict)
            if verdicts[-1].outcome is not Outcome.REPRODUCED:
                effects.append(f"{TITLES[game]}, {name}: {curve.final} against {reference(game):.1f}")
    run = sum(verdict is not NOT_RUN for verdict in verdicts)
    return combine(verdicts, "; ".join([f"{run} of {len(verdicts)} pairs run", *effects]))


@of_sweep("atari_games")
def faster_than_dqn(scale: str) -> Verdict:
    """The share of runs whose final score is above that of the paper's DQN after as many hours; of all four methods."""
    found, faster, effects, methods = curves(scale), [], [], set()
    for game in PAPER_GAMES:
        for method, name in METHODS.items():
            curve = plain_run(found, game, method)
            if curve is None or not curve.finished:
                continue
            race = race_with_dqn(curve)
            faster.append(curve.final.value > race.dqn_score)
            methods.add(method)
            effects.append(
                f"{TITLES[game]}, {name}: {curve.final.value:,.1f} after {race.end:.1f} h, DQN {race.dqn_score:,.1f}; "
                f"DQN's best after {race.in_words()} h, DQN {race.dqn_hours:.0f} h"
            )
    if not faster:
        return NOT_RUN
    verdict = decided_by_majority(
        sum(faster), len(faster), "; ".join([f"{sum(faster)} of {len(faster)} pairs", *effects])
    )
    if missing := [name for method, name in METHODS.items() if method not in methods]:
        return Verdict(Outcome.NOT_DECIDED, verdict.effect, f"no finished run of {', '.join(missing)}")
    return verdict


NULL_PROBABILITY = 1 / 6
"""Probability that both multi-step methods are ahead of both one-step ones in a game where all four are alike."""


@of_sweep("atari_games")
def n_step_is_faster(scale: str) -> Verdict:
    """Whether both multi-step methods reach the level before both one-step ones on more games than by chance."""
    found, effects, holds = curves(scale), [], []
    for game in PAPER_GAMES:
        runs = {method: plain_run(found, game, method) for method in METHODS}
        known = {method: curve for method, curve in runs.items() if curve is not None and curve.finished}
        if len(known) < len(METHODS):
            continue
        if any(curve.final.low <= reference(game) for curve in known.values()):
            effects.append(f"{TITLES[game]}: one of them learnt nothing")
            continue
        epochs = epochs_to_level(game, known)
        holds.append(max(epochs[method] for method in MULTI_STEP) < min(epochs[method] for method in ONE_STEP))
        effects.append(f"{TITLES[game]}: " + ", ".join(f"{METHODS[method]} {epochs[method]:.1f}" for method in METHODS))
    if not effects:
        return NOT_RUN
    effect = f"epochs, one seed: {'; '.join(effects)}"
    if not holds:
        return Verdict(Outcome.NOT_DECIDED, effect, "no game that all four learnt")
    return on_some(sum(holds), len(holds), NULL_PROBABILITY, effect)._replace(parts=1)


def epochs_to_level(game: str, known: dict[str, Curve]) -> dict[str, float]:
    """Epochs until each method's smoothed curve reaches half of what the weakest method learned."""
    random = reference(game)
    level = random + LEVEL_SHARE * (min(curve.smoothed().max() for curve in known.values()) - random)
    return {
        method: first_crossing(curve.table["epoch"].to_numpy(float), curve.smoothed(), level)
        for method, curve in known.items()
    }
