"""Environments against the libraries they come from: gymnasium's wrappers, ale-py, MinAtar."""

from __future__ import annotations

import functools
import math
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ale_py
import gymnasium
import numpy as np
import pytest
import torch
from ale_py import roms
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import AtariPreprocessing, FrameStackObservation

from a3crepro.common.settings import EnvironmentFault, UserError
from a3crepro.config import Config, choices, compose, effective_values, run_name
from a3crepro.environments._environment import Environment
from a3crepro.environments.toy import TASKS
from a3crepro.learner.actor_learner import ActorLearner
from a3crepro.runs.evaluation import evaluate
from a3crepro.runs.policies import RandomPolicy
from a3crepro.runs.training import initial_state

ATARI_57 = [name for name in choices("env") if "/" not in name and not name.startswith(("gym", "labyrinth"))]
MINATAR = ["asterix", "breakout", "freeway", "seaquest", "space_invaders"]
TOYS = ["catch", "chain", "cue_memory"]
PICTURES_FROM_GYM = "ale_py:ALE/Pong-v5"  # draws without pygame, which a3crepro does not bring


@functools.cache
def composed(*overrides: str) -> Environment:
    return compose(*overrides).env


def atari(game: str, **settings: Any) -> Environment:
    return composed(f"env={game}", *(f"env.{key}={str(value).lower()}" for key, value in settings.items()))


def every_env() -> list[tuple[str, ...]]:
    groups = ["breakout", *(f"minatar/{game}" for game in MINATAR), *(f"toy/{task}" for task in TOYS), "gym"]
    return [(f"env={group}",) for group in groups]


def of_gymnasium(game: str, sticky: float = 0.0, full: bool = False, max_frames: int | None = None) -> gymnasium.Env:
    """What gymnasium itself makes of a game: the preprocessing of Mnih et al. 2015 over ale-py's own environment."""
    gymnasium.register_envs(ale_py)
    (env_id,) = (
        spec.id
        for spec in gymnasium.registry.values()
        if spec.namespace == "ALE" and spec.version == 5 and spec.kwargs["game"] == game
    )
    cap = {} if max_frames is None else {"max_num_frames_per_episode": max_frames}
    env = gymnasium.make(
        env_id,
        frameskip=1,
        repeat_action_probability=sticky,
        full_action_space=full,
        obs_type="grayscale",  # what is not looked at need not be coloured
        disable_env_checker=True,
        **cap,
    )
    env = AtariPreprocessing(env, noop_max=30, frame_skip=4, screen_size=84, terminal_on_life_loss=False)
    return FrameStackObservation(env, 4)


class Lockstep:
    """Plays the reference and our environments, with and without a life's end, by the same actions."""

    def __init__(self, game: str, seed: int, **options: Any) -> None:
        settings = {
            "repeat_action_probability": options.get("sticky", 0.0),
            "full_action_space": options.get("full", False),
            "max_episode_frames": options.get("max_frames", 108_000),
        }
        self.reference = of_gymnasium(game, **options)
        self.whole = atari(game, **settings, life_loss_ends_episode=False).make(training=True)
        self.lives = atari(game, **settings, life_loss_ends_episode=True).make(training=True)
        self.games, self.lives_lost, self.scores = 0, 0, 0.0
        assert self.whole.action_space == self.lives.action_space == self.reference.action_space
        self.envs = [self.lives, self.whole]
        self.reset(seed)
        if self.before == 0:  # without lives the two are one
            self.envs = [self.lives]

    def reset(self, seed: int | None = None) -> None:
        observation, info = self.reference.reset(seed=seed)
        self.before = info["lives"]
        for env in self.envs:
            ours, our_info = env.reset(seed=seed)
            np.testing.assert_array_equal(ours, observation)
            assert our_info["lives"] == info["lives"]

    def step(self, action: int) -> None:
        observation, reward, terminated, truncated, info = self.reference.step(action)
        for env in self.envs:
            ours, our_reward, our_terminated, our_truncated, our_info = env.step(action)
            lost = env is self.lives and info["lives"] < self.before
            np.testing.assert_array_equal(ours, observation)
            assert our_reward == reward
            assert our_info["lives"] == info["lives"]
            assert our_info["game_over"] == (terminated or truncated)
            assert our_terminated == (terminated or (lost and not truncated))
            assert our_truncated == truncated
            if lost and not (terminated or truncated):
                again, _ = env.reset()
                np.testing.assert_array_equal(again, observation)
                self.lives_lost += 1
        self.before = info["lives"]
        self.scores += reward
        if terminated or truncated:
            self.games += 1
            self.reset()

    def play(self, steps: int, seed: int) -> None:
        actions = np.random.default_rng(seed).integers(self.reference.action_space.n, size=steps)
        for action in actions:
            self.step(int(action))


# ---- Atari: frames, rewards and lives --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("game", "steps", "games", "lives"),
    [("breakout", 700, 4, 16), ("pong", 950, 1, 0), ("seaquest", 700, 1, 4), ("space_invaders", 700, 1, 3)],
)
def test_frames_rewards_and_lives_equal_gymnasium_over_several_games(
    game: str, steps: int, games: int, lives: int
) -> None:
    both = Lockstep(game, seed=11)
    both.play(steps, seed=12)
    assert both.games >= games
    assert both.lives_lost >= lives
    assert both.scores != 0


@pytest.mark.parametrize(("game", "sticky", "full"), [("breakout", 0.25, False), ("pong", 0.25, True)])
def test_sticky_and_full_actions_equal_gymnasium(game: str, sticky: float, full: bool) -> None:
    both = Lockstep(game, seed=3, sticky=sticky, full=full)
    assert both.reference.action_space.n == (18 if full else 4)
    both.play(250, seed=4)


@pytest.mark.parametrize("max_frames", [101, 7])
def test_capped_games_equal_gymnasium_even_where_no_ops_cross_the_cap(max_frames: int) -> None:
    both = Lockstep("breakout", seed=0, max_frames=max_frames)
    both.play(60 if max_frames > 30 else 15, seed=0)
    assert both.games >= 2


@pytest.mark.slow
@pytest.mark.parametrize("game", ATARI_57)
def test_frames_rewards_and_lives_equal_gymnasium_in_every_game(game: str) -> None:
    both = Lockstep(game, seed=1)
    both.play(2000, seed=2)
    sticky = Lockstep(game, seed=5, sticky=0.25, full=True)
    sticky.play(300, seed=6)


def test_life_loss_is_terminal_and_the_game_goes_on() -> None:
    env = atari("breakout").make(training=True)
    rng = np.random.default_rng(0)
    _, info = env.reset(seed=0)
    assert info == {"lives": 5, "game_over": False}
    lives_at_ends, scores = [], []
    score = 0.0
    while True:
        _, reward, terminated, truncated, info = env.step(int(rng.integers(4)))
        assert not truncated
        score += reward
        if not terminated:
            continue
        lives_at_ends.append(info["lives"])
        scores.append(score)
        if info["game_over"]:
            break
        ale = env.unwrapped.ale
        frames, memory = ale.getFrameNumber(), ale.getRAM().copy()
        _, after = env.reset()
        assert ale.getFrameNumber() == frames, "reset() after a lost life must not touch the emulator"
        np.testing.assert_array_equal(ale.getRAM(), memory)
        assert after == {"lives": info["lives"], "game_over": False}
    assert lives_at_ends == [4, 3, 2, 1, 0]
    assert scores[-1] > scores[0], "the score goes on over lives"
    _, info = env.reset()
    assert info == {"lives": 5, "game_over": False}


def test_reset_starts_a_new_game_after_a_lost_life_if_it_is_seeded_or_asked_for_twice() -> None:
    def lose_a_life() -> gymnasium.Env:
        env = atari("breakout").make(training=True)
        env.reset(seed=1)
        while not env.step(1)[2]:
            pass
        return env

    fresh, _ = atari("breakout").make(training=True).reset(seed=7)
    observation, info = lose_a_life().reset(seed=7)
    assert info["lives"] == 5
    np.testing.assert_array_equal(observation, fresh)
    env = lose_a_life()
    assert env.reset()[1]["lives"] == 4
    assert env.reset()[1]["lives"] == 5


def test_evaluation_plays_all_lives_whatever_the_learner_sees() -> None:
    env = atari("breakout", life_loss_ends_episode=True).make(training=False)
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    lives = []
    terminated = False
    while not terminated:
        _, _, terminated, _, info = env.step(int(rng.integers(4)))
        lives.append(info["lives"])
    assert lives[-1] == 0
    assert set(lives) == {5, 4, 3, 2, 1, 0}


def test_frame_cap_truncates_and_is_no_terminal_and_counts_no_ops() -> None:
    env = atari("pong", max_episode_frames=201).make(training=True)
    env.reset(seed=0)
    no_ops = env.unwrapped.ale.getEpisodeFrameNumber()
    steps, truncated = 0, False
    while not truncated:
        steps += 1
        _, _, terminated, truncated, info = env.step(0)
        assert not terminated
    assert steps == math.ceil((201 - no_ops) / 4)
    assert env.unwrapped.ale.getEpisodeFrameNumber() == 201
    assert info["game_over"]
    env.reset()
    assert 1 <= env.unwrapped.ale.getEpisodeFrameNumber() <= 30


def test_default_cap_is_108_000_frames() -> None:
    assert atari("pong").make(training=True).unwrapped.ale.getInt("max_num_frames_per_episode") == 108_000


def play(env: gymnasium.Env, seed: int, steps: int, action_seed: int = 0) -> tuple[list[np.ndarray], list[float]]:
    rng = np.random.default_rng(action_seed)
    observations, rewards = [env.reset(seed=seed)[0]], []
    for _ in range(steps):
        observation, reward, terminated, truncated, _ = env.step(int(rng.integers(env.action_space.n)))
        observations.append(observation)
        rewards.append(float(reward))
        if terminated or truncated:
            observations.append(env.reset()[0])
    return observations, rewards


def differ(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    return len(a) != len(b) or not all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_sticky_actions_change_the_game() -> None:
    plain, _ = play(atari("breakout").make(training=False), 0, 100)
    sticky, _ = play(atari("breakout", repeat_action_probability=0.25).make(training=False), 0, 100)
    np.testing.assert_array_equal(plain[0], sticky[0])  # the no-ops before are the same
    assert differ(plain, sticky)


@pytest.mark.parametrize(("game", "minimal"), [("breakout", 4), ("freeway", 3), ("seaquest", 18)])
def test_action_sets_are_ale_py_s(game: str, minimal: int) -> None:
    ale = ale_py.ALEInterface()
    ale.loadROM(roms.get_rom_path(game))
    few = atari(game).make(training=True).unwrapped
    assert few.action_space.n == minimal
    assert list(few.actions) == list(ale.getMinimalActionSet())
    assert few.actions[0] == ale_py.Action.NOOP
    many = atari(game, full_action_space=True).make(training=True).unwrapped
    assert many.action_space.n == 18
    assert list(many.actions) == list(ale.getLegalActionSet())


def test_games_start_with_1_to_30_no_ops() -> None:
    env = atari("pong").make(training=True)
    env.reset(seed=2)  # of which a hundred games have all of them
    counts = []
    for _ in range(100):
        counts.append(env.unwrapped.ale.getEpisodeFrameNumber())
        env.reset()
    assert set(counts) == set(range(1, 31))


def test_the_seed_decides_the_number_of_no_ops() -> None:
    env = atari("pong").make(training=True)

    def no_ops(seed: int) -> int:
        env.reset(seed=seed)
        return env.unwrapped.ale.getEpisodeFrameNumber()

    counts = [no_ops(seed) for seed in range(8)]
    assert counts[:3] == [no_ops(seed) for seed in range(3)]
    assert len(set(counts)) >= 4


def test_no_no_ops_where_none_are_wanted() -> None:
    env = atari("pong", no_op_max=0).make(training=True)
    for seed in (0, None, None):
        env.reset(seed=seed)
        assert env.unwrapped.ale.getEpisodeFrameNumber() == 0


# ---- What holds for all ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("overrides", every_env(), ids=" ".join)
def test_a_seed_decides_the_game_and_forgets_what_was_before(overrides: tuple[str, ...]) -> None:
    settings = composed(*overrides)
    env = settings.make(training=True)
    first = play(env, 5, 60)
    play(env, 6, 37)  # leaves the game, and perhaps a lost life, somewhere in the middle
    assert not differ(first[0], play(env, 5, 60)[0])
    fresh = play(settings.make(training=True), 5, 60)
    assert not differ(first[0], fresh[0])
    assert first[1] == fresh[1]
    # a small task has few states: one of several seeds must lead elsewhere
    assert any(differ(first[0], play(env, seed, 60)[0]) for seed in range(6, 12)) or overrides == ("env=toy/chain",)


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


def test_an_environment_needs_a_name_and_its_clipping_alone(tmp_path: Path) -> None:
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "bare.yaml").write_text("name: toy\ntask: catch\nreward_clip: null\n")
    (tmp_path / "algo").mkdir()
    (tmp_path / "algo" / "bare.yaml").write_text("defaults: [_value_based]\nname: n_step_q\nt_max: 5\n")
    words = ("env=bare", "network=mlp", "execution=virtual_time")
    config = compose(*words, config_dir=str(tmp_path))
    assert (config.algo.max_steps, config.frames, config.evaluation.every) == (5, 1_000_000, 50_000)
    config = compose(*words, "algo=bare", config_dir=str(tmp_path))
    assert config.algo.target_interval == 40_000 and config.plain()["execution"]["step_seconds"] == 0.0179


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


# ---- gymnasium's registry --------------------------------------------------------------------------------------------


def test_a_registered_time_limit_truncates() -> None:
    env = composed("env=gym", "env.id=MountainCar-v0").make(training=True)
    env.reset(seed=0)
    ends = [env.step(1)[2:4] for _ in range(200)]
    assert ends == [(False, False)] * 199 + [(False, True)]


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
    assert settings.tells_its_state()
    names = {run_name(compose(*words[:n])) for n in (2, 3, 4)}
    assert len(names) == 3 and any("env.kwargs.is_slippery=false" in name for name in names)


def test_wrappers_are_applied_in_order() -> None:
    stack = "{FrameStackObservation: {stack_size: 4}}"
    words = ["env.wrappers=[]", f"env.wrappers=[{stack}]", f"env.wrappers=[{stack}, FlattenObservation]"]
    configs = [compose("env=gym", word) for word in words]
    assert [config.env.spaces()[0].shape for config in configs] == [(4,), (4, 4), (16,)]
    assert [config.env.tells_its_state() for config in configs] == [True, False, False], "a queue of frames"
    assert composed("env=gym", "env.wrappers=[{ReshapeObservation: {shape: [2, 2]}}]").tells_its_state()
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


def test_an_environment_without_a_render_mode_can_be_used() -> None:
    gymnasium.register("a3crepro-tests/DrawsNothing-v0", DrawsNothing)
    assert composed("env=gym", "env.id=a3crepro-tests/DrawsNothing-v0").spaces()[1].n == 3
