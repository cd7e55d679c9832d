"""Continuous control: the Gaussian policy, whole episodes, the Control Suite, scaled observations."""

import csv
import importlib
import math
import os
import pickle
import subprocess
import sys
import warnings

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from helpers import finished
from torch.distributions import Independent, Normal

from a3crepro import compose, train
from a3crepro.algorithms._policy import Gaussian
from a3crepro.common.errors import UserError
from a3crepro.common.serialization import from_arrays, to_arrays
from a3crepro.config import build, choices
from a3crepro.environments import control
from a3crepro.environments._environment import random_action
from a3crepro.learner.normalisation import LIMIT, Normaliser, add_observation, width
from a3crepro.learner.shared_state import SharedState
from a3crepro.mathematics.exploration import sample_gaussian
from a3crepro.mathematics.losses import gaussian_entropy, gaussian_log_probability
from a3crepro.mathematics.returns import n_step_returns
from a3crepro.mathematics.variance import MIN_VARIANCE, mean_and_variance

TASKS = [name for name in choices("env") if name.startswith("control/") and not name.endswith("_pixels")]
SOME = ["control/cartpole_swingup", "control/finger_turn_easy", "control/reacher_hard", "control/quadruped_escape"]


def slow_but(some):
    return [task if task in some else pytest.param(task, marks=pytest.mark.slow) for task in TASKS]


# ---- The policy ------------------------------------------------------------------------------------------------------


def of_torch(mean, raw_variance, bounded):
    """The same distribution, as torch has it."""
    variance = (
        0.01 + 2 * raw_variance.sigmoid() if bounded else torch.nn.functional.softplus(raw_variance) + MIN_VARIANCE
    )
    return Independent(Normal(mean.tanh() if bounded else mean, variance.expand_as(mean).sqrt()), 1)


both = pytest.mark.parametrize("bounded", [False, True], ids=["the paper's", "bounded"])


@pytest.fixture(params=[1, 3], ids=["spherical", "diagonal"])
def states(request):
    """Mean, raw_variance, action and advantage of seven states with three components, in double precision."""
    rng = np.random.default_rng(0)
    arrays = (rng.normal(size=(7, 3)), 3 * rng.normal(size=(7, request.param)), 2 * rng.normal(size=(7, 3)),
              5 * rng.normal(size=7))  # fmt: skip
    return [torch.from_numpy(array) for array in arrays]


@both
def test_log_probability_and_entropy_are_those_of_torch(states, bounded):
    mean, raw_variance, action, _ = states
    theirs = of_torch(mean, raw_variance, bounded)
    mean, variance = mean_and_variance(mean, raw_variance, bounded)
    torch.testing.assert_close(gaussian_log_probability(mean, variance, action), theirs.log_prob(action))
    torch.testing.assert_close(gaussian_entropy(variance), theirs.entropy() / 3)  # once, not once a component


@both
def test_the_loss_s_gradients_are_those_of_torch_s_distributions(states, bounded):
    mean, raw_variance, action, advantage = states
    leaves = [mean.clone().requires_grad_(), raw_variance.clone().requires_grad_()]
    theirs = of_torch(*leaves, bounded)
    loss = -(theirs.log_prob(action) * advantage + 0.3 * theirs.entropy() / 3).sum()
    expected = torch.autograd.grad(loss, leaves)
    policy, mine = Gaussian(0.3, bounded), [mean.clone().requires_grad_(), raw_variance.clone().requires_grad_()]
    found = torch.autograd.grad(policy.loss({"mean": mine[0], "raw_variance": mine[1]}, action, advantage), mine)
    single = [tensor.numpy().astype(np.float32) for tensor in states]
    closed = policy.gradient({"mean": single[0], "raw_variance": single[1]}, single[2], single[3])
    for name, ours, theirs_ in zip(("mean", "raw_variance"), found, expected, strict=True):
        torch.testing.assert_close(ours, theirs_)
        np.testing.assert_allclose(closed[name], theirs_, rtol=2e-4, atol=2e-4)


@both
def test_the_entropy_that_is_shown_is_that_of_the_loss(states, bounded):
    shown = Gaussian(0.0, bounded).entropy({"raw_variance": states[1].numpy().astype(np.float32)})
    _, variance = mean_and_variance(states[0], states[1], bounded)
    assert shown == pytest.approx(gaussian_entropy(variance).mean().item(), rel=1e-5)


@both
@pytest.mark.parametrize("raw_variance", [[0.5], [0.5, -3.0]])
def test_actions_are_drawn_with_this_mean_and_variance(raw_variance, bounded):
    mean, rng = np.array([1.0, -2.0], np.float32), np.random.default_rng(0)
    raw_variance = np.array(raw_variance, np.float32)
    drawn = np.stack([sample_gaussian(mean, raw_variance, bounded, rng) for _ in range(20_000)])
    assert drawn.dtype == np.float32
    theirs = of_torch(*(torch.from_numpy(array) for array in (mean, raw_variance)), bounded)
    deviation = theirs.base_dist.stddev.numpy()
    np.testing.assert_allclose(drawn.mean(0), theirs.mean, atol=4 * deviation.max() / math.sqrt(20_000))
    np.testing.assert_allclose(drawn.std(0), deviation, rtol=0.03)


@both
@pytest.mark.parametrize("raw_variance", [-1e4, -200.0, -50.0, 0.0, 80.0, 1e4, 1e30])
def test_nothing_becomes_nan_where_the_variance_underflows_or_explodes(raw_variance, bounded):
    outputs = {"mean": np.array([[0.5, -1e3]], np.float32), "raw_variance": np.array([[raw_variance]], np.float32)}
    first = {name: value[0] for name, value in outputs.items()}
    action = sample_gaussian(first["mean"], first["raw_variance"], bounded, np.random.default_rng(0))
    assert np.isfinite(action).all() and np.isfinite(Gaussian(1e-4, bounded).entropy(outputs))
    gradient = Gaussian(1e-4, bounded).gradient(outputs, action[None], np.array([3.0], np.float32))
    assert all(np.isfinite(value).all() for value in gradient.values())
    tensors = {name: torch.from_numpy(value).requires_grad_() for name, value in outputs.items()}
    Gaussian(1e-4, bounded).loss(tensors, torch.from_numpy(action[None]), torch.tensor([3.0])).backward()
    assert all(torch.isfinite(tensor.grad).all() for tensor in tensors.values())


@pytest.mark.parametrize("far", [1e3, 1e10, pytest.param(1e30, id="beyond what a gradient in float32 can be")])
@pytest.mark.parametrize("implementation", ["fast", "module"])
def test_parameters_stay_finite_where_an_action_is_far_out(bench, far, implementation):
    case = bench("env=toy/point_mass", "threads=1", f"network.implementation={implementation}")
    learner = case.learner
    learner.synchronise(learner.shared.moment())
    rollout = learner.roll_out(3)
    rollout.actions[1] = np.array([far], np.float32)
    learner.accumulate(rollout, n_step_returns(rollout.rewards, rollout.discounts, 0.0))
    before = case.shared.parameters.clone()
    learner.update_parameters()
    assert torch.isfinite(case.shared.parameters).all()
    assert (case.shared.updates(), case.shared.skipped()) == ((1, 0) if far < 1e30 else (0, 1))
    assert torch.equal(before, case.shared.parameters) == (far == 1e30)


def test_the_mean_is_the_greedy_action():
    config = compose("env=toy/point_mass", "algo.evaluation_policy=greedy")
    bounded = compose("env=toy/point_mass", "algo.evaluation_policy=greedy", "algo.gaussian.bounded=true")
    zero = np.zeros(1, np.float32)
    outputs = {"mean": np.array([3.0], np.float32), "raw_variance": zero, "value": zero}
    assert config.algo.act_in_evaluation(outputs, np.random.default_rng(0)).tolist() == [3.0]
    assert bounded.algo.act_in_evaluation(outputs, np.random.default_rng(0)) == pytest.approx([math.tanh(3.0)])


@pytest.mark.parametrize(("covariance", "spreads"), [("spherical", 1), ("diagonal", 6)])
def test_a_variance_for_all_components_or_for_each(covariance, spreads):
    config = compose("env=control/cheetah_run", f"algo.gaussian.covariance={covariance}")
    assert config.algo.heads(config.env.spaces()[1]) == {"mean": 6, "raw_variance": spreads, "value": 1}


# ---- What the environment gets, and what is learnt from --------------------------------------------------------------


class Recording(gymnasium.Env):
    """Rewards 1, 2, 3, … ; ends after three steps, by a time limit or not. Tells the actions it was given."""

    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Box(-0.5, 0.5, (2,), np.float32)
    given: list = []  # noqa: RUF012 - of all its instances

    def __init__(self, terminal=False):
        self.terminal = terminal

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.given.append(action)
        self.steps += 1
        over = self.steps == 3
        return np.zeros(2, np.float32), float(self.steps), over and self.terminal, over and not self.terminal, {}


gymnasium.register("a3crepro-tests/Limit-v0", Recording, max_episode_steps=3)
gymnasium.register("a3crepro-tests/Terminal-v0", Recording, max_episode_steps=3, kwargs={"terminal": True})
gymnasium.register("a3crepro-tests/Endless-v0", Recording)


class Free(Recording):
    """The same, with actions of any size."""

    action_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)


gymnasium.register("a3crepro-tests/Free-v0", Free, max_episode_steps=3)


def test_actions_are_clipped_for_the_environment_and_learnt_from_as_they_were_drawn(bench):
    learner = bench(
        "env=gym", "env.id=a3crepro-tests/Limit-v0", "env.rescale_actions=false", "threads=1", "algo.t_max=3"
    ).learner
    Recording.given.clear()
    learner.synchronise(learner.shared.moment())
    rollout = learner.roll_out(3)
    drawn = np.stack(rollout.actions)
    assert np.abs(drawn).max() > 0.5 and drawn.dtype == np.float32
    np.testing.assert_array_equal(np.stack(Recording.given), np.clip(drawn, -0.5, 0.5))


def test_actions_are_stretched_to_the_bounds_of_the_environment_and_learnt_from_as_they_were_drawn(bench):
    learner = bench("env=gym", "env.id=a3crepro-tests/Limit-v0", "threads=1", "algo.t_max=3").learner
    assert learner.env.action_space == gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    Recording.given.clear()
    learner.synchronise(learner.shared.moment())
    drawn = np.stack(learner.roll_out(3).actions)
    assert np.abs(drawn).max() > 0.5 and drawn.dtype == np.float32
    np.testing.assert_allclose(np.stack(Recording.given), 0.5 * np.clip(drawn, -1, 1), atol=1e-7)


def test_actions_without_bounds_are_not_stretched():
    assert not compose("env=gym", "env.id=a3crepro-tests/Free-v0").env.spaces()[1].is_bounded()


@pytest.mark.parametrize("env_id", ["Limit", "Terminal"])
def test_whole_episodes_have_no_bootstrapping_not_even_at_a_time_limit(bench, env_id, monkeypatch):
    words = ("env=gym", f"env.id=a3crepro-tests/{env_id}-v0", "threads=1", "algo.gamma=0.5")
    returns = []
    for t_max in ("episode", 2):
        learner = bench(*words, f"algo.t_max={t_max}").learner
        monkeypatch.setattr(type(learner.algo), "bootstrap_value", lambda *_: 8.0)
        accumulate = learner.accumulate
        monkeypatch.setattr(
            learner, "accumulate", lambda rollout, r, do=accumulate: returns.append(r.tolist()) or do(rollout, r)
        )
        learner.iterate()
        learner.iterate()
    # 1 + 2/2 + 3/4, 2 + 3/2, 3; then two steps with 8/4 behind them; then one whose end is a limit, or terminal
    last = 3 + 8 / 2 if env_id == "Limit" else 3.0
    assert returns == [[2.75, 3.5, 3.0], [2.75, 3.5, 3.0], [1 + 2 / 2 + 8 / 4, 2 + 8 / 2], [last]]


@pytest.mark.parametrize("network", ["control_mlp", "control_lstm"])
def test_one_update_an_episode(bench, network):
    case = bench("env=control/pendulum_swingup", f"network={network}", "threads=1", "env.max_episode_steps=60")
    assert case.config.algo.t_max == "episode" and case.config.max_update_steps == 60
    for episodes in (1, 2):
        case.learner.iterate()
        assert case.shared.updates() == episodes and case.shared.frames() == 60 * episodes
        assert len(case.reports) == episodes


@pytest.mark.parametrize("env", ["breakout", "minatar/breakout"])
def test_whole_episodes_are_refused_where_they_may_be_long(env):
    with pytest.raises(UserError, match=r"^algo\.t_max: 'episode' needs episodes of at most 10,000 agent steps"):
        compose(f"env={env}", "algo.t_max=episode")


def test_an_environment_without_a_limit_is_none_for_whole_episodes():
    with pytest.raises(UserError, match="no known limit"):
        compose("env=gym", "env.id=a3crepro-tests/Endless-v0", "algo.t_max=episode")


@pytest.mark.parametrize("algo", ["one_step_q", "one_step_sarsa", "n_step_q"])
def test_value_based_methods_say_that_they_need_discrete_actions(algo):
    with pytest.raises(UserError, match=rf"^algo: {algo} needs discrete actions, but"):
        compose("env=control/cheetah_run", f"algo={algo}")


def test_observations_of_any_length_are_refused():
    class Odd(Recording):
        observation_space = gymnasium.spaces.Sequence(gymnasium.spaces.Discrete(2))

    gymnasium.register("a3crepro-tests/Long-v0", Odd)
    with pytest.raises(UserError, match=r"^env\.id: needs observations that make a vector of one length, has Sequence"):
        compose("env=gym", "env.id=a3crepro-tests/Long-v0")


def test_a_warning_of_gymnasium_s_is_heard_once():
    with pytest.warns(DeprecationWarning, match="out of date"):
        settings = compose("env=gym", "env.id=Ant-v4").env
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        settings.make(training=True)


@pytest.mark.slow  # in each a process of its own; `off` is among the others
@pytest.mark.parametrize("gl", ["osmesa", "nothing"])
def test_states_are_learnt_from_whatever_is_to_draw(gl):
    code = 'from a3crepro import compose; compose("env=gym", "env.id=HalfCheetah-v5").env.make(training=True)'
    environment = {**os.environ, "MUJOCO_GL": gl}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == ""


@pytest.mark.slow
def test_states_are_learnt_from_where_opengl_is_broken(tmp_path):
    """As PyOpenGL is without `libopengl0`; the fork server imports the Control Suite, too."""
    (tmp_path / "OpenGL").mkdir()
    (tmp_path / "OpenGL" / "__init__.py").write_text("import ctypes\nraise ctypes.ArgumentError('no glGetError')\n")
    words = ("env=control/cartpole_swingup", "threads=1", "frames=300", "evaluation.episodes=0", "hydra.run.dir=run")
    path = f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"
    run = finished(tmp_path, *words, env={"PYTHONPATH": path})
    assert run.wait() == 0, run.stderr
    pixels = finished(tmp_path, "env=control/cartpole_swingup_pixels", *words[1:], env={"PYTHONPATH": path})
    assert pixels.wait() == 2 and "install Debian's libegl1" in pixels.stderr


def test_actions_that_are_neither_numbers_nor_vectors_are_refused():
    class Odd(Recording):
        action_space = gymnasium.spaces.MultiDiscrete([2, 3])

    gymnasium.register("a3crepro-tests/Odd-v0", Odd)
    with pytest.raises(UserError, match=r"^env\.id: needs discrete actions or vectors of real numbers"):
        compose("env=gym", "env.id=a3crepro-tests/Odd-v0")


@pytest.mark.slow
@pytest.mark.parametrize(("implementation", "episodes"), [("fast", 8), ("module", 2)])
def test_memory_does_not_grow_from_episode_to_episode(bench, implementation, episodes):
    """Of 1,000 steps through an LSTM, with and without autograd, which must not keep what led to the state."""
    import psutil

    words = ("env=control/cartpole_swingup", "network=control_lstm", f"network.implementation={implementation}")
    learner = bench(*words, "threads=1").learner
    used = []
    for _ in range(4):
        for _ in range(episodes):
            learner.iterate()
        used.append(psutil.Process().memory_info().rss)
    assert used[3] - used[0] < 4 * 2**20


# ---- Networks --------------------------------------------------------------------------------------------------------


def sizes(module):
    """Parameters of the policy's part and of the value's."""
    return [sum(parameter.numel() for parameter in part.parameters()) for part in module.parts]


def test_policy_and_value_share_nothing(bench):
    case = bench("env=control/cheetah_run", "network.implementation=module", "threads=1", "algo.t_max=4")
    module = case.learner.model.module
    inside = 17 * 200 + 200 + 4 * 128 * (200 + 128 + 2)
    assert sizes(module) == [inside + 128 * 6 + 6 + 128 + 1, inside + 128 + 1]
    outputs, _ = module(torch.zeros(3, 17), module.initial_state())
    outputs["value"].sum().backward()
    assert all(not parameter.grad.any() for parameter in module.parts[0].parameters())
    assert any(parameter.grad.any() for parameter in module.parts[1].parameters())


def test_the_recurrent_states_of_both_are_carried(bench):
    case = bench("env=control/cheetah_run", "network.implementation=module", "threads=1")
    module, rng = case.learner.model.module, np.random.default_rng(0)
    observations = torch.from_numpy(rng.normal(size=(6, 17)).astype(np.float32))
    whole, _ = module(observations, module.initial_state())
    first, state = module(observations[:2], module.initial_state())
    rest, _ = module(observations[2:], state)
    for name in whole:
        torch.testing.assert_close(torch.cat((first[name], rest[name])), whole[name])


def test_pictures_go_through_two_linear_convolutions(bench):
    case = bench("env=breakout", "network=control_pixels", "network.implementation=module", "threads=1")
    torso = case.learner.model.module.parts[0].torso
    assert [type(layer).__name__ for layer in torso] == ["Conv2d", "Conv2d", "PositionsFirst"]
    inside = 16 * (4 * 64 + 1) + 32 * (16 * 16 + 1) + 4 * 128 * (9 * 9 * 32 + 128 + 2)
    assert sizes(case.learner.model.module) == [inside + (128 + 1) * 4, inside + 128 + 1]


def test_the_suite_s_network_is_shared(bench):
    case = bench("env=control/cheetah_run", "network=control_mlp", "network.implementation=module", "threads=1")
    module = case.learner.model.module
    assert sum(parameter.numel() for parameter in module.parameters()) == 18 * 256 + 257 * 256 + 257 * (6 + 1 + 1)


# ---- The Control Suite -----------------------------------------------------------------------------------------------


def test_there_is_a_file_for_every_task_of_the_suite_with_and_without_pixels():
    names = {f"control/{domain}_{task}" for domain, task in control.suite().ALL_TASKS}
    assert set(TASKS) == names
    assert {name.removesuffix("_pixels") for name in choices("env") if name.endswith("_pixels")} == names


@pytest.mark.parametrize("task", slow_but(SOME))
def test_a_task_steps_resets_and_goes_on_exactly_where_its_state_is_restored(task):
    settings = compose(f"env={task}").env
    env, other = settings.make(training=True), settings.make(training=True)
    space, rng = env.action_space, np.random.default_rng(0)
    env.reset(seed=1)
    other.reset(seed=2)
    other.step(random_action(space, rng))

    def go_on(env, steps):
        rng, seen = np.random.default_rng(steps), []
        for _ in range(steps):
            observation, reward, terminated, truncated, _ = env.step(1.2 * random_action(space, rng))
            assert env.observation_space.contains(observation) and np.isfinite(observation).all()
            seen.append((observation.tobytes(), reward, terminated, truncated))
        return seen

    for steps in (3, 60):
        go_on(env, steps)
        settings.set_state(other, from_arrays(to_arrays(settings.get_state(env))))
        assert go_on(other, 40) == go_on(env, 40)
        assert env.reset()[0].tobytes() == other.reset()[0].tobytes()


def test_observations_are_the_suite_s_in_its_own_order_and_rewards_are_not_scaled():
    env = compose("env=control/reacher_easy").env.make(training=True)
    theirs = control.suite().load("reacher", "easy", {"random": 0})
    observation, _ = env.reset(seed=5)
    theirs.task._random = np.random.RandomState(int(np.random.default_rng(5).integers(2**32)))
    step, rng = theirs.reset(), np.random.default_rng(0)
    assert list(step.observation) == ["position", "to_target", "velocity"]
    for _ in range(300):
        expected = np.concatenate([np.ravel(part) for part in step.observation.values()]).astype(np.float32)
        assert np.array_equal(observation, expected)
        action = 2 * random_action(env.action_space, rng)
        observation, reward, terminated, truncated, _ = env.step(action)
        step = theirs.step(np.clip(action, -1, 1))
        assert reward == step.reward and not terminated and not truncated


def test_the_time_limit_is_no_terminal_state():
    env = compose("env=control/cartpole_balance").env.make(training=True)
    env.reset(seed=0)
    ends = [env.step(np.zeros(1, np.float32))[2:4] for _ in range(1000)]
    assert ends == [(False, False)] * 999 + [(False, True)]


def test_an_action_is_held_for_as_many_frames_as_are_asked_for():
    words = ("env=control/walker_walk", "env.max_episode_steps=10")
    once, held = (compose(*words, f"env.action_repeat={repeat}").env for repeat in (1, 4))
    assert (held.frames_per_step, held.episode_steps) == (4, 3)
    env, other = once.make(training=True), held.make(training=True)
    assert other.metadata["render_fps"] == env.metadata["render_fps"] / 4
    env.reset(seed=0), other.reset(seed=0)
    for frames in (4, 4, 2):  # the time limit is one of frames, too
        action = random_action(env.action_space, np.random.default_rng(frames))
        steps = [env.step(action) for _ in range(frames)]
        observation, reward, *ended, _ = other.step(action)
        assert np.array_equal(observation, steps[-1][0]) and reward == sum(step[1] for step in steps)
        assert ended == list(steps[-1][2:4])
    assert ended == [False, True]


def test_a_run_of_before_actions_could_be_held_goes_on():
    config = compose("env=control/walker_walk")
    stored = config.model_dump()
    del stored["env"]["action_repeat"]
    assert build(stored) == config


def test_an_unstable_simulation_ends_the_episode(monkeypatch):
    settings = compose("env=control/cartpole_balance").env
    env = settings.make(training=True)
    last, _ = env.reset(seed=0)

    def explode(action):
        raise env.unstable("QACC")

    monkeypatch.setattr(env.task_env, "step", explode)
    observation, reward, terminated, truncated, _ = env.step(np.zeros(1, np.float32))
    assert np.array_equal(observation, last) and (reward, terminated, truncated) == (0.0, False, True)
    other = settings.make(training=True)
    other.reset(seed=1)
    settings.set_state(other, from_arrays(to_arrays(settings.get_state(env))))
    monkeypatch.setattr(other.task_env, "step", explode)
    assert np.array_equal(other.step(np.zeros(1, np.float32))[0], last)  # what is told then is part of the state
    monkeypatch.undo()
    assert env.reset()[0].any()


@pytest.mark.parametrize(
    "words", [("env=control/walker_walk",), ("env=gym", "env.id=Pendulum-v1"), ("env=toy/point_mass",)]
)
def test_gymnasium_s_checker_finds_no_fault(words, recwarn):
    check_env(compose(*words).env.make(training=True).unwrapped, skip_render_check=True)
    advice = ("Box observation space m", "For Box action spaces", "Casting input x to numpy array")  # unbounded, not ±1
    others = [str(warning.message) for warning in recwarn if not any(text in str(warning.message) for text in advice)]
    assert not others


def test_a_task_without_control_limits_has_an_action_space_without_bounds():
    env = compose("env=control/lqr_lqr_2_1").env.make(training=True)
    assert env.action_space == gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float32)
    assert abs(random_action(env.action_space, np.random.default_rng(0))).max() < 10


def test_a_game_s_evaluation_lasts_as_long_as_one_of_training():
    assert compose("env=control/cheetah_run", "env.max_episode_steps=2000").evaluation.max_frames == 2000


@pytest.mark.parametrize("env_id", ["Pendulum-v1", "HalfCheetah-v5", "Ant-v5", "Humanoid-v5", "Reacher-v5"])
def test_gymnasium_s_own_tasks_with_vectors_are_restored(env_id):
    settings = compose("env=gym", f"env.id={env_id}").env
    env, other = settings.make(training=True), settings.make(training=True)
    env.reset(seed=1)
    other.reset(seed=2)

    def go_on(env, steps):
        rng, seen = np.random.default_rng(steps), []
        for _ in range(steps):
            observation, *rest, _ = env.step(random_action(env.action_space, rng))
            seen.append((observation.tobytes(), *rest))
            if any(rest[1:]):
                seen.append(env.reset()[0].tobytes())
        return seen

    for steps in (1, 70):
        go_on(env, steps)
        settings.set_state(other, from_arrays(to_arrays(settings.get_state(env))))
        assert go_on(other, 60) == go_on(env, 60)


def test_what_mujoco_says_of_old_models_is_not_heard(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    compose("env=gym", "env.id=HalfCheetah-v5").env.make(training=True)
    assert capfd.readouterr() == ("", "") and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("env=control/cheetah_run", "env.task=walk"), "env.task: unknown 'walk'; allowed: run"),
        (("env=control/cheetah_run", "env.max_episode_steps=0"), "env.max_episode_steps: should be greater than or eq"),
        (("env=control/cheetah_run", "env.domain=cow"), "env.domain: unknown 'cow'; allowed: acrobot"),
        (("env=control/cheetah_run", "network=mnih2013"), "network: mnih2013 takes observations of shape"),
        (("env=control/cow",), "env: unknown choice 'control/cow'; did you mean"),
        (("env=control",), r"env: unknown choice 'control'; .*control/… \(102\)"),
    ],
)
def test_mistakes_get_one_line(words, line):
    with pytest.raises(UserError, match=f"^{line}") as error:
        compose(*words)
    assert "\n" not in str(error.value)


def test_without_the_extra_the_message_says_how_to_get_it(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(importlib, "import_module", missing)
    monkeypatch.setenv("MUJOCO_GL", os.environ.get("MUJOCO_GL", ""))
    with pytest.raises(UserError, match=r'^env: control/… needs dm_control; pip install "a3crepro\[control\]"$'):
        control.suite()


# ---- Pixels ----------------------------------------------------------------------------------------------------------


def renderer():
    """Why there is none, or None."""
    try:
        compose("env=control/pendulum_swingup_pixels").env.make(training=True).close()
    except UserError as error:
        return str(error)
    return None


@pytest.mark.parametrize("task", ["pendulum_swingup", "quadruped_escape"])  # the latter on a terrain of its own
def test_pixels_are_what_the_task_s_camera_sees(task):
    if reason := renderer():
        pytest.skip(reason)
    settings = compose(f"env=control/{task}_pixels").env
    env, other = settings.make(training=True), settings.make(training=True)
    push = np.ones(env.action_space.shape, np.float32)
    first, _ = env.reset(seed=0)
    assert (first.shape, first.dtype) == ((3, 84, 84), np.uint8) and first.std() > 5
    seen = [env.step(push)[0] for _ in range(5)]
    assert not np.array_equal(seen[-1], first)
    other.reset(seed=1)
    settings.set_state(other, from_arrays(to_arrays(settings.get_state(env))))
    assert np.array_equal(env.step(push)[0], other.step(push)[0])
    env.close()
    other.close()


def test_a_camera_that_the_model_lacks_gets_one_line():
    with pytest.raises(UserError, match=r"^env.camera: control/pendulum_swingup has the cameras 0 to \d+$"):
        compose("env=control/pendulum_swingup", "env.camera=99")


@pytest.mark.slow
def test_a_run_from_pixels_trains(tmp_path):
    if reason := renderer():
        pytest.skip(reason)
    words = ("env=control/pendulum_swingup_pixels", "env.max_episode_steps=40", "threads=2", "frames=200",
             "evaluation.episodes=1", "logging.tensorboard=false")  # fmt: skip
    found = train(compose(*words), tmp_path)
    assert found["frames"] >= 200 and found["updates"] == found["frames"] / 40


RENDERER_WANTED = """
import os
from a3crepro.config import compose
env = compose("env=gym", "env.id=HalfCheetah-v5").env
env.make(training=True).close()
print("MUJOCO_GL" in os.environ)
made = env.make(training=False, render=True)
made.reset(seed=0)
print(made.render().std() > 5)
"""


def test_gymnasium_s_tasks_ask_for_a_renderer_only_where_they_are_drawn():
    """With MUJOCO_GL=egl and without EGL, MuJoCo cannot even be imported."""
    if reason := renderer():
        pytest.skip(reason)
    environment = {key: value for key, value in os.environ.items() if key != "MUJOCO_GL"}
    command = [sys.executable, "-c", RENDERER_WANTED]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["False", "True"], done.stderr


@pytest.mark.parametrize("env_id", ["HalfCheetah-v5", "CartPole-v1"])
def test_gymnasium_s_tasks_are_drawn_without_a_screen(env_id):
    if reason := renderer():
        pytest.skip(reason)
    env = compose("env=gym", f"env.id={env_id}").env.make(training=False, render=True)
    env.reset(seed=0)
    assert env.render().std() > 5
    env.close()


NOTHING_DRAWS = """
import sys
from a3crepro.cli import main
from a3crepro.config import compose

env = compose("env=control/quadruped_escape").env.make(training=True)
print(env.reset(seed=0)[0].shape, env.physics.contexts)
sys.argv[1:] = ["env=control/pendulum_swingup_pixels", "frames=100"]
main()
"""


def test_where_nothing_can_draw_states_need_none_and_the_command_says_what_to_install(tmp_path):
    """On a terrain, too."""
    environment = {**os.environ, "MUJOCO_GL": "off"}
    command = [sys.executable, "-c", NOTHING_DRAWS]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["(101,)", "None"], done.stderr
    assert done.returncode == 2 and not list(tmp_path.rglob("*.csv"))
    (line,) = done.stderr.strip().splitlines()
    assert "rendering failed" in line
    assert "unset MUJOCO_GL, which is 'off', and install Debian's libegl1 libegl-mesa0 libgl1-mesa-dri libop" in line


# ---- Scaled observations ---------------------------------------------------------------------------------------------


def test_observations_are_scaled_by_mean_and_deviation():
    rng = np.random.default_rng(0)
    seen = rng.normal([3.0, -50.0, 7.0], [2.0, 0.1, 0.0], size=(500, 3)).astype(np.float32)
    sums = np.zeros(width(3))
    for observation in seen:
        add_observation(observation, sums)
    before = sums.copy()
    add_observation(np.array([1.0, np.inf, 2.0], np.float32), sums)
    assert np.array_equal(sums, before)  # one that is not finite does not spoil the others
    scale = Normaliser(sums)
    scaled = np.stack([scale(observation) for observation in seen])
    np.testing.assert_allclose(scaled[:, :2].mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(scaled[:, :2].std(0), 1, rtol=1e-3)
    assert np.abs(scaled[:, 2]).max() < 0.1  # a constant stays at its mean
    assert scale(np.array([1e9, -1e9, 7.0], np.float32))[:2].tolist() == [LIMIT, -LIMIT]
    assert np.array_equal(Normaliser(np.zeros(7))(seen[0]), seen[0])


@pytest.mark.parametrize("kind", [np.uint8, np.float32, np.float64, np.int64, np.bool_])
def test_observations_of_every_kind_are_scaled_as_numpy_would(kind):
    rng = np.random.default_rng(0)
    seen = [(255 * rng.random((3, 4, 5))).astype(kind) for _ in range(20)]
    sums = np.zeros(width(60))
    for observation in seen:
        add_observation(observation, sums)
    values = np.stack(seen).reshape(20, -1).astype(np.float64)
    np.testing.assert_allclose(sums, [20, *values.sum(0), *(values**2).sum(0)], rtol=1e-12)
    expected = (values[-1] - values.mean(0)) / np.sqrt(values.var(0) + 1e-8)
    found = Normaliser(sums)(seen[-1])
    assert found.dtype == np.float32 and found.shape == (3, 4, 5)
    np.testing.assert_allclose(found.reshape(-1), np.clip(expected, -LIMIT, LIMIT), rtol=1e-4, atol=1e-3)


def test_the_sums_of_all_actor_learners_are_one_another_s(bench):
    case = bench("env=gym", "env.id=Pendulum-v1", "env.normalise_observations=true", "threads=2", "algo.t_max=5")
    a, b = case.learners
    for _ in range(3):
        a.iterate()
    assert case.shared.sums[:, 0].tolist() == [16.0, 0.0]  # and the state after 15 steps
    raw = b.normalise.raw
    b.synchronise(case.shared.moment())
    b.begin_rollout()
    assert np.array_equal(b.observation, Normaliser(case.shared.seen())(raw)) and not np.array_equal(b.observation, raw)


def test_the_scale_is_renewed_when_a_hundredth_more_was_seen():
    shared = SharedState(torch.zeros(1), [1], target=False, statistics=(1, 1), threads=2, sums=width(1))
    assert not shared.normaliser().known
    shared.sums[:] = torch.tensor([[400.0, 800.0, 2000.0], [600.0, 1200.0, 3000.0]])
    first = shared.normaliser()
    assert (first.observations, *first.mean, *first.deviation.round(6)) == (1000, 2, 1)
    shared.sums[1] += torch.tensor([10.0, 1000.0, 100_000.0])
    assert shared.normaliser() is first
    other = pickle.loads(pickle.dumps(shared))  # as another process has it
    assert other.normaliser() is not first and other.normaliser().mean == first.mean
    shared.sums[1, 0] += 1
    second = shared.normaliser()
    assert second is not first and np.array_equal(second.mean, Normaliser(shared.seen()).mean)
    shared.restore(other.arrays())
    assert shared.normaliser().mean == first.mean


def test_pixels_that_do_not_change_vanish_where_pictures_are_scaled(bench):
    if reason := renderer():
        pytest.skip(reason)
    words = ("env=control/reacher_easy_pixels", "env.normalise_observations=true", "algo.t_max=5", "threads=1")
    case = bench(*words)
    for _ in range(4):
        case.learner.iterate()
    case.learner.begin_at(case.shared.moment())
    case.learner.begin_rollout()
    seen, raw = case.learner.observation, case.learner.normalise.raw
    still = raw == case.learner.own_env.reset(seed=3)[0]
    assert raw.dtype == np.uint8 and seen.dtype == np.float32 and seen.shape == (3, 84, 84)
    assert np.median(np.abs(seen)[still]) < 0.01 < np.abs(seen).max() <= LIMIT


@pytest.mark.parametrize("execution", ["virtual_time", pytest.param("synchronous", marks=pytest.mark.slow)])
def test_a_run_with_scaled_observations_goes_on_exactly(tmp_path, execution):
    words = ("env=gym", "env.id=Pendulum-v1", "env.normalise_observations=true", f"execution={execution}", "threads=4",
             "network=control_lstm", "algo.t_max=20", "optimizer.anneal_frames=1200", "evaluation.every=300",
             "evaluation.episodes=1", "logging.tensorboard=false")  # fmt: skip
    train(compose(*words, "frames=1200"), tmp_path / "whole")
    train(compose(*words, "frames=500"), tmp_path / "parts")
    train(compose(*words, "frames=1200"), tmp_path / "parts")
    rows = []
    for name in ("whole", "parts"):
        with open(tmp_path / name / "evaluations.csv") as file:
            rows.append({row["frames"]: row["score_mean"] for row in csv.DictReader(file)})
    assert len(rows[0]) == 4 and rows[0].items() <= rows[1].items()


# ---- Learning --------------------------------------------------------------------------------------------------------


def final_score(directory, *words):
    common = ("execution=virtual_time", "evaluation.every=0", "evaluation.episodes=50", "logging.tensorboard=false")
    return train(compose(*words, *common), directory)["score_mean"]


def test_a_mass_is_brought_to_its_place(tmp_path):
    words = ("env=toy/point_mass", "algo.t_max=episode", "optimizer.lr=1e-3", "threads=2", "frames=120_000")
    assert final_score(tmp_path, *words) > 25  # chance: 18; the best possible: some 36


@pytest.mark.slow
@pytest.mark.parametrize("execution", ["hogwild", "synchronous", "virtual_time"])
def test_every_execution_trains_a_task_by_the_paper_s_updates(tmp_path, execution):
    words = ("env=control/cartpole_balance", "env.max_episode_steps=50", f"execution={execution}", "threads=2",
             "optimizer.anneal_frames=1000", "evaluation.every=200", "evaluation.episodes=2")  # fmt: skip
    for frames in (400, 1000):  # the second time it goes on
        found = train(compose(*words, f"frames={frames}"), tmp_path)
        episodes = 2 if execution == "synchronous" else 1  # an update
        assert frames <= found["frames"] <= frames + 100 and found["updates"] == found["frames"] / 50 / episodes


@pytest.mark.slow
def test_gymnasium_s_pendulum_swings_up(tmp_path):
    words = ("env=gym", "env.id=Pendulum-v1", "env.normalise_observations=true", "network.separate=true", "threads=4",
             "frames=600_000", "algo.t_max=20", "algo.gamma=0.9", "algo.gaussian.bounded=true",
             "optimizer.lr=1e-3")  # fmt: skip
    assert final_score(tmp_path, *words) > -600  # chance: -1270
