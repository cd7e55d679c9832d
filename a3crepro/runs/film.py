"""A game as a video."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from a3crepro.common.settings import UserError
from a3crepro.config import Config
from a3crepro.runs.evaluation import Policy, play_episode

CODECS = {".mp4": "mp4v", ".avi": "MJPG"}


def checked_video(path: Path) -> Path:
    """The path, if a video can be written there.

    Raises:
      UserError: a file type other than .mp4 and .avi, or a directory that is not there or takes no files.
    """
    if path.suffix not in CODECS:
        raise UserError(f"video: should end in {' or '.join(CODECS)}, got {str(path)!r}")
    if not path.parent.is_dir():
        raise UserError(f"video: there is no directory {path.parent}")
    try:
        _part(path).touch()
        _part(path).unlink()
    except OSError as error:
        raise UserError(f"video: cannot write {str(path)!r} ({error.strerror})") from error
    return path


def film(config: Config, policy: Policy, rng: np.random.Generator, path: Path) -> float:
    """Writes one episode as a video, at the speed at which a person would play, and returns its score.

    Raises:
      UserError: the file cannot be written.
    """
    env = config.env.make(training=False, render=True)
    video = Film(path, float(env.metadata.get("render_fps", 30)))
    try:
        score = play_episode(env, policy, rng, config.max_evaluation_steps, lambda: video.add(_picture(env)))
        video.add(_picture(env))
        video.finish()
    finally:
        video.part.unlink(missing_ok=True)
        env.close()
    print(f"{path}: {video.pictures} pictures, score {score:g}", flush=True)
    return score


class Film:
    """A video that is written picture by picture, and has its name only when it is whole."""

    def __init__(self, path: Path, rate: float) -> None:
        self.path, self.rate, self.pictures = path, rate, 0
        self.part = _part(path)
        self.writer: cv2.VideoWriter | None = None

    def add(self, picture: np.ndarray) -> None:
        """A picture more, uint8 [height, width, 3], RGB; all have one size."""
        if self.writer is None:
            log = cv2.utils.logging
            log.setLogLevel(log.LOG_LEVEL_ERROR)  # it would warn of a full disk at each picture
            height, width = picture.shape[:2]
            codec = cv2.VideoWriter.fourcc(*CODECS[self.path.suffix])
            self.writer = cv2.VideoWriter(str(self.part), codec, self.rate, (width, height))
        self.writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        self.pictures += 1

    def finish(self) -> None:
        """Writes what is left.

        Raises:
          UserError: not all pictures are in the file.
        """
        assert self.writer is not None
        self.writer.release()
        if int(cv2.VideoCapture(str(self.part)).get(cv2.CAP_PROP_FRAME_COUNT)) != self.pictures:
            raise UserError(f"video: cannot write {str(self.path)!r} whole; is the disk full?")
        os.replace(self.part, self.path)


def enlarged(picture: np.ndarray, least: int) -> np.ndarray:
    """The picture, each pixel as many times as it takes to be at least so high."""
    factor = -(-least // picture.shape[0])
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def _part(path: Path) -> Path:
    """Where a video is until it is whole."""
    return path.with_name(f".{path.stem}.part{path.suffix}")


def _picture(env: Any) -> np.ndarray:
    """The screen, enlarged to 300 pixels or more, with even sides as video codecs want them."""
    picture = enlarged(np.asarray(env.render()), 300)
    return np.ascontiguousarray(picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2])
