"""Statistics for figures and claims."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from analysis_helpers import script

from a3crepro.experiments import results as results_module
from a3crepro.experiments import statistics
from a3crepro.experiments.statistics import Interval


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


def test_held_out_seeds_stand_for_their_cell_and_the_best_for_the_others():
    rows = [("a", 0, 9.0), ("a", 1000, 1.0), ("a", 1001, 2.0), ("b", 0, 5.0), ("b", 1, 7.0), ("b", 2, 6.0)]
    runs = pd.DataFrame(rows, columns=["cell", "seed", "score"])
    assert sorted(results_module.representative_runs(runs, ["cell"], 2)["score"]) == [1.0, 2.0, 6.0, 7.0]
    assert len(results_module.representative_runs(runs, ["cell"], None)) == 5


def test_a_random_policy_above_the_person_counts_as_0_in_the_whole_table_only():
    randoms, humans = {"a": 10.0, "b": 50.0}, {"a": 110.0, "b": 40.0}
    assert statistics.table_1({"a": 60.0, "b": 80.0}, randoms, humans) == {"a": 50.0, "b": 200.0}
    assert statistics.table_1({"b": 80.0}, randoms, humans) == {"b": -300.0}


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
