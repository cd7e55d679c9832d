"""The actor-learner, and the faults of well-known A3C code."""

import math
from itertools import product
from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
import torch

from a3crepro import compose
from a3crepro.common.errors import UserError
from a3crepro.learner.actor_learner import MAX_NOT_FINITE, Episode, Snapshot, make_models
from a3crepro.learner.shared_state import FRAMES, NOT_FINITE, TARGET, UPDATES, SharedState
from a3crepro.mathematics.exploration import final_epsilon
from a3crepro.runs.training import initial_state

METHODS = ["a3c", "n_step_q", "one_step_q", "one_step_sarsa"]


@pytest.fixture
def bench(bench):
    """With autograd, whose modules and tensors can be inspected."""
    return lambda *overrides: bench("network.implementation=module", *overrides)


def run_iterations(learner, count):
    for _ in range(count):
        learner.iterate()


def address(tensor):
    return tensor.data_ptr()


@pytest.mark.parametrize("algo", METHODS)
def test_two_identical_rollouts_give_the_same_gradient(bench, algo):
    """On torch ≥ 2, code that shares gradients through `zero_grad()` adds them up for ever, or repeats the first."""
    gradients = []
    learner = bench(f"algo={algo}", "env=toy/chain", "threads=1").learner
    for _ in range(2):
        learner._episode_ended, learner.rng = True, np.random.default_rng(0)
        learner.compute_gradient()
        gradients.append(learner.model.gradient.clone())
        learner.model.clear_gradient()
    assert gradients[0].any()
    assert torch.equal(*gradients)


def test_the_gradient_of_a_rollout_is_the_sum_over_its_steps(bench):
    learner = bench("algo=a3c", "env=toy/catch", "threads=1").learner
    learner.synchronise(learner.shared.moment())
    rollout = learner.roll_out(5)
    returns = np.linspace(-1, 1, 5, dtype=np.float32)
    learner.accumulate(rollout, returns)
    whole, total = learner.model.gradient.clone(), torch.zeros_like(learner.model.gradient)
    for t in range(5):
        learner.model.clear_gradient()
        step = type(rollout)(rollout.state, 1, rollout.observations[t : t + 1], rollout.actions[t : t + 1])
        learner.accumulate(step, returns[t : t + 1])
        total += learner.model.gradient
    torch.testing.assert_close(whole, total)


@pytest.mark.parametrize("algo", METHODS)
def test_shared_vectors_are_written_never_rebound(bench, algo):
    case = bench(f"algo={algo}", "env=toy/catch", "threads=1")
    shared, learner = case.shared, case.learner
    before = [address(tensor) for tensor in (shared.parameters, shared.target, shared.statistics)]
    values = shared.parameters.clone()
    run_iterations(learner, 20)
    assert [address(tensor) for tensor in (shared.parameters, shared.target, shared.statistics)] == before
    assert not torch.equal(values, shared.parameters)
    first = next(iter(learner.model.module.parameters()))
    own = address(first) != address(shared.parameters)
    assert own == (algo in ("a3c", "n_step_q"))  # one-step methods act at the shared θ itself
    assert address(first.grad) == address(learner.model.gradient)


def test_actor_learners_share_only_what_they_must(bench):
    a, b = bench("algo=n_step_q", "env=toy/catch", "threads=2", "optimizer=rmsprop").learners
    assert address(a.models.target.theta) == address(b.models.target.theta) == address(a.shared.target)
    assert address(a.model.parameters) != address(b.model.parameters)
    assert address(a.model.gradient) != address(b.model.gradient)
    assert a.env is not b.env and a.rng is not b.rng


def test_the_thread_copy_does_not_change_while_others_write(bench):
    case = bench("algo=a3c", "env=toy/catch", "threads=1")
    case.learner.compute_gradient()
    copy = case.learner.model.parameters.clone()
    case.shared.parameters += 1
    assert torch.equal(case.learner.model.parameters, copy)
    case.learner.synchronise(case.shared.moment())
    assert torch.equal(case.learner.model.parameters, case.shared.parameters)


@pytest.mark.parametrize("algo", ["one_step_q", "one_step_sarsa"])
def test_one_step_methods_see_writes_of_other_actor_learners_at_once(bench, algo):
    case = bench(f"algo={algo}", "env=toy/catch", "threads=1")
    case.shared.parameters.fill_(0.25)
    assert all((p == 0.25).all() for p in case.learner.model.module.parameters())


@pytest.mark.parametrize("algo", ["one_step_q", "one_step_sarsa"])
def test_one_step_methods_update_at_every_fifth_step_and_at_terminal_states(bench, algo):
    learner = bench(f"algo={algo}", "env=toy/cue_memory", "network=mlp", "threads=1").learner  # episodes of three steps
    updated_at, updates = [], 0
    for _ in range(12):
        learner.iterate()
        if learner.counters[UPDATES] > updates:
            updates += 1
            updated_at.append(learner.own_steps)
    assert updated_at == [3, 5, 6, 9, 10, 12]  # t mod 5 = 0, or the end of an episode
    assert learner.counters[UPDATES] == 6


def test_sarsa_takes_the_action_of_its_target(bench):
    learner = bench("algo=one_step_sarsa", "env=toy/chain", "threads=1").learner
    targets, taken = [], []
    select_action, step = learner.select_action, learner.env.step

    def spy_select():
        targets.append((selected := select_action()).action)
        return selected

    def spy_step(action):
        taken.append(action)
        return step(action)

    learner.select_action, learner.env.step = spy_select, spy_step
    for _ in range(5):
        rollout = learner.compute_gradient()
        # The first step selects its own action, and each selects the next one: the target's.
        assert learner.next_action.action == targets[-1]
        learner.apply_gradient(rollout)
    assert taken == targets[:-1] and len(taken) == 5


def test_a_truncated_episode_does_not_keep_the_action_of_its_target(bench):
    learner = bench("algo=one_step_sarsa", "env=toy/chain", "threads=1").learner
    for _ in range(3000):
        run_iterations(learner, 1)
        if learner._episode_ended and learner.next_action is not None:
            learner.roll_out(1)
            assert learner.observation is not None and learner.env.unwrapped.steps == 1
            return
    pytest.fail("no episode was truncated")


class Scripted:
    """Ends each episode after two steps, at a terminal state or a time limit."""

    def __init__(self, env, terminated):
        self.env, self.terminated, self.steps = env, terminated, 0
        self.observation_space, self.action_space = env.observation_space, env.action_space

    def reset(self, **kwargs):
        self.steps = 0
        return self.env.reset(**kwargs)

    def step(self, action):
        self.steps += 1
        observation, *_ = self.env.step(action)
        over = self.steps == 2
        return observation, 1.0, over and self.terminated, over and not self.terminated, {}


@pytest.mark.parametrize("algo", ["a3c", "n_step_q"])
@pytest.mark.parametrize("terminated", [True, False])
def test_a_time_limit_keeps_the_discount_and_bootstraps_a_terminal_state_does_not(bench, algo, terminated):
    case = bench(f"algo={algo}", "env=toy/chain", "threads=1")
    learner = case.learner
    learner.env = Scripted(learner.env, terminated)
    learner._start_episode()
    case.shared.parameters.zero_()
    case.shared.parameters[-2:] = 10.0  # biases of the last head: V = 10, or Q of both actions
    case.shared.target.zero_()
    case.shared.target[-2:] = 10.0
    seen = {}
    learner.accumulate = lambda rollout, returns: (
        seen.update(rollout=rollout, returns=returns) or {"logits": np.zeros((2, 2), np.float32)}
    )
    learner.compute_gradient()
    assert seen["rollout"].discounts == [0.99, 0.0 if terminated else 0.99]
    last = 1.0 if terminated else 1.0 + 0.99 * 10
    assert seen["returns"].tolist() == pytest.approx([1 + 0.99 * last, last])


class Pays(gym.Wrapper):
    """Gives these rewards, one a step, in an episode without an end."""

    def __init__(self, env, rewards):
        super().__init__(env)
        self.rewards = iter(rewards)

    def step(self, action):
        return self.observation_space.sample(), next(self.rewards), False, False, {}


def test_both_signs_of_a_reward_are_clipped(bench):
    learner = bench("algo=a3c", "env=toy/catch", "threads=1", "env.reward_clip=0.25").learner
    learner.env = Pays(learner.env, [-3.0, -0.1, 0.0, 0.1, 3.0])
    assert learner.roll_out(5).rewards == [-0.25, -0.1, 0.0, 0.1, 0.25]


def test_a_score_in_atari_is_that_of_a_game_not_of_a_life(bench):
    case = bench("algo=a3c", "env=breakout", "threads=1")
    steps, step = [], case.learner.env.step
    case.learner.env.step = lambda action: steps.append(step(action)) or steps[-1]
    while not case.reports:
        run_iterations(case.learner, 1)
    (episode,) = (report for report in case.reports if isinstance(report, Episode))
    over = next(number for number, (*_, info) in enumerate(steps, 1) if info["game_over"])
    lost = sum(terminated for _, _, terminated, _, _ in steps[:over])
    assert lost == 5 and episode.score == sum(reward for _, reward, *_ in steps[:over])
    assert episode.episode_frames == 4 * over


def test_actor_learners_have_environments_of_their_own(bench):
    first, again = (
        [learner.observation for learner in bench("algo=a3c", "env=gym", "threads=3").learners] for _ in range(2)
    )
    np.testing.assert_array_equal(first, again)
    assert len({observation.tobytes() for observation in first}) == 3


def test_an_update_takes_the_learning_rate_of_t_when_its_rollout_began(bench):
    words = ("env=toy/catch", "frames=1000", "optimizer=momentum_sgd", "optimizer.alpha=0", "optimizer.lr=0.1")
    case = bench("algo=a3c", *words, "optimizer.anneal_frames=1000", "threads=2")
    learner = case.learner
    for frames, share in ((0, 1.0), (500, 0.5), (1000, 0.0)):
        case.shared.counters[1, FRAMES] = frames  # T is not the actor-learner's own count
        learner.synchronise(learner.shared.moment())
        case.shared.counters[1, FRAMES] = 900
        learner.model.gradient.fill_(1e-3)
        before = case.shared.parameters.clone()
        learner.update_parameters()
        np.testing.assert_allclose(before - case.shared.parameters, share * 1e-4, rtol=0, atol=1e-8)


def test_epsilon_falls_with_t_to_a_final_value_that_each_actor_learner_draws_and_redraws():
    algo = compose("algo=one_step_q", "env=breakout").algo
    values, interval = algo.exploration.distribution, algo.exploration.redraw_frames
    finals = {}
    for thread, draw in product(range(8), range(4)):
        finals[thread, draw] = final = final_epsilon(3, thread, draw, *values)
        for own in (draw * interval, (draw + 1) * interval - 1):
            actor = SimpleNamespace(seed=3, thread=thread, own_frames=own, global_frames=10**9)
            assert algo.epsilon(actor) == pytest.approx(final)
            actor.global_frames = algo.exploration.anneal_frames // 4
            assert algo.epsilon(actor) == pytest.approx(1 + (final - 1) / 4)
    assert len({finals[thread, 0] for thread in range(8)}) > 1 and len({finals[0, draw] for draw in range(4)}) > 1


def test_rewards_are_clipped_for_the_learner_and_scores_are_not(bench):
    case = bench("algo=a3c", "env=toy/catch", "threads=1", "env.reward_clip=0.25")
    run_iterations(case.learner, 30)
    episodes = [report for report in case.reports if isinstance(report, Episode)]
    assert episodes and all(abs(episode.score) == 1.0 and episode.episode_frames == 5 for episode in episodes)
    rollout = case.learner.roll_out(5)
    assert abs(rollout.rewards[-1]) == 0.25


def test_a_crossed_multiple_counts_once():
    shared = SharedState(torch.zeros(1), [1], target=True, statistics=(1, 1), threads=2)
    crossed = []
    for frames in (3, 3, 3, 3, 3, 21):  # T = 3, 6, 9, 12, 15, 36: never a multiple of 10
        shared.counters[0, FRAMES] += frames
        crossed += [shared.crossed_multiple(TARGET, 10), shared.crossed_multiple(TARGET, 10)]
    assert [multiple for multiple in crossed if multiple] == [10, 30]


@pytest.mark.parametrize("algo", ["n_step_q", "one_step_q"])
def test_the_target_network_is_set_when_the_frames_of_all_threads_cross_i_target(bench, algo):
    """The one-step methods set it before the update of the same iteration, n-step Q after it."""
    case = bench(f"algo={algo}", "env=toy/chain", "threads=2", "algo.target_update_frames=100")
    target = case.shared.target.clone()
    a, b = case.learners
    while case.shared.frames() < 100:
        assert torch.equal(case.shared.target, target)
        before = case.shared.parameters.clone()
        run_iterations(a, 1)
        if case.shared.frames() < 100:
            before = case.shared.parameters.clone()
            run_iterations(b, 1)
    assert not torch.equal(case.shared.parameters, before)
    assert torch.equal(case.shared.target, before if algo == "one_step_q" else case.shared.parameters)
    assert not torch.equal(case.shared.target, target)
    assert a.own_frames < 100 and b.own_frames < 100


def test_frames_are_four_a_step_on_atari_and_one_elsewhere(bench):
    case = bench("algo=a3c", "env=breakout", "threads=1")
    run_iterations(case.learner, 2)
    assert case.shared.frames() == 2 * 5 * 4
    case = bench("algo=a3c", "env=minatar/freeway", "threads=1")
    run_iterations(case.learner, 2)
    assert case.shared.frames() == 2 * 5


def test_gradients_are_clipped_by_their_norm(bench):
    case = bench("algo=a3c", "env=toy/catch", "threads=1", "optimizer=momentum_sgd", "optimizer.alpha=0")
    learner = case.learner
    for norm, applied in ((80.0, 40.0), (10.0, 10.0)):
        learner.synchronise(learner.shared.moment())
        learner.model.gradient.fill_(norm / math.sqrt(learner.model.gradient.numel()))
        before = case.shared.parameters.clone()
        learner.update_parameters()
        step = torch.linalg.vector_norm(case.shared.parameters - before).item()
        assert step == pytest.approx(7e-4 * applied, rel=1e-2)
        assert not learner.model.gradient.any()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_gradients_that_are_not_finite_are_skipped_and_end_the_run_if_they_persist(bench, bad):
    case = bench("algo=a3c", "env=toy/catch", "threads=1")
    learner, before = case.learner, case.shared.parameters.clone()
    learner.synchronise(learner.shared.moment())
    for _ in range(MAX_NOT_FINITE - 1):
        learner.model.gradient[3] = bad
        learner.update_parameters()
    assert torch.equal(case.shared.parameters, before) and not case.shared.statistics.any()
    assert learner.counters[NOT_FINITE] == MAX_NOT_FINITE - 1 and learner.counters[UPDATES] == 0
    learner.model.gradient[3] = bad
    with pytest.raises(UserError, match=r"optimizer\.lr=.*rewards"):
        learner.update_parameters()
    learner.model.gradient.fill_(0.1)
    learner.update_parameters()  # a finite one resets the count
    learner.model.gradient[3] = bad
    learner.update_parameters()
    assert learner.counters[UPDATES] == 1


def test_lstm_state_is_carried_across_rollouts_and_reset_at_the_end_of_an_episode(bench):
    learner = bench("algo=a3c", "env=toy/catch", "network=mlp_lstm", "threads=1", "algo.t_max=2").learner
    states = []
    for _ in range(4):  # episodes of five steps: rollouts of 2, 2, 1 steps, then a new episode
        state = learner.state
        learner.synchronise(learner.shared.moment())
        rollout = learner.roll_out(2)
        assert rollout.state is state or rollout.state.count_nonzero() == 0
        states.append((rollout.state.clone(), len(rollout.actions)))
    assert [length for _, length in states] == [2, 2, 1, 2]
    assert [bool(state.any()) for state, _ in states] == [False, True, True, False]
    assert not learner.state.requires_grad


def test_each_thread_has_its_own_random_numbers(bench):
    case = bench("algo=a3c", "env=toy/catch", "threads=3")
    seen = [tuple(learner.rng.integers(1000, size=4)) for learner in case.learners]
    assert len(set(seen)) == 3


def test_the_actor_learner_that_crosses_a_multiple_takes_the_snapshot(bench):
    case = bench("algo=a3c", "env=toy/chain", "threads=2", "evaluation.every=50", "frames=220")
    while case.shared.frames() < 260:
        for learner in case.learners:
            run_iterations(learner, 1)
    taken = [report.frames for report in case.reports if isinstance(report, Snapshot)]
    assert taken == [50, 100, 150, 200]  # 250 is past the budget, where the final evaluation takes over


@pytest.mark.parametrize("algo", METHODS)
@pytest.mark.parametrize("network", ["mlp", "mlp_lstm"])
def test_one_actor_learner_is_repeatable_to_the_bit(bench, algo, network):
    ends = []
    for _ in range(2):
        case = bench(f"algo={algo}", "env=toy/chain", f"network={network}", "threads=1", "seed=3")
        run_iterations(case.learner, 60)
        ends.append(case.shared.parameters.clone())
    assert torch.equal(*ends)


def test_the_target_network_takes_the_recurrent_states_of_one_with_autograd():
    """Rollouts that the fast path does not take."""
    config = compose("algo=n_step_q", "env=breakout", "network=mnih2013_lstm", "algo.t_max=129")
    space, actions = spaces = config.env.spaces()
    models = make_models(config, initial_state(config), spaces)
    assert models.model.uses_autograd and models.target.uses_autograd
    observation = np.zeros(space.shape, space.dtype)
    _, state = models.model.forward(observation, models.model.initial_state())
    outputs, _ = models.target.forward(observation, state)
    assert outputs["q"].shape == (actions.n,)
