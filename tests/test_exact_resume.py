"""What is promised to the bit: environments' states, actor-learners' states, whole runs that are stopped and go on."""

import contextlib
import csv
import functools
import json
import signal
import subprocess
import time
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.classic_control import CartPoleEnv, PendulumEnv
from gymnasium.wrappers import (
    FrameStackObservation,
    NormalizeObservation,
    NormalizeReward,
    StickyAction,
    TimeAwareObservation,
    TimeLimit,
    TransformObservation,
)
from helpers import Noisy, Run, TellsNothing

from a3crepro.common.processes import CONTEXT
from a3crepro.common.serialization import from_arrays, to_arrays
from a3crepro.config import choices, compose
from a3crepro.execution import hogwild
from a3crepro.execution._execution import ResumePoint, States
from a3crepro.execution._worker_group import AllReduce, WorkerGroup
from a3crepro.execution.synchronous import work
from a3crepro.execution.virtual_time import Clock
from a3crepro.learner.actor_learner import ActorLearner
from a3crepro.learner.shared_state import Totals
from a3crepro.runs.checkpoint import load_checkpoint
from a3crepro.runs.training import initial_state, train

METHODS = ["a3c", "n_step_q", "one_step_q", "one_step_sarsa"]
GAMES = [name for name in choices("env") if "/" not in name and not name.startswith(("gym", "labyrinth"))]


def stored(tree):
    """A tree as it comes back from a checkpoint."""
    return from_arrays(to_arrays(tree))


# ---- Environments ----------------------------------------------------------------------------------------------------


def play(env, actions, steps, rng):
    """So many random steps, over ends of games, and everything that was seen."""
    seen = []
    for _ in range(steps):
        observation, reward, terminated, truncated, info = env.step(int(rng.integers(actions)))
        seen.append((observation.tobytes(), float(reward), terminated, truncated, sorted(info.items())))
        if terminated or truncated:
            seen.append(env.reset()[0].tobytes())
    return seen


def check_restored(overrides, before, after):
    settings = compose(*overrides).env
    env, other = settings.make(training=True), settings.make(training=True)
    actions = int(env.action_space.n)
    env.reset(seed=1)
    other.reset(seed=2)  # another game, in the middle of which it is brought to the first one's state
    play(other, actions, 7, np.random.default_rng(5))
    for moment in before:
        play(env, actions, moment, np.random.default_rng(moment))
        settings.set_state(other, stored(settings.get_state(env)))
        assert play(other, actions, after, np.random.default_rng(3)) == play(
            env, actions, after, np.random.default_rng(3)
        )


@pytest.mark.parametrize(
    "env",
    [
        "toy/catch",
        "toy/chain",
        "toy/cue_memory",
        *(f"minatar/{game}" for game in ("asterix", "breakout", "freeway", "seaquest", "space_invaders")),
        *("breakout", "qbert", "seaquest", "montezuma_revenge"),
    ],
)
def test_a_restored_environment_goes_on_as_the_first_one(env):
    check_restored([f"env={env}"], (1, 30, 400), 300)


@pytest.mark.slow
@pytest.mark.parametrize("game", GAMES)
def test_every_atari_game_is_restored(game):
    check_restored([f"env={game}"], (1, 200, 1500), 600)


def test_with_sticky_actions_the_emulator_does_not_tell_its_whole_state():
    assert compose("env=asterix").env.supports_exact_resume()
    assert not compose("env=asterix", "env.repeat_action_probability=0.25").env.supports_exact_resume()


@pytest.mark.parametrize(
    "name", ["CartPole-v1", "MountainCar-v0", "Acrobot-v1", "FrozenLake-v1", "CliffWalking-v1", "Blackjack-v1"]
)
def test_classic_tasks_are_restored(name):
    check_restored(["env=gym", f"env.id={name}"], (1, 30, 150), 150)


def replaced(env):
    """An environment whose step is not that of its class."""
    noise = np.random.default_rng(0)
    step = env.step
    env.step = lambda action: (*(out := step(action))[:1], noise.normal(), *out[2:])
    return env


class Longer(CartPoleEnv):
    """May hold anything."""


UNKNOWN = {
    "Own": TellsNothing,
    "Noisy": lambda: Noisy(CartPoleEnv()),
    "FrameStack": lambda: FrameStackObservation(CartPoleEnv(), 2),
    "Normalised": lambda: NormalizeObservation(CartPoleEnv()),
    "Rewards": lambda: NormalizeReward(CartPoleEnv()),
    "Time": lambda: TimeAwareObservation(TimeLimit(CartPoleEnv(), 500)),
    "Sticky": lambda: StickyAction(CartPoleEnv(), 0.25),
    "Transformed": lambda: TransformObservation(CartPoleEnv(), lambda seen: seen, CartPoleEnv().observation_space),
    "Derived": Longer,
    "Replaced": lambda: replaced(CartPoleEnv()),
    "ReplacedInside": lambda: TimeLimit(replaced(CartPoleEnv()), 500),
}
KNOWN = {
    "Bare": CartPoleEnv,
    "Limited": lambda: TimeLimit(CartPoleEnv(), 500),
    "Continuous": lambda: PendulumEnv(),
}


@pytest.mark.parametrize("name", [*UNKNOWN, *KNOWN])
def test_a_resume_is_exact_only_where_each_layer_of_the_environment_is_known(name):
    make = {**UNKNOWN, **KNOWN}[name]
    gymnasium.register(env_id := f"a3crepro-tests/{name}-v0", lambda **options: make())
    assert cartpole().model_copy(update={"id": env_id}).supports_exact_resume() == (name in KNOWN)


@functools.cache
def cartpole():
    return compose("env=gym").env


def test_a_run_says_where_its_resume_is_not_exact(tmp_path, capsys):
    words = ("execution=virtual_time", "threads=2", "frames=200", "network=mlp", "evaluation.episodes=0")
    for env, exact in (("helpers:a3crepro-tests/NoisyCartPole-v0", False), ("CartPole-v1", True)):
        directory = tmp_path / env.rpartition("/")[2]
        train(compose("env=gym", f"env.id={env}", *words), directory)
        assert ("cannot save its state" in capsys.readouterr().out) != exact
        assert json.loads((directory / "manifest.json").read_text())["starts"][0]["exact_resume"] == exact


# ---- Virtual time ----------------------------------------------------------------------------------------------------

CASES = [
    *((algo, "toy/chain", network) for algo in METHODS for network in ("mlp", "mlp_lstm")),
    *((algo, "minatar/breakout", "minatar") for algo in METHODS),
    ("a3c", "breakout", "mnih2013"),
    ("n_step_q", "breakout", "mnih2013"),
    ("one_step_sarsa", "breakout", "mnih2013"),
    ("a3c", "pong", "mnih2013_lstm"),
    ("one_step_q", "pong", "mnih2013_lstm"),
    ("a3c", "toy/point_mass", "mlp_lstm"),
    ("a3c", "control/reacher_hard", "control_lstm"),
    ("a3c", "labyrinth", "mnih2013_lstm"),
    ("n_step_q", "racing/fast_bots", "mnih2013"),
    ("one_step_sarsa", "racing/slow", "mnih2013"),
]
MANY = [case if number % 3 == 0 else pytest.param(*case, marks=pytest.mark.slow) for number, case in enumerate(CASES)]
FRAMES = {"toy": 1500, "minatar": 1500, "control": 1500}
FURTHER = {
    "control/reacher_hard": ("algo.t_max=20", "env.normalise_observations=true"),
    "toy/point_mass": ("algo.t_max=episode",),
}


def virtual(algo, env, network, *overrides):
    family = env.partition("/")[0]
    frames = FRAMES.get(family, 1200)
    return compose(
        "execution=virtual_time", f"algo={algo}", f"env={env}", f"network={network}", "threads=3", f"frames={frames}",
        "evaluation.every=500", "logging.metrics_seconds=0.5", *FURTHER.get(env, ()), *overrides,
    )  # fmt: skip


def run(config, stops=(), prepare=lambda clock: None):
    """What a run reports, and its end; it is stopped, stored and gone on with after these numbers of rollouts.

    `prepare` is done to its first part.
    """
    reports, resume_point, shared = [], ResumePoint(), initial_state(config)
    for number, stop in enumerate([*stops, None]):
        clock, rollouts = Clock(config.execution, config, shared, resume_point), 0
        if number == 0:
            prepare(clock)
        while shared.frames() < config.frames and rollouts != stop and not shared.stopping:
            reports += [(clock.now, report) for report in clock.advance()]
            rollouts += 1
        states = clock.states()
        shared = initial_state(config)
        shared.restore(stored(dict(states.arrays)))
        resume_point = ResumePoint(number + 1, clock.now, 0.0, stored(states.tree))
    return reports, states


def parts(value):
    return value if isinstance(value, tuple) else (value,)


def assert_equal(one, other):
    assert [(moment, vars(report).keys()) for moment, report in one[0]] == [
        (moment, vars(report).keys()) for moment, report in other[0]
    ]
    for (_, a), (_, b) in zip(one[0], other[0], strict=True):
        for name, value in vars(a).items():
            for part, other_part in zip(*map(parts, (value, vars(b)[name])), strict=True):
                np.testing.assert_array_equal(part, other_part, name)
    arrays = [{**states.arrays, **to_arrays(states.tree)} for _, states in (one, other)]
    assert arrays[0].keys() == arrays[1].keys()
    for name, array in arrays[0].items():
        np.testing.assert_array_equal(array, arrays[1][name], name)


@pytest.mark.parametrize(("algo", "env", "network"), MANY)
def test_a_run_that_is_stopped_at_any_moments_is_the_unbroken_one(algo, env, network):
    """So it is repeated to the bit, too. Games of Atari take long to be loaded: with two moments."""
    config = virtual(algo, env, network)
    stops = np.random.default_rng(len(algo)).integers(1, 20, size=4 if "/" in env else 2).tolist()
    assert_equal(run(config), run(config, stops))


@pytest.mark.parametrize(("env", "network"), [("toy/chain", "mlp"), ("minatar/breakout", "minatar")])
def test_another_seed_differs(env, network):
    runs = [run(virtual("a3c", env, network, f"seed={seed}", "frames=300"))[1] for seed in (0, 0, 1)]
    first, again, other = (states.arrays["parameters"] for states in runs)
    assert np.array_equal(first, again) and not np.array_equal(first, other)


@pytest.mark.parametrize("optimizer", ["rmsprop", "adam", pytest.param("momentum_sgd", marks=pytest.mark.slow)])
def test_so_it_is_with_other_optimizers_and_by_autograd(optimizer):
    how = f"optimizer={optimizer}", "network.implementation=module"
    config = virtual("a3c", "minatar/breakout", "minatar", *how)
    assert_equal(run(config), run(config, [3, 17, 60]))


@pytest.mark.parametrize(
    "algo",
    ["a3c", "one_step_q", *(pytest.param(algo, marks=pytest.mark.slow) for algo in ("n_step_q", "one_step_sarsa"))],
)
def test_one_thread_in_virtual_time_is_one_process(tmp_path, algo):
    found = []
    for execution in ("virtual_time", "hogwild"):
        config = compose(
            f"execution={execution}", f"algo={algo}", "env=minatar/breakout", "threads=1", "frames=1500",
            "evaluation.every=500", "evaluation.episodes=2", "logging.tensorboard=false",
        )  # fmt: skip
        directory = tmp_path / execution
        train(config, directory)
        arrays = load_checkpoint(directory, print).arrays
        games = [(row["frames"], row["score"], row["episode_frames"]) for row in rows(directory / "episodes.csv")]
        scores = [(row["frames"], row["score_mean"]) for row in rows(directory / "evaluations.csv")]
        found.append((games, scores, arrays))
    (games, scores, arrays), (games_, scores_, arrays_) = found
    assert games == games_ and len(games) > 10
    assert scores == scores_ and len(scores) == 3
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, arrays_[name], name)


@pytest.mark.parametrize("network", ["mlp", "mlp_lstm"])
@pytest.mark.parametrize("step", [0, 7])
def test_who_is_asked_to_stop_in_a_whole_episode_begins_it_again(step, network):
    """They are long: nobody goes on to the end of one, and not all actor-learners begin one."""
    config, taken = virtual("a3c", "toy/point_mass", network), []

    def stop_at_a_step_of_the_fourth_episode(clock):
        learner, begin, take = clock.learners[1], clock.learners[1].begin_rollout, clock.learners[1].step
        episodes = []

        def begin_and_stop():
            episodes.append(None)
            if len(episodes) == 4 and step == 0:
                clock.shared.request_stop()
            return begin()

        def step_and_stop(rollout, selected):
            take(rollout, selected)
            if len(episodes) == 4:
                taken.append(None)
                if len(taken) == step:
                    clock.shared.request_stop()

        learner.begin_rollout, learner.step = begin_and_stop, step_and_stop

    assert_equal(run(config, stops=[1000], prepare=stop_at_a_step_of_the_fourth_episode), run(config))
    assert len(taken) == step


def test_so_does_a_process_of_its_own(monkeypatch):
    config = compose("env=toy/point_mass", "algo.t_max=episode", "threads=1", "frames=600", "evaluation.every=0")
    step, letters = ActorLearner.step, []
    connection = SimpleNamespace(send=letters.extend)

    def last_state(shared, tree=None):
        shared.share(CONTEXT.Lock())
        hogwild.work(connection, config, shared, 0, 0, tree, 0)
        return letters[-1].what

    def step_and_stop(learner, rollout, selected):
        step(learner, rollout, selected)
        if learner.own_frames > 200 and len(rollout.actions) == 7:
            learner.shared.request_stop()

    unbroken = last_state(initial_state(config))
    with monkeypatch.context() as patch:
        patch.setattr(ActorLearner, "step", step_and_stop)
        stopped = last_state(initial_state(config))
    shared = initial_state(config)
    shared.restore(stored(dict(stopped.arrays)))
    assert 200 < shared.frames() < 600
    for name, array in last_state(shared, stored(stopped.tree)).arrays.items():
        np.testing.assert_array_equal(array, unbroken.arrays[name], name)


def rows(path):
    with open(path) as file:
        return list(csv.DictReader(file))


def test_a_schedule_worked_by_hand(monkeypatch):
    """Three actor-learners whose rollouts last 2, 3 and 5 seconds."""
    config = virtual("a3c", "toy/chain", "mlp", "algo.t_max=1")
    shared = initial_state(config)
    clock = Clock(config.execution, config, shared, ResumePoint())
    costs, threads = (2.0, 3.0, 5.0), []
    copied, order = {}, []
    for thread, learner in enumerate(clock.learners):

        def compute_gradient(thread=thread, compute=learner.compute_gradient):
            threads.append(thread)
            copied[thread] = shared.updates()
            assert not shared.updates() or np.array_equal(shared.parameters.numpy(), after[-1])
            return compute()

        monkeypatch.setattr(learner, "compute_gradient", compute_gradient)
    monkeypatch.setattr(type(config.execution), "duration", lambda self, steps, rng: costs[threads[-1]])
    after = []
    for _ in range(9):
        clock.advance()
        (thread,) = clock.idle
        order.append((clock.now, thread, copied[thread]))
        after.append(shared.parameters.numpy().copy())
    # (moment, thread, updates that θ had had when it was copied); at equal moments the lower thread is first
    assert order == [
        (2.0, 0, 0), (3.0, 1, 0), (4.0, 0, 1), (5.0, 2, 0), (6.0, 0, 3), (6.0, 1, 2), (8.0, 0, 5), (9.0, 1, 6),
        (10.0, 0, 7),
    ]  # fmt: skip
    # The same by hand: each gradient at the θ of its copy, applied in that order.
    again = initial_state(config)
    learners = [ActorLearner(config, again, thread, 0, lambda report: None) for thread in range(3)]
    history = [again.parameters.numpy().copy()]
    for number, (_, thread, copy) in enumerate(order):
        now = history[-1].copy()
        again.parameters.numpy()[:] = history[copy]
        rollout = learners[thread].compute_gradient()
        learners[thread].global_frames = copy  # one a rollout, for the learning rate
        again.parameters.numpy()[:] = now
        learners[thread].apply_gradient(rollout)
        history.append(again.parameters.numpy().copy())
        np.testing.assert_array_equal(history[-1], after[number])


@pytest.mark.parametrize("threads", [1, 4, 16])
def test_staleness_is_n_minus_1_for_rollouts_of_equal_length(threads):
    config = compose(
        "execution=virtual_time", "execution.spread=0", "algo=a3c", "algo.t_max=1", "env=toy/chain",
        f"threads={threads}", "frames=2000",
    )  # fmt: skip
    _, states = run(config)
    counts = states.arrays["staleness"].sum(0)
    assert counts.sum() == 2000
    assert counts[threads - 1] >= 2000 - threads and not counts[threads:].any()


@pytest.mark.parametrize("threads", [1, pytest.param(4, marks=pytest.mark.slow), 16])
def test_staleness_of_one_step_methods_is_three_fifths_of_it(threads):
    """Of five steps between two updates, the k-th reads θ at its beginning and is applied at the end of the fifth.

    In these 6 - k steps each of the n - 1 others makes (6 - k) / 5 updates: 3 / 5 (n - 1) on average.
    """
    config = compose(
        "execution=virtual_time", "algo=one_step_q", "env=minatar/freeway", f"threads={threads}", "frames=5000",
    )  # fmt: skip
    _, states = run(config)
    counts = states.arrays["staleness"].sum(0)
    mean = (counts * np.arange(counts.size)).sum() / counts.sum()
    assert mean == pytest.approx(0.6 * (threads - 1), rel=0.05, abs=0.01)


@pytest.mark.parametrize("spread", [0.0, 0.1, 1.0])
def test_the_cost_of_steps_has_the_mean_and_spread_that_were_asked_for(spread):
    execution = compose("execution=virtual_time", f"execution.spread={spread}", "execution.step_seconds=2").execution
    rng = np.random.default_rng(0)
    durations = np.array([execution.duration(5, rng) for _ in range(20_000)])
    assert durations.mean() == pytest.approx(10.0, rel=0.02)
    assert durations.std() == pytest.approx(2 * spread * np.sqrt(5), rel=0.05, abs=1e-9)


def test_one_hour_of_the_paper_s_machine():
    execution = compose("execution=virtual_time", "algo=a3c", "execution.spread=0").execution
    frames = 4 * 3600 / execution.duration(1, np.random.default_rng(0))
    assert frames == pytest.approx(0.97e6, rel=1e-3)


# ---- Commands that are killed ----------------------------------------------------------------------------------------


def told(directory: Path, execution: str):
    """What a run leaves, but for real time."""
    real = {"real_seconds"} if execution == "virtual_time" else {"seconds", "real_seconds"}
    tables = [
        [[value for key, value in row.items() if key not in real] for row in rows(directory / name)]
        for name in ("episodes.csv", "evaluations.csv", *(["metrics.csv"] if execution == "virtual_time" else []))
    ]
    checkpoint = load_checkpoint(directory, print)
    return tables, {name: array.tobytes() for name, array in checkpoint.arrays.items()}


COMMANDS = {
    "virtual_time": ["execution=virtual_time", "threads=3"],
    "hogwild": ["execution=hogwild", "threads=1"],
    "synchronous": ["execution=synchronous", "threads=5", "execution.processes=2"],
}


@pytest.mark.slow
@pytest.mark.parametrize("execution", COMMANDS)
@pytest.mark.parametrize(
    ("kills", "words"),
    [
        (1, ["algo=one_step_sarsa", "env=minatar/breakout", "frames=10_000"]),
        (20, ["algo=a3c", "env=minatar/breakout", "frames=300_000"]),
        (20, ["algo=one_step_q", "env=pong", "frames=40_000"]),
        (20, ["algo=n_step_q", "network=mnih2013_lstm", "frames=60_000"]),
    ],
)
def test_a_run_that_is_killed_or_stopped_at_random_moments_is_the_unbroken_one(tmp_path, execution, kills, words):
    words = [*COMMANDS[execution], *words, "evaluation.episodes=2", "checkpoint.every_seconds=0.3"]
    words += [f"evaluation.every={frames_of(words) // 4}"]
    found = []
    for name, number in (("unbroken", 0), ("killed", kills)):
        (tmp_path / name).mkdir()
        command = [*words, "hydra.run.dir=run", "logging.tensorboard=false"]
        rng = np.random.default_rng(5)
        for kill in range(number):
            started, before = Run(tmp_path / name, *command), saved(tmp_path / name)
            while kill % 4 < 2 and started.process.poll() is None and saved(tmp_path / name) == before:
                time.sleep(0.02)
            with contextlib.suppress(subprocess.TimeoutExpired):  # some perhaps before they have begun
                started.process.wait(timeout=0.1 * rng.random() if kill % 4 < 2 else 3 + 4 * rng.random())
            started.process.send_signal(rng.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT]))
            started.process.wait()
        assert number != 1 or 0 < load_checkpoint(tmp_path / name / "run", print).frames < frames_of(words)
        train(compose(*command), tmp_path / name / "run")
        found.append(told(tmp_path / name / "run", execution))
        assert json.loads((tmp_path / name / "run" / "summary.json").read_text())["score_mean"] is not None
    assert found[0] == found[1]


def saved(directory):
    """The moment of a run's last checkpoint."""
    path = directory / "run" / "checkpoint.npz"
    return path.stat().st_mtime_ns if path.exists() else None


def frames_of(words):
    return int(next(word for word in words if word.startswith("frames=")).partition("=")[2].replace("_", ""))


# ---- The synchronous mode --------------------------------------------------------------------------------------------


def synchronous(algo, env, network, processes, *overrides):
    return compose(
        "execution=synchronous", f"execution.processes={processes}", f"algo={algo}", f"env={env}", f"network={network}",
        "threads=5", "frames=600", "evaluation.every=200", *overrides,
    )  # fmt: skip


def end(config, asked_after=None):
    """Games without their moments, and the final state of a run that is stopped and gone on with after so many."""
    games, resume_point, shared = [], ResumePoint(), initial_state(config)
    while True:
        for event in config.execution.run(config, shared, resume_point):
            if isinstance(event.report, States):
                states = event.report
            elif event.report is not None and not isinstance(event.report, Totals):  # by the clock on the wall
                games.append((0.0, event.report))
                if len(games) == asked_after:
                    shared.request_stop()
        if int(states.arrays["counters"][:, 0].sum()) >= config.frames:
            return games, states
        shared, asked_after = initial_state(config), None
        shared.restore(stored(dict(states.arrays)))
        resume_point = ResumePoint(1, 0.0, 0.0, stored(states.tree))


SOME = [
    ("a3c", "minatar/breakout", "minatar"),
    ("one_step_q", "minatar/breakout", "minatar"),
    *(
        pytest.param(algo, "minatar/breakout", "minatar", marks=pytest.mark.slow)
        for algo in ("n_step_q", "one_step_sarsa")
    ),
    pytest.param("a3c", "pong", "mnih2013_lstm", marks=pytest.mark.slow),
    ("a3c", "toy/catch", "mlp"),
    pytest.param("n_step_q", "toy/catch", "mlp_lstm", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("algo", "env", "network"), SOME)
def test_a_synchronous_run_is_repeated_and_gone_on_with_to_the_bit(algo, env, network):
    config = synchronous(algo, env, network, 2)
    once = end(config)
    assert_equal(once, end(config))
    if env != "pong":
        assert_equal(once, end(config, asked_after=10))


@pytest.mark.parametrize(
    "algo",
    ["a3c", "one_step_sarsa", *(pytest.param(algo, marks=pytest.mark.slow) for algo in ("n_step_q", "one_step_q"))],
)
@pytest.mark.parametrize("network", ["minatar", pytest.param("mlp_lstm", marks=pytest.mark.slow)])
def test_one_synchronous_actor_learner_is_one_in_virtual_time(algo, network):
    words = f"algo={algo}", "env=minatar/breakout", f"network={network}", "threads=1", "frames=1500", "seed=4"
    (games, one), (games_, other) = (
        end(compose(f"execution={how}", *words)) for how in ("synchronous", "virtual_time")
    )
    assert [repr(game) for game in games] == [repr(game) for game in games_]
    for name, array in one.arrays.items():
        np.testing.assert_array_equal(array, other.arrays[name], name)


@pytest.mark.parametrize(
    ("algo", "network"),
    [
        ("a3c", "minatar"),
        ("one_step_sarsa", "minatar"),
        *(pytest.param(algo, "minatar", marks=pytest.mark.slow) for algo in ("n_step_q", "one_step_q")),
        *(pytest.param(algo, "mlp_lstm", marks=pytest.mark.slow) for algo in METHODS),
    ],
)
@pytest.mark.parametrize("max_norm", [40, 0.01])
def test_an_update_is_the_same_for_any_number_of_processes(algo, network, max_norm):
    """With 5 processes each actor-learner is alone; with 1 and 2 several act together."""
    env, words = "minatar/breakout", ("frames=25", f"algo.max_gradient_norm={max_norm}")
    ends = [end(synchronous(algo, env, network, processes, *words))[1] for processes in (1, 2, 5)]
    start = initial_state(synchronous(algo, env, network, 1)).parameters.numpy()
    moved = [states.arrays["parameters"] - start for states in ends]
    for other in moved[1:]:
        assert np.abs(other - moved[0]).max() <= 1e-9 + 1e-5 * np.abs(moved[0]).max()  # of rounding
        assert np.abs(other).max() > 0


@pytest.mark.parametrize("algo", ["one_step_q", "n_step_q"])
@pytest.mark.parametrize("processes", [1, 2])
def test_the_target_network_is_set_in_a_round_as_in_the_pseudocode(algo, processes):
    """Both are due when T = 25: the one-step methods set θ⁻ before their first update, n-step Q after it."""
    config = synchronous(algo, "toy/chain", "mlp", processes, "frames=25", "algo.target_update_frames=25")
    arrays, start = end(config)[1].arrays, initial_state(config).parameters.numpy()
    assert not np.array_equal(arrays["parameters"], start)
    np.testing.assert_array_equal(arrays["target"], start if algo == "one_step_q" else arrays["parameters"])


def test_the_target_network_follows_the_parameters_in_rounds_without_an_update():
    """Of the one-step methods: an update when T = 25, θ⁻ when T = 30, and the end when T = 35."""
    config = synchronous("one_step_q", "toy/chain", "mlp", 2, "frames=35", "algo.target_update_frames=30")
    arrays = end(config)[1].arrays
    assert not np.array_equal(arrays["parameters"], initial_state(config).parameters.numpy())
    np.testing.assert_array_equal(arrays["target"], arrays["parameters"])


def test_rounds_with_one_and_with_several_gradients_update_the_same_statistics():
    """Two actor-learners whose updates are due together until an episode ends, and one by one from then on."""
    words = ("algo=one_step_q", "env=minatar/breakout", "execution=synchronous", "execution.processes=1", "threads=2",
             "frames=1200", "optimizer.epsilon=1e-5")  # fmt: skip
    fast, module = (
        end(compose(*words, f"network.implementation={path}"))[1].arrays["parameters"] for path in ("fast", "module")
    )
    np.testing.assert_allclose(fast, module, rtol=0, atol=1e-4)


def test_a_resumed_run_keeps_its_number_of_processes(monkeypatch):
    config = synchronous("a3c", "toy/catch", "mlp", 2)
    whole = end(config)
    shared = initial_state(config)
    states = None
    for event in config.execution.run(config, shared, ResumePoint()):
        if isinstance(event.report, States):
            states = event.report
        elif event.report is not None:
            shared.request_stop()
    again = initial_state(config)
    again.restore(stored(dict(states.arrays)))
    other = config.model_copy(update={"execution": config.execution.model_copy(update={"processes": 5})})
    last = None
    for event in other.execution.run(other, again, ResumePoint(1, 0.0, 0.0, stored(states.tree))):
        last = event.report if isinstance(event.report, States) else last
    assert len(last.tree) == 2
    np.testing.assert_array_equal(last.arrays["parameters"], whole[1].arrays["parameters"])


class Letterbox:
    """The end of a connection that keeps what is sent."""

    def __init__(self):
        self.letters = []

    def send(self, letter):
        self.letters.append(letter)


def test_a_checkpoint_of_several_processes_is_of_one_moment(monkeypatch):
    """Here processes are threads, and the first one takes long to tell its state while the other could go on."""
    config = compose(
        "execution=synchronous", "threads=2", "algo=a3c", "algo.t_max=1", "env=toy/catch", "network=mlp", "frames=60"
    )
    shared = initial_state(config)
    all_reduce, boxes = AllReduce(2, shared), [Letterbox(), Letterbox()]
    state = WorkerGroup.state

    def slow_state(group):
        if group.part == 0:
            time.sleep(0.1)
            shared.request_states()
        return state(group)

    monkeypatch.setattr(WorkerGroup, "state", slow_state)
    shared.request_states()
    threads = [
        Thread(target=work, args=(box, config, shared, all_reduce, part, 0, None)) for part, box in enumerate(boxes)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    saved = [letter.arrays["counters"][:, 0] for letter in boxes[0].letters if letter.arrays is not None]
    assert len(saved) > 5
    for first, second in saved:
        assert first == second  # each round is a step of each


def test_actor_learners_that_act_together_know_t_at_the_beginning_of_their_round(monkeypatch):
    config = synchronous("n_step_q", "toy/catch", "mlp", 1)
    shared = initial_state(config)
    group, seen = WorkerGroup(config, shared, AllReduce(1, shared), 0, 0), []
    assert group.batched is not None and len(group.batched.learners) == 5
    select_action = type(config.algo).select_action
    monkeypatch.setattr(
        type(config.algo),
        "select_action",
        lambda self, outputs, actor: seen.append(actor.global_frames) or select_action(self, outputs, actor),
    )
    for _ in range(3):
        group.begin_round()
        seen.clear()
        group.run_round()
        assert seen and set(seen) == {group.moment.frames}
