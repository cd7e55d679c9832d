"""The five Atari games: of made-up runs the figure's tables and the rules say what was put in."""

import math

import pandas as pd
import pytest

from a3crepro.experiments.figures import paper
from a3crepro.experiments.results import RESULTS
from a3crepro.experiments.statistics import interval_of_proportion
from analysis import _atari, _atari_tables, atari_games
from analysis import _rules_atari as rules
from sweeps.atari_games import paper_rate

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
              "algo.t_max": "", "threads": 16, "seed": 0, "learning_rate": paper_rate(env, method),
              "score_type": "sampled", **others}  # fmt: skip
    return [
        {**common, "frames": number * EPOCH, "epoch": float(number), "seconds": number * hours_an_epoch * 3600,
         "score": score, "score_std": 1.0, "episodes": 10, **others}
        for number, score in enumerate(scores, 1)
    ]  # fmt: skip


def write(directory, name, table):
    pd.DataFrame(table).to_csv(directory / "atari_games" / "laptop" / f"{name}.csv", index=False)


def test_a_run_on_the_papers_curve_lags_by_nothing(tmp_path):
    theirs = _atari.paper_curve("breakout", "a3c").set_index("epoch")["score"]
    write(tmp_path, "scores", rows("on", "breakout", "a3c", [theirs[epoch] for epoch in range(1, 11)]))
    write(tmp_path, "unfinished", rows("late", "breakout", "a3c", [theirs[epoch] for epoch in range(9)], seed=1))
    on, late = _atari.curves("laptop")
    assert (on.finished, late.finished) == (True, False) and on.epochs == 10
    assert on.final.value == pytest.approx((theirs[8] + theirs[9] + theirs[10]) / 3)
    assert on.final.high - on.final.value == pytest.approx(2.0518 * math.sqrt(3 * 1.0 / 9) / 3, rel=1e-4)  # t of 27
    beside = _atari.beside_paper(on)
    assert beside.paper == pytest.approx(theirs[9])  # the middle of the three
    assert beside.lag == pytest.approx(0, abs=0.2) and beside.ratio == pytest.approx(on.final.value / theirs[9])
    assert _atari.beside_paper(late).lag == pytest.approx(1, abs=0.2)
    assert "unfinished" in _atari_tables.runs([late]) and "53.2" in _atari_tables.five_games([on])


def test_a_score_that_the_paper_never_had_is_ahead_of_its_end(tmp_path):
    write(tmp_path, "scores", rows("far", "pong", "a3c", [21.0] * 5))
    (far,) = _atari.curves("laptop")
    assert _atari.beside_paper(far).lag == -math.inf and "ahead of its end" in _atari_tables.runs([far])


def test_the_race_with_dqn(tmp_path):
    dqn = paper("fig1_learning_speed").query("game == 'breakout' and method == 'dqn'").set_index("hours")["score"]
    write(tmp_path, "scores", [
        *rows("fast", "breakout", "a3c", [2.0] * 5 + [dqn.max() + 1] * 5),
        *rows("short", "breakout", "n_step_q", [dqn[2.0] + 1] * 8),
        *rows("slow", "breakout", "one_step_q", [dqn[14.0] - 1] * 5, hours_an_epoch=2.8),
    ])  # fmt: skip
    fast, short, _ = map(_atari.race_with_dqn, _atari.curves("laptop"))
    assert fast.dqn_hours == 14 and dqn.max() == dqn[14.0]
    assert 1.5 < fast.hours <= 2.0  # smoothed over three: reached by the eighth epoch, at the latest
    assert (short.end, short.dqn_score) == pytest.approx((2.0, dqn[2.0])) and short.in_words() == "more than 2.0"
    verdict = rules.faster_than_dqn("laptop")
    assert verdict.text == "not decided (no finished run of one-step Sarsa)" and "2 of 3 pairs" in verdict.effect
    write(tmp_path, "scores", [
        row for game in ("breakout", "pong", "qbert") for method in ("a3c", "n_step_q", "one_step_q", "one_step_sarsa")
        for row in rows(f"{game} {method}", game, method, [1e4] * 8)
    ])  # fmt: skip
    assert rules.faster_than_dqn("laptop").text == "reproduced"
    write(tmp_path, "unfinished", rows("begun", "beam_rider", "a3c", [0.0] * 8))
    assert "12 of 12 pairs" in rules.faster_than_dqn("laptop").effect


def test_runs_are_compared_at_equal_frames_whatever_differs(tmp_path):
    write(tmp_path, "scores", [
        *rows("plain", "pong", "a3c", [float(epoch) for epoch in range(1, 11)]),
        *rows("hogwild", "pong", "a3c", [-15.0] * 5, execution="hogwild", seed=1),
    ])  # fmt: skip
    lines = _atari_tables.equal_frames(_atari.curves("laptop")).splitlines()[2:]
    assert [line.split(" | ")[5:9] for line in lines] == [
        ["5.0", "-6.2", "10.0", "11.9"],
        ["-15.0", "-6.2", "–", "11.9"],
    ]
    assert "| – | – |" in _atari_tables.runs([_atari.curves("laptop")[1]])  # real hours stand in no race


def test_a_run_that_has_not_three_evaluations_has_no_final_score(tmp_path):
    write(tmp_path, "unfinished", rows("begun", "pong", "a3c", [5.0] * 2))
    (begun,) = _atari.curves("laptop")
    assert "5.0" not in _atari_tables.runs([begun]) and "a3crepro" not in _atari_tables.five_games([begun])


def test_the_figure_of_a3c_has_at_most_three_columns(tmp_path):
    games = ("beam_rider", "breakout", "pong", "qbert", "space_invaders")
    write(tmp_path, "scores", [row for game in games for row in rows(game, game, "a3c", [100.0] * 4)])
    figure = atari_games.figure_of_a3c(_atari.curves("laptop"))
    assert figure.get_figwidth() < 12 and sum(axes.get_visible() for axes in figure.axes) == 5
    assert all(axes.get_xlim()[1] > 20 for axes in figure.axes[:5])


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


def test_runs_with_other_numbers_of_actor_learners_decide_nothing(tmp_path):
    common = {"env": "pong", "method": "n_step_q", "scores": [-21.0, -20.0, 5.0], "learning_rate": 0.001351}
    write(tmp_path, "scores", [*rows("four", **common, threads=4), *rows("usual", **common)])
    four, usual = found = _atari.curves("laptop")
    assert [curve.is_plain for curve in found] == [False, True] and _atari.at_paper_rates(found) == [usual]
    assert "| threads=4 |" in _atari_tables.runs([four]) and "threads" not in _atari_tables.runs([usual])


def test_runs_stand_beside_the_papers_with_as_many_threads(tmp_path):
    common = {"env": "pong", "method": "n_step_q", "scores": [-21.0, -20.0, 5.0], "learning_rate": 7e-4}
    write(tmp_path, "scores", [row for n in (16, 4) for row in rows(f"{n}", **common, threads=n)])
    four, sixteen = runs = atari_games.by_threads(_atari.curves("laptop"))
    assert [curve.threads for curve in runs] == [4, 16]
    assert _atari.beside_paper(four).paper == pytest.approx(-12.6, abs=0.1)  # Figure 3, after two epochs
    assert _atari.beside_paper(sixteen).paper == pytest.approx(-17.9, abs=0.1)
    panels = atari_games.figure_by_threads(runs).axes
    assert [axes.get_title() for axes in panels] == ["4 actor-learners", "16 actor-learners"]
    for axes, at_one in zip(panels, (-17.5, -19.8), strict=True):
        theirs = next(line for line in axes.get_lines() if line.get_label() == "the paper's")
        assert dict(theirs.get_xydata())[1] == pytest.approx(at_one, abs=0.1)


def test_multi_step_methods_are_faster_if_they_are_first_on_more_games_than_by_chance(tmp_path):
    early, late = [2.0, 20.0, 40.0, 60.0, 60.0, 60.0], [2.0, 2.0, 2.0, 20.0, 50.0, 60.0]
    speeds = {"one_step_q": late, "one_step_sarsa": late, "n_step_q": early, "a3c": early}
    slow = {**speeds, "n_step_q": late}
    for tables, expected in (
        ({"breakout": speeds, "pong": speeds}, "reproduced"),
        ({"breakout": speeds}, "not decided (on 1 of 1 games, as many or more by chance with a probability of 17%)"),
        ({"breakout": speeds, "pong": slow}, "not decided (on 1 of 2 games, as many or more by chance"),
    ):
        write(tmp_path, "scores", [row for game, table in tables.items() for method in table
                                   for row in rows(game + method, game, method, table[method])])  # fmt: skip
        assert rules.n_step_is_faster("laptop").text.startswith(expected)
    assert rules.trains("laptop").effect.startswith("8 of 20 pairs run")


def test_the_share_of_trials_has_wilsons_interval():
    share = interval_of_proportion(10, 10)
    assert (share.value, share.high) == (1.0, 1.0)
    assert share.low == pytest.approx(10 / (10 + 1.959964**2), rel=1e-5)
