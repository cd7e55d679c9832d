"""The fast path against the module and autograd: outputs, gradients, updates, whole training runs."""

import math
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch
from turns import Turns

from a3crepro import benchmark
from a3crepro.common.rollout import Rollout
from a3crepro.config import compose
from a3crepro.environments._environment import random_action
from a3crepro.execution._execution import ResumePoint
from a3crepro.execution._worker_group import AllReduce, WorkerGroup
from a3crepro.execution.virtual_time import Clock
from a3crepro.models.fast import kernels
from a3crepro.models.fast.model import FastBatch, FastModel, LocalParameters
from a3crepro.models.fast.spec import spec_of
from a3crepro.models.make_model import make_model
from a3crepro.models.model import Sizes, Theta
from a3crepro.models.module import ModuleBatch, ModuleModel
from a3crepro.networks._network import TorsoAndHeads, flatten, parameter_count, row_sizes, seeded
from a3crepro.optimizers._optimizer import OptimizerState, Step
from a3crepro.runs import training
from a3crepro.runs.training import initial_state

METHODS = ["a3c", "n_step_q", "one_step_q", "one_step_sarsa"]
CASES = {
    "mnih2013": "breakout",
    "mnih2013_lstm": "seaquest",
    "mnih2015": "pong",
    "mnih2015_lstm": "breakout",
    "minatar": "minatar/seaquest",
    "mlp": "toy/catch",
    "mlp_lstm": "toy/cue_memory",
    "control_mlp": "control/reacher_easy",
    "control_lstm": "control/cheetah_run",
    "control_pixels": "seaquest",
}
CASES_OF_METHODS = [
    (algo, network)
    for algo in ("a3c", "n_step_q")
    for network in CASES
    if (algo, "control") != ("n_step_q", network[:7])
]
T_MAX = 5


def pair(algo, network, env, *overrides):
    """The two implementations of a network at the same θ, and the algorithm."""
    config = compose(f"algo={algo}", f"network={network}", f"env={env}", *overrides)
    space, actions = config.env.spaces()
    module = seeded(config.network, space, config.algo.heads(actions), 0)
    theta = torch.empty(parameter_count(module))
    flatten(module, theta)
    models = [
        make_model(module, space, Theta(theta.clone()), Sizes(T_MAX + 1, T_MAX), implementation)
        for implementation in ("fast", "module")
    ]
    assert isinstance(models[0], FastModel) and isinstance(models[1], ModuleModel)
    return config, space, actions, models


def observations_of(space, steps, rng, scaled=False):
    """Consecutive observations that differ in some places; on the right, lines of one colour.

    `scaled` shifts and scales images, as `env.normalise_observations` does.
    """
    if space.dtype == np.float32:
        yield from rng.normal(size=(steps, *space.shape)).astype(np.float32)
        return
    low, high = 0, int(space.high.max()) + 1
    now = rng.integers(low, high, space.shape, dtype=np.uint8)
    edge = space.shape[2] // 3
    now[:, :, edge:] = now[:, :, edge : edge + 1]
    for _ in range(steps):
        yield ((now - 90) / np.float32(60)).astype(np.float32) if scaled else now
        now = now.copy()
        y, x = rng.integers(0, space.shape[1] - 3, size=2)
        now[:, y : y + 4, x : x + 4] = rng.integers(low, high, now[:, y : y + 4, x : x + 4].shape, dtype=np.uint8)


def close(a, b, tolerance=2e-5):
    assert np.abs(a - b).max() <= tolerance * max(np.abs(b).max(), 1e-3)


def output_gradient(model, algo):
    """The function that an actor-learner with this model uses for ∂loss/∂outputs."""
    return algo.autograd_output_gradient if model.uses_autograd else algo.output_gradient


def accumulate(model, rollout, returns, algo):
    """dθ ← dθ + ∂loss/∂θ'; returns the outputs."""
    outputs = model.rollout_outputs(rollout)
    model.backward(output_gradient(model, algo)(outputs, np.asarray(rollout.actions), returns))
    return outputs


def as_state(state, model):
    if state is None:
        return None
    return state if isinstance(model, FastModel) else torch.from_numpy(state)[:, None]


@pytest.mark.parametrize(("algo", "network"), CASES_OF_METHODS)
def test_outputs_gradients_and_updates_equal_those_of_the_module(algo, network):
    config, space, actions, models = pair(algo, network, CASES[network])
    rng = np.random.default_rng(0)
    cells = config.network.lstm_cells * (1 + config.network.separate)
    sizes, n = row_sizes(models[1].module), parameter_count(models[1].module)
    states = [OptimizerState(np.zeros((1, n), np.float32), np.ones(len(sizes), np.float32)) for _ in models]
    for T in (5, 1, 3, 5, 2, 4):
        observations = list(observations_of(space, T + 1, rng, scaled=T in (1, 5)))  # the last one is bootstrapped from
        taken, returns = [random_action(actions, rng) for _ in range(T)], rng.normal(size=T).astype(np.float32)
        start = 0.5 * rng.normal(size=(2, cells)).astype(np.float32) if cells else None
        results = []
        for model, optimizer_state in zip(models, states, strict=True):
            model.synchronise()
            state, outputs = as_state(start, model), []
            for observation in observations:
                output, state = model.forward(observation, state)
                outputs.append(np.concatenate(list(output.values())).copy())
            accumulate(model, Rollout(as_state(start, model), 1, observations[:T], taken), returns, config.algo)
            norm, gradient = model.gradient_norm(), model.full_gradient().copy()
            model.update(config.optimizer, optimizer_state, Step(0.05, min(1.0, 0.5 / norm), 1))
            model.clear_gradient()
            g = optimizer_state.statistics[0] * np.repeat(optimizer_state.decay, sizes)
            theta = np.asarray(getattr(model, "local", model).theta)
            results.append((np.stack(outputs), gradient, np.array([norm]), theta, g))
        for number, (fast, module) in enumerate(zip(*results, strict=True)):
            # in the norm, which clips g, products of states may cancel where nothing is rectified
            close(fast, module, 2e-4 if network == "control_pixels" and number in (2, 4) else 2e-5)
        bounds = models[0].spec.bounds
        for start_, end in pairwise(bounds):  # each parameter by itself, not only the largest
            close(results[0][1][start_:end], results[1][1][start_:end], 1e-4)
        models[0].local.theta[:] = models[1].theta.numpy()
        models[0].local._synchronised = False


@pytest.mark.parametrize(("algo", "network"), CASES_OF_METHODS)
def test_a_batch_of_actor_learners_gets_the_results_of_each_one_alone(algo, network):
    """Four lanes with rollouts of 5, 2, 5 and 1 steps in both implementations, against a module without lanes."""
    config, space, actions, (_, alone) = pair(algo, network, CASES[network])
    lengths, rng = [5, 2, 5, 1], np.random.default_rng(1)
    cells = config.network.lstm_cells * (1 + config.network.separate)
    sizes = Sizes(T_MAX + 1, T_MAX * len(lengths), len(lengths))
    batches = [
        make_model(alone.module, space, Theta(alone.theta.clone()), sizes, implementation)
        for implementation in ("fast", "module")
    ]
    for number in range(3):  # in later rounds, unchanged blocks are not cut again
        episodes = [list(observations_of(space, T_MAX + 1, rng, scaled=number == 2)) for _ in lengths]
        starts = [0.5 * rng.normal(size=(2, cells)).astype(np.float32) if cells else None for _ in lengths]
        taken = [[random_action(actions, rng) for _ in range(T)] for T in lengths]
        returns = [rng.normal(size=T).astype(np.float32) for T in lengths]
        expected, found = [], []
        alone.synchronise()
        alone.clear_gradient()
        for T, observations, start, chosen, targets in zip(lengths, episodes, starts, taken, returns, strict=True):
            state = as_state(start, alone)
            for observation in observations[: T + 1]:
                outputs, state = alone.forward(observation, state)
                expected.append(np.concatenate([v.copy() for v in outputs.values()]))
            accumulate(alone, Rollout(as_state(start, alone), 1, observations[:T], chosen), targets, config.algo)
        for batch in batches:
            batch.synchronise()
            batch.clear_gradient()
            states, outputs = {lane: as_state(start, batch) for lane, start in enumerate(starts)}, {}
            for t in range(T_MAX + 1):  # a finished lane waits, and joins the others for the last call
                requests = {
                    lane: (episodes[lane][min(t, T)], states[lane])
                    for lane, T in enumerate(lengths)
                    if t < T or t == T_MAX
                }
                for lane, (result, state) in batch.forward_batch(requests).items():
                    outputs[lane, min(t, lengths[lane])] = np.concatenate([v.copy() for v in result.values()])
                    states[lane] = state
            rollouts = [
                Rollout(as_state(start, batch), 1, observations[:T], chosen)
                for T, observations, start, chosen in zip(lengths, episodes, starts, taken, strict=True)
            ]
            each = zip(batch.batch_rollout_outputs(rollouts), taken, returns, strict=True)
            gradient = output_gradient(batch, config.algo)
            batch.backward_batch([gradient(outputs, np.asarray(chosen), targets) for outputs, chosen, targets in each])
            found.append(np.stack([outputs[key] for key in sorted(outputs)]))
            close(found[-1], np.stack(expected))
            for start, end in pairwise(batches[0].spec.bounds):
                close(batch.full_gradient()[start:end], alone.full_gradient()[start:end], 1e-4)
        assert isinstance(batches[0], FastBatch) and isinstance(batches[1], ModuleBatch)


def test_a_background_is_computed_once_per_line():
    *_, (fast, module) = pair("a3c", "mnih2013", "breakout")
    image = np.repeat(np.arange(84, dtype=np.uint8)[:, None], 84, axis=1) * np.ones((4, 1, 1), np.uint8)
    for ball, distinct in ((None, 1), (40, 4)):  # a block belongs to two patches; to the right, the background again
        if ball is not None:
            image = image.copy()
            image[:, :, ball : ball + 2] = 255
        fast.synchronise()
        (outputs, _), (expected, _) = (model.forward(image, None) for model in (fast, module))
        for name, values in expected.items():
            close(outputs[name], values)
        assert fast.local.network.parts[0].convolutions[0].rows.counts[1] == 20 * distinct


def run(bench, implementation, algo, env, updates, *overrides):
    case = bench(f"algo={algo}", f"env={env}", "threads=1", f"network.implementation={implementation}", *overrides)
    assert isinstance(case.learner.model, FastModel if implementation == "fast" else ModuleModel)
    taken = []
    step = case.learner.env.step
    case.learner.env.step = lambda action: taken.append(action) or step(action)
    while case.shared.updates() < updates:
        case.learner.iterate()
    return case, taken


def each_method_on(*networks):
    """All methods on all networks; with LSTM cells, every second method is a slow test."""
    return [
        pytest.param(algo, network, marks=[pytest.mark.slow] if "lstm" in network and number % 2 else [])
        for network in networks
        for number, algo in enumerate(METHODS)
    ]


@pytest.mark.parametrize(("algo", "network"), each_method_on("mlp", "mlp_lstm"))
def test_training_runs_of_dense_networks_stay_equal_for_hundreds_of_updates(bench, algo, network):
    how = (f"network={network}", "optimizer.lr=5e-3", "env.schedule.epsilon_anneal_frames=500")
    (fast, taken), (module, expected) = (
        run(bench, implementation, algo, "toy/catch", 300, *how) for implementation in ("fast", "module")
    )
    assert taken == expected
    close(fast.shared.parameters.numpy(), module.shared.parameters.numpy(), 1e-3)


@pytest.mark.parametrize(("algo", "network"), each_method_on("minatar", "minatar_lstm"))
def test_training_runs_of_convolutional_networks_stay_equal_for_hundreds_of_updates(bench, algo, network):
    how = ("network.lstm_cells=16",) if network == "minatar_lstm" else ()
    how += ("optimizer.lr=1e-2",) if algo == "a3c" else ("optimizer.lr=1e-2", "env.schedule.epsilon_anneal_frames=500")
    (fast, taken), (module, expected) = (
        run(bench, implementation, algo, "minatar/breakout", 300, *how) for implementation in ("fast", "module")
    )
    assert fast.shared.updates() == module.shared.updates() == 300
    assert taken == expected
    start = bench("env=minatar/breakout", f"algo={algo}", "threads=1", *how).shared.parameters
    moved = (module.shared.parameters - start).abs().max()
    assert moved > 0.01
    assert (fast.shared.parameters - module.shared.parameters).abs().max() < 0.01 * moved
    assert torch.equal(fast.shared.counters, module.shared.counters)


@pytest.mark.parametrize("optimizer", ["rmsprop", "momentum_sgd", "adam"])
def test_training_runs_stay_equal_with_every_optimizer(bench, optimizer):
    runs = [run(bench, how, "a3c", "minatar/asterix", 100, f"optimizer={optimizer}") for how in ("fast", "module")]
    (fast, taken), (module, expected) = runs
    assert taken == expected
    torch.testing.assert_close(fast.shared.parameters, module.shared.parameters, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("algo", ["a3c", "one_step_sarsa"])
def test_training_runs_on_atari_stay_equal(bench, algo):
    (fast, taken), (module, expected) = (run(bench, how, algo, "breakout", 40) for how in ("fast", "module"))
    assert taken == expected
    torch.testing.assert_close(fast.shared.parameters, module.shared.parameters, rtol=1e-3, atol=1e-5)


def test_one_step_methods_see_writes_of_other_actor_learners_at_once(bench):
    for implementation in ("fast", "module"):
        case = bench("algo=one_step_q", "env=minatar/breakout", "threads=1", f"network.implementation={implementation}")
        learner = case.learner
        before = learner.forward(learner.model)[0]["q"].copy()
        case.shared.parameters[-3:] += 1.0  # the biases of the head, as another actor-learner's update would
        case.shared.counters[0, 1] += 1
        np.testing.assert_allclose(learner.forward(learner.model)[0]["q"], before + 1.0, rtol=1e-5)


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("network", ["mnih2013", "mnih2015"])
def test_the_gradient_of_one_of_several_cached_states_equals_that_of_the_module(network, scaled):
    """As in a one-step method: states that share rows with it do not contribute."""
    config, space, _, (_, module) = pair("one_step_q", network, CASES[network])
    fast = make_model(module.module, space, Theta(module.theta.clone(), lambda: 0), Sizes(6, 6), "fast")
    observations = list(observations_of(space, 6, np.random.default_rng(0), scaled))
    for observation in observations:
        fast.forward(observation, None)
    for number in (3, 0, 5, 4):
        for model in (fast, module):
            model.clear_gradient()
            step = Rollout(None, 1, [observations[number]], [1])
            accumulate(model, step, np.array([number + 1.0], np.float32), config.algo)
        for start, end in pairwise(fast.spec.bounds):
            close(fast.full_gradient()[start:end], module.full_gradient()[start:end], 1e-4)


def test_training_runs_of_linear_convolutions_stay_equal(bench):
    (fast, taken), (module, expected) = (
        run(bench, how, "a3c", "breakout", 10, "network=control_pixels", "algo.t_max=20") for how in ("fast", "module")
    )
    assert taken == expected
    torch.testing.assert_close(fast.shared.parameters, module.shared.parameters, rtol=1e-3, atol=1e-5)


def test_rollouts_longer_than_a_factored_gradient(bench):
    (fast, taken), (module, expected) = (
        run(bench, how, "a3c", "minatar/breakout", 50, "algo.t_max=12") for how in ("fast", "module")
    )
    assert taken == expected
    torch.testing.assert_close(fast.shared.parameters, module.shared.parameters, rtol=1e-3, atol=1e-5)


HEADS_ON_CONVOLUTIONS = ("env=breakout", "network=control_pixels", "network.lstm_cells=0", "threads=1")


class Doubled(torch.nn.Linear):
    def forward(self, x):
        return 2 * super().forward(x)


class Negated(TorsoAndHeads):
    def forward(self, observations, state=None):
        outputs, state = super().forward(observations, state)
        return {name: -output for name, output in outputs.items()}, state


def test_a_network_with_another_forward_pass_is_not_taken_for_a_known_one():
    *_, (_, module) = pair("n_step_q", "mlp", "toy/catch")
    network, space = module.module, compose("env=toy/catch").env.spaces()[0]
    assert spec_of(network, space) is not None
    torso = list(network.torso)
    changed = [
        Negated(network.pixel_scale, network.torso, torso[1].out_features, 0, {"q": 3}),
        TorsoAndHeads(
            1.0, torch.nn.Sequential(torso[0], Doubled(torso[1].in_features, 8), torch.nn.ReLU()), 8, 0, {"q": 3}
        ),
    ]
    assert [spec_of(each, space) for each in changed] == [None, None]


LONG_ROLLOUTS = ("env=breakout", "algo.t_max=129", "threads=1")


@pytest.mark.parametrize("overrides", [HEADS_ON_CONVOLUTIONS, LONG_ROLLOUTS])
def test_an_unsupported_network_runs_as_a_module(bench, overrides):
    assert isinstance(bench(*overrides).learner.model, ModuleModel)


@pytest.mark.parametrize(
    ("overrides", "named"), [(HEADS_ON_CONVOLUTIONS, "control_pixels"), (LONG_ROLLOUTS, "up to 128 steps")]
)
def test_a_run_and_the_benchmark_report_that_a_network_is_unsupported(tmp_path, capsys, monkeypatch, overrides, named):
    for module in (training, benchmark):
        monkeypatch.setattr(module, "preload", lambda _: 1 / 0)  # before any process starts
    with pytest.raises(ZeroDivisionError):
        training.train(compose(*overrides), tmp_path)
    with pytest.raises(ZeroDivisionError):
        benchmark.benchmark([*overrides])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and all(named in line and "slower" in line for line in lines)


@pytest.mark.parametrize(
    ("network", "how"), [("mnih2013", "fast"), ("control_pixels", "fast"), ("control_pixels", "module")]
)
def test_a_network_that_runs_as_configured_is_not_reported(capsys, network, how):
    training.say_if_slow(compose("env=breakout", f"network={network}", f"network.implementation={how}"))
    assert capsys.readouterr().out == ""


def test_the_rational_tanh_has_the_precision_of_float32():
    x = np.concatenate([np.linspace(-12, 12, 4001), np.geomspace(1e-30, 1, 200)]).astype(np.float32)
    own = np.array([kernels.tanh(value) for value in x])
    np.testing.assert_allclose(own, np.tanh(x.astype(float)), rtol=6e-7)


@pytest.mark.parametrize("special", [0.0, np.nan, np.inf])
def test_products_that_leave_out_zeros_keep_what_is_not_a_number(special):
    rng = np.random.default_rng(0)
    x, a = (rng.normal(size=size).astype(np.float32) for size in ((5, 11), (11, 17)))
    x[x < 0] = 0
    x[3, 4] = special
    y = np.full((5, 17), 7, np.float32)
    kernels.sparse_product(x, a, y)
    np.testing.assert_allclose(y[:3], x[:3] @ a, rtol=1e-5, atol=1e-6)
    assert np.isfinite(y[3]).all() == np.isfinite(special)


@pytest.mark.parametrize("implementation", ["fast", "module"])
def test_a_gradient_whose_square_overflows_is_clipped(bench, implementation):
    case = bench("algo=a3c", "env=minatar/breakout", "threads=1", f"network.implementation={implementation}")
    learner, before = case.learner, case.shared.parameters.clone()
    learner.synchronise(learner.shared.moment())
    rollout = learner.roll_out(3)
    learner.accumulate(rollout, np.array([0.0, 1e30, 0.0], np.float32)[: len(rollout.actions)])
    learner.update_parameters()
    assert case.shared.skipped() == 0 and case.shared.updates() == 1
    step = (case.shared.parameters - before).double().norm()
    assert 0 < step <= 40 * case.config.optimizer.lr / math.sqrt(case.config.optimizer.epsilon)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_is_skipped(bench, bad):
    for network in ("minatar", "minatar_lstm"):
        cells = ("network.lstm_cells=8",) if network == "minatar_lstm" else ()
        case = bench("algo=a3c", "env=minatar/breakout", "threads=1", *cells)
        learner, before = case.learner, case.shared.parameters.clone()
        learner.synchronise(learner.shared.moment())
        rollout = learner.roll_out(3)
        learner.accumulate(rollout, np.array([0.0, bad, 0.0], np.float32)[: len(rollout.actions)])
        learner.update_parameters()
        assert torch.equal(case.shared.parameters, before)
        assert case.shared.skipped() == 1 and case.shared.updates() == 0
        learner.synchronise(learner.shared.moment())
        learner.accumulate(learner.roll_out(3), np.zeros(3, np.float32))
        learner.update_parameters()
        assert case.shared.updates() == 1 and bool(torch.isfinite(case.shared.parameters).all())


# ---- Actor-learners that take turns ----------------------------------------------------------------------------------

NETWORKS = {
    "minatar": ("network=minatar", "env=minatar/breakout"),
    "minatar_lstm": ("network=minatar", "env=minatar/breakout", "network.lstm_cells=16"),
    "mlp": ("network=mlp", "env=toy/catch"),
    "mlp_lstm": ("network=mlp_lstm", "env=toy/cue_memory"),
    "mnih2013_lstm": ("network=mnih2013_lstm", "env=breakout"),
}


def noise(size, scale, seed):
    return scale * np.random.default_rng(seed).normal(size=size).astype(np.float32)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_gradient_equals_that_of_the_module_after_calls_by_other_actor_learners(name):
    """At a shared θ: three take turns; then come rollouts in the cache, scattered over it, and overwritten."""
    network, env, *more = (override.removeprefix("network=").removeprefix("env=") for override in NETWORKS[name])
    config, space, _, (_, module) = pair("one_step_q", network, env, *more)
    module.theta += torch.from_numpy(noise(len(module.theta), 0.1, 0))
    module.synchronise()
    fast = make_model(module.module, space, Theta(module.theta.clone(), lambda: 0), Sizes(6, 2), "fast")
    observations, requests = list(observations_of(space, 7, np.random.default_rng(1))), []
    states = {who: noise((2, config.network.lstm_cells), 1.0, who) for who in range(3)} if fast.spec.lstm else {}
    for observation, who in zip(observations, (0, 1, 2, 2, 0, 1, 1), strict=True):
        requests.append(states.get(who))
        _, states[who] = fast.forward(observation, states.get(who))
    for numbers in ([6], [5], [5, 6], [3], [2, 3], [1, 5], [0, 4], [2], [4]):
        results = []
        for model in (fast, module):
            model.clear_gradient()
            start, rollout = as_state(requests[numbers[0]], model), [observations[number] for number in numbers]
            returns = np.arange(1.0, len(numbers) + 1, dtype=np.float32)
            outputs = accumulate(model, Rollout(start, 1, rollout, [1] * len(numbers)), returns, config.algo)
            results.append((outputs["q"], model.full_gradient().copy()))
        (outputs, gradient), (expected, correct) = results
        close(outputs, expected)
        for start, end in pairwise(fast.spec.bounds):
            close(gradient[start:end], correct[start:end], 1e-4)


composed = cache(compose)


def started(config, shared):
    """The models of the actor-learners of a run, all in this process, and a function that runs the next ones."""
    match config.execution.name:
        case "hogwild":
            turns = Turns(config, shared)
            return [learner.model for learner in turns.learners], turns.advance
        case "virtual_time":
            clock = Clock(config.execution, config, shared, ResumePoint())
            return [learner.model for learner in clock.learners], clock.advance
        case "synchronous":
            group = WorkerGroup(config, shared, AllReduce(1, shared), 0, 0)
            models = {id(learner.model): learner.model for learner in group.learners}
            return models.values(), lambda: (group.begin_round(), group.run_round())


def gradients(config, implementation, rollouts):
    """The gradients of actor-learners, rollout by rollout, and θ at the end; initial parameters are not small."""
    network = config.network.model_copy(update={"implementation": implementation})
    config = config.model_copy(update={"network": network})
    shared, found = initial_state(config), []
    for number, vector in enumerate((shared.parameters, shared.target)):
        vector += torch.from_numpy(noise(len(vector), 0.1, number))
    models, advance = started(config, shared)

    def keep_gradients(model, name):
        backward = getattr(model, name)

        def and_keep(gradients):
            backward(gradients)
            found.append(model.full_gradient().copy())

        setattr(model, name, and_keep)

    for model in models:
        assert isinstance(model, FastModel if implementation == "fast" else ModuleModel)
        keep_gradients(model, "backward_batch" if hasattr(model, "backward_batch") else "backward")
    while len(found) < rollouts:
        advance()
    return found, shared.parameters.numpy()


@pytest.mark.parametrize("execution", ["hogwild", "virtual_time", "synchronous"])
@pytest.mark.parametrize(
    "network",
    ["minatar_lstm", "mlp", *(pytest.param(name, marks=pytest.mark.slow) for name in ("minatar", "mlp_lstm"))],
)
@pytest.mark.parametrize("algo", METHODS)
def test_actor_learners_that_take_turns_get_the_gradients_of_the_module(algo, network, execution):
    config = composed(f"algo={algo}", *NETWORKS[network], "optimizer.lr=1e-3", "threads=3")
    chosen, rollouts = composed(f"execution={execution}").execution, 60 if algo.startswith("one_step") else 12
    config = config.model_copy(update={"execution": chosen})
    (found, theta), (expected, correct) = (gradients(config, how, rollouts) for how in ("fast", "module"))
    assert len(found) == len(expected)
    for fast, module in zip(found, expected, strict=True):
        close(fast, module, 1e-3)
    close(theta, correct, 1e-3)


@pytest.mark.parametrize("optimizer", ["shared_rmsprop", "momentum_sgd"])
@pytest.mark.parametrize("network", ["minatar", "mnih2013_lstm", "mlp"])
@pytest.mark.parametrize("algo", ["a3c", "one_step_q"])
def test_an_actor_learner_copies_what_others_have_written(bench, algo, network, optimizer):
    """In `hogwild`, where each process copies only the rows that changed since."""
    words = f"algo={algo}", f"env={CASES[network]}", f"network={network}", f"optimizer={optimizer}"
    case = bench(*words, "optimizer.lr=1e-2", "threads=2")
    for order in ((0, 1), (1, 0), (0,), (1, 0), (1,), (0, 1), (1,), (0, 1), (0,)):
        learners = [case.learners[number] for number in order]
        rollouts = [learner.compute_gradient() for learner in learners]
        for learner, rollout in zip(learners, rollouts, strict=True):  # others update θ between the two halves
            learner.apply_gradient(rollout)
        learner.synchronise(case.shared.moment())
        learner.model.local.refresh()
        fresh = LocalParameters(network_of(learner), Theta(case.shared.parameters))
        for copied, whole in zip(copies_of(learner.model.local.network), copies_of(fresh.network), strict=True):
            np.testing.assert_array_equal(copied, whole)


def network_of(learner):
    """A new network of the same kind as an actor-learner's."""
    network = learner.model.local.network
    return type(network)(network.spec, 1)


def copies_of(network):
    """Everything that a network copies from θ."""
    convolutions, torso = getattr(network, "convolutions", []), getattr(network, "torso", None)
    layers = [array for layer in convolutions for array in (layer.weight, layer.bias)]
    cells = [array for top in network.tops for array in (top.cells.weight_x, top.cells.biases)]
    bias = [torso.bias] if torso else []
    return [network.local, *bias, *layers, *cells, *(top.heads.parameters for top in network.tops)]


def test_a_copy_has_what_others_had_written_when_the_last_own_update_began(bench):
    first, second = bench("env=minatar/breakout", "algo=a3c", "threads=2", "optimizer.lr=1e-2").learners
    theta, network = first.shared.parameters.numpy(), first.model.local.network
    (large,) = network.large

    def synchronised():
        first.synchronise(first.shared.moment())
        return network.parameters[large].copy()

    for _ in range(20):
        first.iterate()
        own = network.spec.matrix(theta, large).copy()
        second.iterate()  # as if during the update of the first
        assert (network.spec.matrix(theta, large) != own).any()
        np.testing.assert_array_equal(synchronised(), own)
        first.iterate()
        np.testing.assert_array_equal(synchronised(), network.spec.matrix(theta, large))
