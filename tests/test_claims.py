"""Verdicts and rules: of made-up data they say what was put in."""

import itertools
import re

import numpy as np
import pandas as pd
import pytest
from analysis_helpers import ROOT, script

from a3crepro.experiments import figures, statistics
from a3crepro.experiments.statistics import Interval

METHODS = ["one_step_q", "one_step_sarsa", "n_step_q", "a3c"]


def test_a_reached_bound_decides_only_on_its_side():
    module = script("_threads")

    def found(one, several, missed=(0, 0), before=(0, 0)):
        times = [
            module.Times(np.full(6, x), *counts, late=0)
            for x, *counts in zip((one, several), missed, before, strict=True)
        ]
        return module.speedup_from_times(times)

    assert found(40.0, 2.0).verdict(10).text == "reproduced"
    assert found(4.0, 2.0).verdict(10).text == "not reproduced"
    late, missing, early = found(4.0, 2.0, (1, 0)), found(40.0, 2.0, (0, 1)), found(4.0, 2.0, before=(0, 2))
    assert [one.mark for one in (late, missing, early)] == ["≥", "≤", "≥"]
    assert all(one.verdict(10).text == "not decided (a bound only)" for one in (late, missing, early))
    assert found(40.0, 2.0, (1, 0)).verdict(10).text == "reproduced"
    assert found(4.0, 2.0, (0, 1)).verdict(10).text == "not reproduced"
    assert found(4.0, 2.0, (1, 1)).mark == "?"


def test_verdicts_of_several_parts():
    module = script("_verdicts")
    yes, no, open_ = (module.decide(Interval(1, 0.5, 2), line) for line in (0.4, 3.0, 1.0))
    assert (yes.text, no.text) == ("reproduced", "not reproduced")
    assert open_.text == "not decided (the interval contains the threshold)"
    assert module.decide(Interval(1, 0.5, 2), 0.8, n=8).text == (
        "not decided (the interval contains the threshold; about 50 runs instead of 8 would decide, "
        "if the effect stays as it is)"
    )
    assert module.decide(Interval(1, 0.5, 2), 0.9, n=8).text == open_.text  # 200: the effect may be on either side
    assert module.combine([yes, yes], "1") == module.Verdict(module.Outcome.REPRODUCED, "1", parts=2)
    why = "open: the interval contains the threshold"
    assert module.combine([yes, open_]).text == f"reproduced in part (1 of 2 parts reproduced; 1 {why})"
    assert module.combine([open_, open_]).text == f"not decided (0 of 2 parts reproduced; 2 {why})"
    assert module.combine([yes, open_, no]).text == f"not reproduced (1 of 3 parts reproduced; 1 {why})"
    barely = module.decide(Interval(1, 0.5, 2), 2.1)  # refutes a claim alone, but not one of three parts
    assert barely.text == "not reproduced" == module.combine([barely]).text and 0.02 < barely.p < 0.05
    assert module.combine([yes, open_, barely]).outcome == "reproduced in part"
    assert module.combine([open_, barely]).reason.startswith("0 of 2 parts reproduced; 2 open, 1 of them: ")
    other = open_._replace(reason="a bound only")
    assert module.combine([open_, other, other]).reason == "0 of 3 parts reproduced; 3 open, 2 of them: a bound only"
    assert module.combine([open_], "1").text == open_.text
    assert module.combine([module.NOT_RUN, yes]).text == "reproduced in part (1 of 2 parts reproduced; 1 not run)"
    assert module.combine([module.NOT_RUN, open_]).reason == f"0 of 2 parts reproduced; 1 not run; 1 {why}"
    assert module.combine([]) == module.combine([module.NOT_RUN] * 2) == module.NOT_RUN


def test_few_seeds_decide_by_how_many_of_them_are_above_the_line():
    """By an exact test against one half, from five runs on that agree."""
    by_seeds = script("_verdicts").decided_by_seeds
    assert by_seeds([3.0, 4, 5, 6, 3], 2.0).text == "reproduced"
    assert by_seeds([1.0, 1, 0, 1, 1], 2.0)[::4] == ("not reproduced", 1 / 32)
    assert by_seeds([3.0, 4, 5], 2.0, "x: ")[:3] == (
        "not decided", "x: 3 of 3 above 2 (3, 4, 5)", "2 more above the threshold would decide"
    )  # fmt: skip
    assert by_seeds([1.0, 4, 5, 6], 2.0).reason == "4 more above the threshold would decide"
    assert by_seeds([1.0, 0, 1, 0], 2.0).reason == "1 more below the threshold would decide"
    assert by_seeds([1.0, 3.0], 2.0).reason.endswith("more on one side of the threshold would decide")


def test_nothing_is_decided_while_runs_are_missing(monkeypatch):
    module = script("_verdicts")
    yes = module.Verdict(module.Outcome.REPRODUCED)

    def found(notes, **how):
        table = pd.DataFrame({"score": [1.0]})
        monkeypatch.setattr(module, "load_results", lambda sweep, scale: figures.Results(table, table, notes))
        return module.with_data("x", **how)(lambda results: yes)("laptop")

    assert found({"planned": 9, "runs": 9}) == found({}) == found({"planned": 9, "runs": 7}, needs_all=False) == yes
    assert found({"planned": 9, "runs": 7}).text == "not decided (2 of 9 runs are missing)"


@pytest.fixture
def rules(monkeypatch):
    """The rules on games, and a way to give them tables."""
    module = script("_rules")
    monkeypatch.setattr(statistics, "RESAMPLES", 1000)

    def give(runs, scores=None, **notes):
        mine = figures.Results(pd.DataFrame(runs), pd.DataFrame(scores if scores is not None else runs), notes)
        monkeypatch.setattr(script("_verdicts"), "load_results", lambda sweep, scale: mine)
        return module

    return give


def test_what_is_wide_in_the_paper_s_data_is_wide(rules):
    data = figures.paper("fig2_s11_learning_rates").rename(columns={"game": "env"})
    data = data.assign(epsilon=0.1, share_g_above_epsilon=0.5)
    assert rules(data).wide_range("paper").text == "reproduced"
    untrained = data.assign(score=[figures.reference(env) for env in data["env"]])
    assert rules(untrained).wide_range("paper").text.startswith("not reproduced (0 of 4")
    three = rules(data[data["method"] != "a3c"]).wide_range("paper")
    assert three.text == "reproduced in part (4 of 5 parts reproduced; 1 not run)" and "A3C: missing" in three.effect


def rates_with(good, method="a3c", env="breakout", n=61):
    """A run a rate from 1e-4 to 1e-2 that scores 100 where it is good, and 1 elsewhere."""
    rates = np.geomspace(1e-4, 1e-2, n)
    return [{"env": env, "method": method, "learning_rate": rate, "score": 100.0 if good(rate) else 1.0,
             "epsilon": 0.1, "share_g_above_epsilon": 0.5} for rate in rates]  # fmt: skip


def test_a_range_that_ends_where_the_rates_do_refutes_nothing(rules):
    wide = [run for method in METHODS[:3] for run in rates_with(lambda rate: 3e-4 < rate < 3e-3, method)]
    inside = rules(wide + rates_with(lambda rate: 1e-3 < rate < 1.3e-3)).wide_range("laptop")
    assert inside.text.startswith("not reproduced (4 of 5 parts reproduced")
    at_the_end = rules(wide + rates_with(lambda rate: rate > 7.9e-3)).wide_range("laptop")
    assert at_the_end.text.startswith("reproduced in part (4 of 5 parts reproduced")
    assert re.search(r"A3C: ≥0\.\d\d \(", at_the_end.effect)
    holes = [{**run, "score": 0.0 if number % 2 else run["score"]}
             for method in METHODS
             for number, run in enumerate(rates_with(lambda rate: 2e-4 < rate < 5e-3, method))]  # fmt: skip
    found = rules(holes).wide_range("laptop")
    assert found.outcome == "not reproduced" and re.search(
        r"A3C: .* decades; all methods: (76|80|84) of \d+ collapsed", found.effect
    )


def scaled(*games, frames_of, execution="hogwild"):
    """Runs of five held-out seeds a cell, whose scores rise evenly by 10 within these frames, of 100."""
    runs, scores = [], []
    for game, method, threads, seed in itertools.product(games, METHODS, (1, 16), range(1000, 1005)):
        name = f"{game},{method},{threads},{seed}"
        common = {"run": name, "env": game, "method": method, "threads": threads, "seed": seed, "execution": execution}
        rise, least = frames_of(game, method, threads) + 0.1 * (seed - 1000), figures.random_score(game)
        runs.append({**common, "learning_rate": 1e-3, "score": least + min(10.0, 1000 / rise)})
        scores += [
            {
                **common,
                "frames": x,
                "seconds": x / threads,
                "score": least + min(10.0, 10 * x / rise),
                "score_type": "sampled",
            }
            for x in range(1, 101)
        ]
    return pd.DataFrame(runs), pd.DataFrame(scores)


def test_all_games_count_in_the_claims_on_threads(rules):
    def quick(game, method, threads):
        return 40.0 if threads == 1 else 20.0

    def quick_but_for_pong(game, method, threads):
        return 90.0 if game == "pong" and threads == 16 else quick(game, method, threads)

    games = ("breakout", "pong")
    both = rules(*scaled(*games, frames_of=quick), best=1)
    assert both.less_data("paper").text == both.superlinear("paper").text == "reproduced"
    assert re.match(r"Breakout, Pong: one-step Q (1\.9[89]|2\.0[012]) \(", both.less_data("paper").effect)
    assert "[10/10, 10/10]" in both.less_data("paper").effect
    assumed = rules(*scaled(*games, frames_of=quick, execution="virtual_time"), best=1)
    assert assumed.less_data("paper").text == "reproduced"
    assert assumed.speeds_up("paper").text.startswith("not decided (virtual time assumes that 16 actor-learners")
    one = rules(*scaled(*games, frames_of=quick_but_for_pong), best=1)
    assert one.less_data("paper").text == "not reproduced (0 of 2 parts reproduced)"  # √(2 x 4/9) times the frames
    assert one.speeds_up("paper").text.startswith("reproduced")


def test_n_step_methods_are_faster_where_more_games_show_it_than_by_chance(rules):
    def on(*games):
        return lambda game, method, threads: 20.0 if game in games and method in ("n_step_q", "a3c") else 40.0

    def on_none(game, method, threads):
        return 40.0 if method in ("n_step_q", "a3c") else 20.0

    def text(games, frames_of):
        return rules(*scaled(*games, frames_of=frames_of), best=1).n_step_is_faster("paper").text

    five = ("beam_rider", "breakout", "pong", "qbert", "seaquest")
    assert text(five, on("pong", "qbert")) == text(("pong",), on("pong")) == "reproduced"
    one = "not decided (on 1 of 5 games, as many or more by chance with a probability of 12%)"
    assert text(five, on("pong")) == one
    assert text(five, on_none) == "not reproduced (0 of 5 parts reproduced)"
    assert text(("pong",), on_none).startswith("not decided (on 0 of 1 games")


def learning(finals):
    """Five runs of each game and method, which end near these scores."""
    runs, scores = [], []
    for (game, method), final in finals.items():
        for seed in range(5):
            common = {"run": f"{game},{method},{seed}", "env": game, "method": method, "seed": seed}
            runs.append({**common, "learning_rate": 1e-3, "score": final * (1 + 0.01 * seed)})
            scores += [{**common, "frames": x, "score": final * (1 + 0.01 * seed), "score_type": "sampled"}
                       for x in (1, 2)]  # fmt: skip
    return pd.DataFrame(runs), pd.DataFrame(scores)


def test_all_methods_train_where_none_is_missing_and_none_is_like_chance(rules):
    games = ("breakout", "pong")
    good = {(game, method): 300.0 for game in games for method in METHODS}
    assert rules(*learning(good), best=None).trains("paper").text == "reproduced"
    missing = rules(*learning({key: final for key, final in good.items() if key != ("pong", "n_step_q")}), best=None)
    assert missing.trains("paper").text == "reproduced in part (7 of 8 parts reproduced; 1 not run)"
    assert missing.a3c_is_best("paper").text == "not decided (runs are missing)"
    chance = rules(*learning({**good, ("breakout", "a3c"): 1.0}), best=None).trains("paper")
    against = "1 open: against the claim, but not after a correction for the number of parts"
    assert (
        chance.text == f"reproduced in part (7 of 8 parts reproduced; {against})" and "Breakout, A3C" in chance.effect
    )


def test_a3c_is_best_where_it_is_on_the_mean_of_all_games(rules):
    games = ("breakout", "beam_rider")
    even = {(game, method): scale for game, scale in zip(games, (100.0, 1e4), strict=True) for method in METHODS}
    better = {key: 1.5 * final if key[1] == "a3c" else final for key, final in even.items()}
    assert rules(*learning(better), best=None).a3c_is_best("paper").text == "reproduced"
    worse = {key: 0.5 * final if key[1] == "a3c" else final for key, final in even.items()}
    assert rules(*learning(worse), best=None).a3c_is_best("paper").text.startswith("not reproduced (0 of 3")
    on_one = {key: 4 * final if key == ("breakout", "a3c") else final for key, final in even.items()}
    assert (
        rules(*learning(on_one), best=None).a3c_is_best("paper").text == "reproduced"
    )  # 10,000 points do not drown 400


def test_optimizers_are_compared_by_shares_of_the_game_s_best(rules):
    runs = [
        {"env": env, "method": "a3c", "optimizer": optimizer, "epsilon": 0.1, "learning_rate": rate, "score": score}
        for rate in np.geomspace(1e-4, 1e-2, 20)
        for env, shared, own in (("breakout", 300.0, 100.0), ("pong", 20.0, -20.0), ("beam_rider", 7600.0, 10_000.0))
        for optimizer, score in (("shared_rmsprop", shared), ("rmsprop", own))
    ]
    assert rules(runs).shared_is_robust("paper").text == "reproduced"
    turned = [{**run, "optimizer": {"rmsprop": "shared_rmsprop", "shared_rmsprop": "rmsprop"}[run["optimizer"]]}
              for run in runs]  # fmt: skip
    assert rules(turned).shared_is_robust("paper").text.startswith("not reproduced")
    assert rules(runs).rmsprop_is_robust("paper").text == "not run yet"


def test_the_mean_of_57_games_is_compared_game_by_game(rules, monkeypatch):
    prioritized = np.array(list(rules([{}]).normalised("prioritized").values()))
    module = rules([{}])
    monkeypatch.setattr(
        module, "load_results", lambda sweep, scale: figures.Results(pd.DataFrame(), pd.DataFrame(), {})
    )
    for share, verdict in ((1.2, "reproduced"), (0.8, "not reproduced")):
        values = {module.AFTER_4_DAYS: [np.array([share * score + 5 * (share - 1)]) for score in prioritized]}
        monkeypatch.setattr(module, "own_normalised", lambda mine, values=values: values)
        assert module.half_the_time("paper").text == verdict
    assert module.half_the_time("laptop").text.startswith("not run yet (needs the 57 games")


IN_README = {
    "the methods learn faster than DQN": "the methods tend to learn faster than DQN",
    "many learning rates work, with virtually no collapse": (
        "a wide range of good learning rates, with virtually no collapse inside it"
    ),
    "A3C solves physical tasks": "A3C solves physical tasks from state and from pixels",
    "many learning rates work on physical tasks": "A3C's range of good learning rates is wide on physical tasks",
    "multi-step methods learn to drive much faster": "the multi-step methods learn to drive much faster",
    "A3C finds its way in mazes it has not seen": "A3C learns a general strategy for mazes that it has not seen",
}
"""Claims that the README has in other words."""


def test_the_readme_has_the_verdicts_of_the_table_of_claims():
    table, readme = ((ROOT / name).read_text() for name in ("figures/claims.md", "README.md"))
    verdicts = dict(re.findall(r"^\| ([^|]+) \| [^|]* \| [^|]* \| ((?:not )?[a-z ]+?)(?: \(| \|)", table, re.M))
    verdicts.pop("claim")
    rows = re.findall(r"^\| ([^|]+) \| ((?:not )?(?:reproduced|decided|run)[a-z ]*) \|", readme, re.M)
    *single, (others, _) = rows
    for text, verdict in single:
        assert verdicts.pop(IN_README.get(text, text)) == verdict, text
    assert others.startswith(f"{len(verdicts)} more: ") and set(verdicts.values()) == {"not run yet"}
