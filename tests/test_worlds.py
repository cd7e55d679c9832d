"""Labyrinth and racing: pictures of scenes that are known, mazes that can be walked, cars that can be driven."""

import json
import math
import os
import shutil
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import a3crepro.worlds
from a3crepro import play
from a3crepro.cli import main
from a3crepro.common.plain import from_arrays, to_arrays
from a3crepro.common.settings import UserError
from a3crepro.config import choices, compose
from a3crepro.play import Window
from a3crepro.runs.policies import ConstantPolicy
from a3crepro.worlds import maze, renderer
from a3crepro.worlds.first_person import FirstPersonEnv
from a3crepro.worlds.labyrinth import ACTIONS, LabyrinthParameters
from a3crepro.worlds.racing import RacingParameters, action_of, steering_and_pedal
from a3crepro.worlds.renderer import FAR, SIDE, Camera, Scene, cast, render
from a3crepro.worlds.track import PIXELS, POINTS, Track

ROOT = Path(__file__).resolve().parent.parent
DIFFERENT = ["labyrinth", "racing/slow_bots"]
RACES = ["racing/slow", "racing/slow_bots", "racing/fast", "racing/fast_bots"]
ENVS = ["labyrinth", "labyrinth_static", "labyrinth_medium", "labyrinth_large", *RACES]

# ---- Pictures --------------------------------------------------------------------------------------------------------

RED, GREEN, BLUE, WHITE = (250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 250)
RIGHT_ANGLE = math.pi / 2
NOTHING = np.zeros((0, 5))


def plain(color, side=4):
    return np.full((side, side, 3), color, np.uint8)


def room(walls=(RED,), figures=(), height=1.0):
    """A square room of 4 x 4 cells, its walls red, the ground green, the ceiling blue."""
    grid = np.ones((6, 6), np.int32)
    grid[1:5, 1:5] = 0
    pictures = [np.dstack([plain(color), np.full((4, 4), 255, np.uint8)]) for color in figures] or [np.zeros((4, 4, 4))]
    return Scene(grid, np.stack([plain(color) for color in walls]), plain(GREEN), 4.0, plain(BLUE), 4.0,
                 np.stack(pictures).astype(np.uint8), height)  # fmt: skip


def column(picture, x):
    """The colours of a column, from top to bottom, each with its number of pixels."""
    found = []
    for color in picture[:, :, x].T.tolist():
        if found and found[-1][0] == tuple(color):
            found[-1][1] += 1
        else:
            found.append([tuple(color), 1])
    return [(color, count) for color, count in found]


def test_a_wall_straight_ahead_is_as_high_as_its_distance_says():
    for distance in (1.0, 2.0, 3.0):
        picture = render(room(), Camera(5 - distance, 3.0, 0.0, 0.5, RIGHT_ANGLE), NOTHING)
        tall = 42 / distance  # with a field of 90 degrees the picture's plane is 42 pixels away
        for x in (41, 42):
            colors = column(picture, x)
            assert [color for color, _ in colors] == [BLUE, RED, GREEN]
            assert abs(colors[1][1] - tall) <= 1 and abs(colors[0][1] - (84 - tall) / 2) <= 1


def test_a_low_eye_sees_more_ceiling_than_ground_and_a_high_wall_fills_more():
    colors = column(render(room(), Camera(3.0, 3.0, 0.0, 0.25, RIGHT_ANGLE), NOTHING), 42)
    # the wall is 2 away: 0.25 below the eye and 0.75 above it, 21 pixels a unit
    np.testing.assert_allclose([count for _, count in colors], [42 - 15.75, 21, 42 - 5.25], atol=1)
    colors = column(render(room(height=3.0), Camera(3.0, 3.0, 0.0, 0.25, RIGHT_ANGLE), NOTHING), 42)
    assert [color for color, _ in colors] == [RED, GREEN]


def test_a_wide_field_shows_smaller_things():
    tall = []
    for degrees in (60, 90, 120):
        picture = render(room(), Camera(3.0, 3.0, 0.0, 0.5, math.radians(degrees)), NOTHING)
        tall.append(column(picture, 42)[1][1])
        assert abs(tall[-1] - 0.5 * 42 / math.tan(math.radians(degrees / 2))) <= 1
    assert tall[0] > tall[1] > tall[2]


@pytest.mark.parametrize(("angle", "shade"), [(0.0, 1.0), (math.pi, 1.0), (RIGHT_ANGLE, 0.75), (-RIGHT_ANGLE, 0.75)])
def test_the_four_directions_and_their_shade(angle, shade):
    picture = render(room(), Camera(3.0, 3.0, angle, 0.5, 1.0), NOTHING)
    (wall,) = {color for color, _ in column(picture, 42) if color not in (BLUE, GREEN)}
    assert wall == (math.ceil(250 * shade), 0, 0)


def test_left_is_left_and_turning_moves_the_picture():
    world = room((RED, WHITE))
    world.grid[:, 5] = [1, 1, 1, 2, 2, 2]  # straight ahead of an eye that looks along x: red on the left, then white
    ahead = render(world, Camera(2.0, 3.0, 0.0, 0.5, RIGHT_ANGLE), NOTHING)
    assert ahead[:, 42, 30].tolist() == list(RED) and ahead[:, 42, 50].tolist() == list(WHITE)
    turned = render(world, Camera(2.0, 3.0, 0.4, 0.5, RIGHT_ANGLE), NOTHING)  # to the right: things move to the left
    assert turned[:, 42, 30].tolist() == list(WHITE)


def test_textures_are_the_right_way_up_and_not_mirrored():
    world = room()
    texture = np.zeros((1, 4, 4, 3), np.uint8)
    texture[0, 0], texture[0, 3] = WHITE, BLUE  # the upper edge white, the lower one blue
    texture[0, 1:3, 0] = RED  # where y begins
    picture = render(world._replace(walls=texture, ceiling=plain(GREEN)), Camera(3.6, 3.5, 0.0, 0.5, 1.2), NOTHING)
    colors = [color for color, _ in column(picture, 42)]
    assert colors[:2] == [GREEN, WHITE] and colors[-2:] == [BLUE, GREEN]
    across = picture[0, 42]  # red, where a cell begins: each time to the left of black
    assert across[30] == 250 and across[42] == 0


def test_the_ground_lies_where_it_is():
    ground = np.zeros((8, 8, 3), np.uint8)
    ground[3, 5] = WHITE  # the square from (5, 3) to (6, 4)
    world = Scene(np.zeros((1, 1), np.int32), np.zeros((1, 1, 1, 3), np.uint8), ground, 1.0, plain(BLUE), 1.0,
                  np.zeros((1, 1, 1, 4), np.uint8), 1.0)  # fmt: skip
    picture = render(world, Camera(2.5, 3.5, 0.0, 1.0, RIGHT_ANGLE), NOTHING)
    white = np.argwhere(picture[0] == 250)
    near = white[white[:, 0] >= 42 + 42 / 3.6]  # it repeats itself farther away
    # the near edge is 2.5 away, 42 / 2.5 pixels below the horizon, and as wide
    assert abs(near[:, 0].max() - (42 + 16.8)) <= 1
    row = near[near[:, 0] == near[:, 0].max(), 1]
    assert abs(len(row) - 16.8) <= 1.5 and abs(row.mean() - 41.5) <= 1


def test_what_stands_upright_is_as_large_as_its_distance_says_and_hidden_by_walls():
    world, eye = room(figures=(WHITE,)), Camera(2.0, 3.0, 0.0, 0.5, RIGHT_ANGLE)
    thing = np.array([[4.0, 3.0, 0, 0.5, 0.0]])
    picture = render(world, eye, thing)
    rows, columns = np.nonzero(picture[0] & picture[1] & picture[2])
    assert np.ptp(rows) + 1 == pytest.approx(10.5, abs=1) and np.ptp(columns) + 1 == pytest.approx(10.5, abs=1)
    assert rows.max() + 1 == pytest.approx(42 + 10.5, abs=1)  # it stands on the ground
    world.grid[3, 3] = world.grid[2, 3] = 1
    assert np.array_equal(render(world, eye, thing), render(world, eye, NOTHING))
    behind = np.array([[1.5, 3.0, 0, 0.5, 0.0]])
    assert np.array_equal(render(world, eye, behind), render(world, eye, NOTHING))


def test_the_nearer_of_two_things_hides_the_other_in_either_order():
    world, eye = room(figures=(WHITE, BLUE)), Camera(1.5, 3.0, 0.0, 0.5, RIGHT_ANGLE)
    near, far = [2.5, 3.0, 1, 0.5, 0.0], [4.5, 3.0, 0, 0.5, 0.0]
    one, other = (render(world, eye, np.array(things)) for things in ([near, far], [far, near]))
    assert np.array_equal(one, other) and one[:, 55, 42].tolist() == list(BLUE)


def test_transparent_parts_show_what_is_behind():
    world = room(figures=(WHITE,))
    world.sprite_images[0, :, :2, 3] = 0
    picture = render(world, Camera(2.0, 3.0, 0.0, 0.5, RIGHT_ANGLE), np.array([[4.0, 3.0, 0, 0.5, 0.0]]))
    white = picture.min(axis=0) == 250
    assert not white[:, :42].any() and white[:, 43:].any()


def test_a_ray_meets_the_first_wall_on_its_way():
    grid = np.zeros((5, 7), np.int32)
    grid[2, 4], grid[0, 2] = 3, 2
    assert cast(grid, 1.5, 2.25, 1.0, 0.0) == (2.5, 0.25, 2, False)
    distance, across, texture, facing_y = cast(grid, 2.5, 2.5, 0.0, -0.5)
    assert (distance, across, texture, facing_y) == (3.0, 0.5, 1, True)
    assert cast(grid, 1.5, 3.5, 1.0, 0.0)[0] == FAR and cast(grid, -5.0, 2.5, -1.0, 0.0)[2] == -1


@pytest.mark.parametrize("beside", [0.0, 1e-9, 1e-3])
def test_a_ray_along_the_edge_of_cells_meets_what_it_goes_to(beside):
    grid = np.zeros((5, 5), np.int32)
    grid[:, 2], grid[0] = 1, 2  # a wall beside the ray, and the one it goes to
    assert cast(grid, 3 + beside, 4.5, 0.0, -1.0)[::2] == (3.5, 1)
    grid = np.ascontiguousarray(grid.T)
    assert cast(grid, 4.5, 3 + beside, -1.0, 0.0)[::2] == (3.5, 1)


def test_any_pose_is_drawn(monkeypatch):
    world, rng = room(figures=(WHITE,)), np.random.default_rng(0)
    for _ in range(300):
        eye = Camera(*rng.uniform(1.01, 4.99, 2), rng.uniform(-10, 10), rng.uniform(0.1, 0.9), rng.uniform(0.3, 2.5))
        things = np.column_stack(
            [rng.uniform(1, 5, (6, 2)), np.zeros(6), rng.uniform(0.1, 1, 6), rng.uniform(0, 0.5, 6)]
        )
        monkeypatch.setattr(np, "empty", lambda shape, dtype=float: np.full(shape, 130, dtype))
        picture = render(world, eye, things)
        assert picture.shape == (3, SIDE, SIDE) and np.array_equal(picture, render(world, eye, things))
        seen = {tuple(color) for color in (picture.reshape(3, -1).T // 125).tolist()}
        assert seen <= {(2, 0, 0), (1, 0, 0), (0, 2, 0), (0, 0, 2), (2, 2, 2)}  # nothing is left as it was


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
        path = maze.way(free, cells[0], goal)
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


# ---- Racing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", POINTS)
def test_a_track_is_closed_and_smooth_and_its_road_is_where_it_should_be(name):
    track = Track(name, 12.0)
    steps = np.hypot(*(np.roll(track.center, -1, axis=0) - track.center).T)
    assert steps.max() < 1.1 and steps.min() > 0.8
    bends = np.abs((np.diff(track.heading) + math.pi) % (2 * math.pi) - math.pi)
    assert bends.max() < 0.15  # no corner
    grey = track.ground[tuple((track.center[::5, ::-1] * PIXELS).astype(int).T)]
    assert (np.ptp(grey.astype(int), axis=1) < 40).all()  # road or line
    beside = track.ground[tuple(((track.center + 11 * track.right)[::5, ::-1] * PIXELS).astype(int).T)].astype(int)
    assert np.mean(beside[:, 1] > beside[:, 0] + 20) > 0.9  # grass, but where the road comes back
    aside = ((track.racing_line - track.center) * track.right).sum(1)
    assert np.abs(aside).max() <= 4.001


def test_a_place_on_the_track():
    track = Track("oval", 12.0)
    for index in (0, 100, 333):
        x, y = track.center[index] + 2.5 * track.right[index]
        place = track.place(x, y)
        assert abs(place.number - index) <= 1 and place.aside == pytest.approx(2.5, abs=0.1)
        assert track.place(x, y, near=index - 9) == place


def straight(env):
    """At rest on a straight piece of the oval."""
    env.reset(seed=0)
    env.bots = env.bots[:0]
    env.bot_lanes, env.bot_speeds = env.bots, env.bots
    env.x, env.y = map(float, env.track.center[40])
    env.at, env.angle = 40, float(env.track.heading[40])
    return env


def test_there_is_no_reverse_gear():
    """Not by steering, either: a turned wheel at rest is no engine."""
    env = compose("env=racing/fast", "env.track=oval").env.make(training=True)
    for number in range(9):
        straight(env)
        for start in (0.0, 2.0):
            env.along = start
            for _ in range(20 * 60):
                env._drive(*steering_and_pedal(number))
                assert env.along >= 0
            assert env.along > 5 if steering_and_pedal(number)[1] == 1 else env.along <= start


@pytest.fixture
def car():
    return straight(compose("env=racing/fast", "env.track=oval").env.make(training=True))


def test_the_throttle_brings_the_car_near_its_top_speed_and_the_brake_stops_it(car):
    settings = car.parameters.car
    car.step(action_of(0, 1))
    assert car.along == pytest.approx(settings.acceleration * 4 / 60, rel=0.02)
    for _ in range(60 * 30):
        car._drive(0, 1)
    assert 0.95 * settings.top_speed < car.along <= settings.top_speed
    for _ in range(60 * 10):
        car._drive(0, -1)
    assert car.along == pytest.approx(0, abs=1e-6)


def test_steering_turns_to_its_side_within_the_grip(car):
    for way in (-1, 1):
        straight(car)
        car.along = 20.0
        for _ in range(60):
            car._drive(way, 0)
            assert abs(car.along * car.turning) < 1.4 * car.parameters.car.grip * 9.81
        assert car.turning * way > 0.1


def test_the_reward_is_the_way_along_the_track(car):
    car.along = 10.0
    _, reward, *_, info = car.step(action_of(0, 0))
    assert info["metres"] == pytest.approx(10 * 4 / 60, rel=0.02) and reward == pytest.approx(0.1 * info["metres"])
    car.angle += math.pi  # the wrong way round
    assert car.step(action_of(0, 0))[1] < 0


def test_leaving_the_road_and_standing_still_end_the_episode_after_a_while(car):
    steps = 0
    while not car.step(action_of(0, 0))[2]:
        steps += 1
    assert steps == 5 * 15
    straight(car)
    for slower, standing in ((-0.1, True), (0.1, False)):
        car.along = car.parameters.standing_speed + slower
        car._progress()
        assert bool(car.standing) == standing
    straight(car)
    car.angle += math.pi / 2
    steps, off = 0, 0
    while not (end := car.step(action_of(0, 1)))[2]:
        off += car.off_road > 0
    assert 2 * 15 - 1 <= off <= 2 * 15 + 1 and not end[3]


@pytest.mark.parametrize(("ahead", "along"), [(1.5, 4.0), (-1.5, 20.0)])
def test_who_runs_into_an_opponent_loses_speed_and_who_is_run_into_does_not(car, ahead, along):
    car.along = 20.0
    car.bots, car.bot_lanes = np.array([(40 + ahead) * car.track.spacing]), np.zeros(1)
    car.bot_speeds = np.array([8.0])
    car._meet_opponents()
    assert car.along == pytest.approx(along)
    x, y = car.track.point(float(car.bots[0]))
    assert math.hypot(car.x - x, car.y - y) >= 2.0


def test_grass_is_slow(car):
    reached = []
    for aside in (0.0, 9.0):
        straight(car)
        car.x, car.y = map(float, car.track.point(40 * car.track.spacing, aside))
        car._progress()
        for _ in range(60):
            car._drive(0, 1)
        reached.append(car.along)
    settings = car.parameters.car
    assert reached[0] - reached[1] == pytest.approx(settings.grass, rel=0.3) and reached[1] > 1


@pytest.mark.parametrize("track", POINTS)
def test_the_scripted_driver_brings_a_slow_car_onto_its_line_from_any_start(track, monkeypatch):
    """Where a bend is so wide that it asks for less than the wheel turns in a step, too."""
    monkeypatch.setattr(FirstPersonEnv, "observe", lambda self: None)
    settings = compose("env=racing/slow", f"env.track={track}").env
    made, driver = settings.make(training=False), settings.players()["expert"]
    for seed in range(30):
        made.reset(seed=seed)
        driver.start_episode(made)
        for _ in range(15 * 15):
            made.advance(driver.act(None, None))
            assert made.off_road == 0


@pytest.mark.parametrize("words", [("env.road_width=8",), ("env.road_width=30", "env.opponents.number=30")])
def test_the_driver_has_a_plan_on_any_road(words):
    settings = compose("env=racing/slow_bots", *words).env
    made, driver = settings.make(training=False), settings.players()["expert"]
    made.reset(seed=0)
    driver.start_episode(made)
    metres = sum(made.advance(driver.act(None, None))[3]["metres"] for _ in range(300))
    assert metres > 80


def test_opponents_move_smoothly():
    track = Track("oval", 12.0)
    points = np.array([track.point(distance, 2.0) for distance in np.arange(0, track.length, 0.1)])
    steps = np.hypot(*np.diff(points, axis=0).T)
    assert steps.max() < 0.15 and steps.min() > 0.05


@pytest.mark.parametrize("env", [pytest.param(env, marks=() if env == RACES[3] else pytest.mark.slow) for env in RACES])
def test_the_scripted_driver_stays_on_the_road_and_overtakes(env, monkeypatch):
    monkeypatch.setattr(FirstPersonEnv, "observe", lambda self: np.zeros((3, 84, 84), np.uint8))
    settings = compose(f"env={env}").env
    made, driver = settings.make(training=False), settings.players()["expert"]
    for seed in range(1 if env == RACES[3] else 5):
        made.reset(seed=seed)
        driver.start_episode(made)
        before, ended = made.bots - made.at * made.track.spacing, False
        laps = 0
        while not ended:
            at = made.at
            _, _, terminated, ended, _ = made.step(driver.act(None, None))
            laps += made.at < at - 500
            assert not terminated
        after = made.bots - (made.at + laps * len(made.track.center)) * made.track.spacing
        assert laps >= 1 and len(before) == settings.opponents.number
        assert (after < before).all()  # it was faster than all of them


def test_opponents_drive_on_and_are_seen():
    env = compose("env=racing/slow_bots").env.make(training=True)
    env.reset(seed=1)
    before = env.bots.copy()
    env.step(action_of(0, 0))
    np.testing.assert_allclose(env.bots - before, env.bot_speeds * 4 / 60)
    env.bots[0] = env.at * env.track.spacing + 8
    env.bot_lanes[0] = 0
    yellow = (env.observe()[0].astype(int) - env.observe()[2]) > 150
    assert yellow.sum() > 50


def test_the_four_settings_differ_as_they_should():
    settings = [compose(f"env={env}").env for env in RACES]
    tops, opponents = [one.car.top_speed for one in settings], [one.opponents.number for one in settings]
    assert tops[0] == tops[1] < tops[2] == tops[3]
    assert opponents[0] == opponents[2] == 0 < opponents[1] == opponents[3]


# ---- Both ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("env_id", a3crepro.worlds.ENVIRONMENTS)
@pytest.mark.filterwarnings("error")
def test_gymnasium_s_checker_has_nothing_to_say(env_id):
    check_env(gymnasium.make(env_id, render_mode="rgb_array").unwrapped)


def test_gymnasium_finds_a_world_by_its_module_or_by_the_plugin_alone():
    plugins = {entry.name: entry.value for entry in entry_points(group="gymnasium.envs")}
    name = "" if plugins.get("a3crepro") == "a3crepro.worlds:register_envs" else "a3crepro.worlds:"
    code = f"import gymnasium; print(gymnasium.make('{name}a3crepro/Racing-v0', car={{'top_speed': 40}}).unwrapped)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("<RacingEnv<a3crepro/Racing-v0>"), done.stderr


def test_worlds_know_nothing_of_the_configuration():
    code = "import sys, a3crepro.worlds.labyrinth, a3crepro.worlds.racing; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "a3crepro.worlds.maze" in done.stdout and "hydra" not in done.stdout and "torch" not in done.stdout


@pytest.mark.parametrize(
    ("choice", "parameters"), [("labyrinth", LabyrinthParameters()), ("racing/slow", RacingParameters())]
)
def test_a_world_without_arguments_is_that_of_the_configuration(choice, parameters):
    ours, defaults = compose(f"env={choice}").env.model_dump(), parameters.model_dump()
    assert {key: ours[key] for key in defaults} == defaults


@pytest.mark.parametrize("env", DIFFERENT)
def test_a_state_is_a_copy_and_holds_nothing_but_the_state(env):
    settings = compose(f"env={env}").env
    one, other = settings.make(training=True), settings.make(training=False, render=True)
    one.reset(seed=1)
    other.reset(seed=2)
    state = settings.state(one)
    settings.restore(other, state)
    assert other.render() is not None
    rng = np.random.default_rng(0)
    actions = [int(rng.integers(one.action_space.n)) for _ in range(150)]
    seen = [one.step(action)[0].tobytes() for action in actions]
    assert [other.step(action)[0].tobytes() for action in actions] == seen
    settings.restore(other, state)
    assert [other.step(action)[0].tobytes() for action in actions] == seen


@pytest.mark.parametrize("env", DIFFERENT)
def test_the_emulator_s_speed_is_that_of_the_world_without_a_picture(env, monkeypatch):
    settings = compose(f"env={env}", "env.seconds=2").env
    episodes, env_class = [], settings.env_class
    begin = env_class.begin_episode
    monkeypatch.setattr(env_class, "begin_episode", lambda self: episodes.append(1) or begin(self))
    monkeypatch.setattr(renderer, "render", None)
    step = settings.emulator(0)
    for _ in range(100):
        step()
    assert len(episodes) > 3  # whole episodes, one after another


@pytest.mark.parametrize("env", ENVS)
def test_a_restored_environment_goes_on_as_the_first_one(env):
    settings = compose(f"env={env}").env
    one, other = settings.make(training=True), settings.make(training=True)
    one.reset(seed=1)
    other.reset(seed=2)

    def go_on(env, steps):
        rng, seen = np.random.default_rng(steps), []
        for _ in range(steps):
            observation, *rest = env.step(int(rng.integers(env.action_space.n)))
            seen.append((observation.tobytes(), *rest))
            if any(rest[1:3]):
                seen.append(env.reset()[0].tobytes())
        return seen

    for steps in (3, 200):
        go_on(one, steps)
        settings.restore(other, from_arrays(to_arrays(settings.state(one))))
        assert go_on(other, 150) == go_on(one, 150)
        assert one.reset()[0].tobytes() == other.reset()[0].tobytes()


@pytest.mark.parametrize(("env", "times"), [("labyrinth", 20), ("racing/slow", 10), ("racing/slow_bots", 10)])
def test_the_expert_is_far_better_than_chance(env, times):
    from a3crepro.runs.evaluation import evaluate
    from a3crepro.runs.policies import RandomPolicy

    config = compose(f"env={env}")
    expert = np.mean(list(evaluate(config, config.env.players()["expert"], 0, 0, 2)))
    chance = np.mean(list(evaluate(config, RandomPolicy(config.env.spaces()[1]), 0, 0, 2)))
    assert expert > times * max(chance, 1.0)


def test_the_expert_finds_the_portal_in_every_maze():
    from a3crepro.runs.evaluation import evaluate

    config = compose("env=labyrinth", "env.seconds=30")
    assert min(evaluate(config, config.env.players()["expert"], 0, 0, 8)) >= 10


def test_what_is_counted_beside_the_score_adds_up_to_it(capsys):
    from a3crepro.evaluate import evaluate_command

    evaluate_command(["env=labyrinth", "env.seconds=20", "policy=expert", "episodes=2"])
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["score_mean"] == told["apples"] + 10 * told["portals"] > 10


def test_a_policy_that_there_is_not_is_refused():
    from a3crepro.evaluate import evaluate_command

    with pytest.raises(UserError, match=r"^policy: got 'expert'; allowed for toy/catch without .*: constant, random$"):
        evaluate_command(["env=toy/catch", "policy=expert"])


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["env=labyrinth"], "policy: missing; allowed for labyrinth without a run's directory: constant, random, exp"),
        (["env=labyrinth", "policy=any"], "policy: got 'any'; allowed for labyrinth without a run's directory: const"),
        (["env=labyrinth", "policy=constant", "action=6"], "action: should be at most 5, got 6"),
        (["env=labyrinth", "policy=constant", "action=left"], "action: should be a whole number of at least 0"),
        (["env=toy/point_mass", "policy=constant", "action=2"], "action: should be within -1 and 1, got 2"),
        (["env=toy/point_mass", "policy=constant", "action=left"], "action: should be a number, got 'left'"),
        (["env=labyrinth", "policy=random", "action=1"], "action: goes with policy=constant"),
        (["env=toy/point_mass", "policy=random", "noise=1"], "noise: goes with policy=constant"),
        (["env=toy/point_mass", "policy=constant", "noise=-1"], "noise: should be a number of at least 0, got '-1'"),
        (["env=toy/point_mass", "policy=constant", "noise=nan"], "noise: should be a number of at least 0, got 'nan'"),
        (["env=labyrinth", "policy=constant", "noise=1"], "noise: goes with actions that are vectors"),
    ],
)
def test_an_action_that_there_is_not_is_refused(words, line):
    from a3crepro.evaluate import evaluate_command

    with pytest.raises(UserError, match=f"^{line}"):
        evaluate_command([*words, "episodes=1"])


def test_a_constant_policy_always_does_the_same(capsys):
    from a3crepro.evaluate import evaluate_command

    found = []
    for action in (action_of(0, 0), action_of(0, 1)):  # a car that keeps still, and one that speeds into the first bend
        evaluate_command(["env=racing/slow", "policy=constant", f"action={action}", "episodes=2"])
        found.append(json.loads(capsys.readouterr().out.splitlines()[-1])["score_mean"])
    assert found[0] == 0 and found[1] > 5


def test_noise_is_normal_around_the_constant_action():
    rng, policy = np.random.default_rng(0), ConstantPolicy(np.full(2, 0.5, np.float32), 0.2)
    actions = np.array([policy.act(np.zeros(1), rng) for _ in range(4_000)])
    assert actions.dtype == np.float32 and actions.shape == (4_000, 2)
    assert np.allclose(actions.mean(0), 0.5, atol=0.015) and np.allclose(actions.std(0), 0.2, atol=0.01)


@pytest.mark.parametrize("env", ENVS)
def test_a_person_s_picture_shows_view_and_map(env):
    made = compose(f"env={env}").env.make(training=False, render=True)
    made.reset(seed=0)
    picture = made.render()
    assert picture.shape == (336, 672, 3) and picture.dtype == np.uint8
    seen = made.observe().transpose(1, 2, 0)
    assert np.array_equal(picture[2::4, 2:336:4], seen) and picture[:, 336:].std() > 10


@pytest.mark.parametrize(
    ("env", "word", "line"),
    [
        ("labyrinth", "size=10", "env.size: should be an odd number from 7 to 101, got 10"),
        (
            "labyrinth",
            "start_distance=12",
            "env.start_distance: should be at most size = 11, got 12",
        ),
        ("labyrinth", "rooms=0", "env.dead_ends: should be above 0 where rooms is 0: there would be no maze"),
        ("labyrinth", "size=103", "env.size: should be an odd number from 7 to 101, got 103"),
        ("labyrinth", "rooms=101", "env.rooms: should be less than or equal to 100"),
        ("racing/slow", "seconds=1e18", "env.seconds: should be less than or equal to 3600"),
        ("racing/slow", "car.acceleration=1e300", "env.car.acceleration: should be less than or equal to 1000"),
        ("racing/slow", "car.gyration=1e-9", "env.car.gyration: should be greater than or equal to 0.1"),
        ("labyrinth", "seconds=0.5", "env.seconds: should be greater than or equal to 1"),
        ("labyrinth", "seconds=inf", "env.seconds: should be a finite number"),
        ("labyrinth", "seconds=two", "env.seconds: should be a valid number"),
        ("labyrinth", "field_of_view=200", "env.field_of_view: should be less than or equal to 150"),
        ("labyrinth", "speed=60", "env.speed: should be less than or equal to 10"),
        ("labyrinth", "inertia=1", "env.inertia: should be less than 1"),
        ("racing/slow_bots", "road_width=200", "env.road_width: should be less than or equal to 30"),
        ("racing/slow_bots", "road_width=nan", "env.road_width: should be a finite number"),
        ("racing/slow", "car.stiffness=200", "env.car.stiffness: should be at most 180 with these lengths and this"),
        ("racing/slow", "car.walking_pace=1e-12", "env.car.walking_pace: should be greater than or equal to 0.1"),
        ("racing/slow_bots", "car.steering=95", "env.car.steering: should be less than or equal to 60"),
        ("racing/slow", "eye_height=2000", "env.eye_height: should be less than or equal to 20"),
        ("racing/slow", "action_repeat=100000", "env.action_repeat: should be less than or equal to 60"),
        ("racing/slow", "standing_speed=1e9", "env.standing_speed: should be less than or equal to 200"),
        ("racing/slow_bots", "opponents.contact=1e9", "env.opponents.contact: should be less than or equal to 10"),
        ("labyrinth", "turning=1e308", "env.turning: should be less than or equal to 3600"),
        ("racing/slow_bots", "opponents.slowest=20", "env.opponents.slowest: should be at most fastest = 10, got 20"),
    ],
)
def test_a_world_that_cannot_be_is_refused(env, word, line):
    with pytest.raises(UserError, match=f"^{line}"):
        compose(f"env={env}", f"env.{word}")


@pytest.mark.parametrize(
    ("words", "title"),
    [
        (["env=racing/slow"], "racing/slow"),
        (["env=racing/fast_bots"], "racing/fast_bots"),
        (["env=racing/slow", "env.car.top_speed=40"], "racing/fast"),
        (["env=racing/slow", "env.car.top_speed=30", "env.opponents.number=2"], "racing/30_bots"),
        (["env=labyrinth_static"], "labyrinth_static"),
        (["env=labyrinth", "env.size=21"], "labyrinth_large"),
        (["env=labyrinth", "env.size=13"], "labyrinth_13"),
    ],
)
def test_a_world_is_called_what_it_is(words, title):
    assert compose(*words).env.title == title


@pytest.mark.parametrize("action", [-1, 9])
@pytest.mark.parametrize("env", DIFFERENT)
def test_an_action_that_is_none_is_refused(env, action):
    made = compose(f"env={env}").env.make(training=True)
    made.reset(seed=0)
    with pytest.raises(ValueError, match=f"^there is no action {action}: they are 0 to {made.action_space.n - 1}$"):
        made.step(action)


def test_a_maze_that_is_never_long_enough_is_refused():
    with pytest.raises(ValueError, match=r"start_distance: no maze of this size, rooms and dead_ends has 6 steps"):
        gymnasium.make("a3crepro/Labyrinth-v0", rooms=0, dead_ends=1e-9)


def test_a_maze_that_is_never_long_enough_is_told_before_anything_starts(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["env=labyrinth", "env.rooms=0", "env.dead_ends=1e-9", "threads=2", "frames=100"]
    monkeypatch.setattr(sys, "argv", ["a3crepro", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    (line,) = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2 and not list(tmp_path.iterdir())
    assert line.startswith("a3crepro: env.start_distance: no maze of this size, rooms and dead_ends has 6 steps")


@pytest.mark.parametrize("env", ["labyrinth", "racing/slow"])
def test_seconds_are_as_long_in_evaluation_and_action_repeat_sets_the_pace_of_a_film(env):
    config = compose(f"env={env}", "env.seconds=90", "env.action_repeat=2")
    assert config.evaluation.max_frames == 90 * 60 == 2 * config.env.episode_steps
    assert config.env.make(training=False).metadata["render_fps"] == 30


def test_a_player_who_does_not_look_gets_around_all_the_same():
    from a3crepro.runs.evaluation import evaluate
    from a3crepro.runs.policies import RandomPolicy

    config = compose("env=labyrinth")
    blind = np.mean(list(evaluate(config, config.env.players()["blind"], 0, 0, 6)))
    chance = np.mean(list(evaluate(config, RandomPolicy(config.env.spaces()[1]), 0, 0, 6)))
    assert 2 * max(chance, 1.0) < blind < 60


def test_all_of_them_can_be_chosen():
    assert set(ENVS) <= set(choices("env"))


# ---- A person --------------------------------------------------------------------------------------------------------


HIDDEN = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")
"""What tells pygame of a display."""


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("env=labyrinth", "play: there is no display to open a window on"),
        ("env=toy/catch", "env: toy/catch cannot be played by keys; allowed: Atari, MinAtar, labyrinth, racing"),
    ],
)
def test_what_cannot_be_played_is_said_in_one_line(monkeypatch, capsys, word, line):
    for name in HIDDEN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "argv", ["play", word])
    with pytest.raises(SystemExit) as ended:
        play.main()
    (told,) = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2 and line in told


def test_without_pygame_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pygame", None)
    with pytest.raises(UserError, match=r'^play: needs pygame; pip install "a3crepro\[play\]"$'):
        Window("any")


@pytest.fixture
def screen():
    """A virtual screen's number."""
    if shutil.which("Xvfb") is None:
        pytest.skip("needs Xvfb (Debian's xvfb)")
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "1400x800x24"], pass_fds=[write], stderr=subprocess.DEVNULL
    )
    os.close(write)
    with os.fdopen(read) as number:
        yield f":{number.readline().strip()}"
    server.terminate()
    server.wait()


PLAYED = """
import sys
from importlib.metadata import entry_points
from pathlib import Path
import pygame
from a3crepro import play

held, tapped, real = {held!r}, {tapped!r}, play.Window.show
shown = 0

class Keys:
    def __getitem__(self, code):
        return pygame.key.name(code) in held

def show(window, picture, caption, fps):
    global shown
    shown += 1
    if shown == 12:
        pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_ESCAPE))
    for name in tapped if shown == 3 else ():
        pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.key.key_code(name)))
    keys = real(window, picture, caption, 1000.0)
    assert window.surface.get_size() == (1344, 672), window.surface.get_size()
    assert pygame.surfarray.array3d(window.surface).std() > 10
    return keys

pygame.key.get_pressed = Keys
play.Window.show = show
play.play_command({words!r})
print("shown", shown, pygame.display.get_init())
"""


@pytest.mark.parametrize(
    ("env", "held", "tapped"),
    [
        ("racing/slow_bots", ["up", "left"], []),
        pytest.param("racing/slow", [], ["up"], marks=pytest.mark.slow),
        pytest.param("labyrinth", [], [], marks=pytest.mark.slow),
    ],
)
def test_a_person_can_play_in_a_window(tmp_path, screen, env, held, tapped):
    hidden = {key: value for key, value in os.environ.items() if key not in HIDDEN}
    environment = {**hidden, "DISPLAY": screen}
    code = PLAYED.format(held=held, tapped=tapped, words=[f"env={env}"])
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True,
                          timeout=60)  # fmt: skip
    assert done.returncode == 0, done.stderr
    stopped, shown = done.stdout.splitlines()
    assert shown == "shown 12 False" and stopped.startswith("stopped at ")
    assert (float(stopped.split()[2]) > 0) == bool(held or tapped)  # nobody pressed a key, or the car drives


@pytest.mark.parametrize(
    ("env", "keys", "action"),
    [
        ("labyrinth", ["left", "up"], "look left"),
        ("labyrinth", ["a"], "strafe left"),
        ("labyrinth", [], None),
        ("racing/slow", ["up", "right"], 6),
        ("racing/slow", [], 4),
        ("breakout", ["right"], "RIGHT"),
        ("breakout", ["space", "right"], "RIGHT"),
        ("breakout", ["space"], "FIRE"),
        ("seaquest", ["space", "up", "left"], "UPLEFTFIRE"),
        ("minatar/breakout", ["right"], 3),
        ("minatar/breakout", ["space"], 0),
    ],
)
def test_what_keys_mean(env, keys, action):
    settings = compose(f"env={env}").env
    made = settings.make(training=False)
    pressed = settings.pressed(made, frozenset(keys))
    if env == "labyrinth":
        pressed = None if pressed is None else ACTIONS[pressed]
    elif "racing" not in env:
        pressed = made.actions[pressed]
        pressed = getattr(pressed, "name", pressed)
    assert pressed == action
