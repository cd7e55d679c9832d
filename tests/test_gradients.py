"""Gradients of the four methods against the pseudocode of the paper, step by step, in double precision."""

import copy

import numpy as np
import pytest
import torch

from a3crepro.learner.shared_state import UPDATES

GAMMA, BETA = 0.99, 0.01
TASKS = ["toy/catch", "toy/chain", "toy/cue_memory"]


class Tape:
    """Records the transitions of an environment."""

    def __init__(self, env):
        self.env, self.steps = env, []
        self.reset_observation = None
        self.observation_space, self.action_space = env.observation_space, env.action_space

    def reset(self, **kwargs):
        observation, info = self.env.reset(**kwargs)
        self.before = observation
        return observation, info

    def step(self, action):
        observation, reward, terminated, truncated, info = self.env.step(action)
        self.steps.append((self.before, action, reward, observation, terminated, truncated))
        self.before = observation
        return observation, reward, terminated, truncated, info


def start(bench, algo, env, *overrides):
    module = "network.implementation=module"  # its module can be inspected
    case = bench(f"algo={algo}", f"env={env}", "threads=1", module, *overrides)
    noise = torch.Generator().manual_seed(1)
    case.shared.target += 0.1 * torch.randn(case.shared.target.shape, generator=noise)
    learner = case.learner
    learner.env = Tape(learner.env)
    learner._start_episode()
    return case, learner


def module_at(learner, vector):
    """The network in double precision, with these parameters."""
    module = copy.deepcopy(learner.model.module).double()
    torch.nn.utils.vector_to_parameters(vector.double().clone(), module.parameters())
    return module


def forward(module, observation, state):
    features = module.torso(torch.as_tensor(observation).double()[None])
    if module.lstm is not None:
        features, (h, c) = module.lstm(features, (state[0], state[1]))
        state = torch.stack((h, c))
    return {name: head(features)[0] for name, head in module.heads.items()}, state


def double(state):
    return None if state is None else state.double()


def flat_gradient(module, loss):
    gradients = torch.autograd.grad(loss, list(module.parameters()))
    return torch.cat([gradient.flatten() for gradient in gradients]).numpy()


def iterations(learner, count):
    """Yields the recurrent state before each of `count` iterations, which the caller runs; clears recorded steps."""
    for _ in range(count):
        del learner.env.steps[:]
        if learner._episode_ended:
            learner._start_episode()
        yield double(learner.state)


@pytest.mark.parametrize("env", TASKS)
def test_the_gradient_of_a3c(bench, env):
    case, learner = start(bench, "a3c", env)
    for state in iterations(learner, 40):
        theta = case.shared.parameters.clone()
        rollout = learner.compute_gradient()
        steps, module = learner.env.steps, module_at(learner, theta)
        outputs = []
        for observation, *_ in steps:
            output, state = forward(module, observation, state)
            outputs.append(output)
        _, _, _, last, terminated, _ = steps[-1]
        R = 0.0 if terminated else forward(module, last, state)[0]["value"].item()
        loss = 0
        for (_, action, reward, *_), output in zip(reversed(steps), reversed(outputs), strict=True):
            R = reward + GAMMA * R
            value, pi = output["value"][0], output["logits"].softmax(0)
            loss = loss - pi[action].log() * (R - value.item()) + BETA * (pi * pi.log()).sum()
            loss = loss + 0.25 * (R - value) ** 2
        np.testing.assert_allclose(learner.model.full_gradient(), flat_gradient(module, loss), rtol=2e-4, atol=2e-6)
        learner.apply_gradient(rollout)


@pytest.mark.parametrize("env", TASKS)
def test_the_gradient_of_n_step_q(bench, env):
    case, learner = start(bench, "n_step_q", env)
    for state in iterations(learner, 40):
        theta, target = case.shared.parameters.clone(), module_at(learner, case.shared.target)
        rollout = learner.compute_gradient()
        steps, module = learner.env.steps, module_at(learner, theta)
        values = []
        for observation, action, *_ in steps:
            output, state = forward(module, observation, state)
            values.append(output["q"][action])
        _, _, _, last, terminated, _ = steps[-1]
        R = 0.0 if terminated else forward(target, last, state)[0]["q"].max().item()
        loss = 0
        for (_, _, reward, *_), q in zip(reversed(steps), reversed(values), strict=True):
            R = reward + GAMMA * R
            loss = loss + (R - q) ** 2
        np.testing.assert_allclose(learner.model.full_gradient(), flat_gradient(module, loss), rtol=2e-4, atol=2e-6)
        learner.apply_gradient(rollout)


@pytest.mark.parametrize("env", TASKS)
@pytest.mark.parametrize("algo", ["one_step_q", "one_step_sarsa"])
def test_the_gradients_of_one_step_methods(bench, algo, env):
    case, learner = start(bench, algo, env)
    expected, updates = 0.0, 0
    for state in iterations(learner, 200):
        module, target = (module_at(learner, theta.clone()) for theta in (case.shared.parameters, case.shared.target))
        step = learner.compute_gradient()
        observation, action, reward, next_observation, terminated, _ = learner.env.steps[-1]
        output, _ = forward(module, observation, state)
        q_target = forward(target, next_observation, double(learner.state))[0]["q"].detach()
        y = reward
        if not terminated:
            y += GAMMA * (q_target.max() if algo == "one_step_q" else q_target[learner.next_action.action]).item()
        expected = expected + flat_gradient(module, (y - output["q"][action]) ** 2)
        np.testing.assert_allclose(learner.model.full_gradient(), expected, rtol=2e-4, atol=2e-6)
        learner.apply_gradient(step)
        if learner.counters[UPDATES] > updates:
            expected, updates = 0.0, int(learner.counters[UPDATES])
            assert learner.own_steps % 5 == 0 or learner._episode_ended
    assert updates >= 40
