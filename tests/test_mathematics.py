"""Returns, losses, exploration and gradients at the outputs, worked by hand or against autograd."""

import math

import numpy as np
import pytest
import torch
from gymnasium.spaces import Discrete

from a3crepro.algorithms._algorithm import Algorithm
from a3crepro.config import compose
from a3crepro.mathematics.exploration import epsilon, epsilon_greedy, final_epsilon, sample_softmax
from a3crepro.mathematics.losses import policy_entropy, policy_loss, q_loss, value_loss
from a3crepro.mathematics.output_gradients import mean_entropy, policy_gradient, q_gradient
from a3crepro.mathematics.returns import n_step_returns


def test_returns_by_hand():
    # R_2 = 3 + 0.5·8 = 7;  R_1 = 2 + 0.5·7 = 5.5;  R_0 = 1 + 0.5·5.5 = 3.75
    assert n_step_returns([1, 2, 3], [0.5, 0.5, 0.5], 8).tolist() == [3.75, 5.5, 7.0]


def test_a_terminal_state_cuts_the_return_and_the_bootstrap():
    assert n_step_returns([1, 2, 3], [0.5, 0.5, 0.0], 8).tolist() == [2.75, 3.5, 3.0]
    assert n_step_returns([1, 2, 3], [0.5, 0.0, 0.5], 8).tolist() == [2.0, 2.0, 7.0]


def test_a_return_of_one_step_is_the_one_step_target():
    assert n_step_returns([1], [0.9], 10).tolist() == [10.0]


def test_returns_without_discount_are_sums_of_rewards():
    rewards = [0.5, -1.0, 2.0, 4.0]
    assert n_step_returns(rewards, [1.0] * 4, 0).tolist() == [5.5, 5.0, 6.0, 4.0]


def test_q_loss_and_its_gradient_by_hand():
    q = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    loss = q_loss(q, torch.tensor([1, 0]), torch.tensor([5.0, 1.0]))
    loss.backward()
    assert loss.item() == 9 + 4  # summed, not averaged
    assert q.grad.tolist() == [[0.0, 2 * (2 - 5)], [2 * (3 - 1), 0.0]]  # 2 (Q - y)


def test_value_loss_has_half_the_gradient_of_the_pseudocode():
    v = torch.tensor([1.0, 2.0], requires_grad=True)
    value_loss(v, torch.tensor([3.0, -2.0]), 0.5).backward()
    assert v.grad.tolist() == [0.5 * (1 - 3), 0.5 * (2 + 2)]


def test_policy_loss_by_hand():
    logits = torch.log(torch.tensor([[0.25, 0.75]])).requires_grad_()
    loss = policy_loss(logits, torch.tensor([1]), torch.tensor([2.0]), entropy_beta=0.1)
    entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert loss.item() == pytest.approx(-(2 * math.log(0.75) + 0.1 * entropy), rel=1e-6)
    loss.backward()
    # ∂ log π_1 / ∂ z_i = [i = 1] − π_i;  ∂H / ∂z_i = −π_i (log π_i + H)
    expected = [-(2 * (0 - 0.25) + 0.1 * -0.25 * (math.log(0.25) + entropy)),
                -(2 * (1 - 0.75) + 0.1 * -0.75 * (math.log(0.75) + entropy))]  # fmt: skip
    assert logits.grad[0].tolist() == pytest.approx(expected, rel=1e-5)


def test_no_gradient_flows_through_the_advantage():
    v = torch.tensor([1.0], requires_grad=True)
    policy_loss(torch.zeros(1, 2, requires_grad=True), torch.tensor([0]), torch.tensor([3.0]) - v, 0.01).backward()
    assert v.grad is None or v.grad.item() == 0


def test_the_entropy_of_a_uniform_policy_is_the_logarithm_of_the_number_of_actions():
    assert policy_entropy(torch.zeros(1, 6)).item() == pytest.approx(math.log(6))
    assert policy_entropy(torch.tensor([[1000.0, 0.0]])).item() == pytest.approx(0.0, abs=1e-6)


def test_epsilon_falls_linearly_from_one():
    assert epsilon(0, 4_000_000, 0.1) == 1.0
    assert epsilon(2_000_000, 4_000_000, 0.1) == pytest.approx(0.55)
    assert epsilon(4_000_000, 4_000_000, 0.1) == pytest.approx(0.1)
    assert epsilon(9_000_000, 4_000_000, 0.1) == pytest.approx(0.1)
    assert epsilon(0, 0, 0.1) == pytest.approx(0.1)


def test_final_epsilons_have_the_probabilities_of_the_paper_for_one_thread_and_for_many():
    values, probabilities = (0.1, 0.01, 0.5), (0.4, 0.3, 0.3)
    one = [final_epsilon(0, 0, draw, values, probabilities) for draw in range(4000)]
    many = [final_epsilon(0, thread, draw, values, probabilities) for thread in range(16) for draw in range(250)]
    for drawn in (one, many):
        for value, probability in zip(values, probabilities, strict=True):
            assert np.mean(np.equal(drawn, value)) == pytest.approx(probability, abs=0.03)


def test_a_final_epsilon_is_a_pure_function_of_seed_thread_and_draw():
    mixture = (0.1, 0.01, 0.5), (0.4, 0.3, 0.3)
    draws = [[final_epsilon(s, t, d, *mixture) for d in range(40)] for s, t in ((0, 0), (0, 0), (0, 1), (1, 0))]
    assert draws[0] == draws[1]
    assert draws[0] != draws[2] and draws[0] != draws[3]


def test_epsilon_greedy_explores_with_probability_epsilon():
    rng = np.random.default_rng(0)
    actions = [epsilon_greedy(np.array([0.0, 2.0, 1.0]), 0.3, rng) for _ in range(20_000)]
    assert np.mean(np.equal(actions, 1)) == pytest.approx(0.7 + 0.1, abs=0.01)
    assert np.mean(np.equal(actions, 0)) == pytest.approx(0.1, abs=0.01)
    assert epsilon_greedy(np.array([0.0, 2.0]), 0.0, rng) == 1


def test_actions_are_drawn_from_the_softmax():
    rng = np.random.default_rng(0)
    logits = np.log(np.array([0.1, 0.6, 0.3], np.float32)) + 1000
    drawn = np.bincount([sample_softmax(logits, rng) for _ in range(20_000)], minlength=3) / 20_000
    assert drawn.tolist() == pytest.approx([0.1, 0.6, 0.3], abs=0.015)
    assert {sample_softmax(np.array([-1e9, 0.0, -1e9], np.float32), rng) for _ in range(100)} == {1}


@pytest.mark.parametrize("actions", [2, 6, 18])
def test_closed_form_gradients_at_the_outputs_equal_those_of_autograd(actions):
    rng = np.random.default_rng(actions)
    for T in (1, 3, 5):
        logits = (3 * rng.normal(size=(T, actions))).astype(np.float32)
        taken = rng.integers(actions, size=T)
        targets = rng.normal(size=T).astype(np.float32)
        leaf = torch.tensor(logits, requires_grad=True)
        policy_loss(leaf, torch.from_numpy(taken), torch.from_numpy(targets), 0.05).backward()
        np.testing.assert_allclose(policy_gradient(logits, taken, targets, 0.05), leaf.grad, rtol=2e-4, atol=2e-6)
        leaf.grad = None
        q_loss(leaf, torch.from_numpy(taken), torch.from_numpy(targets)).backward()
        np.testing.assert_allclose(q_gradient(logits, taken, targets), leaf.grad, rtol=1e-6)
        assert mean_entropy(logits) == pytest.approx(policy_entropy(leaf).mean().item(), rel=1e-5)


@pytest.mark.parametrize("algo", ["a3c", "n_step_q"])
def test_the_output_gradient_of_an_algorithm_is_that_of_its_loss(algo):
    method = compose(f"algo={algo}", "env=toy/catch").algo
    rng = np.random.default_rng(0)
    outputs = {
        name: rng.normal(size=(4, width)).astype(np.float32) for name, width in method.heads(Discrete(3)).items()
    }
    actions, returns = rng.integers(3, size=4), rng.normal(size=4).astype(np.float32)
    closed = method.output_gradient(outputs, actions, returns)
    by_autograd = Algorithm.output_gradient(method, outputs, actions, returns)
    assert closed.keys() == by_autograd.keys() == outputs.keys()
    for name in outputs:
        np.testing.assert_allclose(closed[name], by_autograd[name], rtol=1e-4, atol=1e-6)
