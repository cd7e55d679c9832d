import errno
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import yaml
from helpers import frames, rows

import a3crepro.run_directory
from a3crepro import compose, train
from a3crepro.config import Config, build
from a3crepro.evaluation import NetworkPolicy, evaluate
from a3crepro.run_directory import (
    Checkpoint,
    Numbers,
    RunDirectory,
    RunError,
    Table,
    Waiting,
    load_checkpoint,
    save_checkpoint,
    stored_config,
    write_atomically,
    write_text,
)
from a3crepro.settings import UserError
from a3crepro.shared_state import Learnt
from a3crepro.training import initial_state


def config(*overrides: str) -> Config:
    return compose("env=toy/catch", "threads=2", "frames=0", "logging.tensorboard=false", *overrides)


def checkpoint(number: int, rows: int = 0) -> Checkpoint:
    counters = np.zeros((2, 8), np.int64)
    counters[:, 0] = number
    arrays = {"parameters": np.full(1000, number, np.float32), "counters": counters}
    waiting = {7 * number: Waiting(np.arange(3, dtype=np.float32), np.zeros(0), 1.0, 2.0)}
    numbers = Numbers(0.5 * number, 0.25 * number, number, rows, rows)
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
    assert (loaded.frames, loaded.numbers) == (4, (1.0, 0.5, 2, 0, 0))
    np.testing.assert_equal(loaded.tree, {"learners": [np.full(3, 2), None]})
    np.testing.assert_equal(dict(loaded.waiting), dict(checkpoint(2).waiting))
    for name, array in checkpoint(2).arrays.items():
        np.testing.assert_array_equal(loaded.arrays[name], array, strict=True)


@pytest.mark.parametrize("how", ["truncated", "a bit flipped", "empty", "zeros", "an array is missing"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(tmp_path, how):
    for number in (1, 2):
        save_checkpoint(tmp_path, checkpoint(number))
    damage(tmp_path / "checkpoint.npz", how)
    said = []
    assert load_checkpoint(tmp_path, said.append).numbers.start == 1
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
    for number in (1, 2):
        save_checkpoint(tmp_path, checkpoint(number))
    damage(tmp_path / "checkpoint.npz", "truncated")
    with RunDirectory(tmp_path, config()) as run:
        run.save(run.restore(lambda _: None))
    (tmp_path / "checkpoint.npz").unlink()  # as where a kill came between the two renames
    assert load_checkpoint(tmp_path, pytest.fail).numbers.start == 1


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

    monkeypatch.setattr(a3crepro.run_directory.os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(tmp_path, checkpoint(3))
    assert load_checkpoint(tmp_path, pytest.fail).numbers.start == 2


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


def test_the_commit_is_that_of_the_checkout():
    root = Path(a3crepro.run_directory.__file__).resolve().parent.parent
    state = a3crepro.run_directory.git_state()
    if not (root / ".git").exists():
        assert state == {"git_commit": None, "git_clean": None}
    else:
        assert len(state["git_commit"]) == 40 and isinstance(state["git_clean"], bool)


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
        run.finish({"frames": 60}, np.zeros(1, np.int64))
    with pytest.raises(UserError, match="has trained for 60, got 50"):
        RunDirectory(tmp_path, config("optimizer.anneal_frames=100", "frames=50"))
    with RunDirectory(tmp_path, config("optimizer.anneal_frames=100", "frames=60")) as run:
        assert run.summary() == {"frames": 60}
    with RunDirectory(tmp_path, config("optimizer.anneal_frames=100", "frames=70")) as run:
        assert run.summary() is None


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


def test_what_is_past_the_checkpoint_is_dropped(tmp_path):
    with RunDirectory(tmp_path, config()) as run:
        for at in (15, 25, 20):
            if at == 20:
                run.save(checkpoint(10, rows=2))
            run.episodes.append({**dict.fromkeys(run.episodes.columns, 0), "frames": at})
            run.evaluations.append({**dict.fromkeys(run.evaluations.columns, 0), "frames": at})
    with RunDirectory(tmp_path, config()) as run:
        assert run.restore(pytest.fail).frames == 20
        assert run.episodes.rows == run.evaluations.rows == 2
    assert frames(tmp_path) == frames(tmp_path, "evaluations.csv") == [15, 25]


def test_evaluations_that_wait_survive_a_stop_and_are_made_after_it(tmp_path):
    mine = config("evaluation.episodes=3")
    state = initial_state(mine)
    state.counters[:, 0] = 150
    parameters = np.zeros(state.parameters.shape, np.float32)
    waiting = {at: Waiting(parameters, np.zeros(0), at / 100, at / 50) for at in (200, 100)}
    with RunDirectory(tmp_path, mine) as run:
        run.save(Checkpoint(state.arrays(), None, waiting, Numbers(9.0, 9.0, 0, 0, 0)))
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
