"""Evaluation: whole episodes, unclipped scores, randomness from the seed and the frame count alone."""

import time
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from evaluation_helpers import SevenAStep, composed
from gymnasium.spaces import Discrete

from a3crepro.common.processes import ProcessDied
from a3crepro.config import Config, compose
from a3crepro.environments._environment import Action
from a3crepro.learner.shared_state import PolicySnapshot
from a3crepro.networks._network import flatten, parameter_count, seeded
from a3crepro.runs.checkpoint import PendingEvaluation
from a3crepro.runs.evaluation import EvaluationResult, Evaluator, evaluate, play_episode
from a3crepro.runs.policies import NetworkPolicy, RandomPolicy


def parameters(config: Config, seed: int) -> np.ndarray:
    space, actions = config.env.spaces()
    module = seeded(config.network, space, config.algo.heads(actions), seed)
    theta = torch.empty(parameter_count(module))
    flatten(module, theta)
    return theta.numpy()


class Recorded(RandomPolicy):
    """Random actions, counted, and the observations they were taken at."""

    def __init__(self, actions: Discrete) -> None:
        super().__init__(actions)
        self.episodes = 0
        self.observations: list[np.ndarray] = []

    def start_episode(self, env: Any = None) -> None:
        self.episodes += 1

    def act(self, observation: np.ndarray, rng: np.random.Generator) -> Action:
        self.observations.append(observation.copy())
        return super().act(observation, rng)


ONE_OF_EACH = [
    ("env=minatar/space_invaders", "algo=a3c"),
    ("env=minatar/space_invaders", "algo=n_step_q"),
    ("env=minatar/asterix", "algo=a3c", "network=mlp_lstm"),
]


@pytest.mark.parametrize("overrides", ONE_OF_EACH, ids=" ".join)
def test_the_same_seed_and_frames_give_the_same_scores_whatever_came_before(overrides: tuple[str, ...]) -> None:
    config = composed(*overrides)
    theta = parameters(config, 1)
    policy = NetworkPolicy(config, PolicySnapshot(theta))
    first = list(evaluate(config, policy, 3, 1000, 6))
    np.random.seed(1)
    torch.manual_seed(1)
    assert list(evaluate(config, policy, 3, 1000, 6)) == first, "neither policy nor environment remembers"
    assert list(evaluate(config, NetworkPolicy(config, PolicySnapshot(theta)), 3, 1000, 6)) == first
    assert list(evaluate(config, policy, 3, 1000, 2)) == first[:2], "each game has its own randomness"


@pytest.mark.parametrize("overrides", ONE_OF_EACH, ids=" ".join)
def test_another_seed_other_frames_or_other_parameters_give_other_games(overrides: tuple[str, ...]) -> None:
    config = composed(*overrides)
    policy = NetworkPolicy(config, PolicySnapshot(parameters(config, 1)))
    first = list(evaluate(config, policy, 3, 1000, 8))
    assert len(set(first)) > 1
    assert list(evaluate(config, policy, 4, 1000, 8)) != first
    assert list(evaluate(config, policy, 3, 1001, 8)) != first
    assert list(evaluate(config, policy, 1000, 3, 8)) != first
    assert list(evaluate(config, NetworkPolicy(config, PolicySnapshot(parameters(config, 2))), 3, 1000, 8)) != first


def test_an_evaluation_does_not_depend_on_the_run_that_asks_for_it() -> None:
    asked = [
        composed("env=minatar/asterix"),
        composed("env=minatar/asterix", "threads=3", "seed=9", "optimizer.lr=0.1", "frames=7"),
    ]
    theta = parameters(asked[0], 1)
    a, b = (list(evaluate(config, NetworkPolicy(config, PolicySnapshot(theta)), 0, 50, 5)) for config in asked)
    assert a == b


def test_a_policy_is_a_copy_of_the_parameters_it_was_given() -> None:
    config = composed("env=minatar/asterix")
    theta = parameters(config, 1)
    policy = NetworkPolicy(config, PolicySnapshot(theta))
    expected = list(evaluate(config, policy, 0, 0, 4))
    theta[:] = np.nan
    assert list(evaluate(config, policy, 0, 0, 4)) == expected


@pytest.mark.parametrize("more", [-1, 1])
def test_parameters_of_another_network_are_refused(more: int) -> None:
    config = composed("env=minatar/asterix")
    with pytest.raises(ValueError, match="parameters"):
        NetworkPolicy(config, PolicySnapshot(np.zeros(parameters(config, 1).size + more, np.float32)))


def test_the_network_s_parameters_are_those_that_were_given() -> None:
    config = composed("env=toy/catch", "algo=one_step_q", "algo.evaluation_epsilon=0")
    theta = parameters(config, 1)
    theta[:] = 0.0
    for best in range(3):
        theta[-3:] = np.eye(3, dtype=np.float32)[best]  # the biases of the three actions
        policy = NetworkPolicy(config, PolicySnapshot(theta))
        rng = np.random.default_rng(0)
        assert {policy.act(np.ones((6, 5), np.float32), rng) for _ in range(30)} == {best}


def test_memory_is_forgotten_between_games_and_kept_within_one() -> None:
    config = composed("env=toy/cue_memory", "algo=n_step_q")
    policy = NetworkPolicy(config, PolicySnapshot(parameters(config, 1)))
    rng = np.random.default_rng(0)

    def value_of_last(*observations: list[float]) -> np.ndarray:
        for observation in observations:
            outputs, policy.state = policy.model.forward(np.array([observation], np.float32), policy.state)
        return outputs["q"]

    policy.start_episode()
    after_one_cue = value_of_last([1, 0, 0], [0, 0, 1])
    policy.start_episode()
    after_the_other = value_of_last([0, 1, 0], [0, 0, 1])
    assert not np.array_equal(after_one_cue, after_the_other)
    policy.act(np.ones((1, 3), np.float32), rng)
    policy.start_episode()
    np.testing.assert_array_equal(value_of_last([1, 0, 0], [0, 0, 1]), after_one_cue)


def test_a_game_of_atari_is_played_with_all_its_lives() -> None:
    config = composed("env=breakout")
    env = config.env.make(training=False)
    policy = Recorded(Discrete(4))
    play_episode(env, policy, np.random.default_rng(0), 10_000)
    assert env.unwrapped.ale.game_over()
    assert env.unwrapped.ale.lives() == 0
    assert env.unwrapped.ale.getEpisodeFrameNumber() > 4 * 100
    assert policy.episodes == 1


class Rewards(gymnasium.Wrapper):
    """Keeps what an environment pays."""

    def __init__(self, env: gymnasium.Env) -> None:
        super().__init__(env)
        self.paid: list[float] = []

    def step(self, action: Any) -> Any:
        result = self.env.step(action)
        self.paid.append(float(result[1]))
        return result


def test_scores_of_atari_are_the_points_on_the_screen() -> None:
    env = Rewards(composed("env=space_invaders").env.make(training=False))
    score = play_episode(env, RandomPolicy(Discrete(6)), np.random.default_rng(0), 400)
    assert score == sum(env.paid) > 0
    assert min(points for points in env.paid if points) >= 5, "an invader of the lowest row gives 5 points"


def test_scores_are_not_clipped_and_games_are_capped() -> None:
    gymnasium.register("a3crepro-tests/SevenAStep-v0", SevenAStep)
    config = compose("env=gym", "env.id=a3crepro-tests/SevenAStep-v0", "env.reward_clip=1", "evaluation.max_frames=10")
    assert list(evaluate(config, RandomPolicy(Discrete(2)), 0, 0, 3)) == [70.0, 70.0, 70.0]


def test_the_cap_counts_frames_not_steps() -> None:
    steps = {}
    for frames in (40, 42):
        policy = Recorded(Discrete(6))
        list(evaluate(composed("env=pong", f"evaluation.max_frames={frames}"), policy, 0, 0, 2))
        steps[frames] = len(policy.observations) / policy.episodes
    assert steps == {40: 10, 42: 11}


def test_no_games_give_no_scores() -> None:
    assert list(evaluate(composed("env=toy/catch"), RandomPolicy(Discrete(3)), 0, 0, 0)) == []


def test_each_observation_is_that_of_the_state_acted_in() -> None:
    config = composed("env=toy/catch")
    policy = Recorded(Discrete(3))
    list(evaluate(config, policy, 0, 0, 3))
    assert policy.episodes == 3
    assert [int(observation[:5].any(axis=1).argmax()) for observation in policy.observations] == [0, 1, 2, 3, 4] * 3


def test_show_is_called_at_each_state_acted_in() -> None:
    env = composed("env=toy/catch").env.make(training=False, render=True)
    pictures: list[Any] = []
    play_episode(env, RandomPolicy(Discrete(3)), np.random.default_rng(0), 100, lambda: pictures.append(env.render()))
    assert len(pictures) == 5


def test_the_summary_of_scores_is_the_one_worked_by_hand() -> None:
    assert EvaluationResult(7, [1.0, 2.0, 3.0, 10.0]).summary() == {
        "score_mean": 4.0,
        "score_median": 2.5,
        "score_std": pytest.approx(np.sqrt((9 + 4 + 1 + 36) / 4)),
        "episodes": 4,
    }


def pending(theta: np.ndarray) -> PendingEvaluation:
    return PendingEvaluation(theta, np.zeros(0), 0.0, 0.0)


def finish(
    evaluator: Evaluator, waiting: dict[int, PendingEvaluation], seconds: float = 120.0
) -> list[EvaluationResult]:
    found, deadline = [], time.monotonic() + seconds
    while waiting:
        assert time.monotonic() < deadline, "the evaluator hangs"
        for result in evaluator.poll(waiting):
            del waiting[result.frames]
            found.append(result)
        time.sleep(0.01)
    return found


def test_the_evaluator_scores_snapshots_in_order_of_frames() -> None:
    config = composed("env=toy/catch", "algo=n_step_q", "evaluation.episodes=20", "seed=5")
    thetas = {frames: parameters(config, frames) for frames in (3000, 1000, 2000)}
    evaluator = Evaluator(config)
    assert list(evaluator.poll({})) == []
    assert evaluator.child is None, "no process without work"
    try:
        found = finish(evaluator, {frames: pending(theta) for frames, theta in thetas.items()})
        assert [scores.frames for scores in found] == [1000, 2000, 3000]
        for scores in found:  # what this process finds for the same θ
            policy = NetworkPolicy(config, PolicySnapshot(thetas[scores.frames]))
            assert scores.scores == list(evaluate(config, policy, 5, scores.frames, 20))
        assert evaluator.child is not None
        child = evaluator.child
        later = {500: pending(thetas[1000])}  # by the same process
        assert [scores.frames for scores in finish(evaluator, later)] == [500]
        assert evaluator.child is child
    finally:
        evaluator.end()
    assert evaluator.child is None
    assert not child.process.is_alive()


def test_parameters_that_do_not_fit_are_an_error_with_its_traceback() -> None:
    evaluator = Evaluator(composed("env=toy/catch", "evaluation.episodes=1"))
    try:
        with pytest.raises(ProcessDied, match=r"(?s)evaluator.*Traceback.*3 parameters"):
            finish(evaluator, {1: pending(np.zeros(3, np.float32))})
    finally:
        evaluator.end()
