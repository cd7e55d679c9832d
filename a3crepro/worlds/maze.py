"""Mazes of rooms and corridors, and shortest paths through them. Pure functions of a generator and of grids.

A maze is a boolean grid, true where you can walk, with walls all around. Rooms have odd sides and lie at odd
coordinates; winding corridors fill the rest; then walls are opened until everything is connected, and some more, which
makes loops; finally some dead ends are closed.
"""

from collections import deque
from collections.abc import Iterator

import numpy as np

Cell = tuple[int, int]
"""Row and column."""
TRIES = 30
"""Attempts to place a room."""
SIDES: tuple[Cell, ...] = ((-1, 0), (1, 0), (0, -1), (0, 1))


def make_maze(rng: np.random.Generator, size: int, rooms: int, loops: float, dead_ends: float) -> np.ndarray:
    """A connected maze, bool [size, size].

    Args:
      rng: the source of randomness.
      size: cells per side, outer walls included; odd, at least 7.
      rooms: number of rooms, or as many as fit.
      loops: share of the walls between connected regions that are opened, too.
      dead_ends: share of the dead ends that stay.
    """
    region = np.zeros((size, size), int)  # 0: wall; cells with equal numbers are connected
    numbers = iter(range(1, size * size))
    for _ in range(rooms):
        any(_try_room(rng, region, numbers) for _ in range(TRIES))
    for row in range(1, size, 2):
        for column in range(1, size, 2):
            if region[row, column] == 0:
                _grow_corridor(rng, region, (row, column), next(numbers))
    free = region > 0
    _connect(rng, region, free, loops)
    _close_dead_ends(rng, free, dead_ends)
    return free


def _try_room(rng: np.random.Generator, region: np.ndarray, numbers: Iterator[int]) -> bool:
    """Adds a room at a random place unless it would touch another one; returns whether it did."""
    size = len(region)
    height, width = (int(side) for side in rng.choice((3, 5), 2))
    top, left = (1 + 2 * int(rng.integers((size - side) // 2)) for side in (height, width))
    if region[max(0, top - 1) : top + height + 1, max(0, left - 1) : left + width + 1].any():
        return False
    region[top : top + height, left : left + width] = next(numbers)
    return True


def _grow_corridor(rng: np.random.Generator, region: np.ndarray, start: Cell, number: int) -> None:
    """Adds a tree of corridors through all odd cells within reach, depth first."""
    region[start] = number
    stack = [start]
    while stack:
        row, column = stack[-1]
        ways = [(dy, dx) for dy, dx in SIDES if _is_wall(region, row + 2 * dy, column + 2 * dx)]
        if not ways:
            stack.pop()
            continue
        dy, dx = ways[int(rng.integers(len(ways)))]
        region[row + dy, column + dx] = region[row + 2 * dy, column + 2 * dx] = number
        stack.append((row + 2 * dy, column + 2 * dx))


def _is_wall(region: np.ndarray, row: int, column: int) -> bool:
    return 0 < row < len(region) and 0 < column < len(region) and region[row, column] == 0


def _connect(rng: np.random.Generator, region: np.ndarray, free: np.ndarray, loops: float) -> None:
    """Opens walls between regions: those that connect two of them (Kruskal's algorithm), and some others."""
    leader = list(range(int(region.max()) + 1))

    def find(number: int) -> int:
        while leader[number] != number:
            number = leader[number]
        return number

    size = len(region)
    walls = [
        (row, column, dy, dx)
        for row in range(1, size - 1)
        for column in range(1, size - 1)
        for dy, dx in ((1, 0), (0, 1))
        if not free[row, column] and 0 < region[row - dy, column - dx] != region[row + dy, column + dx] > 0
    ]
    for number in rng.permutation(len(walls)):
        row, column, dy, dx = walls[number]
        one, other = find(region[row - dy, column - dx]), find(region[row + dy, column + dx])
        if one != other or rng.random() < loops:
            leader[one] = other
            free[row, column] = True


def _close_dead_ends(rng: np.random.Generator, free: np.ndarray, stay: float) -> None:
    """Fills dead ends, cell by cell, up to where they branch."""
    ends = [cell for cell in _cells(free) if _is_end(free, cell)]
    for cell in ends:
        if rng.random() < stay:
            continue
        while _is_end(free, cell) and free.sum() > 2:
            (onward,) = neighbours(free, cell)
            free[cell] = False
            cell = onward


def _is_end(free: np.ndarray, cell: Cell) -> bool:
    return bool(free[cell]) and len(neighbours(free, cell)) == 1


def _cells(free: np.ndarray) -> list[Cell]:
    return [(int(row), int(column)) for row, column in np.argwhere(free)]


def neighbours(free: np.ndarray, cell: Cell) -> list[Cell]:
    """The adjacent free cells."""
    return [(cell[0] + dy, cell[1] + dx) for dy, dx in SIDES if free[cell[0] + dy, cell[1] + dx]]


def distances(free: np.ndarray, start: Cell) -> np.ndarray:
    """Steps from a cell to each cell, -1 where there is no path; int [rows, columns]."""
    found = np.full(free.shape, -1)
    found[start] = 0
    queue = deque([start])
    while queue:
        cell = queue.popleft()
        for beside in neighbours(free, cell):
            if found[beside] < 0:
                found[beside] = found[cell] + 1
                queue.append(beside)
    return found


def shortest_path(free: np.ndarray, start: Cell, goal: Cell) -> list[Cell]:
    """The cells of a shortest path without the start; empty if there is none or start and goal are equal."""
    steps = distances(free, goal)
    cells: list[Cell] = []
    cell = start
    while steps[cell] > 0:
        cell = next(beside for beside in neighbours(free, cell) if steps[beside] == steps[cell] - 1)
        cells.append(cell)
    return cells
