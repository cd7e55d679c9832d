"""The directory of a run: what it accepts, refuses, resumes and writes."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from helpers import files
from run_helpers import begun, checkpoint, config

import a3crepro.runs.checkpoint
import a3crepro.runs.manifest
import a3crepro.runs.run_directory
from a3crepro import compose, train
from a3crepro.common.errors import RunError, UserError
from a3crepro.config import build
from a3crepro.runs.manifest import GitState, git_state
from a3crepro.runs.run_directory import NAMES, WRITTEN, RunDirectory, stored_config


@pytest.fixture(autouse=True)
def no_checkout(monkeypatch):
    """To ask git takes longer than most of these tests."""
    monkeypatch.setattr(a3crepro.runs.run_directory, "git_state", lambda: GitState(None, None))


def test_the_stored_configuration_is_the_configuration(tmp_path):
    overrides = ("algo=n_step_q", "optimizer.lr='${log_uniform:1e-4,1e-2,${seed}}'", "optimizer.anneal_frames=5e6")
    mine = config(*overrides, "seed=3", "env.reward_clip=1.5")
    RunDirectory(tmp_path, mine).__exit__()
    assert stored_config(tmp_path) == mine
    values = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert build(values) == mine
    assert values["optimizer"]["lr"] == mine.optimizer.lr
    assert "$" not in (tmp_path / "config.yaml").read_text()


def test_the_manifest_tells_of_each_start(tmp_path):
    for _ in range(2):
        RunDirectory(tmp_path, config()).__exit__()
    starts = json.loads((tmp_path / "manifest.json").read_text())["starts"]
    assert len(starts) == 2
    for start in starts:
        assert start["command"] and start["host"] and start["cpu"] and start["cores"] >= 1
        assert {"torch", "numpy", "gymnasium", "ale-py", "minatar", "hydra-core"} <= start["packages"].keys()
        assert all(start["packages"].values())
        assert (start["git_commit"] is None) == (start["git_clean"] is None)
        assert start["choices"] == dict(config().composition.choices) and start["choices"]["execution"]
        assert start["overrides"] == list(config().composition.overrides)


def test_a_run_from_python_has_the_command_that_would_repeat_it(monkeypatch):
    """Not the arguments of the script or of the notebook's kernel."""
    monkeypatch.setattr(sys, "argv", ["kernel.py", "-f", "kernel.json"])
    start = a3crepro.runs.manifest.this_attempt(GitState(None, None), ("env=pong", "frames=5"))
    assert start["command"] == ["python", "-m", "a3crepro", "env=pong", "frames=5"]


def test_the_commit_is_that_of_the_checkout():
    start = a3crepro.runs.manifest.this_attempt(git_state(), ())
    if not (Path(a3crepro.__file__).resolve().parent.parent / ".git").exists():
        assert start["git_commit"] is None and start["git_clean"] is None
    else:
        assert len(start["git_commit"]) == 40 and isinstance(start["git_clean"], bool)


def test_another_configuration_is_refused_with_the_keys_that_differ(tmp_path):
    RunDirectory(tmp_path, config()).__exit__()
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    with pytest.raises(UserError) as caught:
        RunDirectory(tmp_path, config("seed=1", "optimizer.lr=0.5"))
    assert "seed (0 there, 1 here)" in str(caught.value) and "optimizer.lr" in str(caught.value)
    assert "threads" not in str(caught.value) and "\n" not in str(caught.value)
    assert before == {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}


def test_another_algorithm_is_refused(tmp_path):
    RunDirectory(tmp_path, config()).__exit__()
    with pytest.raises(UserError, match=r"algo\.name \('a3c' there, 'n_step_q' here\)"):
        RunDirectory(tmp_path, config("algo=n_step_q"))


def test_where_anneal_frames_is_set_frames_may_be_more_or_less_but_not_less_than_trained(tmp_path):
    with RunDirectory(tmp_path, config("optimizer.anneal_frames=100", "frames=100")) as run:
        run.save(checkpoint(25))  # 50 frames of two actor-learners
    for budget in (200, 60, 50):
        RunDirectory(tmp_path, config("optimizer.anneal_frames=100", f"frames={budget}")).__exit__()
        assert stored_config(tmp_path).frames == budget
    with pytest.raises(
        UserError, match=r"^frames: .* has already trained for 50 frames, got 40; allowed: at least 50,"
    ):
        RunDirectory(tmp_path, config("optimizer.anneal_frames=100", "frames=40"))
    with pytest.raises(UserError, match=r"optimizer\.anneal_frames"):
        RunDirectory(tmp_path, config("optimizer.anneal_frames=200", "frames=300"))
    assert stored_config(tmp_path).frames == 50


def test_a_finished_run_with_a_smaller_budget_stays_finished(tmp_path):
    with RunDirectory(tmp_path, config("optimizer.anneal_frames=100", "frames=60")) as run:
        run.save(checkpoint(30))
        summary = {**dict.fromkeys(a3crepro.runs.run_directory.SUMMARY), "frames": 60}
        run.finish(summary, np.zeros(1, np.int64))
    with pytest.raises(UserError, match="has already trained for 60 frames, got 50"):
        RunDirectory(tmp_path, config("optimizer.anneal_frames=100", "frames=50"))
    with RunDirectory(tmp_path, config("optimizer.anneal_frames=100", "frames=60")) as run:
        assert run.summary == summary
    with RunDirectory(tmp_path, config("optimizer.anneal_frames=100", "frames=70")) as run:
        assert run.summary is None


def test_frames_are_the_schedule_where_anneal_frames_is_not_set(tmp_path):
    RunDirectory(tmp_path, config("frames=100")).__exit__()
    for budget in (50, 200):
        with pytest.raises(UserError, match="frames"):
            RunDirectory(tmp_path, config(f"frames={budget}"))
    RunDirectory(tmp_path, config("frames=200", "optimizer.anneal_frames=100")).__exit__()
    assert stored_config(tmp_path).lr_anneal_frames == 100


def test_a_run_goes_on_with_another_way_of_showing_and_saving_it(tmp_path):
    RunDirectory(tmp_path, config()).__exit__()
    other = config("logging.every_seconds=3", "checkpoint.every_seconds=7", "env.schedule.frames=9")
    RunDirectory(tmp_path, other).__exit__()
    assert stored_config(tmp_path) == other


def test_an_atari_run_of_a_version_that_annealed_over_frames_goes_on(tmp_path):
    now = compose("env=breakout", "frames=320_000_000")
    before = now.model_dump()
    before["optimizer"]["anneal_frames"] = None
    del before["env"]["schedule"]["lr_anneal_frames"]
    tmp_path.joinpath("config.yaml").write_text(yaml.safe_dump(before))
    RunDirectory(tmp_path, now).__exit__()
    RunDirectory(tmp_path, compose("env=breakout", "frames=20_000_000")).__exit__()
    assert stored_config(tmp_path).frames == 20_000_000


def test_a_directory_in_use_is_refused_until_it_is_released(tmp_path):
    with RunDirectory(tmp_path, config()), pytest.raises(RunError, match="in use"):
        RunDirectory(tmp_path, config())
    RunDirectory(tmp_path, config()).__exit__()


def test_leftovers_of_a_killed_write_are_removed(tmp_path):
    RunDirectory(tmp_path, config()).__exit__()
    (tmp_path / "checkpoint_new.npz.tmp").write_bytes(b"half")
    RunDirectory(tmp_path, config()).__exit__()
    assert not list(tmp_path.rglob("*.tmp"))


def test_nothing_else_is_removed(tmp_path):
    RunDirectory(tmp_path, config()).__exit__()
    mine = ("x.tmp", "checkpoint.npz.tmp", "sub/x.tmp", "sub/checkpoint_new.npz.tmp", "y.tmp/z", "summary.json.tmp/z")
    for name in mine:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("mine")
    RunDirectory(tmp_path, config()).__exit__()
    assert all((tmp_path / name).read_text() == "mine" for name in mine)


def test_all_that_a_run_writes_has_a_name_that_is_known(tmp_path, monkeypatch):
    temporary, replace = set(), os.replace

    def noted(source, target):
        if Path(source).suffix == ".tmp":
            temporary.add(Path(source).name)
        replace(source, target)

    monkeypatch.setattr(a3crepro.runs.run_directory.os, "replace", noted)
    monkeypatch.setattr(a3crepro.runs.run_directory, "git_state", lambda: GitState("0" * 40, b"changes"))
    mine = config("logging.tensorboard=true", "evaluation.episodes=0")
    begun(tmp_path, mine)
    with open(tmp_path / "episodes.csv", "ab") as file:
        file.write(b"half a row")
    train(mine, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} <= set(NAMES)
    assert temporary == {f"{name}.tmp" for name in WRITTEN}


FOREIGN = {
    "episodes.csv": "a,b\n1,2\n",
    "evaluations.csv": "a,b\n1,2\n",
    "lock": "held by somebody",
    "manifest.json": "[]",
    "summary.json": "done",
    "staleness.csv": "",
    "checkpoint.npz": "parameters",
    "checkpoint_before.npz": "",
    "lock/file": "",
    "tensorboard/events": "",
    "config.yaml": "lr: 1",
    "config.yaml.tmp": "lr: 1",
}


@pytest.mark.parametrize("names", [*([name] for name in FOREIGN), ["manifest.json", "episodes.csv", "lock"]], ids=str)
def test_a_directory_of_somebody_else_is_refused_and_stays_as_it_is(tmp_path, names):
    for name in (*names, "sub/notes"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(FOREIGN.get(name, "mine"))
    before = files(tmp_path)
    with pytest.raises(UserError) as caught:
        train(config(), tmp_path)
    said = str(caught.value)
    assert str(tmp_path) in said and "\n" not in said and all(name.split("/")[0] in said for name in names)
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    "names", [["lock"], ["lock", "config.yaml.tmp"], ["lock", "log.txt"], ["log.txt", "error.txt", "notes"]], ids=str
)
def test_a_start_that_was_killed_before_it_wrote_its_configuration_is_gone_on_with(tmp_path, names):
    for name in names:
        (tmp_path / name).write_text("" if name == "lock" else "half")
    assert train(config("evaluation.episodes=0"), tmp_path)["frames"] == 0
    assert stored_config(tmp_path) == config("evaluation.episodes=0")


@pytest.mark.parametrize("other", ["optimizer.lr=0.5", "threads=4"])
def test_a_run_whose_configuration_is_gone_is_refused(tmp_path, other):
    begun(tmp_path)
    (tmp_path / "config.yaml").unlink()
    before = files(tmp_path)
    for words in ([other], []):
        with pytest.raises(UserError, match=r"no config\.yaml.*checkpoint\.npz"):
            train(config(*words), tmp_path)
    assert files(tmp_path) == before


@pytest.mark.parametrize("content", [b"\xff\x00\xfe", b"algo: [", b"", b"- 1"])
def test_a_damaged_configuration_is_named(tmp_path, content):
    (tmp_path / "config.yaml").write_bytes(content)
    with pytest.raises(UserError, match=r"config\.yaml") as caught:
        train(config(), tmp_path)
    assert "\n" not in str(caught.value)
    assert files(tmp_path) == {"config.yaml": content}
