"""`python -m a3crepro.evaluate`: scores the policy of a run, or one that learns nothing, and films its best game.

  python -m a3crepro.evaluate RUN_DIR|agents/NAME [episodes=30] [seed=…] [video=FILE] [overrides]
  python -m a3crepro.evaluate env=… policy=random|constant|blind|expert [episodes=30] [seed=…] [video=FILE] [overrides]

A constant policy always takes the action `action=`, 0 unless told; where actions are vectors, in each component, with
normal noise of the standard deviation `noise=`. An expert is a scripted player that sees the true state, a blind one,
in the labyrinth, goes straight on and turns where there is no way on. Prints the scores of the games, one to a line,
then one JSON object as its last line. `video=` films the best of these games, the first of several that are as good,
by playing it again. Overrides (`algo.evaluation_policy=greedy`, `evaluation.max_frames=…`,
`env.repeat_action_probability=0.25`) change how the policy is scored, not what is stored.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from a3crepro.common.processes import set_up_arithmetic
from a3crepro.common.settings import UserError
from a3crepro.config import Config, build, compose, items, key_meant
from a3crepro.environments._environment import Action, ActionSpace
from a3crepro.runs.command_line import own_words, run_command, whole_number, without_options
from a3crepro.runs.evaluation import (
    ConstantPolicy,
    Counts,
    NetworkPolicy,
    Policy,
    RandomPolicy,
    evaluate,
    game_randomness,
)
from a3crepro.runs.film import checked_video, film
from a3crepro.runs.stored_policy import stored_policy

USAGE = (
    "usage: python -m a3crepro.evaluate RUN_DIR|env=… policy=random|constant|blind|expert [episodes=30] [seed=…] "
    "[video=FILE] [overrides]"
)
OWN_KEYS = ("episodes", "seed", "video", "policy", "action", "noise")


def main() -> None:
    """Evaluates as the command line says."""
    run_command(lambda: evaluate_command(sys.argv[1:]), __doc__, needs_words=True)


def evaluate_command(arguments: list[str]) -> None:
    """Scores, prints, films.

    Raises:
      UserError: a mistake in the command; the line names the key.
    """
    directories, words = split_directories(arguments)
    own, overrides = own_words(words, dict.fromkeys(OWN_KEYS), {})
    for override in overrides:
        key = override.lstrip("+~").partition("=")[0]
        if key.partition(".")[0] not in Config.model_fields:
            meant = key_meant(key, [known for known, _ in items(compose().plain())])
            hint = f"did you mean {meant}? " if meant else ""
            raise UserError(
                f"{key}: unknown key; {hint}allowed: {', '.join(OWN_KEYS)}, and the keys of the configuration"
            )
    if directories:
        config, policy, frames = from_run(directories[0], overrides)
        for key in ("policy", "action", "noise"):
            if own[key] is not None:
                raise UserError(f"{key}: goes with env=…, not with a run's directory; {USAGE}")
    else:
        config, policy, frames = _without_run(overrides, own)
    set_up_arithmetic()
    seed = config.seed if own["seed"] is None else whole_number("seed", own["seed"], 0)
    episodes = whole_number("episodes", own["episodes"] or "30", 1)
    video = None if own["video"] is None else checked_video(Path(own["video"]))
    scores, counts = [], Counts(config)
    for score in evaluate(config, policy, seed, frames, episodes, counts):
        scores.append(score)
        print(f"{score:g}", flush=True)
    try:
        if video is not None:
            best = int(np.argmax(scores))
            _film_again(config, policy, game_randomness(seed, frames, best), video, scores[best])
    finally:
        print(json.dumps({**_summary(config, frames, seed, scores), **counts.of_a_game(episodes)}))


def _film_again(config: Config, policy: Policy, rng: np.random.Generator, path: Path, score: float) -> None:
    """Films a game that had this score, and says so where an environment that is not seeded plays another one."""
    if film(config, policy, rng, path) != score:
        print(f"{path}: another game than the one that scored {score:g}: {config.env.title} does not repeat its games")


def split_directories(arguments: Iterable[str]) -> tuple[list[Path], list[str]]:
    """The directory of a run or an agent, if one is named, and the other words.

    Raises:
      UserError: there is more than one.
    """
    words = list(without_options(list(arguments)))
    directories = [word for word in words if _is_path(word)]
    if len(directories) > 1:
        raise UserError(f"one directory at a time, not {' and '.join(directories)}")
    return [Path(word) for word in directories], [word for word in words if word not in directories]


def _is_path(argument: str) -> bool:
    """A run's directory, though its path may hold `=`. What begins with a key is none, whatever is on the disk."""
    before, equals, _ = argument.partition("=")
    is_key = before in OWN_KEYS or before.lstrip("+~").partition(".")[0] in Config.model_fields
    return "/" in before or not equals or (not is_key and Path(argument).is_dir())


def from_run(directory: Path, overrides: list[str]) -> tuple[Config, Policy, int]:
    """A run's configuration with a few keys changed, its policy, and the frames after which that is.

    Raises:
      UserError: it is no run's directory, or an override does not fit.
    """
    stored = stored_policy(directory)
    config = with_overrides(stored.config, overrides)
    try:
        return config, NetworkPolicy(config, stored.learnt), stored.frames
    except ValueError as error:
        raise UserError(f"network: {error}") from error


def _without_run(overrides: list[str], own: Mapping[str, str | None]) -> tuple[Config, Policy, int]:
    if not any(override.startswith("env=") for override in overrides):
        raise UserError(f"env: missing; {USAGE}")
    config = compose(*overrides)
    actions = config.env.spaces()[1]
    players: dict[str, Policy] = {"random": RandomPolicy(actions), **config.env.scripted_policies()}
    policy = own["policy"]
    if policy == "constant":
        action, noise = _constant(own["action"] or "0", actions), _deviation(own["noise"] or "0", actions)
        return config, ConstantPolicy(action, noise), 0
    for key in ("action", "noise"):
        if own[key] is not None:
            raise UserError(f"{key}: goes with policy=constant")
    if policy not in players:
        allowed, got = ", ".join(["constant", *players]), "missing" if policy is None else f"got {policy!r}"
        raise UserError(f"policy: {got}; allowed for {config.env.title} without a run's directory: {allowed}")
    return config, players[policy], 0


def _constant(text: str, actions: ActionSpace) -> Action:
    """An action, all of whose components are this number.

    Raises:
      UserError: there is no such action.
    """
    if isinstance(actions, gym.spaces.Discrete):
        number = whole_number("action", text, 0)
        if number >= actions.n:
            raise UserError(f"action: should be at most {actions.n - 1}, got {number}")
        return number
    try:
        action = np.full(actions.shape, float(text), np.float32)
    except ValueError as error:
        raise UserError(f"action: should be a number, got {text!r}") from error
    if not actions.contains(action):
        raise UserError(f"action: should be within {actions.low.max():g} and {actions.high.min():g}, got {text}")
    return action


def _deviation(text: str, actions: ActionSpace) -> float:
    """The standard deviation of the noise on an action.

    Raises:
      UserError: it is no finite number of at least 0, or actions are numbers, and have none.
    """
    try:
        noise = float(text)
    except ValueError:
        noise = -1.0
    if not 0 <= noise < float("inf"):
        raise UserError(f"noise: should be a number of at least 0, got {text!r}")
    if noise and isinstance(actions, gym.spaces.Discrete):
        raise UserError("noise: goes with actions that are vectors")
    return noise


def with_overrides(config: Config, overrides: list[str]) -> Config:
    """The configuration of a run with a few keys changed; games that were played to their end still are."""
    from omegaconf import OmegaConf

    values = OmegaConf.create(config.plain())
    values.merge_with_dotlist(overrides)
    changed = build(values)
    steps, cut_off = changed.env.episode_steps, config.max_evaluation_steps < (config.env.episode_steps or 0)
    if steps is None or cut_off or any(override.startswith("evaluation.max_frames=") for override in overrides):
        return changed
    values.evaluation.max_frames = max(config.evaluation.max_frames, steps * changed.env.frames_per_step)
    return build(values)


def _summary(config: Config, frames: int, seed: int, scores: list[float]) -> dict[str, Any]:
    return {
        "env": config.env.title,
        "frames": frames,
        "seed": seed,
        "episodes": len(scores),
        "score_mean": float(np.mean(scores)),
        "score_median": float(np.median(scores)),
        "score_std": float(np.std(scores)),
    }


if __name__ == "__main__":
    main()
