"""Keys and values that are refused, each in one line."""

import functools
import math
import re
from collections.abc import Iterator
from typing import Any

import pytest
from config_helpers import build_with, composed, mistake, refused, values
from gymnasium.spaces import Discrete

from a3crepro.common.errors import UserError
from a3crepro.config import build
from a3crepro.environments._environment import Schedule
from a3crepro.networks._network import seeded


def leaves(values: dict[str, Any], prefix: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, (*prefix, key))
        else:
            yield (*prefix, key), value


def sections(values: dict[str, Any], prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield prefix
    for key, value in values.items():
        if isinstance(value, dict):
            yield from sections(value, (*prefix, key))


VARIETY = [
    ("algo=a3c", "env=breakout"),
    ("algo=n_step_q", "env=minatar/asterix", "optimizer=momentum_sgd"),
    ("algo=one_step_q", "env=toy/catch", "optimizer=rmsprop"),
    ("algo=one_step_sarsa", "env=gym", "network=mlp_lstm"),
]


@pytest.mark.parametrize("overrides", VARIETY, ids=" ".join)
def test_an_unknown_key_is_refused_at_every_level_with_those_allowed(overrides: tuple[str, ...]) -> None:
    plain = composed(*overrides).model_dump()
    for section in sections(plain):
        if section == ("env", "kwargs"):  # the environment's own
            continue
        known = functools.reduce(lambda level, key: level[key], section, plain)
        message = mistake(plain, (*section, "nonsense"), 1)
        assert all(re.search(rf"\b{key}\b", message.partition("allowed")[2]) for key in known), message


SCHEDULE = {("env", "schedule", key) for key in Schedule.model_fields}
OPTIONAL = {
    *SCHEDULE,
    ("algo", "paper_step_seconds"),
    ("checkpoint", "copies_every"),
    ("logging", "metrics_seconds"),
    ("logging", "trackers"),
    ("env", "wrappers"),
}


@pytest.mark.parametrize("overrides", VARIETY, ids=" ".join)
def test_a_missing_key_is_named(overrides: tuple[str, ...]) -> None:
    plain = composed(*overrides).model_dump()
    for path, _ in leaves(plain):
        section = functools.reduce(lambda level, key: level[key], path[:-1], plain)
        if path[-1] != "name" and path not in OPTIONAL:
            without = {key: value for key, value in section.items() if key != path[-1]}
            with pytest.raises(UserError, match=rf"^{re.escape('.'.join(path))}\b"):
                build_with(plain, path[:-1], without) if path[:-1] else build(without)


SCHEDULED = ("gaussian_entropy_cost", "lr", "rmsprop_epsilon")


FRACTIONS = {("env", "reward_clip"), *(("env", "schedule", key) for key in SCHEDULED)}


NULLABLE = {("optimizer", "anneal_frames"), ("algo", "paper_step_seconds"), *SCHEDULE, *FRACTIONS}


WRONG: dict[type, list[Any]] = {
    bool: [0, 1, "true", "yes", None, [True], 1.0],
    int: ["2", True, None, [1], {"a": 1}, 2.5, math.nan, math.inf, "two"],
    float: ["1e-3", True, None, [0.5], {"a": 1}, math.nan, math.inf, -math.inf],
    str: [None, 3, True, ["a3c"], {"a": 1}],
    list: [None, 3, "12", {"a": 1}, ["x"], [None], [True]],
}


@pytest.mark.parametrize("overrides", VARIETY, ids=" ".join)
def test_a_wrong_type_is_refused_in_every_key(overrides: tuple[str, ...]) -> None:
    plain = composed(*overrides).model_dump()
    for path, value in leaves(plain):
        for wrong in WRONG[int if path in NULLABLE and value is None else type(value)]:
            nullable = path in NULLABLE and wrong is None
            if not nullable and not (path in FRACTIONS and wrong == 2.5):
                mistake(plain, path, wrong)


BAD_NUMBERS = [
    ("threads", [0, -1]),
    ("frames", [-1]),
    ("seed", [-1]),
    ("evaluation.every", [-1]),
    ("evaluation.episodes", [-1]),
    ("evaluation.max_frames", [0]),
    ("checkpoint.every_seconds", [0, -1.0]),
    ("logging.every_seconds", [0, -1.0]),
    ("optimizer.lr", [0, -1e-3]),
    ("optimizer.anneal_frames", [-1]),
    ("optimizer.alpha", [-0.1, 1.1]),
    ("optimizer.epsilon", [0, -0.1]),
    ("algo.gamma", [2, -0.1, 1.01]),
    ("algo.max_gradient_norm", [0, -1]),
    ("network.lstm_cells", [-1]),
    ("env.reward_clip", [0, -1]),
    ("env.schedule.frames", [-1]),
    ("env.schedule.target_update_frames", [0]),
    ("env.schedule.epsilon_anneal_frames", [-1]),
    ("env.schedule.epsilon_redraw_frames", [0]),
    ("env.schedule.evaluation_frames", [-1]),
    ("env.schedule.max_evaluation_frames", [0]),
]


OF_A3C = [("algo.t_max", [0]), ("algo.entropy_beta", [-0.1]), ("algo.value_gradient", [0, -0.5])]


OF_ATARI = [
    ("env.action_repeat", [0]),
    ("env.no_op_max", [-1]),
    ("env.max_episode_frames", [0]),
    ("env.repeat_action_probability", [-0.1, 1.5]),
]


OF_SARSA = [
    ("algo.update_steps", [0]),
    ("algo.target_update_frames", [0]),
    ("algo.evaluation_epsilon", [-0.01, 1.01]),
    ("algo.exploration.anneal_frames", [-1]),
    ("algo.exploration.redraw_frames", [0]),
    ("algo.exploration.final_values", [[], [2, 0, 0], [0.1, 0.2]]),
    ("algo.exploration.probabilities", [[0.4, 0.3], [0.5, 0.6, -0.1], [0.4, 0.3, 0.2]]),
]


OUT_OF_RANGE = [
    *((("algo=a3c", "env=breakout"), *case) for case in [*BAD_NUMBERS, *OF_A3C, *OF_ATARI]),
    *((("algo=one_step_sarsa", "env=toy/catch"), *case) for case in [*OF_SARSA, ("network.hidden", [[0], [-1]])]),
    (("algo=n_step_q", "env=minatar/breakout"), "algo.t_max", [0]),
    (("algo=n_step_q", "env=minatar/breakout"), "env.sticky_action_probability", [-0.1, 1.1]),
    *((("optimizer=adam", "env=toy/catch"), key, [-0.1, 1]) for key in ("optimizer.beta1", "optimizer.beta2")),
]


@pytest.mark.parametrize(("overrides", "key", "bad"), OUT_OF_RANGE)
def test_a_number_out_of_range_is_refused_with_the_range(overrides: tuple[str, ...], key: str, bad: list[Any]) -> None:
    plain = composed(*overrides).model_dump()
    for value in bad:
        with pytest.raises(UserError) as error:
            build_with(plain, tuple(key.split(".")), value)
        message = str(error.value)
        # what concerns two keys together is told of the section that holds them
        whole = key.rpartition(".")[0] if "exploration" in key else key
        assert message.startswith(whole), message
        assert re.search(r"(greater|less) than (or equal to )?\d|at least 1|sum of 1", message), message


def test_the_ends_of_the_ranges_are_allowed() -> None:
    plain = composed("algo=one_step_sarsa", "env=toy/catch").model_dump()
    for key, value in [
        ("threads", 1), ("frames", 0), ("seed", 0), ("evaluation.every", 0), ("evaluation.episodes", 0),
        ("optimizer.anneal_frames", 0), ("algo.gamma", 0.0), ("algo.gamma", 1.0), ("algo.gamma", 1),
        ("algo.evaluation_epsilon", 0.0), ("algo.exploration.anneal_frames", 0), ("network.hidden", []),
    ]:  # fmt: skip
        build_with(plain, tuple(key.split(".")), value)


@pytest.mark.parametrize("key", ["frames", "seed", "evaluation.every", "optimizer.anneal_frames"])
def test_2e6_is_a_whole_number_and_2_5_is_none(key: str) -> None:
    config = composed("env=toy/catch", f"{key}=2e6")
    assert values(config, key) == [2_000_000]
    assert type(values(config, key)[0]) is int
    assert refused("env=toy/catch", f"{key}=2.5").startswith(key)


def test_every_seed_that_is_accepted_can_be_used() -> None:
    plain = composed("env=toy/catch").model_dump()
    for seed in (2**31, 2**32, 2**63, 2**64 - 1, 2**64, 10**30):
        try:
            config = build_with(plain, ("seed",), seed)
        except UserError as error:
            assert str(error).startswith("seed")
        else:
            seeded(config.network, config.env.spaces()[0], config.algo.heads(Discrete(3)), config.seed)
