"""The paper's claims, each with its rule and its verdict: `python analysis/claims.py [scale=…]`.

Most rules were fixed before their runs were seen (`docs/rules.md` lists the others). Where a threshold is a matter of
judgement (how wide is wide?), the paper's own data are on its good side.
`_verdicts.DEFINITIONS` says what the verdicts mean.
"""

import sys
from collections.abc import Callable, Mapping
from typing import NamedTuple

import pandas as pd

from a3crepro.experiments.figures import FIGURES, load_results, markdown, print_written, scale_of
from a3crepro.experiments.state import in_core_time, in_frames
from a3crepro.runs.command_line import run_command
from a3crepro.runs.files import write_text
from analysis import _rules as games
from analysis import _rules_atari as atari
from analysis import _rules_worlds as worlds
from analysis._verdicts import DEFINITIONS, Outcome, Verdict


class Claim(NamedTuple):
    """A claim of the paper."""

    text: str
    where: str
    rule: str
    decide: Callable[[str], Verdict]


OF_ANCHOR = f"to {games.REFERENCE:.0%} of the anchor"
OVER_RATES = "difference in normalised score (share of the game's best), paired by learning rate"
CLAIMS = (
    Claim("all four methods train on every game", "§5.1",
          f"in each game more than half of the seeds end above {games.TWICE:g} times a random policy's score and above "
          "the best constant action's",
          games.trains),
    Claim("the methods tend to learn faster than DQN", "§5.1, Fig 1",
          "five Atari games: a final score above that of the paper's DQN after as many hours (virtual ones here), in "
          "more than half of the pairs of game and method, with pairs of all four methods",
          atari.faster_than_dqn),
    Claim("all four methods train on the five Atari games", "§5.1",
          "the last three evaluations of one run, interval of their episodes: above a random policy", atari.trains),
    Claim("n-step methods learn faster on some Atari game", "§5.1, Fig 3",
          "both multi-step methods take fewer epochs, one seed, than both one-step ones to half of what the worst of "
          "the four learnt, on more games than chance (1 of 6) makes likely", atari.n_step_is_faster),
    Claim("n-step methods learn faster than one-step ones on some games", "§5.1",
          f"frames of the one-step methods to {games.REFERENCE:.0%} of the four methods' mean final score over those "
          "of n-step Q and A3C: above 1 on more games than chance makes likely",
          games.n_step_is_faster),
    Claim("A3C is best overall", "§5.1",
          "final scores as shares of the game's best mean, averaged over games: above each other method's",
          games.a3c_is_best),
    Claim("A3C exceeds earlier methods' mean in half the time", "Table 1",
          "mean of 57 games after 4 days minus Prioritized DQN's after 8, bootstrap over games: above 0",
          games.half_the_time),
    Claim("16 threads speed every method up by an order of magnitude", "§5.5, Table 2",
          f"speed-up {OF_ANCHOR} above 10, by the clock of real cores", games.speeds_up),
    Claim("one-step methods speed up superlinearly", "§5.5, Table 2",
          f"speed-up of 16 {OF_ANCHOR} above 16, by the clock of real cores", games.superlinear),
    Claim("one-step methods need less data with more threads", "§5.5, Fig 3",
          "frames with 1 over frames with 16 above 1", games.less_data),
    Claim("parallel actor-learners stabilise value-based methods", "§6",
          "more rates at which it learns with 16 than with 1, paired", games.stabilises),
    Claim("different ε in different threads improve robustness", "§4",
          f"{OVER_RATES}: mixture minus one ε of 0.1 above 0", games.mixture_is_robust),
    Claim("the entropy bonus prevents premature convergence", "§4",
          f"{OVER_RATES}: β = 0.01 minus β = 0 above 0", games.entropy_helps),
    Claim("a wide range of good learning rates, with virtually no collapse inside it", "§5.6, Fig 2",
          "per method, mean of the games whose best run has three times a random policy's score, at the ε where "
          f"RMSProp's statistics exceed it as often as on Atari: {games.MIN_DECADES} decades of rates that reach 40, "
          "50 and 60 % of the best tenth's mean above a random policy's score, on average; of the runs among them, all "
          f"methods together, at most {games.MAX_COLLAPSES * 100:.0f} % below 5 % of the best", games.wide_range),
    Claim("A3C solves physical tasks from state and from pixels", "§5.3",
          "on each task more than half of the seeds above the best of the policies that ignore their observations; on "
          "more than half of the tasks more than half at least the Suite's own A3C's",
          worlds.solves_control),
    Claim("A3C's range of good learning rates is wide on physical tasks", "§9, Fig S7",
          f"mean of the tasks that were learnt: {worlds.MIN_DECADES:g} decade of rates that reach 40, 50 and 60 % of "
          "what the best adds to a policy that ignores its observations, on average; by the paper's updates or by "
          "rollouts, whichever learnt more of its tasks",
          worlds.wide_in_control),
    Claim("A3C drives best, at 75 to 90 % of the reference", "§5.2, Fig S6",
          f"more than half of the seeds above {worlds.SHARE_OF_REFERENCE:.0%} of the scripted driver's score, and the "
          "mean above the best other's, in each setting where all methods have several runs",
          worlds.drives_best),
    Claim("the multi-step methods learn to drive much faster", "Fig S6",
          "frames of the one-step methods over those of n-step Q, and over those of A3C, to half of A3C's best: above "
          f"{worlds.MIN_RATIO:g}; settings where all methods have several runs",
          worlds.multi_step_drives_sooner),
    Claim("A3C learns a general strategy for mazes that it has not seen", "§5.4",
          f"in new mazes more than half of the seeds above {worlds.TWICE:g} times a policy that ignores its "
          "observations",
          worlds.explores),
    Claim("RMSProp is more robust than momentum SGD", "§7, Fig S5", f"{OVER_RATES}: above 0", games.rmsprop_is_robust),
    Claim("Shared RMSProp is more robust than RMSProp", "§7, Fig S5", f"{OVER_RATES}: above 0", games.shared_is_robust),
)  # fmt: skip


def table(verdicts: Mapping[Claim, Verdict]) -> str:
    """All claims with their verdicts."""
    header = ["claim", "where", "decided by", "verdict", "effect, 95 % interval"]
    rows = [[claim.text, claim.where, claim.rule, found.text, found.effect] for claim, found in verdicts.items()]
    return markdown(header, rows)


def by_outcome(verdicts: Mapping[Claim, Verdict]) -> str:
    """The number of claims of each outcome, with their names."""
    rows = []
    for outcome in Outcome:
        claims = [
            f"{claim.text} ({found.reason})" if found.reason else claim.text
            for claim, found in verdicts.items()
            if found.outcome is outcome
        ]
        rows.append([outcome, len(claims), "; ".join(claims) or "–"])
    return markdown(["verdict", "claims", "which"], rows)


SWEEPS = (
    "atari_games", "learning_rates", "thread_scaling", "optimizers", "learning_speed", "ablations", "physical_tasks",
    "racing", "labyrinth",
)  # fmt: skip


def comparisons(verdicts: Mapping[Claim, Verdict]) -> str:
    """How many comparisons were made, and what that means."""
    n = sum(found.parts for found in verdicts.values() if found.outcome is not Outcome.NOT_RUN)
    return (
        f"Together the claims rest on {n} comparisons, each with a 95 % interval, and corrected only where one part of "
        f"a claim is against it: if none of the effects existed, about {n / 40:.1f} would still pass by chance, and "
        "more where few seeds decide (five of five agree by chance with a probability of 3 %)."
    )


def made(scale: str) -> list[str]:
    """What was run, by sweep and in total."""
    known = {sweep: results for sweep in SWEEPS if (results := load_results(sweep, scale))}
    if not known:
        return []
    runs = pd.concat([results.runs for results in known.values()]).drop_duplicates(["run", "date"])
    together = (
        f"together: {len(runs)} runs, {in_frames(runs['frames'].sum())} frames, "
        f"{in_core_time(runs['core_seconds'].sum())}; runs that two share are counted once"
    )
    return [*(f"{sweep}: {results.caption()}" for sweep, results in known.items()), together]


def main() -> None:
    """Prints the table and writes it to `figures/claims.md`."""
    scale = scale_of(sys.argv[1:])
    verdicts = {claim: claim.decide(scale) for claim in CLAIMS}
    parts = [DEFINITIONS.rstrip(), by_outcome(verdicts), table(verdicts), comparisons(verdicts), *made(scale)]
    text = "\n\n".join(parts) + "\n"
    FIGURES.mkdir(exist_ok=True)
    file = FIGURES / ("claims.md" if scale == "laptop" else f"claims-{scale}.md")
    write_text(file, text)
    print(text)
    print_written(file)


if __name__ == "__main__":
    run_command(main, __doc__)
