"""Checkpoints: one is always whole, and nothing in them is executed."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from helpers import rows
from run_helpers import checkpoint, config

import a3crepro.runs.checkpoint
import a3crepro.runs.manifest
import a3crepro.runs.run_directory
from a3crepro import train
from a3crepro.common.errors import RunError
from a3crepro.runs.checkpoint import load_checkpoint, save_checkpoint
from a3crepro.runs.run_directory import RunDirectory


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


def test_a_checkpoint_comes_back_as_it_was_saved(tmp_path):
    assert load_checkpoint(tmp_path, pytest.fail) is None
    for number in range(3):
        save_checkpoint(tmp_path, checkpoint(number))
    loaded = load_checkpoint(tmp_path, pytest.fail)
    assert (loaded.frames, loaded.counters) == (4, (1.0, 0.5, 2, 0, 0, 0))
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
