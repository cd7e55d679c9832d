"""The name of a run."""

import re
import time
from pathlib import Path

import pytest
from config_helpers import composed

from a3crepro.config import build, file_name, log_uniform, run_name

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
    assert run_name(build(composed(*CATCH, *other).model_dump())) == name(*CATCH, *other), "however it is made"


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
