"""Records an episode as a video."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import gymnasium as gym
import gymnasium.error
import numpy as np

from a3crepro.common.errors import UserError
from a3crepro.config import Config
from a3crepro.environments._environment import env_name
from a3crepro.runs.evaluation import play_episode
from a3crepro.runs.policies import EvaluationPolicy

CODECS = {".mp4": "mp4v", ".avi": "MJPG", ".webm": "VP80"}
"""Codecs by suffix; browsers play `.webm`, which takes longer to write."""
MIN_HEIGHT = 300


def video_path(text: str) -> Path:
    """A path at which a video can be written; else a `ValueError`."""
    path = Path(text)
    if path.suffix not in CODECS:
        raise ValueError(f"should end in {' or '.join(CODECS)}, got {text!r}")
    if not path.parent.is_dir():
        raise ValueError(f"there is no directory {path.parent}")
    try:
        _part(path).touch()
        _part(path).unlink()
    except OSError as error:
        raise ValueError(f"cannot write {text!r} ({error.strerror})") from error
    return path


def rendered_env(config: Config) -> gym.Env[Any, Any]:
    """The environment of evaluations, for `rendered_frame`; a `UserError` if it cannot be made so."""
    try:
        return config.env.make(training=False, render=True)
    except (gymnasium.error.Error, TypeError) as error:  # a constructor may take no `render_mode`
        raise UserError(f"{config.env.title} cannot be rendered: {error}") from error


def rendered_frame(env: gym.Env[Any, Any]) -> np.ndarray:
    """The present frame, uint8 RGB [height, width, 3]; a `UserError` if there is none."""
    try:
        frame = env.render()
    except NotImplementedError as error:
        raise UserError(f"{env_name(env)} has no render method") from error
    except (gymnasium.error.Error, AssertionError) as error:  # such as a package that is not installed
        raise UserError(f"{env_name(env)} cannot be rendered: {error}") from error
    if not isinstance(frame, np.ndarray) or frame.ndim != 3:
        raise UserError(f"{env_name(env)} cannot be rendered as RGB frames")
    return frame


def check_rendering(config: Config) -> None:
    """Renders a frame, so that what is missing is known before any episode is played; else a `UserError`."""
    env = rendered_env(config)
    try:
        env.reset(seed=0)
        rendered_frame(env)
    finally:
        env.close()


def record_video(config: Config, policy: EvaluationPolicy, rng: np.random.Generator, path: Path) -> float:
    """Writes one episode as a video at the speed of human play, and returns its score."""
    env = rendered_env(config)
    video = VideoWriter(path, float(env.metadata.get("render_fps", 30)))
    try:
        score = play_episode(env, policy, rng, config.max_evaluation_steps, lambda: video.add(_frame(env)))
        video.add(_frame(env))
        video.finish()
    finally:
        video.part.unlink(missing_ok=True)
        env.close()
    print(f"{path}: {video.frames} frames, score {score:g}", flush=True)
    return score


def as_webm(path: Path, target: Path) -> None:
    """Converts a video into one that browsers play; a `UserError` if it is damaged."""
    source = cv2.VideoCapture(str(path))
    video = VideoWriter(target, source.get(cv2.CAP_PROP_FPS) or 30.0)
    try:
        whole, frame = source.read()
        if not whole:
            raise UserError(f"video: {path} is damaged")
        while whole:
            video.add(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
            whole, frame = source.read()
        video.finish()
    finally:
        source.release()
        video.part.unlink(missing_ok=True)


class VideoWriter:
    """Writes frames to a temporary file that is renamed when the video is whole."""

    def __init__(self, path: Path, fps: float) -> None:
        self.path, self.fps, self.frames = path, fps, 0
        self.part = _part(path)
        self.writer: cv2.VideoWriter | None = None

    def add(self, frame: np.ndarray) -> None:
        """Adds a frame: uint8 RGB [height, width, 3]; all have the same size."""
        if self.writer is None:
            log = cv2.utils.logging
            log.setLogLevel(log.LOG_LEVEL_ERROR)  # else a full disk is a warning at each frame
            height, width = frame.shape[:2]
            codec = cv2.VideoWriter.fourcc(*CODECS[self.path.suffix])
            with _without_standard_error():  # OpenCV warns of a tag that WebM does not need
                self.writer = cv2.VideoWriter(str(self.part), codec, self.fps, (width, height))
        self.writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        self.frames += 1

    def finish(self) -> None:
        """Closes and renames the file; a `UserError` if frames are missing in it."""
        assert self.writer is not None
        self.writer.release()
        if int(cv2.VideoCapture(str(self.part)).get(cv2.CAP_PROP_FRAME_COUNT)) != self.frames:
            raise UserError(f"video: cannot write {str(self.path)!r} whole; is the disk full?")
        os.replace(self.part, self.path)


def enlarged(frame: np.ndarray, min_height: int) -> np.ndarray:
    """Repeats each pixel by the smallest factor that gives at least this height."""
    factor = -(-min_height // frame.shape[0])
    return frame.repeat(factor, axis=0).repeat(factor, axis=1)


@contextlib.contextmanager
def _without_standard_error() -> Iterator[None]:
    """Drops what this process writes to its standard error, also from compiled code."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _part(path: Path) -> Path:
    return path.with_name(f".{path.stem}.part{path.suffix}")


def _frame(env: gym.Env[Any, Any]) -> np.ndarray:
    """The rendered frame, enlarged, with even sides, which codecs need."""
    frame = enlarged(rendered_frame(env), MIN_HEIGHT)
    return np.ascontiguousarray(frame[: frame.shape[0] // 2 * 2, : frame.shape[1] // 2 * 2])
