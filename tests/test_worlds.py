"""Labyrinth and races, as Gymnasium environments and in the configuration."""

import json
import subprocess
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import a3crepro.worlds
from a3crepro.cli import main
from a3crepro.common.errors import UserError
from a3crepro.common.serialization import from_arrays, to_arrays
from a3crepro.config import choices, compose
from a3crepro.runs.policies import ConstantPolicy
from a3crepro.worlds import renderer
from a3crepro.worlds.labyrinth import LabyrinthParameters
from a3crepro.worlds.racing import RacingParameters, action_of

DIFFERENT = ["labyrinth", "racing/slow_bots"]
RACES = ["racing/slow", "racing/slow_bots", "racing/fast", "racing/fast_bots"]
ENVS = ["labyrinth", "labyrinth_static", "labyrinth_medium", "labyrinth_large", *RACES]


@pytest.mark.parametrize("env_id", a3crepro.worlds.ENVIRONMENTS)
@pytest.mark.filterwarnings("error")
def test_gymnasium_s_checker_has_nothing_to_say(env_id):
    check_env(gymnasium.make(env_id, render_mode="rgb_array").unwrapped)


def test_gymnasium_finds_a_world_by_its_module():
    world = "a3crepro.worlds:a3crepro/Racing-v0"
    code = f"import gymnasium; print(gymnasium.make('{world}', car={{'top_speed': 40}}).unwrapped)"
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
    state = settings.get_state(one)
    settings.set_state(other, state)
    assert other.render() is not None
    rng = np.random.default_rng(0)
    actions = [int(rng.integers(one.action_space.n)) for _ in range(150)]
    seen = [one.step(action)[0].tobytes() for action in actions]
    assert [other.step(action)[0].tobytes() for action in actions] == seen
    settings.set_state(other, state)
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
        settings.set_state(other, from_arrays(to_arrays(settings.get_state(one))))
        assert go_on(other, 150) == go_on(one, 150)
        assert one.reset()[0].tobytes() == other.reset()[0].tobytes()


@pytest.mark.parametrize(("env", "times"), [("labyrinth", 20), ("racing/slow", 10), ("racing/slow_bots", 10)])
def test_the_expert_is_far_better_than_chance(env, times):
    from a3crepro.runs.evaluation import evaluate
    from a3crepro.runs.policies import RandomPolicy

    config = compose(f"env={env}")
    expert = np.mean(list(evaluate(config, config.env.scripted_policies()["expert"], 0, 0, 2)))
    chance = np.mean(list(evaluate(config, RandomPolicy(config.env.spaces()[1]), 0, 0, 2)))
    assert expert > times * max(chance, 1.0)


def test_the_expert_finds_the_portal_in_every_maze():
    from a3crepro.runs.evaluation import evaluate

    config = compose("env=labyrinth", "env.seconds=30")
    assert min(evaluate(config, config.env.scripted_policies()["expert"], 0, 0, 8)) >= 10


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
        (["env=labyrinth", "policy=random", "action=1"], "action: only valid with policy=constant"),
        (["env=toy/point_mass", "policy=random", "noise=1"], "noise: only valid with policy=constant"),
        (["env=toy/point_mass", "policy=constant", "noise=-1"], "noise: should be a number of at least 0, got '-1'"),
        (["env=toy/point_mass", "policy=constant", "noise=nan"], "noise: should be a number of at least 0, got 'nan'"),
        (["env=labyrinth", "policy=constant", "noise=1"], "noise: only valid with vector actions"),
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
    overrides = ["env=labyrinth", "env.rooms=0", "env.dead_ends=1e-9", "threads=2", "frames=100"]
    monkeypatch.setattr(sys, "argv", ["a3crepro", *overrides])
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
    for words in (("env.seconds=8.3", "env.action_repeat=1"), ("env.seconds=16.6", "env.action_repeat=4")):
        odd = compose(f"env={env}", *words)
        assert -(-odd.evaluation.max_frames // odd.env.action_repeat) == odd.env.episode_steps


def test_a_player_who_does_not_look_gets_around_all_the_same():
    from a3crepro.runs.evaluation import evaluate
    from a3crepro.runs.policies import RandomPolicy

    config = compose("env=labyrinth")
    blind = np.mean(list(evaluate(config, config.env.scripted_policies()["blind"], 0, 0, 6)))
    chance = np.mean(list(evaluate(config, RandomPolicy(config.env.spaces()[1]), 0, 0, 6)))
    assert 2 * max(chance, 1.0) < blind < 60


def test_all_of_them_can_be_chosen():
    assert set(ENVS) <= set(choices("env"))
