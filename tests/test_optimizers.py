"""The optimizers against the paper's equations, worked by hand or in double precision."""

import math

import numpy as np
import pytest
import torch

from a3crepro.config import compose

N = 1003  # not a multiple of the width of a vector register


def optimizer(name, *overrides):
    return compose(f"optimizer={name}", "env=toy/catch", *overrides).optimizer


@pytest.mark.parametrize("name", ["rmsprop", "shared_rmsprop"])
def test_rmsprop_at_zero_statistics_has_epsilon_inside_the_root(name):
    theta, g = np.array([1.0], np.float32), np.zeros(1, np.float32)
    optimizer(name).update(theta, np.array([2.0], np.float32), [g], 0.5, 1)
    # g = 0.01·4 = 0.04;  θ = 1 − 0.5·2 / √(0.04 + 0.1) = −1.67.  Outside the root: 1 − 1 / (0.2 + 0.1) = −2.33
    assert g[0] == pytest.approx(0.04, rel=1e-6)
    assert theta[0] == pytest.approx(1 - 1 / math.sqrt(0.14), rel=1e-6)


def test_a_small_first_gradient_makes_a_small_step():
    theta, g = np.zeros(1, np.float32), np.zeros(1, np.float32)
    optimizer("shared_rmsprop").update(theta, np.array([1e-4], np.float32), [g], 1.0, 1)
    assert theta[0] == pytest.approx(-1e-4 / math.sqrt(0.1), rel=1e-5)


@pytest.mark.parametrize("name", ["rmsprop", "shared_rmsprop"])
def test_rmsprop_over_many_steps_equals_double_precision(name):
    rng = np.random.default_rng(0)
    start = rng.normal(size=N).astype(np.float32)
    theta, g = start.copy(), np.zeros(N, np.float32)
    exact_theta, exact_g = start.astype(float), np.zeros(N)
    rmsprop = optimizer(name)
    for _ in range(50):
        gradient = rng.normal(size=N).astype(np.float32)
        rmsprop.update(theta, gradient, [g], 7e-4, 1)
        exact_g = 0.99 * exact_g + 0.01 * gradient.astype(float) ** 2
        exact_theta -= 7e-4 * gradient / np.sqrt(exact_g + 0.1)
    np.testing.assert_allclose(g, exact_g, rtol=1e-5)
    np.testing.assert_allclose(theta - start, exact_theta - start, rtol=1e-3, atol=1e-6)


def test_momentum_by_hand():
    theta, m = np.array([1.0], np.float32), np.zeros(1, np.float32)
    sgd = optimizer("momentum_sgd", "optimizer.alpha=0.75")
    sgd.update(theta, np.array([4.0], np.float32), [m], 0.5, 1)  # m = 0.25·4 = 1;  θ = 1 − 0.5
    assert (m[0], theta[0]) == (1.0, 0.5)
    sgd.update(theta, np.array([0.0], np.float32), [m], 0.5, 2)  # m = 0.75;  θ = 0.5 − 0.375
    assert (m[0], theta[0]) == (0.75, 0.125)


def test_adam_equals_that_of_pytorch():
    rng = np.random.default_rng(0)
    start = rng.normal(size=N).astype(np.float32)
    theta, statistics = start.copy(), np.zeros((2, N), np.float32)
    adam = optimizer("adam", "optimizer.epsilon=1e-3")
    exact = torch.nn.Parameter(torch.from_numpy(start.astype(float)))
    reference = torch.optim.Adam([exact], lr=7e-3, betas=(0.9, 0.999), eps=1e-3)
    for step in range(1, 51):
        gradient = rng.normal(size=N).astype(np.float32)
        adam.update(theta, gradient, statistics, 7e-3, step)
        exact.grad = torch.from_numpy(gradient.astype(float))
        reference.step()
    np.testing.assert_allclose(theta - start, exact.detach().numpy() - start, rtol=1e-3, atol=1e-6)


def test_the_share_of_g_above_epsilon():
    statistics = np.array([[[0.05, 0.2, 0.3, 0.4]], [[0.0, 0.0, 0.0, 0.5]]], np.float32)
    assert optimizer("shared_rmsprop").share_above_epsilon(statistics) == 0.5
    assert optimizer("momentum_sgd").share_above_epsilon(statistics) is None


def test_statistics_are_shared_or_separate_for_each_actor_learner(bench):
    for name, rows, vectors in (("shared_rmsprop", 1, 1), ("rmsprop", 3, 1), ("momentum_sgd", 3, 1), ("adam", 1, 2)):
        case = bench(f"optimizer={name}", "env=toy/catch", "threads=3")
        assert case.shared.statistics.shape[:2] == (rows, vectors)
        addresses = {learner.update.state.statistics.__array_interface__["data"][0] for learner in case.learners}
        assert len(addresses) == rows


@pytest.mark.parametrize("anneal_frames", ["null", "100"])
def test_the_learning_rate_falls_linearly_to_zero_and_stays_there(anneal_frames):
    given = optimizer("rmsprop", "optimizer.lr=0.4", f"optimizer.anneal_frames={anneal_frames}")
    budget = 100 if anneal_frames == "null" else 7
    rates = [given.learning_rate(frames, budget) for frames in (0, 25, 100, 150)]
    assert rates == pytest.approx([0.4, 0.3, 0, 0])


def test_without_annealing_the_learning_rate_stays():
    given = optimizer("rmsprop", "optimizer.lr=0.4", "optimizer.anneal_frames=0")
    assert [given.learning_rate(frames, 100) for frames in (0, 50, 1000)] == [0.4] * 3
