"""`env=gym`: Gymnasium's registry, arguments, wrappers, observations and rewards."""

import functools
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary

from a3crepro.common.errors import EnvironmentFault, UserError
from a3crepro.config import Config, compose, effective_values, run_name
from a3crepro.environments._environment import Environment
from a3crepro.evaluate import evaluate_command
from a3crepro.learner.actor_learner import ActorLearner
from a3crepro.runs.evaluation import evaluate
from a3crepro.runs.policies import RandomPolicy
from a3crepro.runs.training import initial_state


@functools.cache
def composed(*overrides: str) -> Environment:
    return compose(*overrides).env


def test_a_registered_time_limit_truncates() -> None:
    env = composed("env=gym", "env.id=MountainCar-v0").make(training=True)
    env.reset(seed=0)
    ends = [env.step(1)[2:4] for _ in range(200)]
    assert ends == [(False, False)] * 199 + [(False, True)]


@pytest.mark.parametrize(
    ("words", "steps"),
    [
        ((), 500),
        (("+env.kwargs.max_episode_steps=40",), 40),
        (("+env.kwargs.max_episode_steps=null",), 500),
        (("+env.kwargs.max_episode_steps=-1",), None),
        (("env.wrappers=[{TimeLimit: {max_episode_steps: 30}}]",), 30),
        (("+env.kwargs.max_episode_steps=-1", "env.wrappers=[{TimeLimit: {max_episode_steps: 30}}]"), 30),
    ],
)
def test_the_longest_episode_is_that_of_all_time_limits(words: tuple[str, ...], steps: int | None) -> None:
    env = composed("env=gym", "env.id=CartPole-v1", *words)
    assert env.episode_steps == steps
    layer, limits = env.make(training=True), []
    while isinstance(layer, gymnasium.Wrapper):
        limits += [layer._max_episode_steps] if isinstance(layer, gymnasium.wrappers.TimeLimit) else []
        layer = layer.env
    assert min(limits, default=None) == steps


def test_a_discrete_observation_becomes_one_hot() -> None:
    env = composed("env=gym", "env.id=FrozenLake-v1").make(training=True)
    observation, _ = env.reset(seed=0)
    assert observation.shape == (16,)
    assert observation.sum() == 1
    assert observation[0] == 1


def test_keyword_arguments_reach_the_environment() -> None:
    words = ("env=gym", "env.id=FrozenLake-v1", "env.kwargs.is_slippery=false", "env.kwargs.max_episode_steps=3")
    settings = composed(*words)
    env = settings.make(training=True)
    env.reset(seed=0)
    observation, _, _, truncated, _ = env.step(2)
    assert observation[1] == 1 and settings.episode_steps == 3 and not truncated  # it never slips
    env.step(2)
    assert env.step(2)[3]
    assert settings.supports_exact_resume()
    names = {run_name(compose(*words[:n])) for n in (2, 3, 4)}
    assert len(names) == 3 and any("env.kwargs.is_slippery=false" in name for name in names)


def test_wrappers_are_applied_in_order() -> None:
    stack = "{FrameStackObservation: {stack_size: 4}}"
    words = ["env.wrappers=[]", f"env.wrappers=[{stack}]", f"env.wrappers=[{stack}, FlattenObservation]"]
    configs = [compose("env=gym", word) for word in words]
    assert [config.env.spaces()[0].shape for config in configs] == [(4,), (4, 4), (16,)]
    assert [config.env.supports_exact_resume() for config in configs] == [True, False, False], "a queue of frames"
    assert composed("env=gym", "env.wrappers=[{ReshapeObservation: {shape: [2, 2]}}]").supports_exact_resume()
    assert len({run_name(config) for config in configs}) == 3
    assert effective_values(configs[0]) != effective_values(configs[1]) != effective_values(configs[2])


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("kwargs.gravity=1", r"env\.kwargs: TypeError: CartPoleEnv.*unexpected keyword argument 'gravity'"),
        ("kwargs=5", r"env\.kwargs: should be a valid dictionary"),
        ("wrappers=[FrameStack]", r"env\.wrappers: unknown wrapper 'FrameStack'; allowed: .*, FrameStackObservation, "),
        ("wrappers=[FrameStackObservation]", r"env\.wrappers: TypeError: .*missing.*'stack_size'"),
        ("wrappers=[ClipAction]", r"env\.wrappers: TypeError: ClipAction requires a Box"),
        ("wrappers=[{TimeLimit: {steps: 3}}]", r"env\.wrappers: TypeError: .*unexpected keyword argument 'steps'"),
        ("id=Nowhere-v0", r"env\.id: not an environment that can be made \(.*\), got 'Nowhere-v0'"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(word: str, line: str) -> None:
    with pytest.raises(UserError, match=f"^{line}") as caught:
        compose("env=gym", f"env.{word}")
    assert "\n" not in str(caught.value)


class CountsFromFive(gymnasium.Env):
    """An environment whose actions are 5, 6 and 7."""

    observation_space = gymnasium.spaces.Box(0.0, 1.0, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(3, start=5)

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> Any:
        assert action in (5, 6, 7), action
        return np.zeros(1, np.float32), float(action), True, False, {}


def test_actions_that_do_not_count_from_0_are_shifted() -> None:
    gymnasium.register("a3crepro-tests/CountsFromFive-v0", CountsFromFive)
    env = composed("env=gym", "env.id=a3crepro-tests/CountsFromFive-v0").make(training=True)
    rewards = []
    for action in range(3):  # what a policy of three actions gives
        env.reset(seed=0)
        rewards.append(env.step(action)[1])
    assert rewards == [5.0, 6.0, 7.0]


class Given(gymnasium.Env):
    """An environment that returns what it was given; a game is one step long."""

    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, space: gymnasium.Space, first: Any, then: Any, reward: Any = 1.0) -> None:
        self.observation_space, self.first, self.then, self.reward = space, first, then, reward

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        return self.first, {}

    def step(self, action: Any) -> Any:
        return self.then, self.reward, True, False, {}


def given(space: gymnasium.Space, first: Any, then: Any, reward: Any = 1.0) -> Config:
    """A configuration with an environment that returns this, as `Given-v0`."""
    gymnasium.registry.pop("Given-v0", None)
    gymnasium.register(
        "Given-v0", lambda **options: Given(space, first, then, reward), disable_env_checker=True, order_enforce=False
    )
    return of_given()


@functools.cache
def of_given() -> Config:
    """One for all of them: the environment is looked up when it is made."""
    return compose("env=gym", "env.id=Given-v0", "network=mlp", "threads=1")


HALF = np.array([0.5, 0.25], np.float16)


@pytest.mark.parametrize(
    ("space", "observation", "seen"),
    [
        (Box(0, 1, (2,), np.float16), HALF, [0.5, 0.25]),
        (Box(0, 1, (2,), np.float64), HALF.astype(np.float64), [0.5, 0.25]),
        (Box(-9, 9, (2,), np.int64), np.array([-3, 7]), [-3, 7]),
        (Box(0, 1, (2,), np.bool_), np.array([True, False]), [1, 0]),
        (Box(0, 1, (), np.float32), np.float32(0.5), [0.5]),
        (Box(0, 1, (), np.float64), 0.5, [0.5]),
        (Box(0, 1, (2,), np.float32), [0.5, 0.25], [0.5, 0.25]),
        (MultiBinary(2), np.array([0, 1], np.int8), [0, 1]),
        (Dict(a=Box(0, 1, (), np.float16), b=Box(0, 1, (1,), np.float64)), {"a": HALF[0], "b": HALF[1:]}, [0.5, 0.25]),
    ],
    ids=str,
)  # fmt: skip
def test_observations_of_any_type_are_vectors_of_float32(space: gymnasium.Space, observation: Any, seen: Any) -> None:
    env = given(space, observation, observation).env.make(training=True)
    for out in (env.reset(seed=0)[0], env.step(0)[0]):
        assert out.dtype == env.observation_space.dtype == np.float32
        assert out.shape == env.observation_space.shape == (len(seen),)
        assert out.tolist() == seen


def test_an_actor_learner_learns_from_a_number_alone() -> None:
    config = given(Box(0, 1, (), np.float16), HALF[0], HALF[1])
    shared = initial_state(config)
    learner = ActorLearner(config, shared, 0, 0, lambda report: None)
    before = shared.parameters.clone()
    learner.iterate()
    assert not torch.equal(before, shared.parameters)


def test_pictures_stay_bytes() -> None:
    picture = np.arange(12, dtype=np.uint8).reshape(3, 4)
    env = given(Box(0, 255, (3, 4), np.uint8), picture, picture).env.make(training=True)
    seen, _ = env.reset(seed=0)
    assert seen.dtype == env.observation_space.dtype == np.uint8
    assert (seen == picture).all() and seen is not picture


def test_observations_without_a_component_are_refused() -> None:
    with pytest.raises(UserError, match=r"^env\.id: needs observations that make a vector.*\(0,\).*Given-v0'$"):
        given(Box(0, 1, (0,), np.float32), np.zeros(0), np.zeros(0))
        of_given.__wrapped__()


@pytest.mark.parametrize("by", ["reset", "step"])
@pytest.mark.parametrize("wrong", [HALF, HALF.reshape(1, 2), np.zeros((2, 2)), None], ids=["2", "1x2", "2x2", "none"])
def test_an_observation_of_another_shape_than_the_space_s_is_told_in_one_line(by: str, wrong: Any) -> None:
    right = np.zeros(4, np.float32)
    first, then = (wrong, right) if by == "reset" else (right, wrong)
    env = given(Box(0, 1, (4,), np.float32), first, then).env.make(training=True)
    shape = re.escape(str(np.shape(wrong)))
    said = rf"^Given-v0: {by} returned an observation of shape {shape}, its space has \(4,\)$"
    with pytest.raises(EnvironmentFault, match=said):
        env.reset(seed=0)
        env.step(0)


REWARDS = [3, np.float32(3), np.array(3.0), np.array([3.0]), np.array([[3]]), torch.tensor([3.0])]
NO_REWARDS = [None, math.nan, math.inf, -np.inf, np.array([math.nan]), np.ones(2), np.zeros(0), "3", [[1.0, 2.0]], {}]


def scored(config: Config) -> float:
    (score,) = evaluate(config, RandomPolicy(Discrete(2)), 0, 0, 1)
    return score


def learnt(config: Config) -> float:
    games: list[Any] = []
    shared = initial_state(config)
    ActorLearner(config, shared, 0, 0, games.append).iterate()
    return float(games[0].score)


@pytest.mark.parametrize("way", [scored, learnt])
@pytest.mark.parametrize("reward", REWARDS, ids=repr)
def test_a_reward_is_any_one_number(reward: Any, way: Callable[[Config], float]) -> None:
    score = way(given(Box(0, 1, (1,), np.float32), HALF[:1], HALF[:1], reward))
    assert score == 3.0 and type(score) is float


@pytest.mark.parametrize("way", [scored, learnt])
@pytest.mark.parametrize("reward", NO_REWARDS, ids=repr)
def test_a_reward_that_is_no_finite_number_is_told_in_one_line(reward: Any, way: Callable[[Config], float]) -> None:
    with pytest.raises(EnvironmentFault) as caught:
        way(given(Box(0, 1, (1,), np.float32), HALF[:1], HALF[:1], reward))
    assert str(caught.value) == f"Given-v0: step returned the reward {reward!r}; needs one finite number"


class DrawsNothing(CountsFromFive):
    """An environment that is never drawn, and takes no render mode."""

    action_space = gymnasium.spaces.Discrete(3)

    def __init__(self) -> None:
        super().__init__()


class NoFrames(DrawsNothing):
    """An environment that can be made for rendering, and renders nothing."""

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__()
        self.render_mode = render_mode

    def render(self) -> None:
        return None


def test_an_environment_without_a_render_mode_can_be_used() -> None:
    gymnasium.register("a3crepro-tests/DrawsNothing-v0", DrawsNothing)
    assert composed("env=gym", "env.id=a3crepro-tests/DrawsNothing-v0").spaces()[1].n == 3


def test_an_environment_without_pictures_is_told_before_any_episode(tmp_path: Path, capsys: Any) -> None:
    gymnasium.register("a3crepro-tests/DrawsNothing-v0", DrawsNothing)
    gymnasium.register("a3crepro-tests/NoFrames-v0", NoFrames)
    for name, said in (("DrawsNothing", "render_mode"), ("NoFrames", "NoFrames-v0 cannot be rendered")):
        with pytest.raises(UserError, match=said):
            evaluate_command(
                ["env=gym", f"env.id=a3crepro-tests/{name}-v0", "policy=random", f"video={tmp_path / 'a.avi'}"]
            )
    assert capsys.readouterr().out == "" and not list(tmp_path.iterdir())
