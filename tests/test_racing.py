"""Tracks and cars that can be driven."""

import math

import numpy as np
import pytest

from a3crepro.config import compose
from a3crepro.worlds.first_person import FirstPersonEnv
from a3crepro.worlds.racing import action_of, steering_and_pedal
from a3crepro.worlds.track import PIXELS, POINTS, Track

RACES = ["racing/slow", "racing/slow_bots", "racing/fast", "racing/fast_bots"]


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
        place = track.locate(x, y)
        assert abs(place.nearest - index) <= 1 and place.aside == pytest.approx(2.5, abs=0.1)
        assert track.locate(x, y, near=index - 9) == place


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


def test_a_car_pushed_away_from_one_opponent_is_not_drawn_to_another(car):
    contact = car.parameters.opponents.contact
    ahead = np.array([0.3 * contact, 0.3 * contact + 0.2])  # both touch it, and both are on the same side
    car.bots, car.bot_lanes, car.bot_speeds = 40 * car.track.spacing + ahead, np.zeros(2), np.zeros(2)
    car._meet_opponents()
    away = np.hypot(*(car.track.points(car.bots, car.bot_lanes) - (car.x, car.y)).T)
    np.testing.assert_allclose(away, [contact, contact + 0.2], atol=1e-4)


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
    made, driver = settings.make(training=False), settings.scripted_policies()["expert"]
    for seed in range(30):
        made.reset(seed=seed)
        driver.start_episode(made)
        for _ in range(15 * 15):
            made.advance(driver.act(None, None))
            assert made.off_road == 0


@pytest.mark.parametrize("words", [("env.road_width=8",), ("env.road_width=30", "env.opponents.number=30")])
def test_the_driver_has_a_plan_on_any_road(words):
    settings = compose("env=racing/slow_bots", *words).env
    made, driver = settings.make(training=False), settings.scripted_policies()["expert"]
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
    made, driver = settings.make(training=False), settings.scripted_policies()["expert"]
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
