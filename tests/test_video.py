"""Videos of episodes."""

import re
import sys
from pathlib import Path
from typing import Any, ClassVar

import cv2
import gymnasium
import numpy as np
import pytest
from evaluation_helpers import SevenAStep, composed

from a3crepro.common.errors import UserError
from a3crepro.evaluate import evaluate_command
from a3crepro.runs import video as videos
from a3crepro.runs.policies import RandomPolicy, with_overrides


class Unseeded(SevenAStep):
    """Games of one step, of which each pays 1 more than the one before, whatever the seed."""

    paid = 0
    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 30}

    def step(self, action: Any) -> Any:
        Unseeded.paid += 1
        return np.zeros(2, np.float32), float(Unseeded.paid), True, False, {}

    def render(self) -> np.ndarray:
        return np.zeros((300, 300, 3), np.uint8)


@pytest.mark.parametrize("name", ["game.mp4", "game.avi", "game.webm"])
def test_a_game_is_filmed_picture_by_picture(tmp_path: Path, name: str) -> None:
    config = composed("env=toy/catch")
    videos.record_video(config, RandomPolicy(config.env.spaces()[1]), np.random.default_rng(0), tmp_path / name)
    video = cv2.VideoCapture(str(tmp_path / name))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == config.env.episode_steps + 1
    assert video.read()[1].shape[0] >= 300 and [path.name for path in tmp_path.iterdir()] == [name]


def test_writing_a_video_for_browsers_warns_of_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    video = videos.VideoWriter(tmp_path / "game.webm", 30.0)
    video.add(np.zeros((300, 300, 3), np.uint8))
    video.finish()
    sys.stderr.write("heard")
    assert capfd.readouterr() == ("", "heard")


@pytest.mark.parametrize("env", ["minatar/breakout", "minatar/space_invaders"])
def test_the_best_of_the_games_is_filmed(tmp_path: Path, capsys: pytest.CaptureFixture[str], env: str) -> None:
    words = [f"env={env}", "policy=random", "episodes=6", "seed=3", f"video={tmp_path / 'game.avi'}"]
    evaluate_command(words)
    *lines, told, _ = capsys.readouterr().out.splitlines()
    scores = [float(line) for line in lines]
    assert scores.count(max(scores)) == 1 and scores.index(max(scores)) not in (0, 5), "the first or last would pass"
    assert told.endswith(f"score {max(scores):g}")
    assert told.split()[1] == f"{cv2.VideoCapture(str(tmp_path / 'game.avi')).get(cv2.CAP_PROP_FRAME_COUNT):g}"


def test_a_game_that_cannot_be_played_again_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gymnasium.register("a3crepro-tests/Unseeded-v0", Unseeded)
    evaluate_command(["env=gym", "env.id=a3crepro-tests/Unseeded-v0", "policy=random", "episodes=2",
                      f"video={tmp_path / 'game.avi'}"])  # fmt: skip
    first, second, filmed, said, _ = capsys.readouterr().out.splitlines()
    assert float(filmed.split()[-1]) == float(second) + 1 > float(first) + 1
    assert f"another episode than the one that scored {second}" in said


def test_a_film_that_is_not_whole_has_no_name(tmp_path: Path) -> None:
    video = videos.VideoWriter(tmp_path / "game.avi", 30.0)
    for side in (300, 300, 302):  # as on a full disk, the last one is not written
        video.add(np.zeros((side, side, 3), np.uint8))
    with pytest.raises(UserError, match=r"video: cannot write .* whole"):
        video.finish()
    assert not (tmp_path / "game.avi").exists()


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("game.gif", "video: should end in .mp4 or .avi"),
        ("there/game.mp4", "video: there is no directory"),
        ("/proc/game.mp4", "video: cannot write '/proc/game.mp4' (No such file or directory)"),
    ],
)
def test_where_no_video_can_be_is_told_before_the_games(tmp_path: Path, path: str, line: str) -> None:
    with pytest.raises(UserError, match=re.escape(line)):
        evaluate_command(["env=toy/catch", "policy=random", f"video={tmp_path / path}"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "overrides", "steps"),
    [
        (["env=labyrinth"], ["env.seconds=120"], 1800),
        (["env=labyrinth"], ["env.seconds=30"], 900),  # the environment ends them
        (["env=labyrinth", "evaluation.max_frames=400"], ["env.seconds=120"], 100),
        (["env=labyrinth"], ["env.seconds=120", "evaluation.max_frames=400"], 100),
        (["env=minatar/breakout"], ["env.reward_clip=1"], 20_000),
    ],
)
def test_whole_games_stay_whole_where_they_become_longer(words: list[str], overrides: list[str], steps: int) -> None:
    assert with_overrides(composed(*words), overrides).max_evaluation_steps == steps
