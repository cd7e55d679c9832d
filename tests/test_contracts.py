"""What every registered component must do. The tests find components by themselves: a new one needs no line here."""

from functools import cache
from typing import ClassVar

import numpy as np
import pytest
import torch
import yaml
from turns import Turns

from a3crepro.algorithms.a3c import A3C
from a3crepro.algorithms.n_step_q import NStepQ
from a3crepro.common.errors import UserError
from a3crepro.config import choices, compose, conf_directory
from a3crepro.environments._environment import random_action
from a3crepro.execution._execution import ResumePoint
from a3crepro.execution._worker_group import AllReduce, WorkerGroup
from a3crepro.execution.virtual_time import Clock
from a3crepro.learner.actor_learner import ActorLearner
from a3crepro.mathematics.metrics import VALUES
from a3crepro.models.make_model import make_model
from a3crepro.models.model import Sizes, Theta
from a3crepro.networks._network import flatten, parameter_count, seeded
from a3crepro.optimizers._optimizer import LargeWeight, Step
from a3crepro.runs.training import initial_state

TASKS = {"short episodes": "toy/cue_memory", "long episodes": "toy/chain", "vector actions": "toy/point_mass"}
"""Short ones end within a rollout; in long ones, rollouts bootstrap."""
ENVIRONMENTS = ["gym", "toy/catch", "minatar/breakout", "breakout"]
"""A network must take the observations of one of them: vectors, grids, small images, or Atari frames."""

composed = cache(compose)
MISFITS = ("needs discrete actions", "takes observations of shape", "dm_control")
"""What is said of choices that do not go together, and of what Python 3.13 lacks."""


def fitting(*words):
    """The configuration, or a skipped test if the choices are known not to go together."""
    try:
        return composed(*words)
    except UserError as error:
        if not any(reason in str(error) for reason in MISFITS):
            raise
        pytest.skip(str(error))


def steps_of(config, shared):
    """A function that advances the run in this process, and its actor-learners."""
    match config.execution.name:
        case "virtual_time":
            clock = Clock(config.execution, config, shared, ResumePoint())
            return clock.advance, clock.learners
        case "synchronous":
            group = WorkerGroup(config, shared, AllReduce(1, shared), 0, 0)
            return lambda: (group.begin_round(), group.run_round()), group.learners
    turns = Turns(config, shared)
    return turns.advance, turns.learners


@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.parametrize("execution", choices("execution"))
@pytest.mark.parametrize("algo", choices("algo"))
def test_an_algorithm_learns_in_every_execution(algo, execution, kind):
    words = (f"algo={algo}", f"env={TASKS[kind]}", f"execution={execution}", "threads=3", "optimizer.lr=1e-3")
    config = fitting(*words)
    runs = []
    for _ in range(2):  # twice: the same run to the bit
        shared = initial_state(config)
        before = shared.parameters.clone()
        advance, learners = steps_of(config, shared)
        while shared.updates() < 12:
            advance()
        assert torch.isfinite(shared.parameters).all() and not torch.equal(shared.parameters, before)
        assert shared.frames() > 0 == shared.skipped()
        assert np.isfinite(shared.metric_sums.numpy()).all() and shared.totals().sums[VALUES] > 0
        runs.append((shared.parameters.clone(), [learner.own_frames for learner in learners]))
    assert torch.equal(runs[0][0], runs[1][0]) and runs[0][1] == runs[1][1]


class NStepSarsa(NStepQ):
    """A method with a thread copy that bootstraps from the next action."""

    bootstraps_from_next_action: ClassVar[bool] = True

    def bootstrap_value(self, outputs, next_action, actor):
        return float(outputs["q"][next_action])


class WithoutTarget(NStepSarsa):
    """The same, at θ'."""

    bootstraps_from_target: ClassVar[bool] = False


@pytest.mark.parametrize("method", [NStepSarsa, WithoutTarget])
@pytest.mark.parametrize("execution", choices("execution"))
@pytest.mark.parametrize("network", ["network=mlp", "network=mlp_lstm"])
def test_a_multi_step_method_may_bootstrap_from_the_next_action(network, execution, method):
    """On the fast path, whose outputs are those computed for acting, as well as by autograd."""
    found = []
    for implementation in ("fast", "module"):
        config = composed("algo=n_step_q", "env=toy/chain", network, f"execution={execution}", "threads=3",
                          "optimizer.lr=1e-2", f"network.implementation={implementation}")  # fmt: skip
        config = config.model_copy(update={"algo": method(**config.algo.model_dump())})
        shared = initial_state(config)
        advance, _ = steps_of(config, shared)
        while shared.updates() < 30:
            advance()
        found.append(shared.parameters)
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-5)


class RareA3C(A3C):
    """Updates after every 20 steps and at the end of an episode, with gradients at several θ'."""

    @property
    def max_update_steps(self):
        return 20

    @property
    def rollout_steps(self):
        return self.t_max

    def update_is_due(self, own_steps, rollout):
        return own_steps % 20 == 0 or rollout.episode_ended


def learn_rarely(execution, threads, implementation="fast"):
    """The parameters after ten updates with RareA3C."""
    config = composed("algo=a3c", "env=toy/chain", f"execution={execution}", f"threads={threads}", "optimizer.lr=1e-2",
                      f"network.implementation={implementation}")  # fmt: skip
    config = config.model_copy(update={"algo": RareA3C(**config.algo.model_dump())})
    shared = initial_state(config)
    advance, _ = steps_of(config, shared)
    while shared.updates() < 10:
        advance()
    return shared.parameters


@pytest.mark.parametrize("execution", choices("execution"))
def test_a_method_with_a_thread_copy_need_not_update_after_each_rollout(execution):
    fast, module = (learn_rarely(execution, 3, implementation) for implementation in ("fast", "module"))
    torch.testing.assert_close(fast, module, rtol=1e-3, atol=1e-5)
    alone = learn_rarely(execution, 1)
    torch.testing.assert_close(alone, learn_rarely("hogwild", 1), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.parametrize("algo", choices("algo"))
def test_an_algorithms_gradient_in_closed_form_is_that_of_its_loss(algo, kind):
    config = fitting(f"algo={algo}", f"env={TASKS[kind]}", "threads=1")
    learner = ActorLearner(config, initial_state(config), 0, 0, lambda _: None)
    for _ in range(5):
        rollout = learner.compute_gradient()
        outputs, actions = learner.model.rollout_outputs(rollout), np.asarray(rollout.actions)
        returns = np.linspace(-1, 1, len(actions), dtype=np.float32)
        closed, exact = (
            f(outputs, actions, returns) for f in (config.algo.output_gradient, config.algo.autograd_output_gradient)
        )
        assert closed.keys() == exact.keys()
        for name in exact:
            np.testing.assert_allclose(closed[name], exact[name], rtol=1e-4, atol=1e-5)
        learner.apply_gradient(rollout)


@pytest.mark.parametrize("algo", choices("algo"))
def test_an_algorithm_resumes_where_it_stopped(algo):
    config = composed(f"algo={algo}", "env=toy/cue_memory", "threads=1", "optimizer.lr=1e-3")
    shared, again = initial_state(config), initial_state(config)
    learner, other = (ActorLearner(config, state, 0, 0, lambda _: None) for state in (shared, again))
    for _ in range(7):
        learner.iterate()
    again.restore(shared.arrays())
    other.set_state(learner.get_state())
    other.models.set_state(learner.models.get_state())
    for _ in range(7):
        learner.iterate()
        other.iterate()
    assert torch.equal(shared.parameters, again.parameters)


@pytest.mark.parametrize("optimizer", choices("optimizer"))
def test_an_optimizer_descends_and_keeps_the_statistics_that_it_names(optimizer):
    config = composed(f"optimizer={optimizer}", "env=toy/catch", "optimizer.lr=1e-2", "threads=2")
    shared = initial_state(config)
    rows = 1 if config.optimizer.shares_statistics else 2
    assert shared.statistics.shape == (rows, len(config.optimizer.statistics), shared.parameters.numel())
    theta, statistics = np.ones(101, np.float32), np.zeros((len(config.optimizer.statistics), 101), np.float32)
    for step in range(1, 201):
        config.optimizer.update(theta, 2 * theta, statistics, config.optimizer.learning_rate(0, 1), step)
    assert np.square(theta).sum() < 0.5 * 101 and np.isfinite(statistics).all()


@pytest.mark.parametrize("optimizer", choices("optimizer"))
def test_an_optimizers_fused_update_is_its_update(optimizer):
    config = composed(f"optimizer={optimizer}", "env=toy/catch")
    if not config.optimizer.is_fused:
        pytest.skip("not fused")
    rng = np.random.default_rng(0)
    weight, delta, inputs = (rng.normal(size=size).astype(np.float32) for size in ((6, 8), (5, 6), (5, 8)))
    delta[:, 2] = 0
    results = []
    for fused, copy in ((True, np.zeros((6, 8), np.float32)), (True, None), (False, None)):
        theta = weight.ravel().copy()
        statistics = [np.full(48, 0.1, np.float32) for _ in config.optimizer.statistics]
        if fused:
            deferred, writes = np.array([1, 0.5, 0.25, 1, 1, 1], np.float32), np.zeros(6, np.int32)
            matrices = [(vector.reshape(6, 8) / deferred[:, None]) for vector in statistics]
            large = LargeWeight(theta.reshape(6, 8), matrices, deferred, copy, writes)
            config.optimizer.update_outer(large, delta, inputs, Step(1e-2, 0.5, 1))
            written = writes > 0
            assert written.tolist() == [True, True, False, True, True, True]
            if copy is not None:
                np.testing.assert_array_equal(copy[written], large.weight[written])
            statistics = [(matrix * deferred[:, None]).ravel() for matrix in matrices]
        else:
            config.optimizer.update(theta, 0.5 * (delta.T @ inputs).ravel(), statistics, 1e-2, 1)
        results.append((theta, *statistics))
    *fused_results, plain = results
    for result in fused_results:
        for array, expected in zip(result, plain, strict=True):
            np.testing.assert_allclose(array, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("network", choices("network"))
def test_a_network_acts_and_learns_alike_by_both_implementations(network):
    for env in ENVIRONMENTS:
        try:
            config = composed(f"network={network}", f"env={env}")
            break
        except UserError:
            continue
    else:
        pytest.fail(f"takes the observations of none of {ENVIRONMENTS}")
    space, actions = config.env.spaces()
    heads = config.algo.heads(actions)
    module = seeded(config.network, space, heads, 0)
    theta = torch.empty(parameter_count(module))
    flatten(module, theta)
    observation, results = config.env.make(training=True).reset(seed=0)[0], []
    for implementation in ("fast", "module"):
        model = make_model(module, space, Theta(theta.clone()), Sizes(2, 1), implementation)
        outputs, _ = model.forward(observation, model.initial_state())
        assert {name: output.shape for name, output in outputs.items()} == {name: (n,) for name, n in heads.items()}
        results.append(outputs)
    for name, output in results[0].items():
        np.testing.assert_allclose(output, results[1][name], rtol=1e-4, atol=1e-5)


def representatives():
    """Of environments whose YAML files are based on the same ones, and have no `name` of their own, the first."""
    found = {}
    for choice in choices("env"):
        values = yaml.safe_load((conf_directory() / "env" / f"{choice}.yaml").read_text())
        found.setdefault((values.get("name"), str(values.get("defaults")), choice.count("/")), choice)
    return list(found.values())


@pytest.mark.parametrize("env", representatives())
def test_an_environment_keeps_to_its_spaces_and_resumes_exactly_if_it_says_so(env):
    settings = fitting(f"env={env}").env
    space, actions = settings.spaces()
    made, again = settings.make(training=True), settings.make(training=True)
    observation, _ = made.reset(seed=1)
    again.reset(seed=2)
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert observation.shape == space.shape and observation.dtype == space.dtype
        observation, reward, terminated, truncated, _ = made.step(random_action(actions, rng))
        assert np.isfinite(float(reward))
        if terminated or truncated:
            observation, _ = made.reset()
    if settings.supports_exact_resume():
        settings.set_state(again, settings.get_state(made))
        action = random_action(actions, rng)
        one, other = (each.step(action) for each in (made, again))
        np.testing.assert_array_equal(one[0], other[0])
        assert one[1:4] == other[1:4]
    made.close()
    again.close()
