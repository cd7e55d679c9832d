"""The five Atari games: of made-up runs the figure's tables and the rules say what was put in."""

import math

import pandas as pd
import pytest

from a3crepro.experiments.figures import paper
from a3crepro.experiments.results import RESULTS
from a3crepro.experiments.statistics import interval_of_proportion
from analysis import _rules_atari as rules
from analysis import atari_games

EPOCH = 4_000_000


@pytest.fixture(autouse=True)
def results(monkeypatch, tmp_path):
    """A directory for the tables of these tests."""
    (tmp_path / "atari_games" / "laptop").mkdir(parents=True)
    (tmp_path / "paper").symlink_to(RESULTS / "paper")
    monkeypatch.setattr("a3crepro.experiments.results.RESULTS", tmp_path)


def rows(run, env, method, scores, hours_an_epoch=0.25, **others):
    """An evaluation an epoch, with these scores."""
    common = {"run": run, "env": env, "method": method, "network": "mnih2013", "execution": "virtual_time",
              "algo.t_max": "", "seed": 0, "learning_rate": 1e-3, "score_type": "sampled", **others}  # fmt: skip
    return [
        {**common, "frames": number * EPOCH, "epoch": float(number), "seconds": number * hours_an_epoch * 3600,
         "score": score, "score_std": 1.0, "episodes": 10, **others}
        for number, score in enumerate(scores, 1)
    ]  # fmt: skip


def write(directory, name, table):
    pd.DataFrame(table).to_csv(directory / "atari_games" / "laptop" / f"{name}.csv", index=False)


def test_a_run_on_the_papers_curve_lags_by_nothing(tmp_path):
    theirs = atari_games.paper_curve("breakout", "a3c").set_index("epoch")["score"]
    write(tmp_path, "scores", rows("on", "breakout", "a3c", [theirs[epoch] for epoch in range(1, 11)]))
    write(tmp_path, "unfinished", rows("late", "breakout", "a3c", [theirs[epoch] for epoch in range(9)], seed=1))
    on, late = atari_games.curves("laptop")
    assert (on.finished, late.finished) == (True, False) and on.epochs == 10
    assert on.final.value == pytest.approx((theirs[8] + theirs[9] + theirs[10]) / 3)
    assert on.final.high - on.final.value == pytest.approx(2.0518 * math.sqrt(3 * 1.0 / 9) / 3, rel=1e-4)  # t of 27
    beside = atari_games.beside_paper(on)
    assert beside.paper == pytest.approx(theirs[9])  # the middle of the three
    assert beside.lag == pytest.approx(0, abs=0.2) and beside.ratio == pytest.approx(on.final.value / theirs[9])
    assert atari_games.beside_paper(late).lag == pytest.approx(1, abs=0.2)
    assert "unfinished" in atari_games.table_of([late]) and "53.2" in atari_games.five_games([on])


def test_a_score_that_the_paper_never_had_is_ahead_of_its_end(tmp_path):
    write(tmp_path, "scores", rows("far", "pong", "a3c", [21.0] * 5))
    (far,) = atari_games.curves("laptop")
    assert atari_games.beside_paper(far).lag == -math.inf and "ahead of its end" in atari_games.table_of([far])


def test_the_race_with_dqn(tmp_path):
    dqn = paper("fig1_learning_speed").query("game == 'breakout' and method == 'dqn'")
    best = dqn["score"].max()  # after 14 hours
    write(tmp_path, "scores", [
        *rows("fast", "breakout", "a3c", [2.0] * 5 + [best + 1] * 5),
        *rows("short", "breakout", "n_step_q", [2.0] * 5),
        *rows("slow", "breakout", "one_step_q", [2.0] * 5, hours_an_epoch=3.0),
    ])  # fmt: skip
    fast, short, slow = map(atari_games.race_with_dqn, atari_games.curves("laptop"))
    assert fast.dqn_hours == 14 and fast.is_faster is True
    assert 1.5 < fast.hours <= 2.0  # smoothed over three: reached by the eighth epoch, at the latest
    assert short.is_faster is None and slow.is_faster is False
    verdict = rules.faster_than_dqn("laptop")
    assert (
        verdict.text.startswith("not decided")
        and "1 of 2 pairs" in verdict.effect
        and "too short to tell" in verdict.effect
    )


@pytest.mark.parametrize(("table", "expected"), [("unfinished", "not decided"), ("scores", "not reproduced")])
def test_a_run_that_has_only_begun_refutes_nothing(tmp_path, table, expected):
    write(tmp_path, table, rows("begun", "pong", "a3c", [-21.0] * 3, score_std=0.0))
    assert rules.trains("laptop").text.startswith(expected)
    write(tmp_path, "unfinished", rows("two", "pong", "a3c", [21.0] * 2))
    (tmp_path / "atari_games" / "laptop" / "scores.csv").unlink(missing_ok=True)
    assert rules.trains("laptop").text.startswith("not decided")


def test_what_is_not_run_decides_nothing():
    for rule in (rules.trains, rules.faster_than_dqn, rules.n_step_is_faster):
        assert rule("laptop").text == "not run yet"


def test_multi_step_methods_that_are_first_on_one_game_are_faster(tmp_path):
    early, late = [2.0, 20.0, 40.0, 60.0, 60.0, 60.0], [2.0, 2.0, 2.0, 20.0, 50.0, 60.0]
    speeds = {"one_step_q": late, "one_step_sarsa": late, "n_step_q": early, "a3c": early}
    for fast, expected in ((early, "reproduced"), (late, "not decided (on none of 1)")):
        table = {**speeds, "n_step_q": fast}
        write(tmp_path, "scores", [row for method in table for row in rows(method, "breakout", method, table[method])])
        assert rules.n_step_is_faster("laptop").text == expected
    assert rules.trains("laptop").effect.startswith("4 of 20 pairs run")


def test_the_share_of_trials_has_wilsons_interval():
    share = interval_of_proportion(10, 10)
    assert (share.value, share.high) == (1.0, 1.0)
    assert share.low == pytest.approx(10 / (10 + 1.959964**2), rel=1e-5)
