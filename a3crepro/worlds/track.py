"""Closed race tracks: a smooth centre line, positions on it, the racing line, and the ground's texture."""

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter1d

POINTS: dict[str, list[tuple[float, float]]] = {
    "oval": [(0, 0), (70, -8), (140, 0), (165, 45), (140, 90), (70, 98), (0, 90), (-25, 45)],
    "winding": [
        (0, 0), (60, -5), (110, 10), (125, 55), (90, 75), (95, 110), (140, 130), (135, 170), (85, 180), (45, 150),
        (20, 170), (-30, 160), (-45, 115), (-10, 95), (5, 65), (-35, 45), (-40, 10),
    ],
    "long": [
        (0, 0), (110, -10), (200, 0), (240, 40), (215, 85), (150, 80), (120, 110), (160, 150), (230, 140), (290, 165),
        (285, 225), (220, 250), (140, 225), (80, 245), (20, 230), (-10, 180), (25, 140), (15, 95), (-40, 80), (-50, 30),
    ],
}  # fmt: skip
"""Control points of each track, in metres, in driving order."""
MARGIN = 60.0
"""Grass around the track, in metres."""
PIXELS = 4.0
"""Pixels of the ground's texture per metre."""
GRASS = (60, 130, 50)
TREES = 80
SMOOTHING = 6.0
"""Standard deviation of the filter on the centre line, in metres: no bend is sharper than the road is wide."""


class TrackPosition(NamedTuple):
    """A position relative to the track."""

    nearest: int
    """Index of the nearest point of the centre line."""
    aside: float
    """Distance to the right of it, in metres."""
    heading: float
    """Direction of the centre line there, in radians."""


class Track:
    """A closed track, sampled about every metre.

    Args:
      name: one of `POINTS`.
      width: of the road, in metres.
    """

    def __init__(self, name: str, width: float) -> None:
        self.width = width
        self.center = _smooth(np.array(POINTS[name], float)) + MARGIN - np.min(POINTS[name], axis=0)
        ahead = np.roll(self.center, -1, axis=0) - self.center
        self.length = float(np.hypot(*ahead.T).sum())
        self.spacing = self.length / len(self.center)
        self.heading = np.arctan2(ahead[:, 1], ahead[:, 0])
        self.right = np.stack([-np.sin(self.heading), np.cos(self.heading)], axis=1)
        self.racing_line = _racing_line(self.center, self.right, 0.5 * width - 2.0)
        self.ground = _paint(self)
        rng = np.random.default_rng(0)
        candidates = rng.uniform(0, np.array(self.ground.shape[1::-1]) / PIXELS, (10 * TREES, 2))
        off_road = [point for point in candidates if np.hypot(*(self.center - point).T).min() > width]
        self.trees = np.array(off_road[:TREES]).reshape(-1, 2)

    def locate(self, x: float, y: float, near: int | None = None) -> TrackPosition:
        """The nearest point of the centre line; `near` restricts the search to points around an index."""
        n = len(self.center)
        indices = np.arange(n) if near is None else np.arange(near - 15, near + 16) % n
        dx, dy = x - self.center[indices, 0], y - self.center[indices, 1]
        best = int(np.argmin(dx * dx + dy * dy))
        index = int(indices[best])
        aside = dx[best] * self.right[index, 0] + dy[best] * self.right[index, 1]
        return TrackPosition(index, float(aside), float(self.heading[index]))

    def points(self, distances: np.ndarray, asides: np.ndarray) -> np.ndarray:
        """Points at these distances along the centre line and to the right of it, in metres: [n, 2] for arrays [n]."""
        steps = distances / self.spacing
        number = np.floor(steps).astype(int)
        part = (steps - number)[:, None]
        one, other = number % len(self.center), (number + 1) % len(self.center)
        beside = asides[:, None]
        found: np.ndarray = (1 - part) * (self.center[one] + beside * self.right[one])
        found += part * (self.center[other] + beside * self.right[other])
        return found

    def point(self, distance: float, aside: float = 0.0) -> np.ndarray:
        """One such point, [2]."""
        found: np.ndarray = self.points(np.array([distance]), np.array([aside]))[0]
        return found


track = lru_cache(maxsize=4)(Track)
"""A track; each process makes it once."""


def _smooth(points: np.ndarray) -> np.ndarray:
    """A smoothed closed Catmull-Rom curve through points [n, 2], resampled about every metre."""
    before, after, later = (np.roll(points, shift, axis=0) for shift in (1, -1, -2))
    t = np.linspace(0, 1, 60, endpoint=False)[None, :, None]
    p0, p1, p2, p3 = (part[:, None] for part in (before, points, after, later))
    curve = 0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)
    even = _resample(curve.reshape(-1, 2))
    return _resample(gaussian_filter1d(even, SMOOTHING, axis=0, mode="wrap"))


def _resample(curve: np.ndarray) -> np.ndarray:
    """A closed curve resampled in equal steps of about a metre."""
    closed = np.concatenate([curve, curve[:1]])
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
    even = np.linspace(0, along[-1], round(along[-1]), endpoint=False)
    return np.stack([np.interp(even, along, closed[:, axis]) for axis in (0, 1)], axis=1)


def _racing_line(center: np.ndarray, right: np.ndarray, room: float) -> np.ndarray:
    """The line of least curvature within the road, by relaxation: points move between their neighbours."""
    offsets = np.zeros(len(center))
    for reach in (32, 16, 8, 4, 2):
        for _ in range(200):
            line = center + offsets[:, None] * right
            middle = 0.5 * (np.roll(line, reach, axis=0) + np.roll(line, -reach, axis=0))
            offsets += 0.5 * ((middle - line) * right).sum(1)
            offsets = np.clip(offsets, -room, room)
    found: np.ndarray = center + offsets[:, None] * right
    return found


def _paint(track: Track) -> np.ndarray:
    """Draws the ground from above: grass, kerbs, road, lines; uint8 [rows, columns, 3]."""
    size = np.ceil((track.center.max(0) + MARGIN) * PIXELS).astype(int)
    rng = np.random.default_rng(0)
    coarse = rng.integers(-14, 15, (size[1] // 16 + 1, size[0] // 16 + 1, 1)).repeat(16, axis=0).repeat(16, axis=1)
    picture = np.clip(np.array(GRASS) + coarse[: size[1], : size[0]], 0, 255).astype(np.uint8)
    picture = np.ascontiguousarray(picture)
    line = np.round(track.center * PIXELS * 16).astype(np.int32)[:, None]

    def stroke(points: np.ndarray, color: tuple[int, int, int], metres: float, closed: bool = True) -> None:
        cv2.polylines(picture, [points], closed, color, max(1, round(metres * PIXELS)), shift=4)

    stroke(line, (230, 230, 230), track.width + 1.6)
    for start in range(0, len(line) - 4, 8):  # red parts of the kerb
        stroke(line[start : start + 5], (200, 40, 40), track.width + 1.6, closed=False)
    stroke(line, (230, 230, 230), track.width + 0.4)
    stroke(line, (95, 95, 100), track.width)
    for start in range(0, len(line) - 3, 9):
        stroke(line[start : start + 4], (235, 235, 210), 0.35, closed=False)
    return picture
