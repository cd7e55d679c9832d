"""Training of one run: evaluations that are pending, and what is kept."""

import os
import signal
import time

import numpy as np
import pytest
from helpers import frames, meanwhile, rows, wait_until, whole_checkpoint

import a3crepro.runs.checkpoint
import a3crepro.runs.manifest
import a3crepro.runs.run_directory
from a3crepro import compose, train
from a3crepro.experiments import collect
from a3crepro.runs.checkpoint import load_checkpoint
from a3crepro.runs.manifest import GitState
from a3crepro.runs.training import Stopped, Training


@pytest.fixture(autouse=True)
def no_checkout(monkeypatch):
    """To ask git takes longer than most of these tests."""
    monkeypatch.setattr(a3crepro.runs.run_directory, "git_state", lambda: GitState(None, None))


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


@pytest.mark.parametrize(
    "execution", ["virtual_time", *(pytest.param(name, marks=pytest.mark.slow) for name in ("hogwild", "synchronous"))]
)
def test_a_larger_budget_makes_up_for_the_evaluation_that_the_old_one_left_out(tmp_path, execution):
    """At its end a run evaluates θ once, for its summary; a longer run has that evaluation among its others."""
    words = ("env=toy/catch", "threads=2", f"execution={execution}", "optimizer.anneal_frames=4000",
             "evaluation.every=500", "evaluation.episodes=2", "logging.tensorboard=false")  # fmt: skip
    train(compose(*words, "frames=2000"), tmp_path / "whole")
    for budget in (1000, 2000):
        train(compose(*words, f"frames={budget}"), tmp_path / "raised")
    whole, raised = (rows(tmp_path / name, "evaluations.csv") for name in ("whole", "raised"))
    assert [row["frames"] for row in raised][:3] == [row["frames"] for row in whole][:3] == ["500", "1000", "1500"]
    if execution != "hogwild":
        without_times = [{**row, "seconds": "", "real_seconds": ""} for row in whole]
        assert [{**row, "seconds": "", "real_seconds": ""} for row in raised] == without_times


def test_copies_follow_an_interval_that_has_grown(tmp_path):
    words = ("env=toy/catch", "threads=2", "execution=virtual_time", "optimizer.anneal_frames=9000",
             "evaluation.every=0", "evaluation.episodes=0", "logging.tensorboard=false")  # fmt: skip
    train(compose(*words, "frames=1000", "checkpoint.copies_every=100"), tmp_path)
    train(compose(*words, "frames=3000", "checkpoint.copies_every=1000"), tmp_path)
    names = {int(path.stem) for path in (tmp_path / "copies").iterdir()}
    assert names >= {1000, 2000, 3000} and len(names) == 12


def test_the_share_above_epsilon_is_of_decayed_statistics(tmp_path):
    """Also in tables: the statistics of units that are off lack a decay, which a checkpoint holds apart."""
    config = compose("env=minatar/breakout", "threads=2", "execution=virtual_time", "frames=3000",
                     "optimizer.epsilon=1e-6", "optimizer.lr=1e-2", "evaluation.episodes=1",
                     "logging.tensorboard=false")  # fmt: skip
    train(config, tmp_path)
    arrays = load_checkpoint(tmp_path, pytest.fail).arrays
    assert (arrays["decay"] < 1).any()
    recorded = float(rows(tmp_path, "diagnostics.csv")[-1]["share_above_epsilon"])
    assert collect._share_above_epsilon(tmp_path, config) == pytest.approx(recorded)
    assert recorded < (arrays["statistics"] > config.optimizer.epsilon).mean()


def test_a_policy_without_entropy_has_none_in_its_diagnostics(tmp_path):
    train(compose("env=toy/catch", "algo=one_step_q", "threads=2", "execution=virtual_time", "frames=500",
                  "optimizer=momentum_sgd", "logging.tensorboard=false"), tmp_path)  # fmt: skip
    (row,) = rows(tmp_path, "diagnostics.csv")
    assert row["entropy"] == row["share_above_epsilon"] == "" and row["action_frequencies"]


@pytest.mark.parametrize(
    "execution", ["hogwild", *(pytest.param(name, marks=pytest.mark.slow) for name in ("virtual_time", "synchronous"))]
)
def test_training_waits_for_evaluations_and_makes_all_of_them(tmp_path, capsys, monkeypatch, execution):
    monkeypatch.setattr("a3crepro.runs.training.MAX_PENDING", 3)
    words = ("env=toy/catch", "threads=2", "logging.tensorboard=false", f"execution={execution}")
    train(compose(*words, "frames=400", "evaluation.every=20", "evaluation.episodes=5"), tmp_path)
    at = frames(tmp_path, "evaluations.csv")
    assert len(at) == len(set(at)) >= 15 and at == sorted(at)
    assert capsys.readouterr().out.count("evaluation.every=20: training pauses") == 1


def test_a_run_that_waits_for_its_evaluations_saves_and_stops_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr("a3crepro.runs.training.MAX_PENDING", 3)
    words = ("env=toy/catch", "threads=2", "logging.tensorboard=false", "frames=1_000_000", "evaluation.every=20")
    config = compose(*words, "evaluation.episodes=100_000_000", "checkpoint.every_seconds=0.2")
    began, counts = [], []
    evaluate = Training._evaluate

    def count(self, *snapshot):
        evaluate(self, *snapshot)
        counts.append(len(self.pending))

    def stop():
        wait_until(lambda: len(counts) >= 3)
        time.sleep(1)  # what was on its way
        before = len(counts)
        time.sleep(1)
        began.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGTERM)
        assert len(counts) == before

    monkeypatch.setattr(Training, "_evaluate", count)
    with meanwhile(stop), pytest.raises(Stopped):
        train(config, tmp_path)
    assert time.monotonic() - began[0] < 10
    checkpoint = whole_checkpoint(tmp_path)
    assert checkpoint.frames > 0
    assert len(checkpoint.pending) == counts[-1] >= 3
