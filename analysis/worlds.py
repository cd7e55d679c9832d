"""Frames from the labyrinth and the races: the policy's view during an episode, and its path on a map.

  python analysis/worlds.py [RUN_DIR …]

Draws a row for the trained policy of each run in these worlds, and one each for the experts of `labyrinth` and
`racing/fast_bots`. Also measures how many images per second one core renders.
"""

import shlex
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import matplotlib.pyplot as plt
import numpy as np

from a3crepro.common.errors import UserError
from a3crepro.config import Config, compose
from a3crepro.environments._first_person import FirstPerson
from a3crepro.experiments.figures import FIGURES, markdown, print_written
from a3crepro.experiments.measurements import provenance
from a3crepro.runs.command_line import run_command
from a3crepro.runs.evaluation import play_episode
from a3crepro.runs.files import write_text
from a3crepro.runs.manifest import attempts_of
from a3crepro.runs.policies import EvaluationPolicy, policy_with_overrides
from a3crepro.worlds.renderer import render

EXPERTS = ("labyrinth", "racing/fast_bots")
VIEWS = 6
SIDE = 480
"""Side of the map, in pixels."""
SEED = 2


class Episode(NamedTuple):
    """The parts of an episode that are shown."""

    views: list[np.ndarray]
    """One view from each part; upright objects, if any come into view, cover about a thirtieth of the frame."""
    trajectory: np.ndarray
    """The map with the path taken."""
    score: float


def episode(config: Config, policy: EvaluationPolicy, frames: int = 0) -> Episode:
    """Plays a whole episode with a policy trained for this many frames."""
    env: Any = config.env.make(training=False, render=True)
    views, covered, trajectory = [], [], []

    def look() -> None:
        image = env.observe()
        sprites = env.sprites()
        views.append(image.transpose(1, 2, 0))
        covered.append(float((image != render(env.scene(), env.camera(), sprites[:0])).any(axis=0).mean()))
        trajectory.append((env.x, env.y))

    def break_trajectory(info: dict[str, Any]) -> None:
        if info.get("portals"):
            trajectory.append((np.nan, np.nan))

    rng = np.random.default_rng([SEED, frames])
    score = play_episode(env, policy, rng, config.max_evaluation_steps, look, break_trajectory)
    parts = np.array_split(np.arange(len(views)), VIEWS)
    views = [views[min(part, key=lambda step: abs(covered[step] - 0.03))] for part in parts]
    return Episode(views, drawn(env, np.array(trajectory)), score)


def drawn(env: Any, trajectory: np.ndarray) -> np.ndarray:
    """The map with the path as a line, from dark to bright, broken at portals."""
    image = np.ascontiguousarray(env.map(SIDE))
    scale = env.map_scale(SIDE)
    for number, (start, end) in enumerate(pairwise(trajectory)):
        if not np.isnan([*start, *end]).any():
            shade = 90 + 165 * number // len(trajectory)
            cv2.line(image, *(tuple(map(int, point * scale)) for point in (start, end)), (shade, shade, 60), 2)
    return image


def speeds(name: str, worlds: int = 20, count: int = 250) -> tuple[float, float]:
    """Images per second that one core renders, and frames per second that it makes in full steps.

    Args:
      name: of the environment.
      worlds: number of mazes or places on the track, each reached by a random policy.
      count: number of random directions in each, and of steps there.
    """
    env: Any = compose(f"env={name}").env.make(training=False)
    rng, drawing, stepping = np.random.default_rng(0), 0.0, 0.0
    for seed in range(worlds):
        env.reset(seed=seed)
        began = time.process_time()
        for action in rng.integers(env.action_space.n, size=count):
            if any(env.step(action)[2:4]):
                env.reset()
        stepped = time.process_time()
        scene, sprites, camera = env.scene(), env.sprites(), env.camera()
        for angle in rng.uniform(0, 2 * np.pi, count):
            render(scene, camera._replace(angle=angle), sprites)
        stepping, drawing = stepping + stepped - began, drawing + time.process_time() - stepped
    return worlds * count / drawing, worlds * count * env.parameters.frames_per_step / stepping


def policies(directories: list[str]) -> list[tuple[str, Config, EvaluationPolicy, int]]:
    """The policies to show: a name, and how each acts in which environment.

    Raises:
      UserError: a directory has no run, or one of another environment.
    """
    found = []
    for directory in directories:
        config, policy, frames = policy_with_overrides(Path(directory), [])
        if not isinstance(config.env, FirstPerson):
            raise UserError(f"{directory}: a run of {config.env.title}, which has no map; allowed: labyrinth, racing")
        found.append((f"{config.algo.name} after {frames / 1e6:.1f}M frames", config, policy, frames))
    for name in EXPERTS:
        config = compose(f"env={name}")
        found.append(("expert", config, config.env.scripted_policies()["expert"], 0))
    return found


def made_by(directory: str) -> str:
    """The last command of a run, without its directory, and its commit."""
    start = attempts_of(Path(directory))[-1]
    words = ["python", "-m", "a3crepro", *start["overrides"]]
    return f"`{shlex.join(words)}`, commit {(start['git_commit'] or 'unknown')[:7]}."


def main() -> None:
    """Draws the figure and writes the table of speeds."""
    shown = policies(sys.argv[1:])
    size = (2 * (VIEWS + 1), 2.1 * len(shown))
    figure, grid = plt.subplots(len(shown), VIEWS + 1, figsize=size, layout="constrained")
    for line, (name, config, policy, frames) in zip(grid, shown, strict=True):
        played = episode(config, policy, frames)
        for axes, image in zip(line, [*played.views, played.trajectory], strict=True):
            axes.imshow(image, interpolation="nearest")
            axes.set_axis_off()
        line[0].set_title(f"{config.env.title}, {name}", fontsize=9, loc="left")
        line[-1].set_title(f"trajectory, score {played.score:.0f}", fontsize=8)
    rows = [[name, *(f"{speed:,.0f}" for speed in speeds(name))] for name in EXPERTS]
    where = provenance()
    caption = (
        "Of one core: 5,000 rendered observations of 84x84, and as many random steps of four frames and one "
        f"observation each, in 20 episodes. Commit {(where['commit'] or 'unknown')[:7]}, {where['date'][:10]}, "
        f"{where['cpu']}."
    )
    caption = "\n\n".join([caption, *(f"Shown: {made_by(directory)}" for directory in sys.argv[1:])])
    FIGURES.mkdir(exist_ok=True)
    files = FIGURES / "worlds.png", FIGURES / "worlds.md"
    figure.savefig(files[0], dpi=110)
    write_text(files[1], f"{markdown(['world', 'observations per second', 'frames per second'], rows)}\n\n{caption}\n")
    print_written(*files)


if __name__ == "__main__":
    run_command(main, __doc__)
