"""What holds for all environments; MinAtar against its library; toy tasks."""

import functools
import math
import re
import warnings
from pathlib import Path
from typing import Any

import ale_py
import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete, MultiDiscrete
from gymnasium.utils.env_checker import check_env
from helpers import differ, play_randomly

from a3crepro.common.errors import UserError
from a3crepro.config import compose
from a3crepro.environments._environment import Environment
from a3crepro.environments.toy import TASKS

MINATAR = ["asterix", "breakout", "freeway", "seaquest", "space_invaders"]
TOYS = ["catch", "chain", "cue_memory"]
PICTURES_FROM_GYM = "ale_py:ALE/Pong-v5"  # draws without pygame, which a3crepro does not bring


@functools.cache
def composed(*overrides: str) -> Environment:
    return compose(*overrides).env


def every_env() -> list[tuple[str, ...]]:
    groups = ["breakout", *(f"minatar/{game}" for game in MINATAR), *(f"toy/{task}" for task in TOYS), "gym"]
    return [(f"env={group}",) for group in groups]


# ---- What holds for all ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("overrides", every_env(), ids=" ".join)
def test_a_seed_decides_the_game_and_forgets_what_was_before(overrides: tuple[str, ...]) -> None:
    settings = composed(*overrides)
    env = settings.make(training=True)
    first = play_randomly(env, 5, 60)
    play_randomly(env, 6, 37)  # leaves the game, and perhaps a lost life, somewhere in the middle
    assert not differ(first[0], play_randomly(env, 5, 60)[0])
    fresh = play_randomly(settings.make(training=True), 5, 60)
    assert not differ(first[0], fresh[0])
    assert first[1] == fresh[1]
    # a small task has few states: one of several seeds must lead elsewhere
    assert any(differ(first[0], play_randomly(env, seed, 60)[0]) for seed in range(6, 12)) or overrides == (
        "env=toy/chain",
    )


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("overrides", [*every_env(), ("env=gym", "env.id=FrozenLake-v1")], ids=" ".join)
def test_gymnasium_s_checker_passes(overrides: tuple[str, ...], training: bool) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(composed(*overrides).make(training=training).unwrapped, skip_render_check=True)
    # MinAtar and toys have no spec, to be made from again; gymnasium's own CartPole has unbounded observations
    ignorable = ("spec", "infinity", "not within the observation space")
    said = [str(warning.message) for warning in caught if issubclass(warning.category, UserWarning)]
    assert not [text for text in said if not any(word in text for word in ignorable)]


@pytest.mark.parametrize("overrides", every_env(), ids=" ".join)
def test_observations_lie_in_the_declared_space_and_are_not_overwritten(overrides: tuple[str, ...]) -> None:
    settings = composed(*overrides)
    env = settings.make(training=True)
    assert settings.spaces() == (env.observation_space, env.action_space)
    observation, _ = env.reset(seed=0)
    kept = []
    for step in range(40):
        assert env.observation_space.contains(observation)
        kept.append((observation, observation.copy()))
        observation, _, terminated, truncated, _ = env.step(step % int(env.action_space.n))
        if terminated or truncated:
            observation, _ = env.reset()
    for given, copy in kept:  # a rollout keeps them without copying
        np.testing.assert_array_equal(given, copy)


@pytest.mark.parametrize("overrides", [*every_env()[:-1], ("env=gym", f"env.id={PICTURES_FROM_GYM}")], ids=" ".join)
def test_render_gives_a_picture_only_where_it_was_asked_for(overrides: tuple[str, ...]) -> None:
    settings = composed(*overrides)
    env = settings.make(training=False, render=True)
    env.reset(seed=0)
    picture = env.render()
    assert isinstance(picture, np.ndarray)
    assert picture.dtype == np.uint8
    assert picture.ndim == 3
    assert picture.shape[2] == 3
    assert min(picture.shape[:2]) >= 32
    assert picture.max() > picture.min()
    assert "env=gym" in overrides or settings.make(training=False).render() is None


@pytest.mark.parametrize("overrides", every_env(), ids=" ".join)
def test_the_bare_emulator_of_the_benchmark_runs_over_ends_of_games(overrides: tuple[str, ...]) -> None:
    step = composed(*overrides).emulator(0)
    for _ in range(400):
        step()


def test_the_bare_emulator_of_atari_begins_a_new_game_after_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, reset = [], ale_py.ALEInterface.reset_game
    monkeypatch.setattr(ale_py.ALEInterface, "reset_game", lambda self: begun.append(1) or reset(self))
    step = composed("env=breakout").emulator(0)
    for _ in range(1500):
        step()
    assert len(begun) > 3  # a random policy loses its five lives in some 200 steps


def test_an_environment_needs_a_name_and_its_clipping_alone(tmp_path: Path) -> None:
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "bare.yaml").write_text("name: toy\ntask: catch\nreward_clip: null\n")
    (tmp_path / "algo").mkdir()
    (tmp_path / "algo" / "bare.yaml").write_text("defaults: [_value_based]\nname: n_step_q\nt_max: 5\n")
    words = ("env=bare", "network=mlp", "execution=virtual_time")
    config = compose(*words, config_dir=str(tmp_path))
    assert (config.algo.max_update_steps, config.frames, config.evaluation.every) == (5, 1_000_000, 50_000)
    config = compose(*words, "algo=bare", config_dir=str(tmp_path))
    assert config.algo.target_interval == 40_000 and config.model_dump()["execution"]["step_seconds"] == 0.0179


def test_an_atari_step_is_four_frames_and_any_other_one() -> None:
    assert [composed(*overrides).frames_per_step for overrides in every_env()] == [4] + [1] * 9


# ---- MinAtar ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sticky", "ramping"), [(0.1, True), (0.5, False)])
@pytest.mark.parametrize("game", MINATAR)
def test_minatar_equals_the_library_step_for_step(game: str, sticky: float, ramping: bool) -> None:
    minatar = pytest.importorskip("minatar")
    settings = composed(
        f"env=minatar/{game}",
        f"env.sticky_action_probability={sticky}",
        f"env.difficulty_ramping={str(ramping).lower()}",
    )
    ours = settings.make(training=True)
    theirs = minatar.Environment(game, sticky_action_prob=sticky, difficulty_ramping=ramping)
    ours.reset(seed=0)
    ours.unwrapped.game.random.seed(42)
    theirs.seed(42)
    observation, _ = ours.reset()
    theirs.reset()
    actions = theirs.minimal_action_set()
    assert ours.action_space.n == len(actions)
    games = 0
    for action in np.random.default_rng(1).integers(len(actions), size=2600 if game == "freeway" else 1200):
        np.testing.assert_array_equal(observation, theirs.state().transpose(2, 0, 1))
        reward, terminal = theirs.act(actions[action])
        observation, our_reward, terminated, truncated, _ = ours.step(int(action))
        assert (our_reward, terminated, truncated) == (reward, terminal, False)
        if terminal:
            games += 1
            theirs.reset()
            np.testing.assert_array_equal(ours.reset()[0], theirs.state().transpose(2, 0, 1))
            observation, _ = ours.reset()
            theirs.reset()
    assert games >= 1


@pytest.mark.parametrize(
    ("game", "channels", "actions"),
    [("asterix", 4, 5), ("breakout", 4, 3), ("freeway", 7, 3), ("seaquest", 10, 6), ("space_invaders", 6, 4)],
)
def test_minatar_has_the_channels_and_minimal_actions_of_young_and_tian(game: str, channels: int, actions: int) -> None:
    space, action_space = composed(f"env=minatar/{game}").spaces()
    assert (space.shape, space.dtype, action_space.n) == ((channels, 10, 10), np.uint8, actions)


# ---- Toy tasks -------------------------------------------------------------------------------------------------------


def random_returns(task: str, episodes: int) -> np.ndarray:
    env = composed(f"env=toy/{task}").make(training=True)
    rng = np.random.default_rng(3)
    env.reset(seed=4)
    returns = np.zeros(episodes)
    for episode in range(episodes):
        env.reset()
        over = False
        while not over:
            _, reward, terminated, truncated, _ = env.step(int(rng.integers(env.action_space.n)))
            returns[episode] += reward
            over = terminated or truncated
    return returns


def chance_of_run(length: int, flips: int) -> float:
    """The probability that some `length` fair coins in a row, of `flips`, show the same given side."""
    without = [1.0] * length  # P(no such run) after so many flips, from the last tail: Feller's recursion
    for _ in range(length, flips + 1):
        without.append(sum(without[-run - 1] / 2 ** (run + 1) for run in range(length)))
    return 1.0 - without[flips]


@pytest.mark.parametrize("task", TOYS)
def test_chance_is_what_the_docstring_says(task: str) -> None:
    doc = TASKS[task].__doc__
    assert doc is not None
    stated = re.search(r"Chance: (-?\d+(?:\.\d+)?)\.?(?:\s|$)", doc)
    assert stated is not None
    exact = {"catch": -1 + 2 / 5, "chain": chance_of_run(6, 24), "cue_memory": 0.0}[task]
    returns = random_returns(task, 5000)
    assert abs(returns.mean() - exact) < 4 * returns.std() / math.sqrt(len(returns))
    assert float(stated[1]) == pytest.approx(exact, abs=0.006), "the docstring's number, to two places"


def test_catch_is_won_under_the_ball_and_lost_elsewhere() -> None:
    env = composed("env=toy/catch").make(training=True)
    seen = set()
    for seed in range(40):
        board, _ = env.reset(seed=seed)
        ball = int(board[0].argmax())
        seen.add(ball)
        for wins, goal in ((True, ball), (False, (ball + 2) % 5)):
            board, _ = env.reset(seed=seed)
            for step in range(5):
                paddle = int(board[-1].argmax())
                board, reward, terminated, truncated, _ = env.step(int(np.sign(goal - paddle)) + 1)
                assert (terminated, truncated) == (step == 4, False)
                assert reward == (0.0 if step < 4 else 1.0 if wins else -1.0)
    assert seen == {0, 1, 2, 3, 4}


def test_chain_ends_by_its_goal_or_is_truncated_by_its_time_limit() -> None:
    env = composed("env=toy/chain").make(training=True)
    env.reset(seed=0)
    assert [env.step(1)[1:4] for _ in range(6)] == [(0.0, False, False)] * 5 + [(1.0, True, False)]
    env.reset()
    assert [env.step(0)[1:4] for _ in range(24)] == [(0.0, False, False)] * 23 + [(0.0, False, True)]
    env.reset()  # the goal at the last moment is a goal
    ends = [env.step(int(step >= 18))[1:4] for step in range(24)]
    assert ends == [(0.0, False, False)] * 23 + [(1.0, True, False)]
    env.reset()  # five to the right and back: nothing
    ends = [env.step(int(step % 6 != 5))[1:4] for step in range(24)]
    assert ends == [(0.0, False, False)] * 23 + [(0.0, False, True)]


def test_cue_is_shown_at_first_only_and_asked_for_two_steps_later() -> None:
    env = composed("env=toy/cue_memory").make(training=True)
    cues, later = set(), set()
    for seed in range(20):
        for answers_right in (True, False):
            first, _ = env.reset(seed=seed)
            cue = int(first[0, :2].argmax())
            cues.add(cue)
            second, reward, terminated, _, _ = env.step(0)
            third, reward_2, terminated_2, _, _ = env.step(1)
            later.add((second.tobytes(), third.tobytes()))
            assert (reward, terminated, reward_2, terminated_2) == (0.0, False, 0.0, False)
            _, reward, terminated, truncated, _ = env.step(cue if answers_right else 1 - cue)
            assert (reward, terminated, truncated) == (1.0 if answers_right else -1.0, True, False)
    assert cues == {0, 1}
    assert len(later) == 1, "nothing after the first observation tells the cue"


# ---- Spaces that nothing can be learnt with --------------------------------------------------------------------------


class Spacious(Environment):
    """A configuration whose environment only has spaces."""

    observed: Any
    acted: Any

    def make(self, *, training: bool, render: bool = False) -> gymnasium.Env[np.ndarray, Any]:
        env = gymnasium.Env[np.ndarray, Any]()
        env.observation_space, env.action_space = self.observed, self.acted
        return env


def spacious(observed: gymnasium.Space[Any], acted: gymnasium.Space[Any]) -> Environment:
    return Spacious(name="spacious", reward_clip=None, observed=observed, acted=acted)


VECTOR = Box(-1, 1, (2,), np.float32)


@pytest.mark.parametrize("observed", [VECTOR, Box(0, 255, (4, 84, 84), np.uint8)])
@pytest.mark.parametrize("acted", [Discrete(2), VECTOR, Box(-1, 1, (2,), np.float64)])
def test_spaces_that_can_be_learnt_with(observed: gymnasium.Space[Any], acted: gymnasium.Space[Any]) -> None:
    assert spacious(observed, acted).spaces() == (observed, acted)


@pytest.mark.parametrize(
    ("observed", "acted", "message"),
    [
        (Box(0, 1, (2,), np.float64), VECTOR, r"observation space .*float64.*; allowed: a Box of uint8 or float32"),
        (Box(0, 1, (9, 9), np.int64), VECTOR, r"observation space .*int64.*; allowed: a Box of uint8 or float32"),
        (Discrete(3), VECTOR, r"observation space Discrete\(3\); allowed: a Box of uint8 or float32"),
        (VECTOR, MultiDiscrete([2, 2]), r"action space MultiDiscrete\(.*; allowed: Discrete with start=0, or a Box"),
        (VECTOR, Discrete(2, start=1), r"action space Discrete\(2, start=1\); allowed: Discrete with start=0, or"),
        (VECTOR, Box(-1, 1, (2, 2), np.float32), r"action space Box\(.*; allowed: .* a Box of shape \[n\]"),
    ],
)
def test_other_spaces_are_refused(observed: gymnasium.Space[Any], acted: gymnasium.Space[Any], message: str) -> None:
    with pytest.raises(UserError, match=rf"^env: Env has the {message}") as refusal:
        spacious(observed, acted).spaces()
    assert "\n" not in str(refusal.value)
