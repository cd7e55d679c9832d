"""Damaged files, full disks, and file systems that refuse."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import pytest
from helpers import files, frames
from run_helpers import begun, checkpoint, config, end, told

import a3crepro.runs.checkpoint
import a3crepro.runs.manifest
import a3crepro.runs.run_directory
from a3crepro import train
from a3crepro.common.errors import RunError
from a3crepro.experiments.state import is_locked
from a3crepro.runs.manifest import GitState, attempts_of
from a3crepro.runs.progress import Progress
from a3crepro.runs.run_directory import RunDirectory
from a3crepro.runs.training import initial_state


@pytest.fixture(autouse=True)
def no_checkout(monkeypatch):
    """To ask git takes longer than most of these tests."""
    monkeypatch.setattr(a3crepro.runs.run_directory, "git_state", lambda: GitState(None, None))


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
        assert str(path) in line and f" {2 - len(left)} of the 2 rows" in line


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


def test_a_full_disk_ends_tensorboard_but_not_the_run(tmp_path, monkeypatch, capfd):
    from torch.utils.tensorboard import SummaryWriter

    mine = config("logging.tensorboard=true")
    for method in ("add_scalar", "close"):
        progress = Progress(mine, initial_state(mine), tmp_path)
        with monkeypatch.context() as patch:
            patch.setattr(SummaryWriter, method, failing(errno.ENOSPC))
            for _ in range(2):
                progress.add_episode(1, 1.0)
            progress.__exit__()
        (line,) = [line for line in capfd.readouterr().out.splitlines() if "tensorboard" in line]
        assert line.startswith("logging.trackers: tensorboard failed, and training continues without it: ")
        assert os.strerror(errno.ENOSPC) in line


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
