"""Preprocessing of Atari screens: the maximum of two screens, grey, scaled to 84x84.

Bit-equal to ALE's grey screens, `numpy.maximum` and `cv2.resize(..., INTER_AREA)` at a third of their cost: it works on
the emulator's palette indices, and only on lines that differ from the last frame's.
"""

# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False

from math import ceil, floor

import ale_py
import numpy as np

from a3crepro.common.kernels import kernel
from a3crepro.common.serialization import PyTree


def area_table(source: int, target: int) -> tuple[np.ndarray, np.ndarray]:
    """The weighted sums that reduce a line as OpenCV's computeResizeAreaTab does.

    Args:
      source: pixels of the line.
      target: pixels of the reduced line, at most `source`.

    Returns:
      Indices of source pixels, int64 [taps, target], and their weights, float32 [taps, target], which sum to 1 over the
      taps; pixels with fewer taps are padded with weight 0.
    """
    scale = 1 / (target / source)
    taps: list[list[tuple[int, float]]] = []
    for d in range(target):
        begin, end = d * scale, d * scale + scale
        cell = min(scale, source - begin)
        last = min(floor(end), source - 1)
        first = min(ceil(begin), last)
        row = [(first - 1, (first - begin) / cell)] if first - begin > 1e-3 else []
        row += [(s, 1 / cell) for s in range(first, last)]
        row += [(last, min(end - last, 1, cell) / cell)] if end - last > 1e-3 else []
        taps.append(row)
    width = max(map(len, taps))
    padded = np.array([row + [(row[-1][0], 0.0)] * (width - len(row)) for row in taps])
    return padded[..., 0].T.astype(np.int64).copy(), padded[..., 1].T.astype(np.float32).copy()


@kernel("boolean(uint8[:,::1], uint8[:,::1], uint8[::1])", fastmath=False)
def _is_known(new, old, known):
    """Whether the greys of all colours on the changed lines are known."""
    complete = np.uint8(1)
    for y in range(new.shape[0]):
        difference = np.uint8(0)
        for x in range(new.shape[1]):
            difference |= new[y, x] ^ old[y, x]
        if difference:
            for x in range(new.shape[1]):
                complete &= known[new[y, x]]
    return complete != 0


@kernel("boolean(uint8[:,::1], uint8[:,::1], uint8[::1], uint8[::1])", fastmath=False)
def _update_screen(new, old, known, changed):
    """Copies new to old and marks the changed lines; returns whether the greys of all their colours are known."""
    complete = np.uint8(1)
    for y in range(new.shape[0]):
        difference = np.uint8(0)
        for x in range(new.shape[1]):
            difference |= new[y, x] ^ old[y, x]
            old[y, x] = new[y, x]
        if difference:
            changed[y] = 1
            for x in range(new.shape[1]):
                complete &= known[new[y, x]]
    return complete != 0


@kernel(
    "void(uint8[:,::1], uint8[:,::1], uint8[::1], uint8[::1], int64[:,::1], float32[:,::1], float32[:,::1])",
    fastmath=False,  # OpenCV's order of operations
)
def _reduce_lines(first, second, grey, changed, index, weight, lines):
    """Reduces each changed line to the frame's width."""
    line = np.empty(first.shape[1], np.float32)
    for y in range(first.shape[0]):
        if not changed[y]:
            continue
        for x in range(line.size):
            line[x] = max(grey[first[y, x]], grey[second[y, x]])
        for d in range(lines.shape[1]):
            total = line[index[0, d]] * weight[0, d]
            for k in range(1, index.shape[0]):
                total += line[index[k, d]] * weight[k, d]
            lines[y, d] = total


@kernel("void(float32[:,::1], uint8[::1], int64[:,::1], float32[:,::1], uint8[:,::1])", fastmath=False)
def _reduce_columns(lines, changed, index, weight, frame):
    """Reduces the lines to the frame's height, where they changed."""
    total = np.empty(lines.shape[1], np.float32)
    for d in range(frame.shape[0]):
        if not changed[index[0, d] : index[-1, d] + 1].any():
            continue
        total[:] = 0
        for k in range(index.shape[0]):
            for x in range(total.size):
                total[x] += lines[index[k, d], x] * weight[k, d]
        for x in range(total.size):
            frame[d, x] = np.uint8(np.rint(total[x]))


class ScreenPreprocessor:
    """Preprocesses the screens of an emulator."""

    STATE = ("frame", "_before", "_screens", "_grey", "_known", "_lines")

    def __init__(self, ale: ale_py.ALEInterface, side: int) -> None:
        height, width = ale.getScreenDims()
        self.ale, self.side = ale, side
        self.frame = np.zeros((side, side), np.uint8)
        self._before, self._last = np.zeros((2, height, width), np.uint8)
        self._screens = np.full((2, height, width), 255, np.uint8)  # palette indices are even: all lines are new
        self._grey, self._known = np.zeros(256, np.uint8), np.zeros(256, np.uint8)
        self._columns, self._rows = area_table(width, side), area_table(height, side)
        self._changed, self._lines = np.zeros(height, np.uint8), np.zeros((height, side), np.float32)

    def get_state(self) -> PyTree:
        """What later frames depend on."""
        return [getattr(self, name) for name in self.STATE]

    def set_state(self, state: PyTree) -> None:
        for name, value in zip(self.STATE, state, strict=True):
            getattr(self, name)[...] = value

    def reset(self) -> np.ndarray:
        """The frame of the current screen alone."""
        self.store_screen()
        return self.preprocess()

    def store_screen(self) -> None:
        """Stores the screen of the last but one emulator frame."""
        self.ale.getScreen(self._before)
        if not _is_known(self._before, self._screens[0], self._known):
            self._learn(self._before)  # now: later the emulator shows another screen

    def preprocess(self) -> np.ndarray:
        """The frame of the current and the stored screen; the array is overwritten by the next call."""
        self.ale.getScreen(self._last)
        for screen, old in zip((self._before, self._last), self._screens, strict=True):
            if not _update_screen(screen, old, self._known, self._changed):
                self._learn(screen)
        _reduce_lines(*self._screens, self._grey, self._changed, *self._columns, self._lines)
        _reduce_columns(self._lines, self._changed, *self._rows, self.frame)
        self._changed[:] = 0
        return self.frame

    def _learn(self, screen: np.ndarray) -> None:
        """Learns the greys of the colours on the current screen."""
        self._grey[screen], self._known[screen] = self.ale.getScreenGrayscale(), 1

    def last_grey(self) -> np.ndarray:
        """The maximum of the last frame's two screens, in grey."""
        first, second = self._screens
        grey: np.ndarray = np.maximum(self._grey[first], self._grey[second])
        return grey

    def stored_grey(self) -> np.ndarray:
        """The screen stored by `store_screen`, in grey."""
        grey: np.ndarray = self._grey[self._before]
        return grey
