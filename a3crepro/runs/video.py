"""Records an episode as a video."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
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


def record_video(config: Config, policy: EvaluationPolicy, rng: np.random.Generator, path: Path) -> float:
    """Writes one episode as a video at the speed of human play, and returns its score."""
    env = config.env.make(training=False, render=True)
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


def _frame(env: Any) -> np.ndarray:
    """The rendered frame, enlarged, with even sides, which codecs need."""
    try:
        frame = enlarged(np.asarray(env.render()), MIN_HEIGHT)
    except NotImplementedError as error:
        raise UserError(f"video: {env_name(env)} has no render method") from error
    return np.ascontiguousarray(frame[: frame.shape[0] // 2 * 2, : frame.shape[1] // 2 * 2])
