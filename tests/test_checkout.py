"""Uncommitted code is part of the record of a run."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from helpers import frames, rows
from run_helpers import checkpoint, config

import a3crepro.runs.checkpoint
import a3crepro.runs.manifest
import a3crepro.runs.run_directory
from a3crepro import compose, train
from a3crepro.learner.shared_state import PolicySnapshot
from a3crepro.runs.checkpoint import Checkpoint, Counters, PendingEvaluation
from a3crepro.runs.evaluation import evaluate
from a3crepro.runs.manifest import GitState, attempts_of, git_state
from a3crepro.runs.policies import NetworkPolicy
from a3crepro.runs.run_directory import RunDirectory
from a3crepro.runs.training import Training, initial_state


@pytest.fixture(autouse=True)
def no_checkout(monkeypatch):
    """To ask git takes longer than most of these tests."""
    monkeypatch.setattr(a3crepro.runs.run_directory, "git_state", lambda: GitState(None, None))


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout with a commit, that the package takes for its own."""
    root = tmp_path / "checkout"
    for name in ("a3crepro/a.py", "conf/config.yaml", "README.md"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("a\nb\n")
    (root / ".gitignore").write_text("__pycache__/\n")
    git(root, "init", "--quiet")
    git(root, "add", ".")
    git(root, "-c", "user.name=me", "-c", "user.email=me@example.com", "commit", "--quiet", "-m", "first")
    monkeypatch.setattr(a3crepro.runs.manifest, "ROOT", root)
    monkeypatch.setattr(a3crepro.runs.run_directory, "git_state", git_state)
    return root


def git(root: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", str(root), *words], check=True, capture_output=True, text=True).stdout


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_what_does_not_change_a_run_leaves_a_checkout_clean(tmp_path, checkout):
    for name in ("runs/x/episodes.csv", "notes.txt", "analysis/mine.py", "a3crepro/__pycache__/a.pyc"):
        write(checkout / name, "mine\n")
    RunDirectory(tmp_path / "run", config()).__exit__()
    (start,) = attempts_of(tmp_path / "run")
    assert start["git_clean"] is True and start["git_commit"] == git(checkout, "rev-parse", "HEAD").strip()
    assert not (tmp_path / "run" / "uncommitted.patch").exists()


NEW = [
    "a3crepro/new.py",
    "a3crepro/algorithms/my own é.py",
    "conf/env/mine.yaml",
    "sweeps/mine.py",
    "hydra_plugins/m.py",
]


@pytest.mark.parametrize("name", [*NEW, "a3crepro/a.py", "README.md"])
def test_code_that_is_not_committed_is_kept_with_the_run(tmp_path, checkout, name):
    write(checkout / name, "a\nmine\n")
    RunDirectory(tmp_path / "run", config()).__exit__()
    (start,) = attempts_of(tmp_path / "run")
    assert start["git_clean"] is False
    patch = tmp_path / "run" / "uncommitted.patch"
    assert f"Changes to commit {start['git_commit']}" in patch.read_text() and "+mine\n" in patch.read_text()
    git(checkout, "stash", "--quiet", "--include-untracked")
    git(checkout, "apply", str(patch))
    assert (checkout / name).read_text() == "a\nmine\n"


def test_a_changed_binary_file_is_named_and_the_rest_can_be_applied(tmp_path, checkout):
    for text in ("one", "two"):
        (checkout / "picture.png").write_bytes(b"\0" + text.encode())
        if text == "one":
            git(checkout, "add", ".")
            git(checkout, "-c", "user.name=me", "-c", "user.email=me@example.com", "commit", "--quiet", "-m", "second")
    (checkout / "conf" / "new.png").write_bytes(b"\0\1")
    write(checkout / "README.md", "a\nmine\n")
    RunDirectory(tmp_path / "run", config()).__exit__()
    patch = tmp_path / "run" / "uncommitted.patch"
    assert {"# not kept: picture.png", "# not kept: conf/new.png"} <= set(patch.read_text().splitlines())
    git(checkout, "stash", "--quiet", "--include-untracked")
    git(checkout, "apply", str(patch))
    assert (checkout / "README.md").read_text() == "a\nmine\n"


def test_starts_from_other_code_are_told_apart(tmp_path, checkout):
    for text in ("one", "one", "two", "one"):
        write(checkout / "sweeps" / "mine.py", f"{text}\n")
        RunDirectory(tmp_path / "run", config()).__exit__()
    kept = (tmp_path / "run" / "uncommitted.patch").read_text().splitlines()
    assert [line for line in kept if line in ("+one", "+two")] == ["+one", "+two", "+one"]
    assert len([line for line in kept if line.startswith("# From the start of ")]) == 3


def test_of_large_differences_so_much_is_kept_as_is_said(tmp_path, checkout):
    write(checkout / "conf" / "large.yaml", "a line\n" * 200_000)
    write(checkout / "conf" / "picture.png", "\0" * 2_000_000)
    RunDirectory(tmp_path / "run", config()).__exit__()
    text = (tmp_path / "run" / "uncommitted.patch").read_text()
    assert len(text) < 1_001_000
    assert text.endswith("+a line\n# cut off: only 1,000,000 bytes are kept\n")


def test_what_is_past_the_checkpoint_is_dropped(tmp_path):
    with RunDirectory(tmp_path, config()) as run:
        for at in (15, 25, 20):
            if at == 20:
                run.save(checkpoint(10, rows=2))
            run.episodes.append({**dict.fromkeys(run.episodes.columns, 0), "frames": at})
            run.evaluations.append({**dict.fromkeys(run.evaluations.columns, 0), "frames": at})
    with RunDirectory(tmp_path, config(), pytest.fail) as run:
        assert run.restore().frames == 20
        assert run.episodes.rows == run.evaluations.rows == 2
    assert frames(tmp_path) == frames(tmp_path, "evaluations.csv") == [15, 25]


def test_evaluations_that_wait_survive_a_stop_and_are_made_after_it(tmp_path):
    mine = config("evaluation.episodes=3")
    state = initial_state(mine)
    state.counters[:, 0] = 150
    parameters = np.zeros(state.parameters.shape, np.float32)
    waiting = {at: PendingEvaluation(parameters, np.zeros(0), at / 100, at / 50) for at in (200, 100)}
    with RunDirectory(tmp_path, mine) as run:
        run.save(Checkpoint(state.arrays(), None, waiting, Counters(9.0, 9.0, 0, 0, 0)))
    train(mine, tmp_path)
    found = rows(tmp_path, "evaluations.csv")
    assert [row["frames"] for row in found] == ["100", "200", "300"]
    assert [(float(row["seconds"]), float(row["real_seconds"])) for row in found[:2]] == [(1, 2), (2, 4)]
    again = list(evaluate(mine, NetworkPolicy(mine, PolicySnapshot(parameters)), mine.seed, 100, 3))
    assert float(found[0]["score_mean"]) == pytest.approx(np.mean(again))


def test_a_run_killed_between_its_final_evaluation_and_its_summary_has_one_row_of_it(tmp_path, monkeypatch):
    mine = config("evaluation.episodes=3")

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunDirectory, "finish", killed)
        with pytest.raises(KeyboardInterrupt):
            train(mine, tmp_path)
    (row,) = rows(tmp_path, "evaluations.csv")
    summary = train(mine, tmp_path)
    (again,) = rows(tmp_path, "evaluations.csv")
    assert again | {"real_seconds": ""} == row | {"real_seconds": ""}
    assert summary["score_mean"] == pytest.approx(float(row["score_mean"]))
    assert summary["episodes"] == 3


def test_a_run_stopped_in_its_final_evaluation_makes_no_other_one(tmp_path, monkeypatch):
    mine = compose("env=toy/chain", "algo=a3c", "threads=3", "execution=virtual_time", "frames=300",
                   "evaluation.every=300", "evaluation.episodes=3", "checkpoint.every_seconds=1000")  # fmt: skip

    def stopped(*_):
        raise KeyboardInterrupt

    train(mine, tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(Training, "_evaluate_finally", stopped)
        with pytest.raises(KeyboardInterrupt):
            train(mine, tmp_path / "stopped")
    train(mine, tmp_path / "stopped")
    whole, again = (
        [row["frames"] for row in rows(tmp_path / name, "evaluations.csv")] for name in ("whole", "stopped")
    )
    assert again == whole and len(whole) == 1 and int(whole[0]) > 300


def test_how_stale_gradients_were_is_told_at_the_end(tmp_path):
    words = ("execution=virtual_time", "execution.spread=0", "algo.t_max=1", "threads=3", "evaluation.episodes=0")
    summary = train(compose("env=toy/chain", "algo=a3c", "frames=300", *words), tmp_path)
    told = {int(row["updates"]): int(row["gradients"]) for row in rows(tmp_path, "staleness.csv")}
    assert sum(told.values()) == summary["updates"]
    assert told == {0: 1, 1: 1, 2: 298}  # n - 1 updates of the others, but for the first ones
