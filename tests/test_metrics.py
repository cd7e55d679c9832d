"""`metrics.csv`: its numbers against autograd and numpy, its empty cells, and the rows of runs that are resumed."""

import csv
import math
import time

import numpy as np
import pytest
import torch

from a3crepro import compose, train
from a3crepro.execution import hogwild
from a3crepro.learner.shared_state import Totals
from a3crepro.mathematics import losses
from a3crepro.mathematics import metrics as m
from a3crepro.mathematics.variance import mean_and_variance
from a3crepro.runs.checkpoint import Checkpoint, Counters, load_checkpoint, save_checkpoint
from a3crepro.runs.metrics import METRICS, Measurement, explained_variance, metrics_row
from a3crepro.runs.training import initial_state

rng = np.random.default_rng(0)
STEPS, ACTIONS = 5, 4


def random(*shape):
    return rng.normal(size=shape).astype(np.float32)


def sums_of(add, *arguments):
    sums = np.zeros(m.WIDTH)
    add(*arguments, sums)
    return sums


# ---- The sums --------------------------------------------------------------------------------------------------------


def test_sums_by_hand():
    """A state of value 1 and return 3, where the action of probability 1/4 was taken."""
    logits = np.log(np.array([[0.25, 0.75]], np.float32))
    value, returns = np.ones((1, 1), np.float32), np.array([3], np.float32)
    sums = sums_of(m.add_softmax, logits, value, np.array([0]), returns, 0.1, 0.5)
    entropy = -0.25 * math.log(0.25) - 0.75 * math.log(0.75)
    assert sums[m.ENTROPY] == pytest.approx(entropy, rel=1e-6)
    assert sums[m.POLICY_LOSS] == pytest.approx(-(2 * math.log(0.25) + 0.1 * entropy), rel=1e-6)
    assert sums[m.VALUE_LOSS] == 0.5 * 0.5 * 2**2
    assert (sums[m.VALUES], sums[m.POLICIES], sums[m.ERROR], sums[m.SQUARED_ERROR]) == (1, 1, 2, 4)
    assert (sums[m.RETURN], sums[m.SQUARED_RETURN]) == (3, 9)


def test_sums_of_a_softmax_policy_are_the_losses():
    logits, values, returns = 3 * random(STEPS, ACTIONS), random(STEPS, 1), random(STEPS)
    actions = rng.integers(ACTIONS, size=STEPS)
    sums = sums_of(m.add_softmax, logits, values, actions, returns, 0.05, 0.5)
    tensors = [torch.from_numpy(array) for array in (logits, actions, returns - values[:, 0])]
    assert sums[m.POLICY_LOSS] == pytest.approx(losses.policy_loss(*tensors, 0.05).item(), rel=1e-5)
    assert sums[m.ENTROPY] == pytest.approx(losses.policy_entropy(tensors[0]).sum().item(), rel=1e-5)
    exact = losses.value_loss(torch.from_numpy(values[:, 0]), torch.from_numpy(returns), 0.5).item()
    assert sums[m.VALUE_LOSS] == pytest.approx(exact, rel=1e-5)


@pytest.mark.parametrize("bounded", [False, True])
@pytest.mark.parametrize("variances", [1, 3])
def test_sums_of_a_gaussian_policy_are_the_losses(variances, bounded):
    mean, raw, values, actions = random(STEPS, 3), random(STEPS, variances), random(STEPS, 1), random(STEPS, 3)
    returns = random(STEPS)
    sums = sums_of(m.add_gaussian, mean, raw, values, actions, returns, 0.01, bounded, 0.5)
    centre, variance = mean_and_variance(torch.from_numpy(mean), torch.from_numpy(raw), bounded)
    advantage = torch.from_numpy(returns - values[:, 0])
    exact = losses.gaussian_policy_loss(centre, variance, torch.from_numpy(actions), advantage, 0.01).item()
    if variances == 1:  # log N has a term for each component
        spread = variance.expand(-1, 3)
        exact = losses.gaussian_policy_loss(centre, spread, torch.from_numpy(actions), advantage, 0.01).item()
    assert sums[m.POLICY_LOSS] == pytest.approx(exact, rel=1e-5)
    assert sums[m.ENTROPY] == pytest.approx(losses.gaussian_entropy(variance).sum().item(), rel=1e-5)
    assert sums[m.POLICIES] == sums[m.VALUES] == STEPS


def test_sums_of_action_values_are_the_loss():
    q, actions, targets = random(STEPS, ACTIONS), rng.integers(ACTIONS, size=STEPS), random(STEPS)
    sums = sums_of(m.add_q, q, actions, targets)
    exact = losses.q_loss(*map(torch.from_numpy, (q, actions, targets))).item()
    assert sums[m.VALUE_LOSS] == pytest.approx(exact, rel=1e-5) and sums[m.POLICIES] == 0


def test_a_state_whose_numbers_are_not_finite_is_left_out():
    q, targets = random(3, 2), np.array([1, np.nan, np.inf], np.float32)
    sums = sums_of(m.add_q, q, np.zeros(3, np.int64), targets)
    np.testing.assert_array_equal(sums, sums_of(m.add_q, q[:1], np.zeros(1, np.int64), targets[:1]))
    logits = np.array([[np.nan, 1], [np.inf, 0], [1, 2]], np.float32)
    arguments = np.zeros((3, 1), np.float32), np.zeros(3, np.int64), np.ones(3, np.float32), 0.01, 0.5
    assert sums_of(m.add_softmax, logits, *arguments)[m.POLICIES] == 1


def test_explained_variance():
    values, returns = random(100, 1), random(100) + 5
    sums = np.zeros(m.WIDTH)
    for part in (slice(0, 30), slice(30, 100)):
        m.add_q(values[part], np.zeros(len(values[part]), np.int64), returns[part], sums)
    errors = returns.astype(float) - values[:, 0]
    assert explained_variance(sums) == pytest.approx(1 - errors.var() / returns.astype(float).var(), rel=1e-6)
    perfect = sums_of(m.add_q, returns[:, None], np.zeros(100, np.int64), returns)
    assert explained_variance(perfect) == pytest.approx(1)
    same = np.full(100, 0.1, np.float32)
    assert explained_variance(sums_of(m.add_q, values, np.zeros(100, np.int64), same)) is None
    assert explained_variance(np.zeros(m.WIDTH)) is None


# ---- A row -----------------------------------------------------------------------------------------------------------


def row_of(bench, iterations):
    """A row over some iterations of one actor-learner after a few others, and what it must be by autograd."""
    learner, shared, config = bench.learner, bench.shared, bench.config
    for _ in range(3):
        learner.iterate()
    before, seen, norms, gradient = Measurement(1.0, shared.totals()), [], [], learner.output_gradient

    def remember(outputs, actions, returns):
        seen.append(({name: output.copy() for name, output in outputs.items()}, actions, returns))
        return gradient(outputs, actions, returns)

    learner.output_gradient = remember
    updates = shared.updates()
    for _ in range(iterations):
        rollout = learner.compute_gradient()
        norm = np.linalg.norm(learner.model.full_gradient().astype(float))
        learner.apply_gradient(rollout)
        if shared.updates() > updates:
            norms.append(norm)
            updates = shared.updates()
    states = sum(len(actions) for _, actions, _ in seen)
    loss = sum(
        config.algo.loss({name: torch.from_numpy(array) for name, array in outputs.items()},
                         torch.from_numpy(actions), torch.from_numpy(returns)).item()
        for outputs, actions, returns in seen
    )  # fmt: skip
    return metrics_row(config, before, Measurement(3.0, shared.totals())), loss / states, np.mean(norms)


@pytest.mark.parametrize("algo", ["a3c", "n_step_q", "one_step_q", "one_step_sarsa"])
@pytest.mark.parametrize("implementation", ["fast", "module"])
def test_a_row_is_what_autograd_computes(bench, algo, implementation):
    words = f"algo={algo}", f"network.implementation={implementation}", "env=toy/chain", "network=mlp"
    made = bench(*words, "threads=1", "frames=1000", "optimizer.lr=0.01")
    begun = 3 * (made.config.algo.rollout_steps or 0)
    row, loss, norm = row_of(made, 40)
    assert row["value_loss"] + (row["policy_loss"] or 0) == pytest.approx(loss, rel=1e-4)
    assert row["gradient_norm"] == pytest.approx(norm, rel=1e-4)
    frames = made.shared.frames()
    assert row["frames"] == frames and row["learning_rate"] == pytest.approx(0.01 * (1 - frames / 1000), rel=1e-5)
    assert row["frames_per_second"] == pytest.approx((frames - begun) / 2, abs=3)
    assert float(row["thread_frames_per_second"]) == pytest.approx(row["frames_per_second"], rel=1e-3)
    assert row["staleness"] == 0


def test_numbers_that_a_method_lacks_are_empty_cells(bench, tmp_path):
    words = "env=toy/catch", "threads=2", "execution=virtual_time", "frames=400", "evaluation.episodes=0"
    lacking = {"a3c": {"epsilon"}, "n_step_q": {"policy_loss", "entropy"}}
    for algo, names in lacking.items():
        train(compose(*words, f"algo={algo}", "logging.tensorboard=false"), tmp_path / algo)
        (*_, row) = rows(tmp_path / algo)
        assert tuple(row) == METRICS and {name for name, cell in row.items() if cell == ""} == names


def test_epsilon_is_the_mean_over_actor_learners(bench):
    made = bench("algo=n_step_q", "env=toy/catch", "threads=3", "env.schedule.epsilon_anneal_frames=100", "frames=1000")
    made.shared.counters[:, 0] = torch.tensor([10, 10, 30])
    finals = []
    for learner in made.learners:
        learner.global_frames = 50
        finals.append(made.config.algo.epsilon(learner))
    totals = made.shared.totals()
    row = metrics_row(made.config, Measurement(0.0, initial_state(made.config).totals()), Measurement(1.0, totals))
    assert row["epsilon"] == pytest.approx(np.mean(finals), rel=1e-5)


# ---- The rows of a run -----------------------------------------------------------------------------------------------


def rows(directory):
    with open(directory / "metrics.csv") as file:
        return list(csv.DictReader(file))


def virtual(frames, *overrides):
    return compose(
        "env=toy/catch", "threads=3", "execution=virtual_time", f"frames={frames}", "optimizer.anneal_frames=3000",
        "logging.metrics_seconds=0.5", "logging.tensorboard=false", "evaluation.episodes=0", *overrides,
    )  # fmt: skip


def without_real_seconds(directory):
    return [line.rpartition(",")[0] for line in (directory / "metrics.csv").read_text().splitlines()]


def test_in_virtual_time_a_run_that_is_gone_on_with_has_the_rows_of_the_unbroken_one(tmp_path):
    train(virtual(3000), tmp_path / "unbroken")
    train(virtual(1000), tmp_path / "stopped")
    before = without_real_seconds(tmp_path / "stopped")
    train(virtual(3000), tmp_path / "stopped")
    after = without_real_seconds(tmp_path / "stopped")
    assert after == without_real_seconds(tmp_path / "unbroken") and len(after) > 20
    assert after[: len(before) - 1] == before[:-1], "but for the last row, which ends at the budget"
    seconds = [float(row["seconds"]) for row in rows(tmp_path / "unbroken")]
    assert [int(second / 0.5) for second in seconds[:-1]] == list(range(1, len(seconds)))


@pytest.mark.parametrize("execution", ["hogwild", "synchronous"])
def test_by_the_clock_on_the_wall_rows_add_up_to_the_run(tmp_path, execution):
    words = "env=toy/catch", "threads=2", f"execution={execution}", "frames=30_000", "evaluation.episodes=0"
    summary = train(compose(*words, "logging.metrics_seconds=0.1", "logging.tensorboard=false"), tmp_path)
    found = rows(tmp_path)
    frames, seconds = ([float(row[name]) for row in found] for name in ("frames", "seconds"))
    assert len(found) > 2 and frames == sorted(set(frames)) and frames[-1] == summary["frames"]
    taken = sum(
        float(row["frames_per_second"]) * (now - before)
        for row, now, before in zip(found, seconds, [0.0, *seconds], strict=False)
    )
    assert taken == pytest.approx(summary["frames"], rel=0.02)
    threads = np.array([row["thread_frames_per_second"].split() for row in found], float)
    np.testing.assert_allclose(threads.sum(1), [float(row["frames_per_second"]) for row in found], rtol=0.01)
    stale = [float(row["staleness"]) > 0 for row in found]  # each process may run in time slices of its own
    assert any(stale) == (execution != "synchronous")


def test_a_checkpoint_of_an_older_version_has_no_metrics_and_is_gone_on_with(tmp_path):
    train(virtual(1000), tmp_path)
    checkpoint = load_checkpoint(tmp_path, pytest.fail)
    assert isinstance(checkpoint.measured.totals, Totals)
    arrays = {name: array for name, array in checkpoint.arrays.items() if name != "metric_sums"}
    counters = Counters(*checkpoint.counters[:5])
    save_checkpoint(tmp_path, Checkpoint(arrays, checkpoint.tree, checkpoint.pending, counters))
    train(virtual(3000), tmp_path)
    first, *others = rows(tmp_path)
    assert 1000 < int(first["frames"]) < 1200 and others
    assert 0 < float(first["value_loss"]) < 10 and float(first["staleness"]) < 5


def test_frames_taken_while_other_processes_start_take_time(tmp_path, monkeypatch):
    class Child(hogwild.Child):
        def __init__(self, name, *args):
            if name != "actor-learner 0":
                time.sleep(1.0)
            super().__init__(name, *args)

    monkeypatch.setattr(hogwild, "Child", Child)
    words = "env=toy/catch", "threads=2", "frames=1000", "evaluation.episodes=0", "logging.tensorboard=false"
    assert train(compose(*words), tmp_path)["seconds"] >= 1.0
