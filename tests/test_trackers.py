"""Trackers: which are active, that a failure of one ends no run, and what is in those that are installed."""

import importlib.util

import pytest

from a3crepro import compose, train
from a3crepro.common.errors import UserError
from a3crepro.runs import trackers

WORDS = ("env=toy/catch", "threads=2", "execution=virtual_time", "frames=600", "evaluation.every=200",
         "evaluation.episodes=2", "logging.metrics_seconds=1", "optimizer.anneal_frames=1200")  # fmt: skip


def config(*overrides):
    return compose(*WORDS, *overrides)


@pytest.mark.parametrize(
    ("override", "active"),
    [
        ((), ["tensorboard"]),
        (("logging.tensorboard=false",), []),
        (("logging.trackers=[]",), []),
        (("logging.trackers=[wandb,wandb,tensorboard]",), ["wandb", "tensorboard"]),
        (("logging.trackers=[wandb,tensorboard]", "logging.tensorboard=false"), ["wandb"]),
    ],
)
def test_active_trackers(override, active):
    assert config(*override).logging.active_trackers == active


def test_a_stored_configuration_without_the_newer_keys_is_read():
    from a3crepro.config import build

    values = config("logging.tensorboard=false").model_dump()
    del values["logging"]["trackers"], values["logging"]["metrics_seconds"]
    assert build(values).logging == compose("env=toy/catch", "logging.tensorboard=false").logging


def test_a_tracker_that_is_not_installed_is_told_before_anything_is_made(tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "wandb" else find(name))
    with pytest.raises(UserError, match=r"logging.trackers: wandb is not installed: pip install 'a3crepro\[wandb\]'"):
        train(config("logging.trackers=[wandb]"), tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("where", ["__init__", "add", "close"])
def test_a_tracker_that_fails_is_told_once_and_ends_no_run(tmp_path, monkeypatch, capsys, where):
    class Failing(trackers.Tracker):
        package = "json"

        def __init__(self, config, directory, frames):
            self.fail_in("__init__")

        def add(self, name, value, frames):
            self.fail_in("add")

        def close(self):
            self.fail_in("close")

        def fail_in(self, method):
            if method == where:
                raise ConnectionError("the server\nis gone")

    monkeypatch.setitem(trackers.TRACKERS, "tensorboard", Failing)
    summary = train(config(), tmp_path)
    told = [line for line in capsys.readouterr().out.splitlines() if "failed" in line]
    assert told == ["logging.trackers: tensorboard failed, and training continues without it: the server is gone"]
    assert summary["frames"] >= 600


def numbers_of(directory):
    """The numbers that a tracker must have: names, and entropy by frames."""
    import csv

    with open(directory / "metrics.csv") as file:
        rows = list(csv.DictReader(file))
    return {int(row["frames"]): float(row["entropy"]) for row in rows}


NAMES = {"training/score", "evaluation/score_mean", "training/entropy", "training/policy_loss", "training/value_loss",
         "training/gradient_norm", "training/learning_rate", "training/explained_variance", "training/staleness",
         "training/frames_per_second"}  # fmt: skip


def test_tensorboard_has_the_numbers_of_the_tables(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(config(), tmp_path)
    found = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert set(found.Tags()["scalars"]) == NAMES
    entropies = {event.step: event.value for event in found.Scalars("training/entropy")}
    assert entropies == pytest.approx(numbers_of(tmp_path), rel=1e-6) and len(entropies) > 2


def test_weights_and_biases_offline(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    for name in ("WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    train(config("logging.trackers=[wandb]"), tmp_path / "run")
    (history,) = (tmp_path / "run" / "wandb").glob("offline-run-*/run-*.wandb")
    wandb.teardown()  # as at the end of the process: its service writes the rest
    data = history.read_bytes()
    for name in (*NAMES, "frames", "catch"):
        assert name.encode() in data, name
    assert data.count(b"evaluation/score_mean") >= len((tmp_path / "run" / "evaluations.csv").read_text().split()) - 1


def test_mlflow_has_the_numbers_of_the_tables_also_of_a_run_that_is_gone_on_with(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    for frames in (600, 1200):
        train(config("logging.trackers=[mlflow]", f"frames={frames}"), tmp_path / "run")
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("a3crepro")
    (run,) = client.search_runs([experiment.experiment_id])
    assert set(run.data.metrics) == NAMES and run.data.params["algo.name"] == "a3c"
    entropies = {metric.step: metric.value for metric in client.get_metric_history(run.info.run_id, "training/entropy")}
    found = numbers_of(tmp_path / "run")
    assert {frames: entropies[frames] for frames in found} == pytest.approx(found)
