"""Frames of scenes that are known."""

import math

import numpy as np
import pytest

from a3crepro.worlds.renderer import FAR, SIDE, Camera, Scene, cast, render

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
