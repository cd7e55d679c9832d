"""Learning: each method, with each optimizer and one or four actor-learners, scores far above chance.

Scores are those of the final evaluation of a training run; docstrings of the toy environments give those of chance.
"""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from a3crepro import compose, train
from a3crepro.runs.checkpoint import load_checkpoint

ROOT = Path(__file__).resolve().parent.parent
METHODS = ["a3c", "n_step_q", "one_step_q", "one_step_sarsa"]
RATES = {
    "shared_rmsprop": 5e-3,
    "rmsprop": 5e-3,
    "momentum_sgd": 1e-2,
    "adam": 5e-3,
}  # one per optimizer, for all methods and tasks
COMMON = ("evaluation.every=0", "evaluation.episodes=100", "logging.tensorboard=false")


def score(directory, algo, env, optimizer="shared_rmsprop", threads=4, frames=60_000, *overrides):
    config = compose(
        f"algo={algo}", f"env={env}", f"optimizer={optimizer}", f"optimizer.lr={RATES[optimizer]}",
        f"threads={threads}", f"frames={frames}", *COMMON, *overrides,
    )  # fmt: skip
    return train(config, directory)["score_mean"]


@pytest.mark.parametrize("algo", METHODS)
def test_each_method_learns_the_chain(tmp_path, algo):
    overrides = ["execution=virtual_time"]  # repeatable; the slow tests learn in hogwild
    if algo != "a3c":
        overrides.append("env.schedule.epsilon_anneal_frames=5_000")
    assert score(tmp_path, algo, "toy/chain", "shared_rmsprop", 2, 25_000, *overrides) > 0.8  # chance: 0.15


def test_lstm_cells_remember(tmp_path):
    assert score(tmp_path, "a3c", "toy/cue_memory", "shared_rmsprop", 2, 20_000) > 0.6  # chance: 0


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("optimizer", RATES)
@pytest.mark.parametrize("algo", METHODS)
def test_each_method_learns_to_catch_with_each_optimizer(tmp_path, algo, optimizer, threads):
    assert score(tmp_path, algo, "toy/catch", optimizer, threads) > 0.5  # chance: -0.6


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("optimizer", RATES)
@pytest.mark.parametrize("algo", METHODS)
def test_each_method_learns_to_remember_with_lstm_cells(tmp_path, algo, optimizer, threads):
    assert score(tmp_path, algo, "toy/cue_memory", optimizer, threads) > 0.5  # chance: 0


@pytest.mark.slow
def test_without_lstm_cells_the_cue_stays_at_chance(tmp_path):
    assert abs(score(tmp_path, "a3c", "toy/cue_memory", "shared_rmsprop", 4, 60_000, "network=mlp")) < 0.4


@pytest.mark.slow
def test_the_first_commands_of_the_readme_learn_and_record_a_video(tmp_path):
    (block,) = re.findall(r"^## A first result.*?^```\w*\n(.*?)^```", (ROOT / "README.md").read_text(), re.S | re.M)
    commands = [shlex.split(line) for line in block.replace("\\\n", "").splitlines()]
    assert [command[:3] for command in commands] == [
        ["python", "-m", "a3crepro"],
        ["python", "-m", "a3crepro.evaluate"],
    ]
    for command in commands:
        result = subprocess.run(
            [sys.executable, *command[1:]], cwd=tmp_path, check=True, capture_output=True, text=True
        )
    score = json.loads(result.stdout.splitlines()[-1])["score_mean"]
    assert score > 6  # random policy: 0.4; five seeds: 9.2 to 11.6
    assert (tmp_path / "breakout.mp4").stat().st_size > 10_000


@pytest.mark.slow
@pytest.mark.parametrize("execution", ["hogwild", "virtual_time"])
def test_cartpole_is_solved_with_default_settings(tmp_path, execution):
    config = compose(
        "env=gym", f"execution={execution}", "seed=3", "evaluation.episodes=30", "logging.tensorboard=false"
    )
    assert (config.env.id, config.algo.name) == ("CartPole-v1", "a3c")
    assert train(config, tmp_path)["score_mean"] >= 450  # of 500; chance: 22


@pytest.mark.slow
@pytest.mark.parametrize(
    ("env_id", "random", "good"),
    [("Acrobot-v1", -500, -150), ("Pendulum-v1", -1270, -950), ("HalfCheetah-v5", -280, 0)],
)
def test_other_small_tasks_are_learnt_with_default_settings(tmp_path, env_id, random, good):
    """`random` is the score of a random policy; `good` is well above it and below the scores of other seeds."""
    config = compose(
        "env=gym", f"env.id={env_id}", "execution=virtual_time", "seed=3", "evaluation.episodes=30",
        "logging.tensorboard=false",
    )  # fmt: skip
    assert train(config, tmp_path)["score_mean"] >= good > random


@pytest.mark.parametrize("algo", ["a3c", pytest.param("one_step_sarsa", marks=pytest.mark.slow)])
def test_one_thread_gives_the_same_run_to_the_bit(tmp_path, algo):
    """Everything but the times, regardless of the load of the machine and of when evaluations run."""
    runs = []
    for name in ("a", "b"):
        overrides = ("evaluation.every=500", "evaluation.episodes=5", "seed=7")
        score(tmp_path / name, algo, "toy/chain", "shared_rmsprop", 1, 2_000, *overrides)
        checkpoint = load_checkpoint(tmp_path / name, print)
        tables = [pd.read_csv(tmp_path / name / f"{table}.csv") for table in ("episodes", "evaluations")]
        runs.append((checkpoint.arrays, [table.drop(columns=["seconds", "real_seconds"]) for table in tables]))
    (arrays, tables), (arrays_again, tables_again) = runs
    assert arrays.keys() == arrays_again.keys()
    assert all(np.array_equal(arrays[name], arrays_again[name]) for name in arrays)
    assert all(table.equals(again) for table, again in zip(tables, tables_again, strict=True))
    assert len(tables[1]) == 4 and arrays["counters"][:, 0].sum() >= 2_000
