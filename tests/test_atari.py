"""Atari against Gymnasium's wrappers and ale-py."""

import functools
import math
from typing import Any

import ale_py
import gymnasium
import numpy as np
import pytest
from ale_py import roms
from gymnasium.wrappers import AtariPreprocessing, FrameStackObservation
from helpers import differ, play_randomly

from a3crepro.config import choices, compose
from a3crepro.environments._environment import Environment

ATARI_57 = [name for name in choices("env") if "/" not in name and not name.startswith(("gym", "labyrinth"))]


@functools.cache
def composed(*overrides: str) -> Environment:
    return compose(*overrides).env


def atari(game: str, **settings: Any) -> Environment:
    return composed(f"env={game}", *(f"env.{key}={str(value).lower()}" for key, value in settings.items()))


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


def test_sticky_actions_change_the_game() -> None:
    plain, _ = play_randomly(atari("breakout").make(training=False), 0, 100)
    sticky, _ = play_randomly(atari("breakout", repeat_action_probability=0.25).make(training=False), 0, 100)
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
