"""What the labyrinth and the races look like: an expert's views on its way, and the way on the map; how fast they are.

python analysis/worlds.py
"""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any

import cv2
import matplotlib.pyplot as plt
import numpy as np

from a3crepro.cli import run_command
from a3crepro.config import compose
from a3crepro.environments._view import draw
from a3crepro.figures import FIGURES

VIEWS = 6
SIDE = 480
"""Of the map, in pixels."""


def episode(name: str, seed: int, steps: int) -> tuple[list[np.ndarray], np.ndarray, float]:
    """An expert's views at equal intervals, the map with the way it went in so many steps, and the score of these."""
    settings = compose(f"env={name}").env
    env: Any = settings.make(training=False, render=True)
    expert, rng = settings.expert(), np.random.default_rng(seed)
    assert expert is not None
    observation, _ = env.reset(seed=seed)
    expert.start_episode(env)
    views, way, score = [], [(env.x, env.y)], 0.0
    for step in range(steps):
        if step % (steps // VIEWS) == steps // VIEWS // 2:
            views.append(observation.transpose(1, 2, 0))
        observation, reward, *_, info = env.step(expert.act(observation, rng))
        score += float(reward)
        way.append((np.nan, np.nan) if info.get("portals") else (env.x, env.y))
    return views, drawn(env, np.array(way)), score


def drawn(env: Any, way: np.ndarray) -> np.ndarray:
    """The map with the way as a line, from dark to bright, broken where a portal was gone through."""
    picture = np.ascontiguousarray(env.map(SIDE))
    scale = env.map_scale(SIDE)
    for number, (start, end) in enumerate(pairwise(way)):
        if not np.isnan([*start, *end]).any():
            shade = 90 + 165 * number // len(way)
            cv2.line(picture, *(tuple(map(int, point * scale)) for point in (start, end)), (shade, shade, 60), 2)
    return picture


def pictures_a_second(name: str, count: int = 5000) -> float:
    """How many pictures one core draws, of as many random poses; what they are put together from is not counted."""
    env: Any = compose(f"env={name}").env.make(training=False)
    env.reset(seed=0)
    rng, world, things = np.random.default_rng(0), env.seen_world(), env.things()
    poses = [env.eye()._replace(angle=angle) for angle in rng.uniform(0, 2 * np.pi, count)]
    began = time.process_time()
    for pose in poses:
        draw(world, pose, things)
    return count / (time.process_time() - began)


def main() -> None:
    """Draws `figures/worlds.png`, and says how fast pictures are drawn."""
    rows = [("labyrinth", 2, 450), ("racing/fast_bots", 3, 600)]
    figure, grid = plt.subplots(len(rows), VIEWS + 1, figsize=(2 * (VIEWS + 1), 2.1 * len(rows)), layout="constrained")
    for line, (name, seed, steps) in zip(grid, rows, strict=True):
        views, way, score = episode(name, seed, steps)
        for axes, picture in zip(line, [*views, way], strict=True):
            axes.imshow(picture, interpolation="nearest")
            axes.set_axis_off()
        line[0].set_title(name, fontsize=9, loc="left")
        line[-1].set_title(f"the expert's way, score {score:.0f}", fontsize=8)
    FIGURES.mkdir(exist_ok=True)
    figure.savefig(FIGURES / "worlds.png", dpi=110)
    for name, _, _ in rows:
        print(f"{name}: {pictures_a_second(name):,.0f} pictures a second of one core")


if __name__ == "__main__":
    run_command(main, __doc__)
