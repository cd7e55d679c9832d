"""Renders a first-person view of a flat world: walls, ground, ceiling, sprites. Pure functions of scene and camera.

A unit is the side of a grid cell; x grows to the right on the map, y downwards; an angle of 0 looks along x, and angles
grow clockwise. Rays are cast from cell to cell until they hit a wall (Amanatides and Woo 1987). Ground and ceiling are
drawn row by row: a row of the frame shows a straight line of the map. Sprites stand upright, face the camera, are drawn
from the farthest to the nearest, and are hidden by nearer walls.
"""

# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False

from typing import NamedTuple

import numpy as np

from a3crepro.common.kernels import kernel

SIDE = 84
"""Height and width of a frame, in pixels."""
FAR = 1e6
"""Depth of columns without a wall."""
NEAR = 0.05
"""Sprites nearer than this to the camera plane are not drawn."""
TIE = 1e-6
"""Pixels by which walls extend, so that rounding leaves no gap."""


class Scene(NamedTuple):
    """What does not move."""

    grid: np.ndarray
    """1 + the index of each cell's wall texture, or 0 for a free cell; int32 [rows, columns]."""
    walls: np.ndarray
    """Textures, uint8 [n, side, side, 3]; the first row is the upper edge of the wall."""
    ground: np.ndarray
    """A map of colours that repeats in both directions, uint8 [rows, columns, 3]."""
    ground_scale: float
    """Pixels per unit."""
    ceiling: np.ndarray
    """Like `ground`, at `height`; of shape [rows, 1, 3] it is a sky, from the zenith to the horizon."""
    ceiling_scale: float
    sprite_images: np.ndarray
    """RGBA, uint8 [m, side, side, 4]; transparent where the last channel is 0."""
    height: float
    """Height of walls and ceiling, in units."""


class Camera(NamedTuple):
    """A pose and a field of view."""

    x: float
    y: float
    angle: float
    """Direction of view, in radians."""
    height: float
    """Height above the ground, in units."""
    field_of_view: float
    """Horizontal, in radians."""


def render(scene: Scene, camera: Camera, sprites: np.ndarray) -> np.ndarray:
    """Renders a frame, uint8 [3, 84, 84].

    Args:
      scene: what does not move.
      camera: the view.
      sprites: float64 [k, 5]: x, y, index of the image, size, height of the lower edge above the ground.
    """
    frame = np.empty((3, SIDE, SIDE), np.uint8)
    focus = 0.5 * SIDE / np.tan(0.5 * camera.field_of_view)  # focal length, in pixels
    pose = np.array([camera.x, camera.y, np.cos(camera.angle), np.sin(camera.angle), camera.height, focus])
    depths = np.empty(SIDE)
    _walls(scene.grid, scene.walls, pose, scene.height, frame, depths)
    _ground(scene.ground, scene.ground_scale, scene.ceiling, scene.ceiling_scale, pose, scene.height, depths, frame)
    if len(sprites):
        _sprites(scene.sprite_images, sprites, pose, depths, frame)
    return frame


@kernel("UniTuple(float64, 2)(float64[::1], int64)", fastmath=False)
def _ray(pose, column):
    """Direction of a column's ray; its component along the line of sight is 1."""
    aside = (column + 0.5 - 0.5 * SIDE) / pose[5]
    return pose[2] - aside * pose[3], pose[3] + aside * pose[2]


@kernel("Tuple((float64, float64, int64, boolean))(int32[:,::1], float64, float64, float64, float64)", fastmath=False)
def cast(grid, x, y, along_x, along_y):
    """Casts a ray from (x, y): returns distance, position across the wall [0, 1), texture, whether it faces along y.

    Distances are in lengths of the direction (along_x, along_y). FAR and texture -1 if the ray leaves the grid.
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
def _walls(grid, walls, pose, height, frame, depths):
    """Draws walls and their depths, column by column; walls that face along y are a quarter darker."""
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
                frame[c, line, column] = value - value // 4 if shaded else value


@kernel("void(uint8[:,:,::1], int64, float64, float64[::1], float64[::1], uint8[:,:,::1])", fastmath=False)
def _sky(sky, line, height, pose, depths, frame):
    """Draws a row of the sky above the walls."""
    v = int(line * sky.shape[0] / (0.5 * SIDE))
    above = 0.5 * SIDE - line - 0.5
    for column in range(SIDE):
        if above * depths[column] > (height - pose[4]) * pose[5]:
            for c in range(3):
                frame[c, line, column] = sky[v, 0, c]


@kernel(
    "void(uint8[:,:,::1], float64, uint8[:,:,::1], float64, float64[::1], float64, float64[::1], uint8[:,:,::1])",
    fastmath=False,
)
def _ground(ground, ground_scale, ceiling, ceiling_scale, pose, height, depths, frame):
    """Draws ground and ceiling where they are nearer than the walls, row by row."""
    left_x, left_y = _ray(pose, 0)
    right_x, right_y = _ray(pose, SIDE - 1)
    for line in range(SIDE):
        below = line + 0.5 - 0.5 * SIDE
        is_ground = below > 0
        if not is_ground and ceiling.shape[1] == 1:
            _sky(ceiling, line, height, pose, depths, frame)
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
                    frame[c, line, column] = source[v, u, c]
            x += step_x
            y += step_y


@kernel("void(uint8[:,:,:,::1], float64[:,::1], float64[::1], float64[::1], uint8[:,:,::1])", fastmath=False)
def _sprites(images, sprites, pose, depths, frame):
    """Draws sprites, the farthest first."""
    n, side = len(sprites), images.shape[1]
    away = np.empty(n)
    for i in range(n):
        away[i] = (sprites[i, 0] - pose[0]) * pose[2] + (sprites[i, 1] - pose[1]) * pose[3]
    order = np.arange(n)  # sorted by insertion: NumPy's sort takes seconds to compile
    for last in range(n):
        for j in range(last, 0, -1):
            if away[order[j]] > away[order[j - 1]]:
                order[j], order[j - 1] = order[j - 1], order[j]
    for place in range(n):
        i = order[place]
        depth = away[i]
        if depth < NEAR:
            continue
        aside = (sprites[i, 1] - pose[1]) * pose[2] - (sprites[i, 0] - pose[0]) * pose[3]
        size = sprites[i, 3] * pose[5] / depth
        left = 0.5 * SIDE + aside * pose[5] / depth - 0.5 * size
        top = 0.5 * SIDE + (pose[4] - sprites[i, 4]) * pose[5] / depth - size
        scale, number = side / size, int(sprites[i, 2])
        for column in range(max(0, int(np.ceil(left - 0.5))), min(SIDE, int(np.ceil(left + size - 0.5)))):
            if depth >= depths[column]:
                continue
            u = min(int((column + 0.5 - left) * scale), side - 1)
            for line in range(max(0, int(np.ceil(top - 0.5))), min(SIDE, int(np.ceil(top + size - 0.5)))):
                v = min(int((line + 0.5 - top) * scale), side - 1)
                if images[number, v, u, 3]:
                    for c in range(3):
                        frame[c, line, column] = images[number, v, u, c]
