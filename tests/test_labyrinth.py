"""Mazes that can be walked, and the labyrinth."""

import math

import numpy as np
import pytest

from a3crepro.config import compose
from a3crepro.worlds import maze
from a3crepro.worlds.labyrinth import ACTIONS

# ---- Mazes -----------------------------------------------------------------------------------------------------------


def check_maze(size, rooms, seed):
    dead_ends = 0.8 * (rooms == 0 or seed % 2)
    free = maze.make_maze(np.random.default_rng(seed), size, rooms, loops=0.1, dead_ends=dead_ends)
    cells = np.argwhere(free)
    assert free.shape == (size, size) and not free[[0, -1]].any() and not free[:, [0, -1]].any()
    steps = maze.distances(free, tuple(cells[0]))
    assert (steps[free] >= 0).all() and (steps[~free] == -1).all()  # all of it is connected
    assert np.array_equal(free, maze.make_maze(np.random.default_rng(seed), size, rooms, 0.1, dead_ends))


@pytest.mark.parametrize(("size", "rooms"), [(11, 4), (15, 8), (21, 20), (7, 0)])
def test_every_maze_is_connected(size, rooms):
    for seed in range(150):
        check_maze(size, rooms, seed)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "rooms"), [(11, 4), (15, 8), (21, 20)])
def test_thousands_of_mazes_are_connected(size, rooms):
    for seed in range(1000, 4000):
        check_maze(size, rooms, seed)


@pytest.mark.parametrize("size", [7, 11, pytest.param(21, marks=pytest.mark.slow)])
def test_the_greatest_start_distance_is_met_by_many_mazes(size):
    settings = compose("env=labyrinth", f"env.size={size}", f"env.start_distance={size}").env
    longest = []
    for seed in range(100):
        free = maze.make_maze(np.random.default_rng(seed), size, settings.rooms, settings.loops, settings.dead_ends)
        longest.append(max(maze.distances(free, tuple(cell)).max() for cell in np.argwhere(free)))
    assert np.mean(np.array(longest) >= size) > 0.2


def test_rooms_are_as_many_as_there_is_room_for():
    """A room has cells with no wall within a step; corridors have none."""

    def rooms(seed, number):
        free = maze.make_maze(np.random.default_rng(seed), 11, number, 0.0, 0.0)
        open_cells = [
            cell for cell in np.argwhere(free) if free[cell[0] - 1 : cell[0] + 2, cell[1] - 1 : cell[1] + 2].all()
        ]
        return len(open_cells)

    assert np.mean([rooms(seed, 4) for seed in range(50)]) > 1.5 * np.mean([rooms(seed, 1) for seed in range(50)])


def check_episode(env, seed):
    env.reset(seed=seed)
    start, portal = env.cell, tuple(env.portal)
    steps = maze.distances(env.free, start)
    assert steps[portal] >= env.parameters.start_distance
    assert all(steps[tuple(apple)] >= 0 for apple in env.apples)
    assert portal not in {tuple(apple) for apple in env.apples} and env.apples_left.all()
    return env.free.tobytes(), env.walls.tobytes()


def test_apples_and_portal_can_be_reached_and_the_start_is_far_from_the_portal():
    env = compose("env=labyrinth").env.make(training=True)
    seen = [check_episode(env, seed) for seed in range(100)]
    assert len({maze for maze, _ in seen}) > 95 and len({walls for _, walls in seen}) > 95


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), [("labyrinth", 11), ("labyrinth_medium", 15), ("labyrinth_large", 21)])
def test_thousands_of_episodes_can_be_played(name, size):
    env = compose(f"env={name}").env.make(training=True)
    assert env.parameters.size == size
    for seed in range(2000):
        check_episode(env, seed)


def test_the_static_maze_stays_and_its_start_does_not():
    env = compose("env=labyrinth_static").env.make(training=True)
    seen = {check_episode(env, seed) for seed in range(10)}
    starts = set()
    for seed in range(10):
        env.reset(seed=seed)
        starts.add(env.cell)
    assert len(seen) == 1 and len(starts) > 2
    other = compose("env=labyrinth_static", "env.maze_seed=5").env.make(training=True)
    assert check_episode(other, 0) not in seen


def test_a_shortest_way_leads_from_cell_to_cell():
    free = maze.make_maze(np.random.default_rng(3), 15, 8, 0.1, 0.5)
    cells = [tuple(map(int, cell)) for cell in np.argwhere(free)]
    for goal in cells[::7]:
        path = maze.shortest_path(free, cells[0], goal)
        assert len(path) == maze.distances(free, cells[0])[goal]
        for here, there in zip([cells[0], *path], path, strict=False):
            assert abs(here[0] - there[0]) + abs(here[1] - there[1]) == 1 and free[there]


# ---- The labyrinth ---------------------------------------------------------------------------------------------------


@pytest.fixture
def corridor():
    """A labyrinth brought to a known state: a corridor along x, the agent in the middle of its second cell."""
    env = compose("env=labyrinth", "env.inertia=0", "env.start_distance=8").env.make(training=True)
    env.reset(seed=0)
    env.free = np.zeros((11, 11), bool)
    env.free[5, 1:10] = True
    env.grid = np.ascontiguousarray(np.where(env.free, 0, 1), np.int32)
    env.portal, env.apples = np.array([5, 9]), np.array([[5, 4], [5, 5]])
    env.from_portal = maze.distances(env.free, (5, 9))
    env.apples_left = np.ones(2, bool)
    env.x, env.y, env.angle = 2.5, 5.5, 0.0
    return env


def test_walking_takes_its_time_and_collects(corridor):
    per_step = 3.0 * 4 / 60
    rewards = [corridor.step(ACTIONS.index("forward"))[1:] for _ in range(10)]
    assert corridor.x == pytest.approx(2.5 + 10 * per_step)
    assert [reward for reward, *_ in rewards] == [0.0] * 7 + [1.0, 0.0, 0.0]  # within half a cell of the apple
    assert rewards[7][3] == {"apples": 1, "portals": 0} and corridor.apples_left.tolist() == [False, True]


def test_the_portal_moves_the_agent_and_brings_back_the_apples(corridor):
    corridor.x = 8.2
    corridor.apples_left[:] = False
    _, reward, terminated, truncated, info = corridor.step(ACTIONS.index("forward"))[0:5]
    for _ in range(3):
        if reward:
            break
        _, reward, terminated, truncated, info = corridor.step(ACTIONS.index("forward"))
    assert reward == 10.0 and info == {"apples": 0, "portals": 1} and not terminated and not truncated
    assert corridor.apples_left.all() and corridor.from_portal[corridor.cell] >= 8


@pytest.mark.parametrize(
    ("action", "moved", "turned"),
    [
        ("look left", (0, 0), -12),
        ("look right", (0, 0), 12),
        ("strafe left", (0, -0.1), 0),
        ("strafe right", (0, 0.1), 0),
        ("forward", (0.2, 0), 0),
        ("backward", (-0.1, 0), 0),
    ],
)
def test_what_actions_do(corridor, action, moved, turned):
    corridor.step(ACTIONS.index(action))
    np.testing.assert_allclose((corridor.x - 2.5, corridor.y - 5.5), moved, atol=1e-9)
    assert math.degrees((corridor.angle + math.pi) % (2 * math.pi) - math.pi) == pytest.approx(turned)


def test_walls_are_slid_along(corridor):
    corridor.angle = math.pi / 4
    for _ in range(10):
        corridor.step(ACTIONS.index("forward"))
    assert corridor.y == pytest.approx(6 - 0.2, abs=0.06) and corridor.x > 3.5


def test_inertia_delays():
    env = compose("env=labyrinth", "env.inertia=0.9").env.make(training=True)
    env.reset(seed=0)
    before = env.angle
    env.step(ACTIONS.index("look right"))
    assert 0 < math.degrees(env.angle - before) % 360 < 12 * 0.3


def test_an_episode_has_sixty_seconds():
    env = compose("env=labyrinth").env.make(training=True)
    env.reset(seed=0)
    ends = [env.step(0)[2:4] for _ in range(900)]
    assert ends == [(False, False)] * 899 + [(False, True)]


def test_there_may_be_no_apples():
    env = compose("env=labyrinth", "env.apple_density=0").env.make(training=True)
    env.reset(seed=0)
    assert env.step(4)[0].any() and env.sprites().shape == (1, 5)
