"""The optimizers against the paper's equations, worked by hand or in double precision."""

import math

import numpy as np
import pytest

from a3crepro.config import compose

N = 1003  # no multiple of a vector register's width


def optimizer(name, *overrides):
    return compose(f"optimizer={name}", "env=toy/catch", *overrides).optimizer


@pytest.mark.parametrize("name", ["rmsprop", "shared_rmsprop"])
def test_rmsprop_at_zero_statistics_has_epsilon_inside_the_root(name):
    theta, g = np.array([1.0], np.float32), np.zeros(1, np.float32)
    optimizer(name).update(theta, np.array([2.0], np.float32), g, 0.5)
    # g = 0.01·4 = 0.04;  θ = 1 − 0.5·2 / √(0.04 + 0.1) = −1.67.  Outside the root: 1 − 1 / (0.2 + 0.1) = −2.33
    assert g[0] == pytest.approx(0.04, rel=1e-6)
    assert theta[0] == pytest.approx(1 - 1 / math.sqrt(0.14), rel=1e-6)


def test_a_small_first_gradient_makes_a_small_step():
    theta, g = np.zeros(1, np.float32), np.zeros(1, np.float32)
    optimizer("shared_rmsprop").update(theta, np.array([1e-4], np.float32), g, 1.0)
    assert theta[0] == pytest.approx(-1e-4 / math.sqrt(0.1), rel=1e-5)


@pytest.mark.parametrize("name", ["rmsprop", "shared_rmsprop"])
def test_rmsprop_over_many_steps_against_double_precision(name):
    rng = np.random.default_rng(0)
    start = rng.normal(size=N).astype(np.float32)
    theta, g = start.copy(), np.zeros(N, np.float32)
    exact_theta, exact_g = start.astype(float), np.zeros(N)
    update = optimizer(name).update
    for _ in range(50):
        gradient = rng.normal(size=N).astype(np.float32)
        update(theta, gradient, g, 7e-4)
        exact_g = 0.99 * exact_g + 0.01 * gradient.astype(float) ** 2
        exact_theta -= 7e-4 * gradient / np.sqrt(exact_g + 0.1)
    np.testing.assert_allclose(g, exact_g, rtol=1e-5)
    np.testing.assert_allclose(theta - start, exact_theta - start, rtol=1e-3, atol=1e-6)


def test_momentum_by_hand():
    theta, m = np.array([1.0], np.float32), np.zeros(1, np.float32)
    sgd = optimizer("momentum_sgd", "optimizer.alpha=0.75")
    sgd.update(theta, np.array([4.0], np.float32), m, 0.5)  # m = 0.25·4 = 1;  θ = 1 − 0.5
    assert (m[0], theta[0]) == (1.0, 0.5)
    sgd.update(theta, np.array([0.0], np.float32), m, 0.5)  # m = 0.75;  θ = 0.5 − 0.375
    assert (m[0], theta[0]) == (0.75, 0.125)


def test_only_shared_rmsprop_shares_its_statistics(bench):
    for name, rows in (("shared_rmsprop", 1), ("rmsprop", 3), ("momentum_sgd", 3)):
        case = bench(f"optimizer={name}", "env=toy/catch", "threads=3")
        assert case.shared.statistics.shape[0] == rows
        addresses = {learner.statistics.__array_interface__["data"][0] for learner in case.learners}
        assert len(addresses) == rows
