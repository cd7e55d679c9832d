"""`python -m a3crepro.play`: play an environment in a window, or watch a policy.

  python -m a3crepro.play env=labyrinth [seed=…] [overrides]
  python -m a3crepro.play env=labyrinth policy=random|constant|blind|expert [seed=…] [overrides]
  python -m a3crepro.play RUN_DIR|agents/NAME [seed=…] [overrides]

Use the arrow keys; in the labyrinth, A and D step aside; on Atari, the space bar is the fire button. Escape quits. The
score of each episode is printed, unclipped.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import gymnasium as gym
import numpy as np

from a3crepro.common.errors import UserError
from a3crepro.common.processes import set_up_arithmetic
from a3crepro.config import Config, compose
from a3crepro.evaluate import split_directory
from a3crepro.runs.arguments import own_arguments
from a3crepro.runs.command_line import run_command
from a3crepro.runs.policies import (
    POLICY_KEYS,
    EvaluationPolicy,
    policy_with_overrides,
    reference_policy,
    refuse_policy_keys,
)
from a3crepro.runs.video import enlarged, rendered_env, rendered_frame

KEYS = ("left", "right", "up", "down", "space", "a", "d")
DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")
"""Variables that name a display; without one, SDL tries all of its drivers and prints warnings."""
INVISIBLE = ("dummy", "offscreen")
"""Drivers without a visible window, which SDL falls back to without a display."""
MIN_HEIGHT = 480
"""Least height of the window, in pixels."""


def main() -> None:
    """Plays an environment."""
    run_command(lambda: play_command(sys.argv[1:]), __doc__, needs_arguments=True)


def play_command(arguments: Sequence[str]) -> None:
    """Plays until the window is closed."""
    directory, others = split_directory(arguments, POLICY_KEYS)
    own, overrides = own_arguments(others, POLICY_KEYS)
    policy: EvaluationPolicy | None = None
    if directory is not None:
        refuse_policy_keys(own)
        config, policy, _ = policy_with_overrides(directory, overrides)
        set_up_arithmetic()
    else:
        config = compose(*overrides)
        if any(value is not None for value in vars(own).values()):
            policy = reference_policy(config, own)
        elif not config.env.has_keyboard_controls:
            raise UserError(f"env: {config.env.title} has no keyboard controls; to watch it, add policy=random")
    env = rendered_env(config)
    try:
        with Window(config.env.title) as window:
            play(config, env, window, policy)
    finally:
        env.close()


def play(config: Config, env: gym.Env[Any, Any], window: Window, policy: EvaluationPolicy | None = None) -> None:
    """Plays episodes until the window is closed; the policy selects the actions, or the keys that are pressed."""
    fps, seed = float(env.metadata.get("render_fps", 15)), config.seed
    while True:
        observation, _ = env.reset(seed=seed)
        rng = np.random.default_rng(seed)
        if policy:
            policy.start_episode(env)
        seed, score, steps, over = seed + 1, 0.0, 0, False
        while not over:
            pressed = window.show(rendered_frame(env), f"{config.env.title}   {score:g}", fps)
            if pressed is None:
                print(f"stopped at {score:g}")
                return
            action = policy.act(observation, rng) if policy else config.env.action_from_keys(env, pressed)
            if action is None:
                continue
            observation, reward, terminated, truncated, _ = env.step(action)
            score, steps = score + float(reward), steps + 1
            over = terminated or truncated or steps >= config.max_evaluation_steps
        print(f"{score:g}", flush=True)


class Window:
    """A pygame window; a `UserError` without pygame or a display."""

    def __init__(self, title: str) -> None:
        self.title, self.pygame = title, _pygame()
        if not any(os.environ.get(name) for name in DISPLAYS):
            raise UserError("play: there is no display to open a window on; is DISPLAY set?")
        try:
            self.pygame.display.init()
            driver = self.pygame.display.get_driver()
        except self.pygame.error as error:
            asked = "SDL_VIDEODRIVER" if os.environ.get("SDL_VIDEODRIVER") else "DISPLAY"
            raise UserError(f"play: there is no display to open a window on ({error}); is {asked} right?") from error
        if driver in INVISIBLE and "SDL_VIDEODRIVER" not in os.environ:
            raise UserError("play: there is no display to open a window on; is DISPLAY right?")
        self.clock, self.surface = self.pygame.time.Clock(), None

    def __enter__(self) -> Window:
        return self

    def __exit__(self, *_: object) -> None:
        self.pygame.quit()

    def show(self, frame: np.ndarray, caption: str, fps: float) -> frozenset[str] | None:
        """Shows a frame [height, width, 3] for 1 / fps seconds; returns the pressed keys, or None if it was closed."""
        pygame = self.pygame
        frame = enlarged(frame, MIN_HEIGHT)
        if self.surface is None:
            self.surface = pygame.display.set_mode(frame.shape[1::-1])
        pygame.display.set_caption(caption)
        pygame.surfarray.blit_array(self.surface, frame.swapaxes(0, 1))
        pygame.display.flip()
        self.clock.tick(fps)
        events, held = pygame.event.get(), pygame.key.get_pressed()
        tapped = {event.key for event in events if event.type == pygame.KEYDOWN}  # perhaps released since
        if pygame.K_ESCAPE in tapped or any(event.type == pygame.QUIT for event in events):
            return None
        codes = {name: pygame.key.key_code(name) for name in KEYS}
        return frozenset(name for name, code in codes.items() if held[code] or code in tapped)


def _pygame() -> ModuleType:
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    try:
        import pygame
    except ImportError as error:
        raise UserError('play: needs pygame; pip install "a3crepro[play]"') from error
    module: ModuleType = pygame
    return module


if __name__ == "__main__":
    main()
