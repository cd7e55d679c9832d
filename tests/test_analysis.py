"""Figures, tables and claims: of the paper's data they say what is known, of made-up data what was put in."""

import importlib
import itertools
import json
import re
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.layout_engine import ConstrainedLayoutEngine

from a3crepro.common.errors import UserError
from a3crepro.config import compose
from a3crepro.experiments import figures, statistics
from a3crepro.experiments import results as results_module
from a3crepro.experiments.statistics import Interval
from sweeps import physical_tasks

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = [
    "ablations", "atari_table", "claims", "data_efficiency", "executions", "first_runs", "implementations",
    "labyrinth", "learning_rates", "learning_speed", "optimizers", "physical_tasks", "physical_tasks_search", "racing",
    "speedup", "training_speed",
]  # fmt: skip
SWEEPS = {
    "learning_rates": 256, "learning_speed": 100, "thread_scaling": 724, "optimizers": 160, "ablations": 128,
    "atari_table": 45, "physical_tasks": 313, "racing": 32, "labyrinth": 10,
    "first_runs": 7, "implementations": 24, "executions": 60,
}  # fmt: skip
"""With the number of their runs at the scale `laptop`."""
MISSING = ("thread_scaling", "executions", "first_runs", "implementations", "atari_table")
"""Those of which one run is missing."""
METHODS = ["one_step_q", "one_step_sarsa", "n_step_q", "a3c"]
MORE = [2, 4, 8, 16]


def script(name):
    """A script of `analysis/`."""
    return importlib.import_module(f"analysis.{name}")


# ---- The paper's data ------------------------------------------------------------------------------------------------


def test_views_of_the_worlds(monkeypatch, tmp_path):
    module = script("worlds")
    monkeypatch.setattr(module, "FIGURES", tmp_path / "figures")
    monkeypatch.setattr(module, "speeds", lambda name, measure=module.speeds: measure(name, 2, 10))
    short = {name: compose(f"env={name}", "env.seconds=5") for name in module.EXPERTS}
    monkeypatch.setattr(module, "compose", lambda word: short[word.removeprefix("env=")])
    config = short["labyrinth"]
    start = {"command": ["python", "-m", "a3crepro", "seed=7", "hydra.run.dir=there"], "git_commit": "0123456789"}
    start["overrides"] = ["seed=7"]
    (tmp_path / "manifest.json").write_text(json.dumps({"starts": [start]}))
    monkeypatch.setattr(
        module, "policy_with_overrides", lambda directory, _: (config, config.env.scripted_policies()["blind"], 100)
    )
    monkeypatch.setattr(sys, "argv", ["worlds.py", str(tmp_path)])
    module.main()
    assert (tmp_path / "figures" / "worlds.png").stat().st_size > 10_000
    told = (tmp_path / "figures" / "worlds.md").read_text()
    assert "| racing/fast_bots |" in told and "`python -m a3crepro seed=7`, commit 0123456." in told
    played = module.episode(config, config.env.scripted_policies()["expert"])
    assert len(played.views) == 6 and played.views[0].shape == (84, 84, 3)
    red, green, blue = np.moveaxis(played.trajectory.astype(int), 2, 0)
    assert ((red == green) & (red >= 90) & (blue == 60)).sum() > 20  # the way, yellow
    monkeypatch.setattr(module, "policy_with_overrides", lambda directory, _: (compose("env=toy/catch"), None, 0))
    with pytest.raises(UserError, match=r"^there: a run of toy/catch, which has no map; allowed: labyrinth, racing$"):
        module.policies(["there"])


def test_data_efficiency_of_the_paper():
    """Mean of five games, 90 % of the rise with one thread; the paper's figures, as others have read them."""
    module = script("data_efficiency")
    curves = module.paper_curves(figures.paper("fig3_s9_data_efficiency"), "epoch")
    known = {
        "one_step_q": [1.7, 1.9, 2.4, 2.5], "one_step_sarsa": [2.0, 2.5, 2.5, 2.3], "n_step_q": [1.8, 2.3, 2.4, 2.5],
        "a3c": [1.1, 1.3, 1.3, 1.4],
    }  # fmt: skip
    for method, values in known.items():
        found = [module.efficiency(curves, method, threads) for threads in MORE]
        np.testing.assert_allclose(found, values, atol=0.06)


def test_throughput_of_the_paper():
    module = script("training_speed")
    by_hours = module.paper_curves(figures.paper("fig4_s10_training_speed"), "hours")
    by_epochs = module.paper_curves(figures.paper("fig3_s9_data_efficiency"), "epoch")
    known = {
        "one_step_q": [1.1, 2.5, 4.0, 6.0, 12.2], "one_step_sarsa": [1.1, 1.7, 3.3, 6.1, 11.4],
        "n_step_q": [0.9, 1.7, 3.4, 7.5, 13.0], "a3c": [1.5, 2.4, 4.0, 7.2, 15.6],
    }  # fmt: skip
    for method, values in known.items():
        found = [module.throughput(by_hours, by_epochs, method, threads) for threads in (1, *MORE)]
        np.testing.assert_allclose(found, values, atol=0.06)


def test_each_fit_of_the_paper_s_speed_is_the_derived_one():
    module = script("training_speed")
    by_hours = module.paper_curves(figures.paper("fig4_s10_training_speed"), "hours")
    by_epochs = module.paper_curves(figures.paper("fig3_s9_data_efficiency"), "epoch")
    for row in figures.paper("derived_throughput").iloc[::7].itertuples():
        one, other = (curves[row.game, row.method, row.threads] for curves in (by_hours, by_epochs))
        speed, off = statistics.fitted_speed(one.x, one.scores[0], other.x, other.scores[0])
        assert speed == pytest.approx(row.epochs_per_hour_fit) and off == pytest.approx(
            row.fit_rms_over_range, abs=6e-4
        )


def test_speed_ups_of_the_paper():
    module = script("speedup")
    curves = module.paper_curves(figures.paper("fig4_s10_training_speed"), "hours")
    known = {
        "one_step_q": [1.9, 3.8, 7.2, 18.4], "one_step_sarsa": [1.5, 3.2, 10.7, 10.6],
        "n_step_q": [2.1, 4.4, 7.2, 16.4], "a3c": [1.8, 3.0, 5.2, 17.4],
    }  # fmt: skip
    for method, values in known.items():
        np.testing.assert_allclose([module.paper_speedup(curves, method, n) for n in MORE], values, atol=0.0501)


def test_a_speed_up_is_the_product_of_its_factors(results, monkeypatch):
    """The paper's throughput goes up 10.2 to 14.2 times; in virtual time it is as many times as there are learners."""
    module = script("speedup")
    monkeypatch.setattr(results_module, "RESULTS", results)
    rows = module.factors(figures.load_results("thread_scaling", "laptop"))
    theirs, mine = rows[:4], rows[4:]
    assert [row[1] for row in rows] == 2 * list(figures.METHODS.values())
    assert [float(row[2]) for row in theirs] == [11.3, 10.2, 14.2, 10.5]
    assert [row[3] for row in theirs] == ["2.5", "2.3", "2.5", "1.3"]
    assert [row[5] for row in theirs] == ["24.1", "22.1", "17.2", "12.5"]
    for *_, faster, fewer, product, sooner in mine:
        fewer, sooner = (float(cell.lstrip("≥≤?").split()[0]) for cell in (fewer, sooner))
        assert float(faster) == pytest.approx(16, abs=0.1)
        assert float(product) == pytest.approx(sooner, rel=0.01) and float(faster) * fewer == pytest.approx(
            sooner, rel=0.01
        )


def test_table_1_of_the_paper():
    module = script("atari_table")
    for column, printed in zip(module.ROWS, figures.paper("table1_human_normalized").itertuples(), strict=True):
        found = list(module.normalised(column).values())
        mean = 122.2 if column == "dqn" else printed.mean_pct  # 121.9 is printed: no way to count gives it
        assert np.mean(found) == pytest.approx(mean, abs=0.2)
        assert np.median(found) == pytest.approx(printed.median_pct, abs=0.2)
    assert module.normalised("a3c_lstm").keys() >= {"video_pinball"} and len(module.normalised("dqn")) == 49


def test_collapses_among_the_paper_s_learning_rates():
    """Inside the ranges, counted by pandas: few of them, as the paper says."""
    module = script("learning_rates")
    data = figures.paper("fig2_s11_learning_rates")
    for method in METHODS:
        collapsed = inside = 0
        for game in data["game"].unique():
            rates, scores = module.points(game, method, data)
            above = pd.Series(scores - figures.reference(game), rates)
            found = statistics.good_rates(rates, above.to_numpy())
            good = above.index[above >= above.nlargest(5).mean() / 2]
            whole = above[good.min() : good.max()]
            assert (found.low, found.high, found.inside) == (good.min(), good.max(), len(whole))
            assert found.collapsed == (whole < 0.05 * above.max()).sum()
            collapsed, inside = collapsed + found.collapsed, inside + found.inside
        assert inside > 100 and collapsed < 0.1 * inside


def test_shared_rmsprop_is_the_best_optimizer_in_all_the_paper_s_panels():
    module = script("optimizers")
    means = module.of_paper().groupby(["env", "method", "optimizer"])["score"].mean().unstack()
    assert len(means) == 8 and (means.idxmax(axis=1) == "shared_rmsprop").all()


# ---- Statistics ------------------------------------------------------------------------------------------------------


def test_a_curve_crosses_a_level_on_the_line_between_two_points():
    x, scores = np.array([0.0, 1, 2, 3]), np.array([1.0, 3, 2, 5])
    assert statistics.first_crossing(x, scores, 2.0) == 0.5
    assert statistics.first_crossing(x, scores, 4.0) == pytest.approx(2 + 2 / 3)
    assert statistics.first_crossing(x, scores, 0.0) == 0.0
    assert np.isnan(statistics.first_crossing(x, scores, 5.1))
    assert statistics.part_of_rise(scores, 0.5) == 3.0


def test_intervals_cover_as_often_as_they_say():
    rng = np.random.default_rng(1)
    held = sum(0.0 in statistics.bootstrap(rng.normal(size=30), seed=trial) for trial in range(200))
    assert 175 <= held <= 198  # 95 % of 200, less what a percentile interval of 30 values lacks


@pytest.mark.parametrize("n", [5, 6, 40])
def test_intervals_of_few_values_are_wide_enough(n):
    rng = np.random.default_rng(2)
    samples = [rng.normal(size=n) for _ in range(400)]
    assert 365 <= sum(0.0 in statistics.interval_of_mean(sample) for sample in samples) <= 395
    held = sum(0.0 in statistics.interval_of_difference(pair) for pair in pairwise(samples))
    assert 365 <= held <= 395


@pytest.mark.parametrize("n", [1, 3, 4])
def test_the_mean_of_few_values_has_no_interval(n):
    few = np.array([3.0, 2.0, 4.0, 3.0])[:n]
    found = statistics.interval_of_mean(few)
    assert found.value == 3.0 and found.low == -np.inf and found.high == np.inf and str(found) == "3.00 (no interval)"
    assert statistics.interval_of_difference((few, np.arange(9.0))).high == np.inf


def test_a_final_score_is_the_mean_of_the_last_three_evaluations():
    assert statistics.final_score(np.array([9.0, 1.0, 2.0, 6.0])) == 3.0
    assert statistics.final_score(np.array([9.0, 1.0])) == 5.0
    table = pd.DataFrame(
        [("b", 30, 6.0, "sampled"), ("a", 1, 7.0, "sampled"), ("b", 40, 99.0, "training"), ("b", 10, 9.0, "sampled"),
         ("b", 4, 9.0, "sampled"), ("b", 20, 0.0, "sampled")],
        columns=["run", "frames", "score", "score_type"],
    )  # fmt: skip
    assert results_module.final_scores(table) == results_module.final_scores(table.astype(str)) == {"a": 7.0, "b": 5.0}


def test_a_smoothed_score_is_the_mean_of_it_and_its_neighbours():
    scores = np.array([[0.0, 2.0, 4.0, 9.0], [1.0, 1.0, 1.0, 1.0]])
    assert statistics.smoothed(scores).tolist() == [[1.0, 2.0, 5.0, 6.5], [1.0, 1.0, 1.0, 1.0]]
    assert statistics.smoothed(scores[0]).tolist() == [1.0, 2.0, 5.0, 6.5]


def test_the_best_rate_has_good_neighbours_and_is_good_in_each_cell():
    lucky = np.array([0.0, 9.0, 0.0, 6.0, 7.0, 6.0, 0.0])
    assert statistics.best_rate(lucky) == 4
    assert statistics.best_rate(np.array([[9.0, 9, 0, 0], [0, 0, 900, 900], [0, 0, 1, 1]])) == 3


def test_the_size_of_a_sample_that_would_decide():
    """The interval narrows with the square root of the size, until its end is at the line."""
    assert statistics.sample_size(Interval(2.0, 0.0, 9.0), 1.0, 10) == pytest.approx(40)
    assert statistics.sample_size(Interval(2.0, 0.0, 9.0), 3.0, 10) == pytest.approx(490)
    assert statistics.sample_size(Interval(2.0, 0.0, 9.0), 2.0, 10) == np.inf


def test_the_ratio_of_two_samples():
    found = statistics.ratio_of_geometric_means((np.full(6, 8.0), np.full(5, 2.0)))
    assert found == pytest.approx((4.0, 4.0, 4.0)) and str(found) == "4.00 (4.00 to 4.00)"
    found = statistics.ratio_of_geometric_means((np.array([1.0, 16, 4, 1, 16]), np.full(5, 2.0)))
    assert found.value == pytest.approx(2.0) and found.low < 0.5 and found.high > 10


def test_runs_are_resampled_within_their_games():
    scores = [np.array([0.0, 0.0]), np.array([100.0, 100.0]), np.array([10.0, 20.0])]
    found = statistics.stratified_bootstrap(scores, np.mean)
    assert found.value == pytest.approx(115 / 3) and (found.low, found.high) == pytest.approx((110 / 3, 40.0))
    single = statistics.stratified_bootstrap([runs[:1] for runs in scores], np.mean)
    assert single.low < 4 and single.high > 60


def test_the_interquartile_mean_leaves_out_a_quarter_on_each_side():
    assert statistics.interquartile_mean(np.array([-1e9, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 1e9])) == 3.5


def test_good_rates_stand_for_the_range_up_to_the_middle_of_the_next():
    """The mean of the best tenth, one run, is 9: three rates are good, a decade apart, and one between them is not."""
    rates = np.geomspace(1e-7, 1e-1, 7)
    found = statistics.good_rates(rates, np.array([0.0, 9, 0, 5, 9, 4, 0]))
    assert (found.low, found.high) == (rates[1], rates[4]) and list(np.flatnonzero(found.good)) == [1, 3, 4]
    assert (found.inside, found.collapsed, found.cut_off) == (4, 1, False)
    assert found.decades == pytest.approx(3) and found.in_words() == ("1.0e-06 to 1.0e-03", "3.00")
    counts = [statistics.good_rates(rates, np.array([0.0, 9, 0, 5, 9, 4, 0]), share).decades for share in (0.4, 0.6)]
    assert counts == pytest.approx([4, 2])
    width = statistics.width_of_good_rates((rates, np.array([0.0, 9, 0, 5, 9, 4, 0])))
    assert width.value == pytest.approx(3) and 0 < width.low < 3 < width.high < 6


def test_a_range_that_may_extend_beyond_the_rates_is_marked():
    rates = np.geomspace(1e-4, 1e-1, 16)
    found = statistics.good_rates(rates, 10.0 * (rates > 2e-2))
    assert found.cut_off and found.decades == pytest.approx(3.5 * 0.2)  # the last rate stands for half of the spacing
    assert found.in_words()[1] == "≥0.70"


def test_a_single_lucky_run_makes_no_wide_range():
    rates, scores = np.geomspace(1e-4, 6e-2, 16), np.zeros(16)
    scores[7] = 1.0
    width = statistics.width_of_good_rates(*[(rates, scores)] * 3)
    assert width.high < 0.5 and width.value == pytest.approx(np.log10(600) / 15)
    assert statistics.good_rates(rates, scores + 0.06).decades == pytest.approx(width.value)


def test_a_failure_within_a_plateau_makes_the_range_narrower():
    rates, scores = np.geomspace(1e-4, 6e-2, 16), np.ones(16)
    whole = statistics.width_of_good_rates((rates, scores)).value
    scores[8] = 0.0
    assert statistics.width_of_good_rates((rates, scores)).value < whole


def test_the_interval_of_a_width_covers_that_of_a_known_curve():
    """A curve two decades wide, and rates drawn at random as the paper draws them, or on a grid as sweeps do."""
    rng, width = np.random.default_rng(4), 2.0
    for n, random in ((50, True), (16, True), (16, False)):
        held = 0
        for _ in range(200):
            offset = rng.random() * 4 / (n - 1)
            places = np.sort(rng.uniform(-5, -1, n)) if random else np.linspace(-5, -1, n) + offset
            scores = 10.0 * (np.abs(places + 3) < width / 2)
            held += width in statistics.width_of_good_rates((10**places, scores))
        assert held >= 185, (n, random)


def test_no_rate_is_good_where_nothing_was_scored():
    found = statistics.good_rates(np.array([1e-3, 1e-2]), np.zeros(2))
    assert found.inside == 0 and found.decades == 0 and found.in_words() == ("none", "0.00")


def test_a_difference_over_several_games_counts_each_as_much():
    one, other = (np.arange(1.0, 6), np.arange(5.0)), (np.array([100.0] * 50), np.array([90.0] * 50))
    found = statistics.interval_of_difference(one, other)
    assert found.value == pytest.approx((1 + 10) / 2)
    alone = statistics.interval_of_difference(one)
    assert found.high - found.low == pytest.approx((alone.high - alone.low) / 2)  # only the first game's runs vary


def test_shares_of_few_trials_have_wide_intervals():
    none = np.zeros(8, bool)
    same = statistics.interval_of_shares(none, none)
    assert same.value == 0 and same.low < -0.1 and same.high > 0.1
    assert statistics.interval_of_shares(np.arange(8) < 4, none).low > 0
    assert statistics.interval_of_shares(np.arange(8) < 3, none).low < 0
    rng, held = np.random.default_rng(3), 0
    for _ in range(400):
        one, other = rng.random(40) < 0.7, rng.random(40) < 0.5
        held += 0.2 in statistics.interval_of_shares(one, other)
    assert 365 <= held <= 395


def test_the_interquartile_mean_is_over_the_runs_of_all_games():
    scores = [np.array([0.0, 10.0]), np.array([20.0, 1000.0])]
    assert statistics.stratified_bootstrap(scores, statistics.interquartile_mean).value == 15.0
    assert statistics.stratified_bootstrap(scores, np.median).value == (5 + 510) / 2


def test_fresh_seeds_stand_for_their_cell_and_the_best_for_the_others():
    rows = [("a", 0, 9.0), ("a", 1000, 1.0), ("a", 1001, 2.0), ("b", 0, 5.0), ("b", 1, 7.0), ("b", 2, 6.0)]
    runs = pd.DataFrame(rows, columns=["cell", "seed", "score"])
    assert sorted(results_module.representative_runs(runs, ["cell"], 2)["score"]) == [1.0, 2.0, 6.0, 7.0]
    assert len(results_module.representative_runs(runs, ["cell"], None)) == 5


def test_a_random_policy_above_the_person_counts_as_0_in_the_whole_table_only():
    randoms, humans = {"a": 10.0, "b": 50.0}, {"a": 110.0, "b": 40.0}
    assert statistics.table_1({"a": 60.0, "b": 80.0}, randoms, humans) == {"a": 50.0, "b": 200.0}
    assert statistics.table_1({"b": 80.0}, randoms, humans) == {"b": -300.0}


# ---- Scripts ---------------------------------------------------------------------------------------------------------


LESS = {"algo.exploration.final_values", "algo.entropy_beta"}
"""Keys with which `ablations` takes something away."""


def made_up(run, config):
    """A final score: better at rates near 2e-3, with more threads, in the order of METHODS, with Shared RMSProp."""
    away = abs(np.log10(config.optimizer.lr / 2e-3))
    score = 8 - (12 if config.threads == 1 else 2) * away + METHODS.index(config.algo.name) + 0.1 * config.threads
    score += {"momentum_sgd": -3, "rmsprop": -1.5, "shared_rmsprop": 0}[config.optimizer.name]
    score *= 0.3 if config.env.name == "racing" and config.algo.name.startswith("one_step") else 1
    less = bool(LESS & run.settings.keys())
    if run.settings["env"] in ("minatar/space_invaders", "minatar/freeway"):  # where policies without learning score
        score *= 5
    score *= {"control": 75, "racing": 16, "labyrinth": 11}.get(config.env.name, 1)
    return max(0.0, score - 2 * less) + 0.05 * (config.seed % 7)


def tables(name):
    """Tables as of a finished sweep at the scale `laptop`, with made-up scores."""
    from a3crepro.experiments.collect import describe, override_keys
    from a3crepro.experiments.command import Command

    command = Command(importlib.import_module(f"sweeps.{name}").EXPERIMENT, ["scale=laptop"])

    def configured(run):
        """As `compose` would have it, which takes long."""
        config = command.config(run)
        lr = float(run.settings.get("optimizer.lr", config.optimizer.lr))
        optimizer = config.optimizer.model_copy(update={"lr": lr})
        return config.model_copy(update={"optimizer": optimizer, "seed": int(run.settings["seed"])})

    runs = list(command.scale.runs(lambda run: made_up(run, configured(run))))
    shortest = {}  # runs of an environment learn equally fast, however long they go on
    for run in runs:
        frames = configured(run).frames
        shortest[run.settings["env"]] = min(frames, shortest.get(run.settings["env"], frames))
    rows, scores, keys = [], [], override_keys(runs)
    for run in runs:
        config = configured(run)
        common = {**describe(run, config, config.composition.choices, keys), "run": run.name, "commit": "f" * 40}
        final = made_up(run, config)
        more = {"apples": 1.0, "portals": 0.1 * final} if config.env.counted_info else {"greedy_score": final + 1}
        rows.append({**common, **more, "budget": config.frames, "frames": config.frames + len(rows), "score": final,
                     "score_type": "sampled", "core_seconds": 600.0, "seconds": 3600.0 / config.threads,
                     "date": "2026-01-02T", "share_g_above_epsilon": 0.01})  # fmt: skip
        for part in range(1, 11):
            frames = config.frames * part // 10 + (len(rows) if part == 10 else 0)  # all stop a little later
            soon = 4 if config.env.name == "racing" else 1
            score = final * min(1.0, soon * frames / shortest[run.settings["env"]])
            kind = {"score": score, "score_type": "sampled", "seconds": part * 360.0 / config.threads}
            scores.append({**common, "frames": frames, "epoch": frames / 1e6, **kind})
            scores.append(
                {**common, "frames": frames, "epoch": frames / 1e6, **kind, "score_type": "training", "score": 99}
            )
    assert len(runs) == SWEEPS[name]
    notes = {"best": command.scale.best, "planned": len(runs) + (name in MISSING), "runs": len(runs), "notes": []}
    return pd.DataFrame(rows), pd.DataFrame(scores), notes


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A directory of results with the paper's data and made-up ones."""
    root = tmp_path_factory.mktemp("checkout") / "results"
    root.mkdir()
    for name in ("paper", "references"):
        (root / name).symlink_to(ROOT / "results" / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results_module, "RESULTS", root)  # some sweeps depend on the tables of others
        for name in SWEEPS:
            runs, scores, notes = tables(name)
            directory = root / name / "laptop"
            directory.mkdir(parents=True)
            runs.to_csv(directory / "runs.csv", index=False)
            scores.to_csv(directory / "scores.csv", index=False)
            (directory / "notes.json").write_text(json.dumps(notes))
    return root


@pytest.fixture
def drawn(results, monkeypatch, tmp_path):
    monkeypatch.setattr(results_module, "RESULTS", results)
    monkeypatch.setattr(statistics, "RESAMPLES", 500)
    monkeypatch.setattr(figures, "FIGURES", tmp_path)

    def draw(name, *words):
        module = script(name)
        if name != "first_runs":  # where things lie is matplotlib's: half of the time that a figure takes
            monkeypatch.setattr(ConstrainedLayoutEngine, "execute", lambda self, fig: None)
        if hasattr(module, "FIGURES"):
            monkeypatch.setattr(module, "FIGURES", tmp_path)
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *words])
        module.main()
        return {path.name: path for path in tmp_path.iterdir()}

    return draw


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_draws_the_paper_s_data_and_its_own(drawn, name, capsys):
    found = drawn(name)
    expected = {"claims.md"} if name == "claims" else {f"{name}.{kind}" for kind in ("png", "svg", "md")}
    assert found.keys() == expected
    text = found[f"{name}.md"].read_text()
    of_threads = ("claims", "data_efficiency", "speedup", "training_speed")
    assert (
        ("runs, 1 of" in text) == (name in MISSING + of_threads) and "commit fffffff" in text and "core-hours" in text
    )
    printed = capsys.readouterr().out
    assert text.strip() in printed
    assert set(printed.splitlines()[-1].removeprefix("written: ").split(", ")) == set(map(str, found.values()))
    assert "policies scored: sampled" in text


def test_curves_are_of_evaluations_of_fresh_seeds(results, monkeypatch):
    monkeypatch.setattr(results_module, "RESULTS", results)
    curves = script("_threads").own_curves(figures.load_results("thread_scaling", "laptop"), "epoch")
    assert len(curves) == 3 * 4 * 2 + 4
    for (game, method, threads), curve in curves.items():
        seeds = 5 if threads == 4 else 20 if game == "minatar/breakout" else 10
        assert curve.scores.shape == (seeds, 10) and curve.scores.max() < 100  # of training they are 99
        at_2e_3 = (8 + METHODS.index(method) + 0.1 * threads) * (5 if game == "minatar/space_invaders" else 1)
        assert 0.75 * at_2e_3 < curve.scores[:, -1].mean() < at_2e_3 + 0.4  # one of the rates is near


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
    yes, no, open_ = (module.decide(Interval(1, 0.5, 2), line) for line in (0.4, 2.1, 1.0))
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
    other = open_._replace(reason="a bound only")
    assert module.combine([open_, other, other]).reason == "0 of 3 parts reproduced; 3 open, 2 of them: a bound only"
    assert module.combine([open_], "1").text == open_.text
    assert module.combine([module.NOT_RUN, yes]).text == "reproduced in part (1 of 2 parts reproduced; 1 not run)"
    assert module.combine([module.NOT_RUN, open_]).reason == f"0 of 2 parts reproduced; 1 not run; 1 {why}"
    assert module.combine([]) == module.combine([module.NOT_RUN] * 2) == module.NOT_RUN


def test_few_seeds_decide_by_how_many_of_them_are_above_the_line():
    """Wilson's interval of k of n excludes one half from four runs on that agree."""
    by_seeds = script("_verdicts").decided_by_seeds
    assert by_seeds([3.0, 4, 5, 6], 2.0).text == "reproduced"
    assert by_seeds([1.0, 1, 0, 1], 2.0).text == "not reproduced"
    assert by_seeds([3.0, 4, 5], 2.0, "x: ") == (
        "not decided", "x: 3 of 3 above 2 (3, 4, 5)", "1 more above the threshold would decide", 1
    )  # fmt: skip
    assert by_seeds([1.0, 4, 5, 6], 2.0).reason == "4 more above the threshold would decide"
    assert by_seeds([1.0, 0, 1], 2.0).reason == "1 more below the threshold would decide"
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
    assert three.text == "reproduced in part (6 of 7 parts reproduced; 1 not run)" and "A3C: missing" in three.effect


def rates_with(good, method="a3c", env="breakout", n=61):
    """A run a rate from 1e-4 to 1e-2 that scores 100 where it is good, and 1 elsewhere."""
    rates = np.geomspace(1e-4, 1e-2, n)
    return [{"env": env, "method": method, "learning_rate": rate, "score": 100.0 if good(rate) else 1.0,
             "epsilon": 0.1, "share_g_above_epsilon": 0.5} for rate in rates]  # fmt: skip


def test_a_range_that_ends_where_the_rates_do_refutes_nothing(rules):
    wide = [run for method in METHODS[:3] for run in rates_with(lambda rate: 3e-4 < rate < 3e-3, method)]
    inside = rules(wide + rates_with(lambda rate: 1e-3 < rate < 1.3e-3)).wide_range("laptop")
    assert inside.text.startswith("not reproduced (6 of 8 parts reproduced")
    at_the_end = rules(wide + rates_with(lambda rate: rate > 7.9e-3)).wide_range("laptop")
    assert at_the_end.text.startswith("reproduced in part (6 of 8 parts reproduced")
    assert re.search(r"A3C: ≥0\.\d\d \(", at_the_end.effect)
    holes = [{**run, "score": 0.0 if number % 2 else run["score"]}
             for number, run in enumerate(rates_with(lambda rate: 2e-4 < rate < 5e-3))]  # fmt: skip
    found = rules(wide + holes).wide_range("laptop")
    assert found.outcome == "not reproduced" and re.search(
        r"A3C: .* decades; (19|20|21) of \d+ collapsed", found.effect
    )


def scaled(*games, frames_of):
    """Runs of five held-out seeds a cell, whose scores rise evenly by 10 within these frames, of 100."""
    runs, scores = [], []
    for game, method, threads, seed in itertools.product(games, METHODS, (1, 16), range(1000, 1005)):
        name = f"{game},{method},{threads},{seed}"
        common = {"run": name, "env": game, "method": method, "threads": threads, "seed": seed}
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
    assert chance.text == "not reproduced (7 of 8 parts reproduced)" and "Breakout, A3C" in chance.effect


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


def test_entropies_are_those_of_the_last_evaluation():
    module = script("ablations")
    kept = pd.DataFrame({"run": ["a", "a", "b", "c"], "frames": [2, 1, 1, 1], "entropy": [0.4, 1.1, 0.2, 0.1]})
    runs = pd.DataFrame({"run": ["a", "b"], "learning_rate": [1e-3, 1e-2]})
    papers = module.with_entropies(runs, kept)
    assert list(papers["entropy"]) == [0.4, 0.2]
    less = module.with_entropies(runs.assign(run=["c", "b"]), kept)
    assert module.table_of_entropies(papers, less).splitlines()[-1] == "| 0.30 | 0.15 | at 1 of 2 rates |"
    assert module.table_of_entropies(papers, module.with_entropies(runs, kept[:0])) == ""


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


def test_what_is_learnt_of_control_is_far_above_chance(monkeypatch):
    module = script("physical_tasks")
    measured = {"control/cheetah_run": {"random": (3.9, 1.0), "held": (15.5, 5.0)},
                "control/pendulum_swingup": {"random": (3.0, 9.0), "constant 1": (15.4, 27.0)},
                "control/cartpole_balance": {"constant 0": (748.0, 30.0)}}  # fmt: skip
    monkeypatch.setattr(
        figures,
        "references",
        lambda env: pd.DataFrame(
            {"score_mean": mean, "score_std": std, "env.action_repeat": 4.0 if policy == "held" else np.nan}
            for policy, (mean, std) in measured[env].items()
        ),
    )
    assert module.is_learnt("cheetah_run", 12) and not module.is_learnt("cheetah_run", 11)  # three times 3.9
    assert module.is_learnt("cheetah_run_pixels", 47) and not module.is_learnt("cheetah_run_pixels", 46)  # of 15.5
    # four standard errors of ten episodes
    assert module.is_learnt("pendulum_swingup", 50) and not module.is_learnt("pendulum_swingup", 49)
    # a fifth of what is left to be gained of 1,000
    assert module.is_learnt("cartpole_balance", 799) and not module.is_learnt("cartpole_balance", 798)


def test_blind_policies_of_control_were_measured_on_all_its_tasks():
    score_of = script("physical_tasks").observation_independent_score
    assert score_of("cartpole_swingup_pixels") == score_of("cartpole_swingup") > 75  # a noisy push to one side
    assert 0 < score_of("cheetah_run") < score_of("cheetah_run_pixels") < 50
    assert np.isnan(score_of("dog_run"))


@pytest.mark.parametrize(
    ("yes", "no", "open_", "verdict"),
    [(4, 3, 0, "reproduced"), (3, 3, 1, "not decided"), (1, 4, 2, "not reproduced"), (1, 1, 5, "not decided")],
)
def test_most_are_more_than_half(yes, no, open_, verdict):
    outcome = script("_verdicts").Outcome
    outcomes = [outcome.REPRODUCED] * yes + [outcome.NOT_REPRODUCED] * no + [outcome.NOT_DECIDED] * open_
    assert script("_rules_worlds").most_of(outcomes).outcome == verdict


ROLLOUTS = {"algo.t_max": "20", "algo.gaussian.bounded": "true"}


def control_runs(tasks, rates, score, overrides=None, epsilon=0.1):
    """Made-up runs of the paper's updates, unless told otherwise."""
    rows = [
        {"env": f"control/{task}", **(overrides or {}), "epsilon": epsilon, "seed": number, "run": f"{task},{rate}",
         "learning_rate": rate, "score": score(rate), "budget": 2_000_000}
        for task in tasks
        for number, rate in enumerate(rates)
    ]  # fmt: skip
    return figures.Results(pd.DataFrame(rows), pd.DataFrame({"run": [], "score_type": []}), {"best": 5})


@pytest.mark.slow
def test_claims_of_control_at_the_paper_s_scale(monkeypatch):
    """Without held-out seeds a task's best five runs count, and without pixels nothing is decided of them."""
    module = script("_rules_worlds")
    rates = np.geomspace(1e-5, 1e-1, 9)

    def verdicts(tasks, score):
        monkeypatch.setattr(script("_verdicts"), "load_results", lambda name, scale: control_runs(tasks, rates, score))
        return module.solves_control("paper").text, module.wide_in_control("paper").text

    states, both = (
        [env.removeprefix("control/") for env in envs]
        for envs in (physical_tasks.DESCENDANTS, physical_tasks.DESCENDANTS + physical_tasks.DESCENDANTS_PIXELS)
    )
    assert verdicts(both, lambda rate: 900 - 200 * abs(np.log10(rate / 1e-3))) == ("reproduced", "reproduced")
    assert verdicts(both, lambda rate: 0.0) == ("not reproduced (0 of 12 parts reproduced)",
                                                "not decided (no task was learnt)")  # fmt: skip
    rates = np.geomspace(1e-5, 1e-1, 41)
    solved, wide = verdicts(states, lambda rate: 900.0 if 5e-4 < rate < 2e-3 else 0.0)
    assert solved == "not decided (no runs from pixels)" and wide.startswith("not reproduced")


def test_the_range_of_rates_of_control_is_that_of_the_updates_that_learnt_most_of_their_tasks(monkeypatch):
    """And a task from pixels, which is run at two rates, has none."""
    module = script("_rules_worlds")
    rates, rollouts = np.geomspace(1e-5, 1e-1, 17), (ROLLOUTS, 1e-5)

    def wide(task_rates, score, *how):
        return control_runs(("cheetah_run", "walker_walk"), task_rates, score, *how).runs

    def verdict(papers, others, pixels=None):
        runs = pd.concat([wide(rates, papers), wide(rates, others, *rollouts)])
        if pixels is not None:
            found = control_runs(("cartpole_swingup_pixels",), rates[8:10], pixels, *rollouts).runs
            runs = pd.concat([runs, found])
        mine = figures.Results(runs, pd.DataFrame({"run": [], "score_type": []}), {"best": 1})
        monkeypatch.setattr(script("_verdicts"), "load_results", lambda name, scale: mine)
        return module.wide_in_control("laptop")

    flat, peak = (lambda rate: 500.0), (lambda rate: 500.0 if rate == rates[8] else 0.0)
    nothing = lambda rate: 0.0  # noqa: E731
    assert verdict(nothing, flat).effect.startswith("rollouts of 20") and verdict(nothing, flat)[0] == "reproduced"
    assert verdict(peak, flat).effect.startswith("the paper's")  # as many of its tasks
    for pixels in (None, flat):
        assert verdict(nothing, peak, pixels).text == "not reproduced"
        assert "pixels" not in verdict(nothing, peak, pixels).effect
    assert verdict(nothing, nothing).text == "not decided (no task was learnt)"


def test_the_suite_s_own_a3c_has_two_scores_on_one_task():
    module, rules = script("physical_tasks"), script("_rules_worlds")
    assert module.suite_scores("reacher_easy") == "95.6 or 285" and module.suite_scores("cheetah_run") == "213.9"
    assert module.suite_score("walker_stand", "planet") == 378.4  # it prints six tasks
    assert np.isnan(module.suite_score("point_mass_easy", "planet"))
    finals = {"reacher_easy": np.array([200.0, 280.0, 300.0, 300.0]), "point_mass_easy": np.ones(4)}
    later, planet = (rules.beside_the_suite(finals, printed).effect for printed in ("1e8_steps", "planet"))
    assert later == "on at least 1 of 1, worse on at least 0, by the mean as good on 1"
    assert planet == "on at least 0 of 1, worse on at least 0, by the mean as good on 0"


def test_over_time_stand_the_fresh_seeds_of_the_last_search():
    module = script("physical_tasks")
    first, second = ROLLOUTS, {"algo.t_max": "20", "algo.gaussian.entropy_cost": "0.03"}
    found = control_runs(("cheetah_run",), [1e-3], lambda rate: 1.0)
    made = ((first, 3, 50.0), (first, 1000, 60.0), (second, 3, 40.0), (second, 1000, 7.0),
            ({**second, "network.separate": "true"}, 1000, 5.0))  # fmt: skip
    rows = [found.runs.assign(**how, epsilon=1e-5, seed=seed, score=score) for how, seed, score in made]
    other = control_runs(("walker_walk",), [1e-3], lambda rate: 9.0).runs

    def shown(*runs):
        mine = figures.Results(pd.concat(runs, ignore_index=True), found.scores, {"best": 1})
        return list(module.over_time(mine, module.control(mine)[0])["score"])

    assert shown(*rows, other) == [5.0]  # a task that was only searched on is none of them
    assert shown(*rows[:4], rows[4].assign(env="control/walker_walk")) == [7.0, 5.0]  # each task's last
    assert shown(rows[0], rows[2], rows[1]) == [60.0]
    assert shown(rows[0], rows[2]) == [50.0]  # of the searches the best


def test_first_runs_stand_beside_the_paper_s_band_and_rates():
    module = script("first_runs")
    run = {"env": "pong", "learning_rate": 7e-4, "frames": 20_000_123, "score": -15.0, "last_score": -13.8}
    assert module.beside_paper(pd.DataFrame([run])).endswith("| `pong` | 0.0007 | 20M | -13.8 | -6.2 (-13.0 to 0.6) |")
    scores = module.papers_rates("breakout", 1.241e-3).splitlines()[-1]
    assert scores == "| its final score | 505.7 | 429.4 | 510.8 | 849.0 | 449.9 | 410.0 | 423.5 |"


def test_the_paper_s_drivers_are_as_good_as_the_text_says():
    shares = script("racing").paper_shares()
    a3c = [table.set_index("hours")["share"] for _, table in shares[shares["method"] == "a3c"].groupby("setting")]
    assert sorted(round(curve[12], 2) for curve in a3c) == [0.62, 0.76, 0.82, 0.86]  # "roughly 75 % to 90 %"
    assert all(0.76 < curve.max() < 0.94 for curve in a3c)


def test_races_are_told_as_shares_of_the_expert_in_the_same_setting(results, monkeypatch):
    monkeypatch.setattr(results_module, "RESULTS", results)
    mine, racing = figures.load_results("racing", "laptop"), script("racing")
    evaluations = mine.evaluations().sort_values("frames")
    for env in racing.SETTINGS:
        expert = figures.reference(env, "expert")
        fresh = mine.runs[(mine.runs["env"] == env) & (mine.runs["seed"] >= 1000)]
        last = evaluations.groupby("run")["score"].agg(lambda scores: scores.iloc[-10:].mean())
        fresh = fresh.assign(last=fresh["run"].map(last))
        budget = "5M frames" if env == "racing/slow" else "2.5M frames"
        told = racing.own_in(mine, env)
        columns = {"final": "score", "last 10 evaluations": "last", "most probable actions": "greedy_score"}
        for (setting, name, *cells, chance, reference), (label, column) in zip(told, columns.items(), strict=True):
            means = fresh.groupby("method")[column].mean() / expert
            for method, cell in zip(METHODS, cells, strict=True):
                assert cell.startswith(f"{100 * means[method]:.2f} (") and cell.endswith(budget), cell
            assert (setting, name) == (f"{racing.SETTINGS[env]}, a3crepro", label) and reference == f"{expert:.1f}"
            assert float(chance.removesuffix("%")) == pytest.approx(100 * figures.reference(env) / expert, abs=0.06)


def test_the_paper_s_races_are_told_by_their_greatest_scores_and_their_last():
    racing = script("racing")
    greatest, last = racing.theirs_in(racing.paper_shares(), "Slow car, bots")
    assert greatest[1:6] == ["maximum", "48%", "6%", "56%", "81%"]
    assert last[1:6] == ["last 10 hours", "43%", "3%", "52%", "71%"]


def test_apples_and_portals_are_told_as_they_were_counted(results, monkeypatch):
    monkeypatch.setattr(results_module, "RESULTS", results)
    cells = script("labyrinth").row(figures.load_results("labyrinth", "laptop"), "labyrinth")[2:]
    score, apples, portals = (float(cell.split()[0]) for cell in cells)
    assert apples == 1 and portals == pytest.approx(0.1 * score, abs=0.01) and score > 20


def racing_curves(**rises):
    """Curves over 16 evaluations in four settings whose shares of the expert's score rise by so much each, up to 1."""
    return pd.DataFrame(
        [
            {
                "setting": setting,
                "method": method,
                "run": run,
                "frames": (1e6 + run) * part,
                "share": min(1, rise * part),
            }
            for setting in ("slow", "slow, bots", "fast", "fast, bots")
            for method, rise in rises.items()
            for run in range(2)
            for part in range(1, 17)
        ]
    )


@pytest.mark.parametrize(
    ("one_step", "n_step", "a3c", "verdict", "effect"),
    [
        (0.01, 0.8, 0.9, "reproduced", "4 one-step curves never got there"),  # 16M frames at least
        (0.9, 0.9, 0.9, "not reproduced", "methods: 1.00, 0 of 4 above 2 (1, 1, 1, 1), by settings"),
        (0.9, 0.01, 0.9, "not reproduced", "4 multi-step curves never got there"),
        (0.02, 0.025, 0.9, "not decided (a bound only)", "4 multi-step curves never got there"),
    ],
)
def test_a_method_that_never_drives_counts_with_its_end(monkeypatch, one_step, n_step, a3c, verdict, effect):
    module = script("_rules_worlds")
    curves = racing_curves(one_step_q=one_step, n_step_q=n_step, a3c=a3c)
    monkeypatch.setattr(script("_verdicts"), "load_results", lambda name, scale: figures.Results(curves, curves, {}))
    monkeypatch.setattr(module, "own_shares", lambda mine: curves)
    found = module.multi_step_drives_sooner("laptop")
    assert found.text == verdict and effect in found.effect, found


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SCRIPTS if name != "claims"])
def test_every_script_draws_the_paper_s_data_alone(drawn, name):
    found = drawn(name, "scale=paper")
    assert found.keys() == {f"{name}-paper.{kind}" for kind in ("png", "svg", "md")}
    assert figures.NOTHING in found[f"{name}-paper.md"].read_text()


def test_a_scale_that_is_none_gets_one_line():
    with pytest.raises(UserError, match="scale: allowed: smoke, laptop, paper, earlier; got 'huge'"):
        figures.scale_of(["scale=huge"])
    with pytest.raises(UserError, match="seed: unknown key; allowed: scale"):
        figures.scale_of(["seed=1"])


def test_the_readme_counts_verdicts_as_the_table_of_claims_does():
    rows = re.findall(
        r"^\| ((\d*).*?) \| ((?:not )?(?:reproduced|decided|run)[a-z ]*) \|", (ROOT / "README.md").read_text(), re.M
    )
    counts = Counter()
    for _, several, verdict in rows:
        counts[verdict] += int(several or 1)
    table = (ROOT / "figures" / "claims.md").read_text()
    known = re.findall(r"^\| ((?:not )?(?:reproduced|decided|run)[a-z ]*) \| (\d+) \|", table, re.M)
    assert [kind for kind, _ in known] == list(script("_verdicts").Outcome)
    assert counts == {kind: int(number) for kind, number in known if int(number)}


def test_claims_are_decided_as_the_data_were_made(drawn, capsys):
    drawn("claims")
    _, by_verdict, claims, *_ = capsys.readouterr().out.split("\n\n")
    lines = [line.split(" | ") for line in claims.splitlines()][2:]
    verdicts = {cells[0].removeprefix("| "): cells[3] for cells in lines}
    counts = {
        line.split(" | ")[0].removeprefix("| "): int(line.split(" | ")[1]) for line in by_verdict.splitlines()[2:]
    }
    assert sum(counts.values()) == len(verdicts) == 21 and counts["reproduced"] == 14
    for claim in (
        "all four methods train on every game",
        "n-step methods learn faster than one-step ones on some games",
        "A3C is best overall",
        "16 threads speed every method up by an order of magnitude",
        "one-step methods speed up superlinearly",
        "one-step methods need less data with more threads",
        "parallel actor-learners stabilise value-based methods",
        "a wide range of good learning rates, with virtually no collapse inside it",
        "different ε in different threads improve robustness",
        "the entropy bonus prevents premature convergence",
        "RMSProp is more robust than momentum SGD",
        "Shared RMSProp is more robust than RMSProp",
        "its range of good learning rates is wide on them",
        "the multi-step methods learn to drive much faster",
    ):
        assert verdicts[claim] == "reproduced", claim
    for claim in (  # by three seeds, which all agree
        "A3C solves physical tasks from state and from pixels",
        "A3C drives best, at 75 to 90 % of the reference",
        "A3C learns a general strategy for mazes it has not seen",
    ):
        assert verdicts[claim].startswith("not decided") and "1 more above" in verdicts[claim], claim
    for claim in (  # without runs of the five games; see test_atari_games.py
        "they tend to learn faster than DQN",
        "all four methods train on the five Atari games",
        "n-step methods learn faster on some Atari game",
    ):
        assert verdicts[claim] == "not run yet", claim


def test_a_run_that_never_gets_there_counts_with_its_end():
    module = script("_threads")
    x = np.arange(1.0, 8)
    never, late = np.zeros(7), np.array([0.0, 0, 0, 0, 0, 2, 2])
    curves = {
        ("g", "a3c", 1): module.Curve(x, np.stack([late, never])),
        ("g", "a3c", 4): module.Curve(x / 4, np.stack([late, late])),
    }
    found = module.speedup(curves, {"g": 4 / 3}, "a3c", 4)  # which the smoothed curve reaches at 6 of 7
    assert found.mark == "≥" and found.ratio.value == pytest.approx(4.0 * np.sqrt(7 / 6))
    assert str(found).endswith("[1/2 (1 late), 2/2 (2 late)]")


def test_who_gets_there_in_time_is_not_late():
    module = script("_threads")
    curve = module.Curve(np.arange(1.0, 6), np.array([[0.0, 1, 1, 1, 1], [0, 0, 0, 1, 1], [0, 0, 0, 0, 0]]))
    found = module.times(curve, 0.9)
    assert (found.missed, found.before, found.late) == (1, 0, 1) and str(found) == "2/3 (1 late)"


def test_own_scores_are_normalised_run_by_run():
    module = script("atari_table")
    scores = {"breakout": [1.7, 30.5], "pong": [-20.7, 9.3], "minatar/breakout": [5.0, 6.0]}  # 0 and 100 %, of no-ops
    runs = pd.DataFrame(
        [{"network": "mnih2015", "budget": 320_000_000, "env": env, "score": score}
         for env, values in scores.items() for score in values]
    )  # fmt: skip
    human = figures.paper("human_random_scores").set_index("game").loc[["breakout", "pong"]]
    expected = [
        100 * (np.array(scores[game]) - low) / (high - low)
        for game, low, high in human[["noop_random", "noop_human"]].itertuples()
    ]
    ((label, found),) = module.own_normalised(figures.Results(runs, runs, {})).items()
    assert label == ("mnih2015", 320_000_000)
    np.testing.assert_allclose(found, expected)
    _, games, *cells, printed = module.row(label, found)
    whole, middle = np.mean(expected), np.mean(np.sort(np.ravel(expected))[1:3])
    assert (games, printed) == (2, "–")
    assert [cell.split(" (")[0] for cell in cells] == [f"{value:.1f}" for value in (whole, whole, middle)]


def test_the_table_of_57_games_is_drawn_from_one_of_them():
    """As far as it goes: the rows of the games that were run, beside the paper's of all."""
    module = script("atari_table")
    known = {"breakout": [1.7], "pong": [9.3]}
    runs = pd.DataFrame(
        [{"network": "mnih2015", "budget": 320_000_000, "env": env, "score": score}
         for env, values in known.items() for score in values]
    )  # fmt: skip
    for part in (runs[:1], runs):
        values = module.own_normalised(figures.Results(part, part, {}))
        (label,) = values
        assert module.row(label, values[label])[:2] == [("mnih2015", 320_000_000), len(part)]
        assert all("no interval" in cell for cell in module.row(label, values[label])[2:-1])
        _, grid = figures.panels(1)
        module.draw(grid[0][0], {"a3crepro": values[label]})


def test_greedy_scores_are_those_of_the_best_by_the_stated_policy():
    module = script("learning_rates")
    table = pd.DataFrame({"game": "g", "method": "a3c", "score": range(10), "greedy_score": range(100, 110)})
    assert module.greedy_of_best("g", "a3c", table) == "109.0"
    assert module.greedy_of_best("g", "a3c", table.drop(columns="greedy_score")) == "–"
    assert module.greedy_of_best("g", "a3c", table.assign(greedy_score=np.nan)) == "–"
