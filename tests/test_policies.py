"""The actions of trained and reference policies."""

import numpy as np
import pytest
from evaluation_helpers import composed
from gymnasium.spaces import Discrete

from a3crepro.config import Config
from a3crepro.runs.policies import RandomPolicy

PROBABILITIES = np.array([0.2, 0.5, 0.3])


def shares(config: Config, outputs: dict[str, np.ndarray], draws: int = 20_000) -> np.ndarray:
    rng = np.random.default_rng(0)
    actions = [config.algo.act_in_evaluation(outputs, rng) for _ in range(draws)]
    return np.bincount(actions, minlength=3) / draws


@pytest.mark.parametrize("shift", [0.0, 1000.0, -1000.0])
def test_a3c_is_scored_by_sampling_its_policy(shift: float) -> None:
    config = composed("algo=a3c", "env=toy/catch")
    logits = (np.log(PROBABILITIES) + shift).astype(np.float32)
    tolerance = 4 * np.sqrt(0.25 / 20_000)
    np.testing.assert_allclose(shares(config, {"logits": logits, "value": np.zeros(1)}), PROBABILITIES, atol=tolerance)


def test_a3c_can_be_scored_greedily() -> None:
    config = composed("algo=a3c", "env=toy/catch", "algo.evaluation_policy=greedy")
    logits = np.log(PROBABILITIES).astype(np.float32)
    assert shares(config, {"logits": logits, "value": np.zeros(1)}, 100).tolist() == [0.0, 1.0, 0.0]


@pytest.mark.parametrize("algo", ["one_step_q", "one_step_sarsa", "n_step_q"])
def test_value_methods_are_scored_with_five_percent_of_random_actions(algo: str) -> None:
    q = {"q": np.array([0.0, 1.0, 0.5], np.float32)}
    found = shares(composed(f"algo={algo}", "env=toy/catch"), q)
    np.testing.assert_allclose(found, [0.05 / 3, 0.95 + 0.05 / 3, 0.05 / 3], atol=0.006)


@pytest.mark.parametrize(("epsilon", "expected"), [(0.0, [0, 1, 0]), (1.0, [1 / 3, 1 / 3, 1 / 3])])
def test_the_epsilon_of_an_evaluation_can_be_chosen(epsilon: float, expected: list[float]) -> None:
    config = composed("algo=n_step_q", "env=toy/catch", f"algo.evaluation_epsilon={epsilon}")
    found = shares(config, {"q": np.array([0.0, 1.0, 0.5], np.float32)})
    np.testing.assert_allclose(found, expected, atol=0.014 if epsilon else 0)


def test_the_random_policy_is_uniform_and_draws_from_the_given_numbers_only() -> None:
    policy = RandomPolicy(Discrete(4))
    policy.start_episode()
    actions = [policy.act(np.zeros(1), np.random.default_rng([3, i])) for i in range(8000)]
    assert actions == [policy.act(np.ones(1), np.random.default_rng([3, i])) for i in range(8000)]
    np.testing.assert_allclose(np.bincount(actions, minlength=4) / 8000, 0.25, atol=4 * np.sqrt(0.1875 / 8000))
