import errno
import functools
import json
import os
import pickle
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import numpy as np
import pytest
import yaml
from helpers import files, frames, rows

import a3crepro.runs.checkout
import a3crepro.runs.checkpoint
import a3crepro.runs.manifest
import a3crepro.runs.run_directory
from a3crepro import compose, train
from a3crepro.common.settings import RunError, UserError
from a3crepro.config import Config, build
from a3crepro.experiments.state import is_locked
from a3crepro.learner.shared_state import Learnt
from a3crepro.runs import command_line
from a3crepro.runs.checkout import GitState, git_state
from a3crepro.runs.checkpoint import Checkpoint, Counters, PendingEvaluation, load_checkpoint, save_checkpoint
from a3crepro.runs.evaluation import evaluate
from a3crepro.runs.files import Table, write_atomically, write_text
from a3crepro.runs.manifest import attempts_of
from a3crepro.runs.policies import NetworkPolicy
from a3crepro.runs.progress import Progress
from a3crepro.runs.run_directory import NAMES, WRITTEN, RunDirectory, stored_config
from a3crepro.runs.training import initial_state


@functools.cache
def config(*overrides: str) -> Config:
    return compose("env=toy/catch", "threads=2", "frames=0", "logging.tensorboard=false", *overrides)


def checkpoint(number: int, rows: int = 0) -> Checkpoint:
    counters = np.zeros((2, 8), np.int64)
    counters[:, 0] = number
    arrays = {"parameters": np.full(1000, number, np.float32), "counters": counters}
    waiting = {7 * number: PendingEvaluation(np.arange(3, dtype=np.float32), np.zeros(0), 1.0, 2.0)}
    numbers = Counters(0.5 * number, 0.25 * number, number, rows, rows)
    return Checkpoint(arrays, {"learners": [np.full(3, number), None]}, waiting, numbers)


def damage(path: Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    match how:
        case "truncated":
            del data[len(data) // 2 :]
        case "a bit flipped":
            data[len(data) // 2] ^= 1
        case "empty":
            data.clear()
        case "zeros":
            data[:] = bytes(len(data))
        case "an array is missing":
            np.savez(path, seconds=1.0)
            return
    path.write_bytes(data)


# ---- Files ---------------------------------------------------------------------------------------------------------


def test_a_table_has_one_header_however_often_it_is_opened(tmp_path):
    for number in range(3):
        table = Table(tmp_path / "episodes.csv", ("frames", "score"))
        table.append({"frames": number, "score": 0.5})
        table.close()
    assert (tmp_path / "episodes.csv").read_text() == "frames,score\n0,0.5\n1,0.5\n2,0.5\n"


def test_a_table_drops_rows_past_a_checkpoint_and_a_row_that_is_incomplete(tmp_path):
    path = tmp_path / "episodes.csv"
    path.write_text("frames,score\n10,1\n30,3\n20,2\n21,2\n2")
    table = Table(path, ("frames", "score"))
    table.truncate(3)
    table.append({"frames": 25, "score": 4})
    table.close()
    assert path.read_text() == "frames,score\n10,1\n30,3\n20,2\n25,4\n"


def test_a_table_with_nothing_to_drop_stays_as_it_is(tmp_path):
    path = tmp_path / "episodes.csv"
    path.write_text("frames,score\n10,1\n")
    table = Table(path, ("frames", "score"))
    table.truncate(1)
    assert table.rows == 1
    table.truncate(5)
    table.close()
    assert path.read_text() == "frames,score\n10,1\n"


@pytest.mark.parametrize("written", [3, None], ids=["half a row", "nothing"])
def test_a_full_disk_leaves_no_half_row(tmp_path, written):
    table = Table(tmp_path / "episodes.csv", ("frames", "score"))
    table.append({"frames": 1, "score": 1})
    whole = table._file

    class Full:
        fileno = whole.fileno

        def write(self, data):
            if written is None:
                raise OSError(errno.ENOSPC, "No space left on device")
            return whole.write(data[:written])

    table._file = Full()
    with pytest.raises(OSError, match="No space left"):
        table.append({"frames": 22, "score": 2})
    table._file = whole
    table.append({"frames": 3, "score": 3})
    table.close()
    assert (tmp_path / "episodes.csv").read_text() == "frames,score\n1,1\n3,3\n"


def test_a_write_that_fails_in_the_middle_leaves_the_old_file(tmp_path):
    write_text(tmp_path / "summary.json", "old")

    def fail(file):
        file.write(b"ne")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_atomically(tmp_path / "summary.json", fail)
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]
    assert (tmp_path / "summary.json").read_text() == "old"


# ---- Checkpoints ---------------------------------------------------------------------------------------------------


def test_a_checkpoint_comes_back_as_it_was_saved(tmp_path):
    assert load_checkpoint(tmp_path, pytest.fail) is None
    for number in range(3):
        save_checkpoint(tmp_path, checkpoint(number))
    loaded = load_checkpoint(tmp_path, pytest.fail)
    assert (loaded.frames, loaded.counters) == (4, (1.0, 0.5, 2, 0, 0))
    np.testing.assert_equal(loaded.tree, {"learners": [np.full(3, 2), None]})
    np.testing.assert_equal(dict(loaded.pending), dict(checkpoint(2).pending))
    for name, array in checkpoint(2).arrays.items():
        np.testing.assert_array_equal(loaded.arrays[name], array, strict=True)


@pytest.mark.parametrize("how", ["truncated", "a bit flipped", "empty", "zeros", "an array is missing"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(tmp_path, how):
    for number in (1, 2):
        save_checkpoint(tmp_path, checkpoint(number))
    damage(tmp_path / "checkpoint.npz", how)
    said = []
    assert load_checkpoint(tmp_path, said.append).counters.attempt == 1
    assert len(said) == 1 and str(tmp_path / "checkpoint.npz") in said[0]


def test_where_no_checkpoint_is_whole_all_are_named(tmp_path):
    for number in (1, 2):
        save_checkpoint(tmp_path, checkpoint(number))
    damage(tmp_path / "checkpoint.npz", "truncated")
    damage(tmp_path / "checkpoint_before.npz", "a bit flipped")
    with pytest.raises(RunError) as caught:
        load_checkpoint(tmp_path, pytest.fail)
    assert str(tmp_path / "checkpoint.npz") in str(caught.value)
    assert str(tmp_path / "checkpoint_before.npz") in str(caught.value)


def test_a_damaged_checkpoint_does_not_replace_the_whole_one_before_it(tmp_path):
    with RunDirectory(tmp_path, config(), lambda _: None) as run:
        for number in (1, 2):
            run.save(checkpoint(number))
        damage(tmp_path / "checkpoint.npz", "truncated")
        run.save(run.restore())
    (tmp_path / "checkpoint.npz").unlink()  # as where a kill came between the two renames
    assert load_checkpoint(tmp_path, pytest.fail).counters.attempt == 1


@pytest.mark.parametrize("step", [0, 1])
def test_a_kill_at_any_moment_of_saving_leaves_a_whole_checkpoint(tmp_path, monkeypatch, step):
    for number in (1, 2):
        save_checkpoint(tmp_path, checkpoint(number))
    renames = []

    def killed(source, target):
        if len(renames) > step:
            raise KeyboardInterrupt
        renames.append(target)
        Path(source).rename(target)

    monkeypatch.setattr(a3crepro.runs.run_directory.os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(tmp_path, checkpoint(3))
    assert load_checkpoint(tmp_path, pytest.fail).counters.attempt == 2


class Bomb:
    def __reduce__(self):
        return Path.touch, (Path("executed"),)


@pytest.mark.parametrize("as_array", [True, False])
def test_a_pickle_in_a_checkpoint_is_refused_and_not_executed(tmp_path, monkeypatch, as_array):
    monkeypatch.chdir(tmp_path)
    if as_array:
        save_checkpoint(tmp_path, checkpoint(2))
        with np.load(tmp_path / "checkpoint.npz") as stored:
            arrays = dict(stored)
        np.savez(tmp_path / "checkpoint.npz", **arrays, bomb=np.array([Bomb()], dtype=object), allow_pickle=True)
    else:
        (tmp_path / "checkpoint.npz").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(RunError, match=r"checkpoint\.npz"):
        load_checkpoint(tmp_path, pytest.fail)
    assert not (tmp_path / "executed").exists()


def test_a_run_whose_checkpoints_are_all_damaged_is_not_begun_anew(tmp_path):
    with RunDirectory(tmp_path, config()) as run:
        run.save(checkpoint(1))
        run.episodes.append(dict.fromkeys(run.episodes.columns, 1))
    damage(tmp_path / "checkpoint.npz", "truncated")
    with pytest.raises(RunError, match=r"checkpoint\.npz"):
        train(config(), tmp_path)
    assert len(rows(tmp_path)) == 1


# ---- The directory -------------------------------------------------------------------------------------------------


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
        assert start["command"] and start["host"] and start["cores"] >= 1
        assert {"torch", "numpy", "gymnasium", "ale-py", "minatar", "hydra-core"} <= start["packages"].keys()
        assert all(start["packages"].values())
        assert (start["git_commit"] is None) == (start["git_clean"] is None)
        assert start["choices"] == dict(config().composition.choices) and start["choices"]["execution"]
        assert start["overrides"] == list(config().composition.overrides)


def test_the_commit_is_that_of_the_checkout():
    start = a3crepro.runs.manifest.this_attempt(git_state())
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
    with pytest.raises(UserError, match=r"^frames: .* has trained for 50, got 40; allowed: at least as many"):
        RunDirectory(tmp_path, config("optimizer.anneal_frames=100", "frames=40"))
    with pytest.raises(UserError, match=r"optimizer\.anneal_frames"):
        RunDirectory(tmp_path, config("optimizer.anneal_frames=200", "frames=300"))
    assert stored_config(tmp_path).frames == 50


def test_a_finished_run_with_a_smaller_budget_stays_finished(tmp_path):
    with RunDirectory(tmp_path, config("optimizer.anneal_frames=100", "frames=60")) as run:
        run.save(checkpoint(30))
        summary = {**dict.fromkeys(a3crepro.runs.run_directory.SUMMARY), "frames": 60}
        run.finish(summary, np.zeros(1, np.int64))
    with pytest.raises(UserError, match="has trained for 60, got 50"):
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
    assert stored_config(tmp_path).anneal_frames == 100


def test_a_run_goes_on_with_another_way_of_showing_and_saving_it(tmp_path):
    RunDirectory(tmp_path, config()).__exit__()
    other = config("logging.every_seconds=3", "checkpoint.every_seconds=7", "env.schedule.frames=9")
    RunDirectory(tmp_path, other).__exit__()
    assert stored_config(tmp_path) == other


def test_an_atari_run_of_a_version_that_annealed_over_frames_goes_on(tmp_path):
    now = compose("env=breakout", "frames=320_000_000")
    before = now.plain()
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


# ---- Damaged files, and file systems that refuse ---------------------------------------------------------------------


def begun(directory: Path, mine: Config | None = None) -> None:
    """A run with a checkpoint at frame 2, and three rows in each table, at frames 1, 2 and 3."""
    mine = mine or config()
    state = initial_state(mine)
    state.counters[0, 0] = 2
    with RunDirectory(directory, mine) as run:
        for table in (run.episodes, run.evaluations):
            for row in (1, 2, 3):
                table.append({**dict.fromkeys(table.columns, 0.5), "frames": row})
        run.save(Checkpoint(state.arrays(), None, {}, Counters(9.0, 9.0, 0, 2, 2)))


@pytest.mark.parametrize(
    ("harm", "left"),
    [
        (lambda data: b"", []),
        (lambda data: data[:6], []),
        (lambda data: data[: data.index(b"\n") + 1], []),
        (lambda data: data[: data.index(b"\n2,") + 6], [1]),
        (lambda data: data[: data.index(b"\n2,") + 1], [1]),
        (lambda data: data[data.index(b"\n2,") + 1 :], [2]),
        (lambda data: data.replace(b"\n2,0", b"\n\0\0\0"), [1]),
    ],
    ids=["empty", "half a header", "no rows", "half a row", "cut", "no header", "zeros"],
)
def test_rows_that_are_lost_are_told_and_the_table_is_whole_again(tmp_path, harm, left):
    begun(tmp_path)
    paths = [tmp_path / name for name in ("episodes.csv", "evaluations.csv")]
    headers = [path.read_bytes().splitlines()[0] for path in paths]
    for path in paths:
        path.write_bytes(harm(path.read_bytes()))
    said = []
    with RunDirectory(tmp_path, config(), said.append) as run:
        run.restore()
        assert run.episodes.last_frames() == run.evaluations.last_frames() == max([*left, 0])
    assert [path.read_bytes().splitlines()[0] for path in paths] == headers
    assert frames(tmp_path) == frames(tmp_path, "evaluations.csv") == left
    assert len(said) == 2
    for path, line in zip(paths, said, strict=True):
        assert str(path) in line and f" {2 - len(left)} of 2 rows" in line


def test_what_a_checkpoint_does_not_count_is_dropped_without_a_word(tmp_path):
    begun(tmp_path)
    with open(tmp_path / "episodes.csv", "ab") as file:
        file.write(b"5,0.")
    with RunDirectory(tmp_path, config(), pytest.fail) as run:
        run.restore()
    assert frames(tmp_path) == frames(tmp_path, "evaluations.csv") == [1, 2]


def test_rows_are_on_the_disk_before_the_checkpoint_or_the_summary_that_counts_them(tmp_path, monkeypatch):
    with RunDirectory(tmp_path, config()) as run:
        order, fsync, replace = [], os.fsync, os.replace

        def synced(file):
            order.append(Path(f"/proc/self/fd/{file}").resolve().name)
            fsync(file)

        def named(source, target):
            order.append(f"the name {Path(target).name}")
            replace(source, target)

        monkeypatch.setattr(a3crepro.runs.run_directory.os, "fsync", synced)
        monkeypatch.setattr(a3crepro.runs.run_directory.os, "replace", named)
        for what, mark in ((lambda: run.save(checkpoint(1)), "checkpoint.npz"), (end(run), "summary.json")):
            order.clear()
            what()
            before = order[: order.index(f"the name {mark}")]
            assert {"episodes.csv", "evaluations.csv"} <= set(before)


def end(run: RunDirectory) -> Callable[[], None]:
    return lambda: run.finish({"frames": 1}, np.zeros(1))


HARM = {
    "cut": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "no JSON": lambda data: b"\xff\xfe\x00what",
    "a list": lambda data: b"[]",
    "other keys": lambda data: b"{}",
    "other types": lambda data: b'{"starts": [3], "frames": "many"}',
}


@pytest.mark.parametrize("how", HARM)
def test_a_damaged_manifest_is_kept_aside_and_the_run_goes_on(tmp_path, how):
    begun(tmp_path)
    data = HARM[how]((tmp_path / "manifest.json").read_bytes())
    (tmp_path / "manifest.json").write_bytes(data)
    with pytest.raises(RunError, match=r"manifest\.json is damaged") as caught:
        attempts_of(tmp_path)
    assert "\n" not in str(caught.value) and "put it back" in str(caught.value)
    said = []
    with RunDirectory(tmp_path, config(), said.append) as run:
        assert run.restore() is not None
    (line,) = said
    assert str(tmp_path / "manifest.json") in line and "manifest_damaged.json" in line and "\n" not in line
    assert (tmp_path / "manifest_damaged.json").read_bytes() == data
    assert len(attempts_of(tmp_path)) == 1


@pytest.mark.parametrize("how", HARM)
def test_a_damaged_summary_is_written_anew_from_the_checkpoint(tmp_path, how, capfd):
    mine = config("evaluation.episodes=0")
    begun(tmp_path, mine)
    summary = train(mine, tmp_path)
    path, whole = tmp_path / "summary.json", (tmp_path / "summary.json").read_bytes()
    path.write_bytes(HARM[how](whole))
    assert train(mine, tmp_path) == summary
    assert f"{path} is damaged" in capfd.readouterr().out
    assert path.read_bytes() == whole
    path.write_bytes(HARM[how](whole))
    for name in ("checkpoint.npz", "checkpoint_before.npz"):
        (tmp_path / name).unlink(missing_ok=True)
    before = files(tmp_path)
    with pytest.raises(RunError, match=r"summary\.json is damaged.*remove the directory"):
        train(mine, tmp_path)
    assert files(tmp_path) == before


def test_a_finished_run_with_a_damaged_manifest_is_still_finished(tmp_path):
    mine = config("evaluation.episodes=0")
    summary = train(mine, tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    before = files(tmp_path)
    assert train(mine, tmp_path) == summary
    assert files(tmp_path) == before


def failing(number: int) -> Callable[..., NoReturn]:
    def fail(*_: object, **__: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_told_and_used(tmp_path, monkeypatch, number):
    monkeypatch.setattr(a3crepro.runs.run_directory.fcntl, "flock", failing(number))
    said = []
    for _ in range(2):
        RunDirectory(tmp_path, config(), said.append).__exit__()
    assert len(said) == 2 and str(tmp_path / "lock") in said[0] and os.strerror(number) in said[0]
    assert not is_locked(tmp_path)


def test_a_lock_that_fails_in_another_way_ends_the_run_with_a_line(tmp_path, monkeypatch):
    monkeypatch.setattr(a3crepro.runs.run_directory.fcntl, "flock", failing(errno.EIO))
    with pytest.raises(OSError, match=f"^cannot lock {tmp_path / 'lock'}: Input/output error$"):
        RunDirectory(tmp_path, config())
    assert not (tmp_path / "config.yaml").exists()


def told(capfd: pytest.CaptureFixture[str], command: Callable[[], object]) -> tuple[object, str]:
    """The exit status and the line of a command."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as end:
        patch.setattr(command_line, "end_at_once_on_signals", lambda _: None)
        patch.setattr(threading, "excepthook", threading.excepthook)
        command_line.run_command(command)
    (line,) = capfd.readouterr().err.splitlines()
    return end.value.code, line


FULL = "No space left on device"


def test_a_full_disk_is_told_with_the_file(tmp_path, monkeypatch, capfd):
    with RunDirectory(tmp_path, config()) as run:

        def append():
            run.episodes.append({"frames": 1})

        full = SimpleNamespace(fileno=run.episodes._file.fileno, write=failing(errno.ENOSPC))
        for what, name, fault, command, path in (
            (a3crepro.runs.run_directory.np, "savez", None, lambda: run.save(checkpoint(1)), "checkpoint_new.npz"),
            (a3crepro.runs.run_directory.os, "fsync", None, lambda: run.save(checkpoint(1)), "episodes.csv"),
            (a3crepro.runs.run_directory.os, "replace", None, end(run), "staleness.csv"),
            (run.episodes, "_file", full, append, "episodes.csv"),
        ):
            with monkeypatch.context() as patch:
                patch.setattr(what, name, fault or failing(errno.ENOSPC))
                assert told(capfd, command) == (1, f"a3crepro: cannot write {tmp_path / path}: {FULL}")
        with monkeypatch.context() as patch:
            patch.setattr(run.episodes, "_file", full)
            patch.setattr(a3crepro.runs.run_directory.os, "ftruncate", failing(errno.EIO))
            line = f"a3crepro: cannot write {tmp_path / 'episodes.csv'}: Input/output error"
            assert told(capfd, append) == (1, line)


def test_a_full_disk_is_told_with_tensorboard_s_directory(tmp_path, monkeypatch, capfd):
    from torch.utils.tensorboard import SummaryWriter

    mine = config("logging.tensorboard=true")
    progress = Progress(mine, initial_state(mine), tmp_path)
    line = f"a3crepro: cannot write {tmp_path / 'tensorboard'}: {FULL}"
    for method, command in (("add_scalar", lambda: progress.add_episode(1, 1.0)), ("close", progress.__exit__)):
        with monkeypatch.context() as patch:
            patch.setattr(SummaryWriter, method, failing(errno.ENOSPC))
            assert told(capfd, command) == (1, line)
    progress.__exit__()


def test_a_path_that_can_be_no_directory_is_told(tmp_path, capfd):
    (tmp_path / "file").write_text("mine")
    for path, why in ((tmp_path / "file", "File exists"), (tmp_path / "file" / "run", "Not a directory")):
        line = f"a3crepro: cannot make the directory {path}: {why}"
        assert told(capfd, lambda path=path: train(config(), path)) == (1, line)


def test_other_errors_of_the_system_are_told_with_their_file(tmp_path, capfd):
    missing = tmp_path / "missing"
    line = f"a3crepro: cannot use {missing}: No such file or directory"
    assert told(capfd, missing.read_bytes) == (1, line)
    assert told(capfd, failing(errno.EMFILE)) == (1, "a3crepro: Too many open files")


def test_a_directory_that_may_not_be_written_is_told_in_a_line(tmp_path, monkeypatch, capfd):
    def read_only(path, mode="r", **options):
        if mode[0] in "wa":
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return open(path, mode, **options)

    monkeypatch.setattr(a3crepro.runs.run_directory, "open", read_only, raising=False)
    line = f"a3crepro: cannot write {tmp_path / 'lock'}: Read-only file system"
    assert told(capfd, lambda: train(config(), tmp_path)) == (1, line)
    assert files(tmp_path) == {}


def test_a_checkpoint_that_may_not_be_read_is_not_taken_for_damaged(tmp_path, monkeypatch):
    begun(tmp_path)
    with RunDirectory(tmp_path, config(), pytest.fail) as run:
        before = files(tmp_path)

        def closed(path, *mode):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

        monkeypatch.setattr(a3crepro.runs.checkpoint, "open", closed, raising=False)
        with pytest.raises(OSError, match=f"cannot read {tmp_path / 'checkpoint.npz'}: Permission denied"):
            run.restore()
    assert files(tmp_path) == before


# ---- Code that is not committed --------------------------------------------------------------------------------------


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
    monkeypatch.setattr(a3crepro.runs.checkout, "ROOT", root)
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
    again = list(evaluate(mine, NetworkPolicy(mine, Learnt(parameters)), mine.seed, 100, 3))
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


def test_how_stale_gradients_were_is_told_at_the_end(tmp_path):
    words = ("execution=virtual_time", "execution.spread=0", "algo.t_max=1", "threads=3", "evaluation.episodes=0")
    summary = train(compose("env=toy/chain", "algo=a3c", "frames=300", *words), tmp_path)
    told = {int(row["updates"]): int(row["gradients"]) for row in rows(tmp_path, "staleness.csv")}
    assert sum(told.values()) == summary["updates"]
    assert told == {0: 1, 1: 1, 2: 298}  # n - 1 updates of the others, but for the first ones


# ---- What is kept of a run while it goes on --------------------------------------------------------------------------


def test_copies_and_diagnostics_are_those_of_their_frames(tmp_path):
    words = ("env=toy/catch", "threads=2", "execution=virtual_time", "optimizer.anneal_frames=4000",
             "evaluation.every=1000", "evaluation.episodes=2", "logging.tensorboard=false")  # fmt: skip
    train(compose(*words, "frames=2000", "checkpoint.copies_every=1000"), tmp_path / "long")
    train(compose(*words, "frames=1000"), tmp_path / "short")
    with np.load(tmp_path / "long" / "copies" / "1000.npz", allow_pickle=False) as copy:
        there = load_checkpoint(tmp_path / "short", pytest.fail).arrays
        assert np.array_equal(copy["parameters"], there["parameters"])
        assert np.array_equal(copy["statistics"], there["statistics"])
    assert sorted(path.name for path in (tmp_path / "long" / "copies").iterdir()) == ["1000.npz", "2000.npz"]
    assert not (tmp_path / "short" / "copies").exists()

    found = rows(tmp_path / "long", "diagnostics.csv")
    assert [row["frames"] for row in found] == [row["frames"] for row in rows(tmp_path / "long", "evaluations.csv")]
    for row in found:
        shares = [float(share) for share in row["action_frequencies"].split()]
        assert len(shares) == 3 and sum(shares) == pytest.approx(1, abs=2e-4)
        assert 0 < float(row["entropy"]) <= np.log(3) + 1e-6
    last = load_checkpoint(tmp_path / "long", pytest.fail).arrays["statistics"]
    epsilon = compose(*words).optimizer.epsilon
    assert float(found[-1]["share_above_epsilon"]) == pytest.approx((last > epsilon).mean())


def test_a_policy_without_entropy_has_none_in_its_diagnostics(tmp_path):
    train(compose("env=toy/catch", "algo=one_step_q", "threads=2", "execution=virtual_time", "frames=500",
                  "optimizer=momentum_sgd", "logging.tensorboard=false"), tmp_path)  # fmt: skip
    (row,) = rows(tmp_path, "diagnostics.csv")
    assert row["entropy"] == row["share_above_epsilon"] == "" and row["action_frequencies"]
