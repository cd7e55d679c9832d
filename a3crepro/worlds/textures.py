"""Procedural textures of walls and floors, and images of sprites."""

import colorsys

import numpy as np

SIDE = 32
"""Height and width of a texture, in pixels."""


def color(rng: np.random.Generator) -> np.ndarray:
    """A random colour, [3] from 0 to 255, neither the apples' red nor the portal's blue."""
    hue = rng.uniform(0.08, 0.65)
    hue += 0.2 * (hue > 0.53)  # 0.08 to 0.53 and 0.73 to 0.85
    return 255 * np.array(colorsys.hsv_to_rgb(hue, rng.uniform(0.35, 0.9), rng.uniform(0.45, 0.95)))


def chequered(one: tuple[int, int, int], other: tuple[int, int, int]) -> np.ndarray:
    """Four squares of two colours, uint8 [32, 32, 3]."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] // (SIDE // 2)
    return np.where(((x + y) % 2 == 0)[:, :, None], one, other).astype(np.uint8)


def pattern(rng: np.random.Generator) -> np.ndarray:
    """A random pattern in two colours with some grain, uint8 [32, 32, 3]."""
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    size = int(rng.choice((4, 8, 16)))
    lines = (
        (y % 8 == 0) | ((x + 8 * (y // 8 % 2)) % 16 == 0),  # bricks
        x // size % 2 == 0,  # upright stripes
        y // size % 2 == 0,  # level stripes
        (x // size + y // size) % 2 == 0,  # a chequerboard
        (x + y) // size % 2 == 0,  # slanting stripes
        np.hypot(x % 16 - 7.5, y % 16 - 7.5) < 5,  # dots
    )[int(rng.integers(6))]
    one, other = color(rng), color(rng)
    picture = np.where(lines[:, :, None], one, other) + rng.normal(0, 6, (SIDE, SIDE, 1))
    return np.clip(picture, 0, 255).astype(np.uint8)


def disc(inner: tuple[int, int, int], outer: tuple[int, int, int]) -> np.ndarray:
    """A disc with a rim on a transparent ground, uint8 [32, 32, 4]."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] - 0.5 * (SIDE - 1)
    radius = np.hypot(x, y)
    picture = np.zeros((SIDE, SIDE, 4), np.uint8)
    picture[radius < 15.5] = (*outer, 255)
    picture[radius < 11] = (*inner, 255)
    return picture


def car_from_behind() -> np.ndarray:
    """Uint8 [32, 32, 4]."""
    picture = np.zeros((SIDE, SIDE, 4), np.uint8)
    picture[8:27, 2:30] = (230, 190, 20, 255)
    picture[10:16, 6:26] = (40, 50, 70, 255)
    picture[19:23, 3:8] = picture[19:23, 24:29] = (230, 20, 20, 255)
    picture[27:31, 4:10] = picture[27:31, 22:28] = (20, 20, 20, 255)
    return picture


def tree() -> np.ndarray:
    """Uint8 [32, 32, 4]."""
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    picture = np.zeros((SIDE, SIDE, 4), np.uint8)
    picture[20:, 14:18] = (90, 60, 30, 255)
    picture[np.hypot(x - 15.5, y - 11) < 11] = (25, 90, 35, 255)
    return picture
