"""The configuration: everything in conf/ builds, defaults are the paper's, every mistake is one line that names it."""

from __future__ import annotations

import csv
import functools
import itertools
import math
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Discrete

from a3crepro.common.settings import UserError
from a3crepro.config import Config, build, choices, compose, conf_directory, file_name, log_uniform, run_name
from a3crepro.environments._environment import Environment, Schedule
from a3crepro.networks._network import parameter_count, seeded

ROOT = Path(__file__).resolve().parent.parent
ATARI_57 = [name for name in choices("env") if "/" not in name and not name.startswith(("gym", "labyrinth"))]
MINATAR = ["asterix", "breakout", "freeway", "seaquest", "space_invaders"]
ALGORITHMS = ["a3c", "n_step_q", "one_step_q", "one_step_sarsa"]
ATARI_NETWORKS = ["mnih2013", "mnih2013_lstm", "mnih2015", "mnih2015_lstm"]


@functools.cache
def composed(*overrides: str) -> Config:
    return compose(*overrides)


def refused(*overrides: str, config_dir: str | None = None, config_name: str = "config") -> str:
    with pytest.raises(UserError) as error:
        compose(*overrides, config_dir=config_dir, config_name=config_name)
    message = str(error.value)
    assert message
    assert "\n" not in message
    return message


# ---- What is there composes and builds -------------------------------------------------------------------------------


def test_the_groups_have_the_choices_that_the_interface_promises() -> None:
    assert choices("algo") == ALGORITHMS
    assert choices("optimizer") == ["adam", "momentum_sgd", "rmsprop", "shared_rmsprop"]
    assert set(choices("network")) >= {*ATARI_NETWORKS, "minatar", "mlp"}
    assert set(choices("env")) >= {"gym", *(f"minatar/{game}" for game in MINATAR)}
    assert "hogwild" in choices("execution")


def test_the_57_games_are_those_of_table_s3() -> None:
    with open(ROOT / "results/paper/table_s3_human_starts.csv", newline="") as file:
        games = [row["game"] for row in csv.DictReader(file)]
    assert len(games) == 57
    assert set(games) <= set(choices("env"))
    assert {
        name for name in choices("env") if (conf_directory() / f"env/{name}.yaml").read_text().find("_atari") > 0
    } == (set(games))


def check_game(game: str) -> None:
    config = compose(f"env={game}")
    assert (config.env.name, config.network.name, config.frames) == ("atari", "mnih2013", 320_000_000)
    # ale-py's name is the key
    assert config.plain()["env"]["game"] == game


@pytest.mark.parametrize("batch", range(3))
def test_every_game_composes_with_its_network(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = gymnasium.spaces.Box(0, 255, (4, 84, 84), np.uint8)
    monkeypatch.setattr(Environment, "spaces", lambda self: (picture, Discrete(4)))  # to load a game takes 0.1 s
    for game in ATARI_57[batch::3]:
        check_game(game)


@pytest.mark.slow
@pytest.mark.parametrize("game", ATARI_57)
def test_every_game_composes_and_loads(game: str) -> None:
    check_game(game)


SOME_TASKS = ["control/cheetah_run", "control/cartpole_swingup", "control/point_mass_easy_pixels"]


def other_environments() -> list[Any]:
    """The dozens of control tasks are looked at among the slow tests."""
    names = [env for env in choices("env") if env not in ATARI_57]
    slow = [env for env in names if env.startswith("control/") and env not in SOME_TASKS]
    return [pytest.param(env, marks=pytest.mark.slow) if env in slow else env for env in names]


@pytest.mark.parametrize("env", other_environments())
def test_every_other_environment_composes(env: str) -> None:
    config = composed(f"env={env}")
    assert config.env.title == env or not env.startswith("control/")
    module = seeded(config.network, config.env.spaces()[0], config.algo.heads(config.env.spaces()[1]), 0)
    assert parameter_count(module) > 0


@pytest.mark.parametrize("optimizer", ["shared_rmsprop", "rmsprop"])
def test_small_tasks_of_gymnasium_s_have_a_rate_and_an_epsilon_of_their_own(optimizer: str) -> None:
    own, papers = composed("env=gym", f"optimizer={optimizer}"), composed("env=breakout", f"optimizer={optimizer}")
    assert (own.optimizer.lr, own.optimizer.epsilon) == (own.env.schedule.lr, own.env.schedule.rmsprop_epsilon)
    assert (papers.optimizer.lr, papers.optimizer.epsilon) == (7e-4, 0.1)
    assert own.optimizer.epsilon < 1e-3
    given = composed("env=gym", f"optimizer={optimizer}", "optimizer.lr=0.25", "optimizer.epsilon=0.5", "algo.t_max=7")
    assert (given.optimizer.lr, given.optimizer.epsilon, given.algo.max_steps) == (0.25, 0.5, 7)


@pytest.mark.parametrize(
    ("env_id", "normalised"), [("CartPole-v1", False), ("Pendulum-v1", False), ("HalfCheetah-v5", True)]
)
def test_observations_are_normalised_where_actions_are_vectors_and_observations_have_no_bounds(
    env_id: str, normalised: bool
) -> None:
    if env_id.startswith("Half"):
        pytest.importorskip("mujoco")
    assert composed("env=gym", f"env.id={env_id}").env.normalise_observations is normalised
    assert (
        composed("env=gym", f"env.id={env_id}", "env.normalise_observations=false").env.normalise_observations is False
    )


def test_small_tasks_have_an_entropy_cost_of_their_own() -> None:
    own = composed("env=gym")
    assert own.algo.gaussian.entropy_cost == own.env.schedule.gaussian_entropy_cost > 1e-3
    assert own.algo.gaussian.bounded
    papers = composed("env=control/cartpole_swingup", "algo.t_max=5").algo.gaussian
    assert (papers.entropy_cost, papers.bounded) == (1e-4, False)  # §9
    assert composed("env=gym", "algo.gaussian.entropy_cost=0.5").algo.gaussian.entropy_cost == 0.5


def test_a_rate_for_rmsprop_is_none_for_momentum() -> None:
    of = [composed(f"env={env}", "optimizer=momentum_sgd").optimizer for env in ("gym", "breakout")]
    assert of[0].lr == of[1].lr


FITTING = [
    *(("breakout", network) for network in [*ATARI_NETWORKS, "mlp", "mlp_lstm"]),
    *(("minatar/asterix", network) for network in ["minatar", "mlp", "mlp_lstm"]),
    *(("toy/catch", network) for network in ["mlp", "mlp_lstm"]),
    *(("gym", network) for network in ["mlp", "control_mlp", "control_lstm"]),
    ("breakout", "control_pixels"),
]


@pytest.mark.parametrize(("env", "network"), FITTING)
def test_every_method_builds_on_every_network_that_fits(env: str, network: str) -> None:
    space, actions = composed(f"env={env}").env.spaces()
    config = composed(f"env={env}", f"network={network}")
    assert {network for _, network in FITTING} == set(choices("network"))
    for algo in ALGORITHMS:
        heads = composed(f"env={env}", f"algo={algo}").algo.heads(actions)
        module = seeded(config.network, space, heads, 0)
        outputs, _ = module(torch.from_numpy(space.sample()[None]), module.initial_state())
        widths = {"logits": actions.n, "value": 1} if algo == "a3c" else {"q": actions.n}
        assert {name: tuple(output.shape) for name, output in outputs.items()} == {k: (1, w) for k, w in widths.items()}


@pytest.mark.parametrize(
    ("optimizer", "shared"), [("adam", True), ("momentum_sgd", False), ("rmsprop", False), ("shared_rmsprop", True)]
)
def test_every_optimizer_builds_and_its_statistics_are_whose_they_should_be(optimizer: str, shared: bool) -> None:
    config = composed(f"optimizer={optimizer}", "env=toy/catch")
    assert config.optimizer.name == optimizer
    assert config.optimizer.shares_statistics is shared


@pytest.mark.parametrize(
    ("env", "network", "cells"),
    [
        ("pong", "mnih2013", 0),
        ("minatar/seaquest", "minatar", 0),
        ("toy/catch", "mlp", 0),
        ("toy/chain", "mlp", 0),
        ("toy/cue_memory", "mlp", 32),
        ("gym", "mlp", 0),
    ],
)
def test_the_network_fits_the_environment_unless_it_is_named(env: str, network: str, cells: int) -> None:
    config = composed(f"env={env}")
    assert (config.network.name, config.network.lstm_cells) == (network, cells)
    for overrides in itertools.permutations((f"env={env}", "network=mlp")):
        assert (composed(*overrides).network.name, composed(*overrides).network.lstm_cells) == ("mlp", 0)


def test_a_stored_configuration_builds_the_same_again() -> None:
    for overrides in ([], ["algo=n_step_q", "env=minatar/breakout", "optimizer=momentum_sgd"], ["env=toy/cue_memory"]):
        config = compose(*overrides)
        assert build(config.plain()) == config


# ---- Defaults --------------------------------------------------------------------------------------------------------


def values(config: Config, *keys: str) -> list[Any]:
    found = []
    for key in keys:
        value: Any = config.plain()
        for part in key.split("."):
            value = value[part]
        found.append(value)
    return found


def test_the_defaults_are_the_paper_s() -> None:
    config = composed()
    assert values(config, "threads", "frames", "seed") == [16, 320_000_000, 0]
    assert values(config, "algo.name", "algo.gamma", "algo.t_max", "algo.entropy_beta") == ["a3c", 0.99, 5, 0.01]
    assert values(config, "algo.value_gradient", "algo.max_gradient_norm") == [0.5, 40.0]
    assert values(config, "optimizer.name", "optimizer.lr") == ["shared_rmsprop", 7e-4]
    assert values(config, "optimizer.alpha", "optimizer.epsilon") == [0.99, 0.1]
    assert config.anneal_frames == 320_000_000
    assert values(config, "env.name", "execution.name") == ["atari", "hogwild"]
    assert values(config, "env.action_repeat", "env.no_op_max", "env.max_episode_frames") == [4, 30, 108_000]
    assert values(config, "env.repeat_action_probability", "env.full_action_space") == [0.0, False]
    assert values(config, "env.life_loss_ends_episode", "env.reward_clip") == [True, 1.0]
    assert values(config, "evaluation.max_frames") == [108_000]


@pytest.mark.parametrize("algo", ["one_step_q", "one_step_sarsa", "n_step_q"])
def test_the_value_methods_defaults_are_the_paper_s(algo: str) -> None:
    config = composed(f"algo={algo}")
    assert values(config, "algo.gamma", "algo.max_gradient_norm", "algo.target_update_frames") == [0.99, 40.0, 40_000]
    exploration = dict(values(config, "algo.exploration")[0])
    assert exploration.pop("redraw_frames") >= 1  # "periodically"
    assert exploration.pop("anneal_frames") == 4_000_000
    assert dict(zip(exploration["final_values"], exploration["probabilities"], strict=True)) == {
        0.1: 0.4, 0.01: 0.3, 0.5: 0.3,
    }  # fmt: skip
    assert values(config, "algo.evaluation_epsilon") == [0.05]
    assert values(config, "algo.t_max" if algo == "n_step_q" else "algo.update_steps") == [5]


def test_minatar_has_shorter_schedules() -> None:
    config = composed("algo=n_step_q", "env=minatar/breakout")
    assert values(config, "algo.target_update_frames", "algo.exploration.anneal_frames") == [1_000, 100_000]
    assert values(config, "env.sticky_action_probability", "env.difficulty_ramping") == [0.1, True]
    assert values(config, "env.reward_clip") == [None]


@pytest.mark.parametrize("optimizer", ["shared_rmsprop", "rmsprop", "momentum_sgd", "adam"])
def test_fewer_frames_on_atari_are_the_beginning_of_the_paper_s_day(optimizer: str) -> None:
    config = composed("env=pong", f"optimizer={optimizer}", "frames=20_000_000")
    assert (config.frames, config.anneal_frames) == (20_000_000, 320_000_000)
    told = composed("env=pong", f"optimizer={optimizer}", "frames=20_000_000", "optimizer.anneal_frames=null")
    assert told.anneal_frames == 20_000_000


def test_the_learning_rate_falls_over_all_frames_unless_told_otherwise() -> None:
    assert composed("env=toy/catch", "frames=2e3").anneal_frames == 2000
    assert composed("env=toy/catch", "frames=2e3", "optimizer.anneal_frames=9e3").anneal_frames == 9000


NUMBERS = [*conf_directory().glob("algo/*.yaml"), *conf_directory().glob("optimizer/*.yaml")]


@pytest.mark.parametrize(
    "path",
    [*NUMBERS, conf_directory() / "env/_atari.yaml", conf_directory() / "env/_control.yaml"],
    ids=lambda path: path.stem,
)
def test_every_number_in_conf_has_its_source_beside_it(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if re.match(r"\s*\w+:\s*[^\s#]", line)]
    scalars = [line for line in lines if not re.match(r"\s*(name|game):", line)]
    assert scalars or path.stem == "_"
    assert [line for line in scalars if not re.search(r"\s#\s+\S", line)] == []


# ---- Mistakes: keys --------------------------------------------------------------------------------------------------


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


def build_with(values: dict[str, Any], path: tuple[str, ...], value: Any) -> Config:
    def changed(level: dict[str, Any], rest: tuple[str, ...]) -> dict[str, Any]:
        return {**level, rest[0]: changed(level[rest[0]], rest[1:]) if rest[1:] else value}

    return build(changed(values, path))


def mistake(values: dict[str, Any], path: tuple[str, ...], value: Any) -> str:
    with pytest.raises(UserError) as error:
        build_with(values, path, value)
        pytest.fail(f"{'.'.join(path)}={value!r} was accepted")
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith(".".join(path)), f"{message!r} does not name {'.'.join(path)}"
    return message


VARIETY = [
    ("algo=a3c", "env=breakout"),
    ("algo=n_step_q", "env=minatar/asterix", "optimizer=momentum_sgd"),
    ("algo=one_step_q", "env=toy/catch", "optimizer=rmsprop"),
    ("algo=one_step_sarsa", "env=gym", "network=mlp_lstm"),
]


@pytest.mark.parametrize("overrides", VARIETY, ids=" ".join)
def test_an_unknown_key_is_refused_at_every_level_with_those_allowed(overrides: tuple[str, ...]) -> None:
    plain = composed(*overrides).plain()
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
    ("env", "wrappers"),
}


@pytest.mark.parametrize("overrides", VARIETY, ids=" ".join)
def test_a_missing_key_is_named(overrides: tuple[str, ...]) -> None:
    plain = composed(*overrides).plain()
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
    plain = composed(*overrides).plain()
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
]


@pytest.mark.parametrize(("overrides", "key", "bad"), OUT_OF_RANGE)
def test_a_number_out_of_range_is_refused_with_the_range(overrides: tuple[str, ...], key: str, bad: list[Any]) -> None:
    plain = composed(*overrides).plain()
    for value in bad:
        with pytest.raises(UserError) as error:
            build_with(plain, tuple(key.split(".")), value)
        message = str(error.value)
        # what concerns two keys together is told of the section that holds them
        whole = key.rpartition(".")[0] if "exploration" in key else key
        assert message.startswith(whole), message
        assert re.search(r"(greater|less) than (or equal to )?\d|at least 1|sum of 1", message), message


def test_the_ends_of_the_ranges_are_allowed() -> None:
    plain = composed("algo=one_step_sarsa", "env=toy/catch").plain()
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
    plain = composed("env=toy/catch").plain()
    for seed in (2**31, 2**32, 2**63, 2**64 - 1, 2**64, 10**30):
        try:
            config = build_with(plain, ("seed",), seed)
        except UserError as error:
            assert str(error).startswith("seed")
        else:
            seeded(config.network, config.env.spaces()[0], config.algo.heads(Discrete(3)), config.seed)


# ---- Mistakes: the command line and files ----------------------------------------------------------------------------


@pytest.mark.parametrize("plus", ["", "+", "++"])
@pytest.mark.parametrize(
    ("override", "key", "allowed"),
    [
        ("thread=3", "thread", "threads"),
        ("algo.entropy=0.1", "algo.entropy", "entropy_beta"),
        ("env.schedule.frame=3", "env.schedule.frame", "frames"),
        ("new.nested.key=3", "new", "optimizer"),
    ],
)
def test_an_unknown_key_is_refused_with_or_without_a_plus(plus: str, override: str, key: str, allowed: str) -> None:
    message = refused(plus + override)
    assert message.startswith(f"{key}: unknown key")
    assert allowed in message.partition("allowed: ")[2].split(", ")
    assert key == "new" or message.partition("allowed: ")[2].startswith(allowed), "the most similar first"


@pytest.mark.parametrize(
    ("override", "key", "allowed"),
    [
        ("algo=a2c", "algo", "a3c, n_step_q, one_step_q, one_step_sarsa"),
        ("env=brakout", "env", "did you mean breakout"),
        ("env=minatar/brekout", "env", "minatar/breakout"),
        ("env=minatar", "env", "minatar/breakout"),
        ("network=resnet", "network", "mnih2013_lstm"),
        ("optimizer=adamw", "optimizer", "adam, momentum_sgd, rmsprop, shared_rmsprop"),
        ("execution=cluster", "execution", "hogwild"),
        ("algo=null", "algo", "one_step_q"),
        ("network=null", "network", "mnih2015"),
        ("algo=3", "algo", "one_step_q"),
        ("env=BreakoutNoFrameskip-v4", "env", "did you mean breakout?"),
        ("env=ALE/SpaceInvaders-v5", "env", "did you mean space_invaders?"),
        ("env=Breakout", "env", "did you mean breakout?"),
        ("env=MinAtar/Breakout-v1", "env", "did you mean minatar/breakout?"),
        ("env=cheetah-run", "env", "did you mean control/cheetah_run?"),
        ("env=CartPole-v1", "env", "did you mean env=gym env.id=CartPole-v1?"),
        ("env=cartpole", "env", "did you mean env=gym env.id=CartPole-v1?"),
        ("algo=A3C", "algo", "did you mean a3c?"),
    ],
)
def test_an_unknown_choice_is_refused_with_those_allowed(override: str, key: str, allowed: str) -> None:
    message = refused(override)
    assert message.startswith(key)
    assert allowed in message


@pytest.mark.parametrize("group", ["algo", "env", "network", "optimizer", "execution"])
@pytest.mark.parametrize(
    "name", ["_algorithm", "_environment", "_network", "os", "../x", "a3crepro", "", None, 3, ["a"]]
)
def test_a_name_reaches_no_module_but_the_group_s_own(group: str, name: Any) -> None:
    plain = composed("env=toy/catch").plain()
    message = mistake(plain, (group, "name"), name)
    own = {"algo": "one_step_sarsa", "env": "minatar", "network": "mnih2015", "optimizer": "rmsprop"}
    assert own.get(group, "hogwild") in message.partition("allowed")[2]


@pytest.mark.parametrize(
    ("override", "meant"),
    [
        ("lr=1e-3", "optimizer.lr"),
        ("learning_rate=1e-3", "optimizer.lr"),
        ("gamma=0.9", "algo.gamma"),
        ("algo.lr=1e-3", "optimizer.lr"),
        ("num_workers=4", "threads"),
        ("total_timesteps=1e6", "frames"),
        ("frames=20M", "frames=20_000_000"),
        ("frames=1.5k", "frames=1_500"),
        ("frames=1B", "frames=1_000_000_000"),
        ("frames=20,000,000", "frames=20_000_000"),
    ],
)
def test_what_was_meant_is_told(override: str, meant: str) -> None:
    assert f"did you mean {meant}?" in refused("env=toy/catch", override)


@pytest.mark.parametrize("value", ["[1]", "null", "'2'", "true", "2.5", "two", "0", "-1", "nan", "inf", "{a: 1}", ""])
def test_a_bad_value_on_the_command_line_is_refused(value: str) -> None:
    assert refused(f"threads={value}").startswith("threads: ")


@pytest.mark.parametrize("value", ["0", "-1e-3", "nan", "inf", "-inf", "null", "'1e-3'", "true", "[1e-3]"])
def test_a_bad_learning_rate_on_the_command_line_is_refused(value: str) -> None:
    assert refused(f"optimizer.lr={value}").startswith("optimizer.lr: ")


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("threads", "threads"),
        ("=3", "=3"),
        ("~threads", "threads"),
        ("~nonsense", "nonsense"),
        ("threads=1,2", "threads"),
        ("threads=[1", "[1"),
        ("optimizer.lr=${nothing}", "nothing"),
        ("optimizer.lr=???", "lr"),
        ("optimizer.lr=${log_uniform:1e-2,1e-4,1}", "optimizer.lr"),
        ("optimizer.lr=${log_uniform:1e-4,1e-2}", "key"),
        ("env.schedule=null", "env.schedule"),
    ],
)
def test_what_cannot_be_read_is_one_line_too(override: str, says: str) -> None:
    assert says in refused(override)


def test_an_unknown_game_is_refused_with_those_there_are() -> None:
    message = refused("env.game=brakout")
    assert message.startswith("env.game: ")
    assert "breakout" in message
    assert refused("env=minatar/asterix", "env.game=pong").startswith("env.game: ")


@pytest.mark.parametrize(
    "env_id",
    ["Nothing-v0", "CartPole-v99", "no_such_module:CartPole-v1", "..relative:CartPole-v1", "", "x y"],
)
def test_an_environment_that_gymnasium_does_not_have_or_that_does_not_fit_is_refused(env_id: str) -> None:
    assert refused("env=gym", f"env.id='{env_id}'").startswith("env.id: ")


def test_an_environment_whose_library_is_not_installed_is_refused() -> None:
    def needs_a_library(**_: Any) -> Any:
        raise gymnasium.error.DependencyNotInstalled("install box2d")

    gymnasium.register("a3crepro-tests/NeedsALibrary-v0", needs_a_library)
    message = refused("env=gym", "env.id=a3crepro-tests/NeedsALibrary-v0")
    assert message.startswith("env.id: ")
    assert "install box2d" in message


@pytest.mark.parametrize(
    ("env", "network"),
    [("toy/catch", "mnih2013"), ("toy/catch", "minatar"), ("minatar/asterix", "mnih2015_lstm"), ("pong", "minatar")],
)
def test_a_network_that_does_not_fit_is_refused_with_what_it_takes(env: str, network: str) -> None:
    message = refused(f"env={env}", f"network={network}")
    assert message.startswith("network")
    assert "84" in message or "10, 10" in message


def test_mistakes_in_a_file_are_told_like_those_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "env").mkdir()
    (tmp_path / "env/mine.yaml").write_text("defaults:\n  - _atari\n\ngame: pong\naction_repaet: 2\n")
    here = str(tmp_path)
    assert refused("env=mine", config_dir=here).startswith("env.action_repaet: unknown key; allowed: action_repeat")
    assert "mine" in refused("env=mien", config_dir=here)
    assert "nowhere" in refused(config_dir=str(tmp_path / "nowhere"))


OWN = {
    "env/my.yaml": "defaults: [toy/catch]\n",
    "env/mine.yaml": "defaults: [toy/cue_memory, _self_]\nreward_clip: 2\n",
    "env/deep/my.yaml": "defaults: [/env/minatar/asterix]\n",
    "experiment/fast.yaml": "# @package _global_\ndefaults:\n  - override /algo: n_step_q\nthreads: 2\n",
    "trial.yaml": "defaults: [config, experiment: fast, _self_]\n",
    "experiment/slow.yaml": "# @package _global_\nthreads: 1\n",
}


@pytest.fixture
def own(tmp_path: Path) -> str:
    for name, text in OWN.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return str(tmp_path)


@pytest.mark.parametrize(
    ("words", "same"),
    [
        (["env=my"], ["env=toy/catch"]),
        (["env=mine"], ["env=toy/cue_memory", "env.reward_clip=2"]),
        (["env=deep/my"], ["env=minatar/asterix"]),
        (["+experiment=fast"], ["algo=n_step_q", "threads=2"]),
        (["experiment=slow"], ["threads=1"]),
    ],
)
def test_files_of_one_s_own_compose_as_hydra_has_it(own: str, words: list[str], same: list[str]) -> None:
    words, same = ([*some, *([] if "env" in some[0] else ["env=toy/catch"])] for some in (words, same))
    name = "trial" if "experiment=slow" in words else "config"
    extra = ["algo=n_step_q"] if name == "trial" else []  # trial.yaml has fast.yaml's choice of it, slow.yaml none
    assert compose(*words, *extra, config_dir=own, config_name=name) == compose(*same, *extra)


def test_a_group_that_is_not_in_the_defaults_is_told_how_to_add(own: str) -> None:
    assert "+experiment=fast" in refused("experiment=fast", config_dir=own)


@pytest.mark.parametrize("env", ["toy/catch", "minatar/breakout", "racing/fast", "control/reacher_easy_pixels"])
def test_an_environment_of_a_folder_can_be_built_on(tmp_path: Path, env: str) -> None:
    (tmp_path / "env").mkdir()
    (tmp_path / "env/my.yaml").write_text(f"defaults: [{env}]\n")
    assert compose("env=my", config_dir=str(tmp_path)) == composed(f"env={env}")


def test_a_whole_file_of_one_s_own_can_be_named(tmp_path: Path) -> None:
    """As `--config-dir DIR --config-name trial` gives them."""
    (tmp_path / "trial.yaml").write_text("defaults:\n  - config\n  - _self_\n\nthreads: 0\n")
    assert refused(config_dir=str(tmp_path), config_name="trial").startswith("threads: ")
    assert compose("threads=3", config_dir=str(tmp_path), config_name="trial").threads == 3


# ---- log_uniform -----------------------------------------------------------------------------------------------------


def test_a_draw_is_the_same_in_every_process() -> None:
    """Whatever the seed of its hashes: these were drawn in another one."""
    there = [0.0015360995331886278, 0.00029622290200518, 0.0006903101085830128, 0.0008199935329629065,
             0.007593673905277458]  # fmt: skip
    np.random.seed(3)
    assert [log_uniform(1e-4, 1e-2, seed, "lr") for seed in range(5)] == pytest.approx(there, rel=1e-14)


def test_draws_are_log_uniform_over_seeds() -> None:
    draws = np.array([log_uniform(1e-4, 1e-2, seed) for seed in range(2000)])
    assert draws.min() >= 1e-4
    assert draws.max() < 1e-2
    shares = np.sort(np.log(draws / 1e-4) / np.log(100))
    steps = np.arange(2001) / 2000
    distance = max(np.abs(shares - steps[1:]).max(), np.abs(shares - steps[:-1]).max())
    assert distance < 1.63 / math.sqrt(2000), "Kolmogorov-Smirnov at 1 %"


def test_draws_of_one_seed_under_different_names_are_independent() -> None:
    a, b = (np.log([log_uniform(1e-4, 1e-2, seed, name) for seed in range(2000)]) for name in ("lr", "beta"))
    following = np.log([log_uniform(1e-4, 1e-2, seed) for seed in range(2001)])
    assert abs(np.corrcoef(a, b)[0, 1]) < 4 / math.sqrt(2000)
    assert abs(np.corrcoef(following[1:], following[:-1])[0, 1]) < 4 / math.sqrt(2000)


@pytest.mark.parametrize("quote", ["", "'"], ids=["as-the-shell-passes-it", "quoted"])
def test_a_learning_rate_can_be_drawn_and_is_paired_across_methods(quote: str) -> None:
    """INTERFACE.md: `optimizer.lr='${log_uniform:1e-4,1e-2,${seed}}'`, whose quotes the shell takes away."""
    draw = f"optimizer.lr={quote}${{log_uniform:1e-4,1e-2,${{seed}}}}{quote}"
    rates = [compose(f"algo={algo}", "env=toy/catch", "seed=3", draw).optimizer.lr for algo in ("a3c", "one_step_q")]
    assert rates[0] == rates[1] == log_uniform(1e-4, 1e-2, 3)
    assert compose("env=toy/catch", "seed=4", draw).optimizer.lr != rates[0]


@pytest.mark.parametrize(
    "arguments", [(1e-2, 1e-4, 1), (0, 1, 1), (-1, 1, 1), (1, math.inf, 1), (1e-4, 1e-2), (1, 1, 1)]
)
def test_a_range_that_is_none_is_refused(arguments: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="log_uniform: needs"):
        log_uniform(*arguments)


# ---- The name of a run -----------------------------------------------------------------------------------------------

CATCH = ("env=toy/catch", "algo=a3c")


def name(*overrides: str) -> str:
    return run_name(composed(*overrides))


def test_a_run_s_name_tells_its_choices_and_seed_and_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert name("env=minatar/breakout", "algo=a3c", "threads=2", "frames=300_000") == (
        "minatar/breakout/a3c/threads=2/seed=0"
    )
    assert name("env=pong", "threads=4", "seed=3") == "pong/a3c/threads=4/seed=3"
    assert name("env=pong", "network=mnih2015_lstm", "optimizer=rmsprop", "execution=virtual_time") == (
        "pong/a3c/execution=virtual_time,network=mnih2015_lstm,optimizer=rmsprop/seed=0"
    )
    assert name("env=gym", "env.id=Acrobot-v1") == "gym/a3c/env.id=Acrobot-v1/seed=0"
    monkeypatch.setattr(time, "time", lambda: 4e9)
    assert (
        name(*CATCH, "threads=4", "seed=3") == name(*CATCH, "seed=3", "threads=4") == ("toy/catch/a3c/threads=4/seed=3")
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([], ["threads=16"]),
        ([], ["logging.every_seconds=5", "logging.tensorboard=false", "checkpoint.every_seconds=9"]),
        ([], ["optimizer.lr=0.0007", "optimizer=shared_rmsprop", "network=mlp", "execution=hogwild"]),
        ([], ["frames=2e6", "optimizer.anneal_frames=null"]),
        (["threads=4"], ["threads=4.0"]),
        (["algo.t_max=20"], ["env.schedule.t_max=20"]),
        (["network=mlp_lstm"], ["network.hidden=[64]", "network.lstm_cells=32"]),
        (["optimizer.lr=1e-3", "algo.gamma=0.9"], ["algo.gamma=9e-1", "optimizer.lr=0.001"]),
        (["optimizer.lr='${log_uniform:1e-4,1e-2,7}'"], [f"optimizer.lr={log_uniform(1e-4, 1e-2, 7)!r}"]),
    ],
    ids=str,
)
def test_equal_configurations_have_one_name(one: list[str], other: list[str]) -> None:
    assert name(*CATCH, *one) == name(*CATCH, *other)
    assert run_name(build(composed(*CATCH, *other).plain())) == name(*CATCH, *other), "however it is made"


def test_a_configuration_knows_how_it_was_composed() -> None:
    found = composed("env=labyrinth_medium", "threads=2").composition
    assert found.overrides == ("env=labyrinth_medium", "threads=2")
    assert found.choices == {
        "algo": "a3c", "env": "labyrinth_medium", "network": "mnih2013_lstm", "optimizer": "shared_rmsprop",
        "execution": "hogwild",
    }  # fmt: skip
    assert build(composed(*CATCH).plain()) == composed(*CATCH) and not build(composed(*CATCH).plain()).composition[0]


def test_a_value_that_follows_from_another_is_not_told() -> None:
    assert name("env=labyrinth", "env.seconds=30") == "labyrinth/a3c/env.seconds=30/seed=0"
    assert name("env=racing/slow", "env.opponents.number=8") == "racing/slow_bots/a3c/seed=0"
    assert name("env=labyrinth_medium") == "labyrinth_medium/a3c/seed=0"


def test_different_runs_have_different_names() -> None:
    commands = [
        [], ["seed=1"], ["threads=4"], ["threads=8"], ["optimizer=rmsprop"], ["optimizer.lr=1e-3"],
        ["network=mlp_lstm"], ["threads=4", "seed=1"], ["algo.gamma=0.9"], ["optimizer.lr=1e-3", "algo.gamma=0.9"],
        ["optimizer.lr=2e-3"], ["optimizer.anneal_frames=1e6"], ["algo=n_step_q"], ["env=toy/chain"],
        ["env.reward_clip=1"], ["network.hidden=[64]"], ["algo.evaluation_policy=greedy"], ["evaluation.max_frames=8"],
    ]  # fmt: skip
    names = [name(*CATCH, *command) for command in commands]
    assert len(set(names)) == len(names)
    long = {f"algo.some_long_key_{i}": 0.123456789 for i in range(20)}
    texts = [",".join(f"{key}={value}" for key, value in long.items()) + end for end in ("", "1")]
    assert len({file_name(text) for text in texts}) == 2 and max(map(len, map(file_name, texts))) <= 150


ODD = [
    "env.id='a:b/../../c'", "x=../../../etc/passwd", "x=a b\tc\nd", "y=\0", 'z="$HOME;`rm`"', "x=[64,64]", "..=..",
    "seed=" + "9" * 400, "x=" + "ö" * 200, "x=" + "漢" * 140,
]  # fmt: skip


@pytest.mark.parametrize("words", ODD)
def test_odd_values_give_a_directory_below_runs(words: str, tmp_path: Path) -> None:
    directory = tmp_path / "runs" / "pong" / file_name(words)
    assert directory.resolve().parent == (tmp_path / "runs" / "pong").resolve()
    directory.mkdir(parents=True)
    assert not re.search(r"[\s'\"$`;*?<>|\\\0]", directory.name)
