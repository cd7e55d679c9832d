"""What an eye in a flat world sees: walls, ground, ceiling, upright pictures. Pure functions of world and pose.

The world's unit is the side of a grid's cell; x grows to the right of the map, y downwards, an angle of 0 looks along
x, and angles grow clockwise on the map. Walls are as high as `height`; a ray is followed from cell to cell until it
meets one (Amanatides and Woo 1987). Ground and ceiling are coloured line by line: a line of the picture shows points
that lie on a straight line of the map. Pictures that stand upright and face the eye are drawn from the farthest to the
nearest, and are hidden by walls that are nearer.
"""

# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from a3crepro.common.kernels import kernel

SIDE = 84
"""Of the picture, in pixels."""
FAR = 1e6
"""Distance of a wall where there is none."""
NEAR = 0.05
"""What stands upright nearer than this to the eye's plane is not drawn."""
TIE = 1e-6
"""Pixels: what ends in the very middle of a line has it, so that rounding leaves no gap."""


class World(NamedTuple):
    """What there is to see."""

    grid: np.ndarray
    """1 + the number of the wall's texture in each cell, 0: free; int32 [rows, columns]."""
    walls: np.ndarray
    """Square textures, uint8 [n, side, side, 3]; the upper line of a texture is the wall's upper edge."""
    ground: np.ndarray
    """A map of colours, uint8 [rows, columns, 3], which repeats itself in both directions."""
    ground_scale: float
    """Its pixels per unit."""
    ceiling: np.ndarray
    """The same for the ceiling at `height`; of shape [rows, 1, 3] it is a sky, from the zenith to the horizon."""
    ceiling_scale: float
    figures: np.ndarray
    """Pictures of what stands upright, uint8 [m, side, side, 4]; where the last channel is 0 they are transparent."""
    height: float
    """Of walls and ceiling."""


class Eye(NamedTuple):
    """From where, and how, it is seen."""

    x: float
    y: float
    angle: float
    """In radians."""
    height: float
    """Above the ground."""
    field: float
    """Width of the field of view, in radians."""


def draw(world: World, eye: Eye, things: np.ndarray) -> np.ndarray:
    """The picture, uint8 [3, 84, 84].

    Args:
      world: what stands still.
      eye: the pose.
      things: what stands upright, float64 [k, 5]: x, y, number of its picture, its size, height of its lower edge.
    """
    picture = np.empty((3, SIDE, SIDE), np.uint8)
    focus = 0.5 * SIDE / np.tan(0.5 * eye.field)  # distance of the picture's plane, in pixels
    pose = np.array([eye.x, eye.y, np.cos(eye.angle), np.sin(eye.angle), eye.height, focus])
    depths = np.empty(SIDE)
    _walls(world.grid, world.walls, pose, world.height, picture, depths)
    _ground(world.ground, world.ground_scale, world.ceiling, world.ceiling_scale, pose, world.height, depths, picture)
    if len(things):
        _figures(world.figures, things, pose, depths, picture)
    return picture


@kernel("UniTuple(float64, 2)(float64[::1], int64)", fastmath=False)
def _ray(pose, column):
    """Direction of a column's ray, whose part along the line of sight is 1."""
    aside = (column + 0.5 - 0.5 * SIDE) / pose[5]
    return pose[2] - aside * pose[3], pose[3] + aside * pose[2]


@kernel("Tuple((float64, float64, int64, boolean))(int32[:,::1], float64, float64, float64, float64)", fastmath=False)
def cast(grid, x, y, along_x, along_y):
    """The first wall that a ray meets: how far, in lengths of the direction; where across it; its texture; its side.

    The side is whether it faces along y. FAR and texture -1, where the ray leaves the grid.
    """
    rows, columns = grid.shape
    cell_x, cell_y = int(np.floor(x)), int(np.floor(y))
    step_x, step_y = 1 if along_x > 0 else -1, 1 if along_y > 0 else -1
    per_x = abs(1 / along_x) if along_x != 0 else np.inf
    per_y = abs(1 / along_y) if along_y != 0 else np.inf
    next_x = (cell_x + 1 - x if step_x > 0 else x - cell_x) * per_x if along_x != 0 else np.inf
    next_y = (cell_y + 1 - y if step_y > 0 else y - cell_y) * per_y if along_y != 0 else np.inf
    while True:
        facing_y = next_y < next_x
        if facing_y:
            distance, cell_y, next_y = next_y, cell_y + step_y, next_y + per_y
        else:
            distance, cell_x, next_x = next_x, cell_x + step_x, next_x + per_x
        if cell_x < 0 or cell_y < 0 or cell_x >= columns or cell_y >= rows:
            return FAR, 0.0, -1, False
        if grid[cell_y, cell_x] > 0:
            across = x + distance * along_x if facing_y else y + distance * along_y
            return distance, across - np.floor(across), grid[cell_y, cell_x] - 1, facing_y


@kernel("void(int32[:,::1], uint8[:,:,:,::1], float64[::1], float64, uint8[:,:,::1], float64[::1])", fastmath=False)
def _walls(grid, walls, pose, height, picture, depths):
    """Draws the walls, column by column, and tells their depths. Those that face along y are a quarter darker."""
    side = walls.shape[1]
    for column in range(SIDE):
        along_x, along_y = _ray(pose, column)
        depth, across, texture, shaded = cast(grid, pose[0], pose[1], along_x, along_y)
        depths[column] = depth
        if texture < 0:
            continue
        top = 0.5 * SIDE - (height - pose[4]) * pose[5] / depth
        tall = height * pose[5] / depth
        u = min(int(across * side), side - 1)
        scale = side / tall
        first = max(0, int(np.ceil(top - 0.5 - TIE)))
        last = min(SIDE, int(np.ceil(top + tall - 0.5 + TIE)))
        for line in range(first, last):
            v = min(int((line + 0.5 - top) * scale), side - 1)
            for c in range(3):
                value = walls[texture, v, u, c]
                picture[c, line, column] = value - value // 4 if shaded else value


@kernel("void(uint8[:,:,::1], int64, float64, float64[::1], float64[::1], uint8[:,:,::1])", fastmath=False)
def _sky(sky, line, height, pose, depths, picture):
    """A line of the sky above the walls."""
    v = int(line * sky.shape[0] / (0.5 * SIDE))
    above = 0.5 * SIDE - line - 0.5
    for column in range(SIDE):
        if above * depths[column] > (height - pose[4]) * pose[5]:
            for c in range(3):
                picture[c, line, column] = sky[v, 0, c]


@kernel(
    "void(uint8[:,:,::1], float64, uint8[:,:,::1], float64, float64[::1], float64, float64[::1], uint8[:,:,::1])",
    fastmath=False,
)
def _ground(ground, ground_scale, ceiling, ceiling_scale, pose, height, depths, picture):
    """Draws what lies nearer than the walls below and above them, line by line."""
    left_x, left_y = _ray(pose, 0)
    right_x, right_y = _ray(pose, SIDE - 1)
    for line in range(SIDE):
        below = line + 0.5 - 0.5 * SIDE
        is_ground = below > 0
        if not is_ground and ceiling.shape[1] == 1:
            _sky(ceiling, line, height, pose, depths, picture)
            continue
        depth = (pose[4] if is_ground else pose[4] - height) * pose[5] / below
        source, scale = (ground, ground_scale) if is_ground else (ceiling, ceiling_scale)
        rows, columns = source.shape[0], source.shape[1]
        x, y = (pose[0] + depth * left_x) * scale, (pose[1] + depth * left_y) * scale
        step_x, step_y = (
            depth * (right_x - left_x) / (SIDE - 1) * scale,
            depth * (right_y - left_y) / (SIDE - 1) * scale,
        )
        for column in range(SIDE):
            if depth < depths[column]:
                v, u = int(np.floor(y)) % rows, int(np.floor(x)) % columns
                for c in range(3):
                    picture[c, line, column] = source[v, u, c]
            x += step_x
            y += step_y


@kernel("void(uint8[:,:,:,::1], float64[:,::1], float64[::1], float64[::1], uint8[:,:,::1])", fastmath=False)
def _figures(figures, things, pose, depths, picture):
    """Draws what stands upright, the farthest first."""
    n, side = len(things), figures.shape[1]
    away = np.empty(n)
    for i in range(n):
        away[i] = (things[i, 0] - pose[0]) * pose[2] + (things[i, 1] - pose[1]) * pose[3]
    for i in np.argsort(-away):
        depth = away[i]
        if depth < NEAR:
            continue
        aside = (things[i, 1] - pose[1]) * pose[2] - (things[i, 0] - pose[0]) * pose[3]
        size = things[i, 3] * pose[5] / depth
        left = 0.5 * SIDE + aside * pose[5] / depth - 0.5 * size
        top = 0.5 * SIDE + (pose[4] - things[i, 4]) * pose[5] / depth - size
        scale, number = side / size, int(things[i, 2])
        for column in range(max(0, int(np.ceil(left - 0.5))), min(SIDE, int(np.ceil(left + size - 0.5)))):
            if depth >= depths[column]:
                continue
            u = min(int((column + 0.5 - left) * scale), side - 1)
            for line in range(max(0, int(np.ceil(top - 0.5))), min(SIDE, int(np.ceil(top + size - 0.5)))):
                v = min(int((line + 0.5 - top) * scale), side - 1)
                if figures[number, v, u, 3]:
                    for c in range(3):
                        picture[c, line, column] = figures[number, v, u, c]
