"""Every choice composes and builds; defaults follow from the choices."""

import csv
import itertools
import re
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from config_helpers import composed, values
from gymnasium.spaces import Discrete
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from a3crepro.config import build, choices, compose, conf_directory, hydra_job, with_job
from a3crepro.environments._environment import Environment
from a3crepro.networks._network import parameter_count, seeded

ROOT = Path(__file__).resolve().parent.parent


ATARI_57 = [name for name in choices("env") if "/" not in name and not name.startswith(("gym", "labyrinth"))]


MINATAR = ["asterix", "breakout", "freeway", "seaquest", "space_invaders"]


ALGORITHMS = ["a3c", "n_step_q", "one_step_q", "one_step_sarsa"]


ATARI_NETWORKS = ["mnih2013", "mnih2013_lstm", "mnih2015", "mnih2015_lstm"]


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
    assert config.model_dump()["env"]["game"] == game


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
    if env.startswith("control/"):
        assert config.env.title == env
    module = seeded(config.network, config.env.spaces()[0], config.algo.heads(config.env.spaces()[1]), 0)
    assert parameter_count(module) > 0


def test_a_configuration_knows_how_it_was_composed() -> None:
    config = composed("env=labyrinth_medium", "threads=2")
    assert config.composition.overrides == ("env=labyrinth_medium", "threads=2")
    assert config.composition.choices == {
        "algo": "a3c", "env": "labyrinth_medium", "network": "mnih2013_lstm", "optimizer": "shared_rmsprop",
        "execution": "hogwild",
    }  # fmt: skip
    plain = build(config.model_dump())
    assert plain == config and not plain.composition.choices


@pytest.mark.parametrize("optimizer", ["shared_rmsprop", "rmsprop"])
def test_small_tasks_of_gymnasium_s_have_a_rate_and_an_epsilon_of_their_own(optimizer: str) -> None:
    own, papers = composed("env=gym", f"optimizer={optimizer}"), composed("env=breakout", f"optimizer={optimizer}")
    assert (own.optimizer.lr, own.optimizer.epsilon) == (own.env.schedule.lr, own.env.schedule.rmsprop_epsilon)
    assert (papers.optimizer.lr, papers.optimizer.epsilon) == (7e-4, 0.1)
    assert own.optimizer.epsilon < 1e-3
    given = composed("env=gym", f"optimizer={optimizer}", "optimizer.lr=0.25", "optimizer.epsilon=0.5", "algo.t_max=7")
    assert (given.optimizer.lr, given.optimizer.epsilon, given.algo.max_update_steps) == (0.25, 0.5, 7)


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
        assert build(config.model_dump()) == config


def test_the_defaults_are_the_paper_s() -> None:
    config = composed()
    assert values(config, "threads", "frames", "seed") == [16, 320_000_000, 0]
    assert values(config, "algo.name", "algo.gamma", "algo.t_max", "algo.entropy_beta") == ["a3c", 0.99, 5, 0.01]
    assert values(config, "algo.value_gradient", "algo.max_gradient_norm") == [0.5, 40.0]
    assert values(config, "optimizer.name", "optimizer.lr") == ["shared_rmsprop", 7e-4]
    assert values(config, "optimizer.alpha", "optimizer.epsilon") == [0.99, 0.1]
    assert config.lr_anneal_frames == 320_000_000
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
    assert (config.frames, config.lr_anneal_frames) == (20_000_000, 320_000_000)
    told = composed("env=pong", f"optimizer={optimizer}", "frames=20_000_000", "optimizer.anneal_frames=null")
    assert told.lr_anneal_frames == 20_000_000


def test_the_learning_rate_falls_over_all_frames_unless_told_otherwise() -> None:
    assert composed("env=toy/catch", "frames=2e3").lr_anneal_frames == 2000
    assert composed("env=toy/catch", "frames=2e3", "optimizer.anneal_frames=9e3").lr_anneal_frames == 9000


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


def test_the_job_of_another_hydra_application_says_nothing_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = OmegaConf.create({"runtime": {"choices": {"db": "mysql"}}, "overrides": {"task": ["db=mysql"]}})
    monkeypatch.setattr(HydraConfig, "initialized", lambda: True)
    monkeypatch.setattr(HydraConfig, "get", lambda: foreign)
    config = compose("env=toy/catch")
    assert hydra_job() is None and with_job(config) is config
    foreign.runtime.choices = dict(config.composition.choices)  # an own job
    assert hydra_job() is foreign and with_job(config).composition.overrides == ("db=mysql",)
