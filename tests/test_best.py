"""The parameters of the best evaluation: kept, found, exact after a resume, and the first of equals."""

import csv
import json

import numpy as np
import pytest

from a3crepro import compose, load_policy, train
from a3crepro.agents import export_command
from a3crepro.common.errors import UserError
from a3crepro.evaluate import evaluate_command
from a3crepro.runs import training
from a3crepro.runs.checkpoint import BestEvaluation, Checkpoint, Counters, load_checkpoint, save_checkpoint
from a3crepro.runs.policies import stored_policy

WORDS = ("env=toy/catch", "threads=2", "algo=a3c", "execution=virtual_time", "optimizer.anneal_frames=4000",
         "logging.trackers=[]", "evaluation.every=400", "evaluation.episodes=4", "seed=1")  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    directory = tmp_path_factory.mktemp("best")
    train(compose(*WORDS, "frames=4000"), directory)
    return directory


def evaluations(directory):
    with open(directory / "evaluations.csv") as file:
        return [(int(row["frames"]), float(row["score_mean"])) for row in csv.DictReader(file)]


def first_best(rows):
    return max(rows, key=lambda row: (row[1], -row[0]))


def test_the_best_evaluation_is_repeated_by_the_policy_that_was_kept(run, capsys):
    frames, score = first_best(evaluations(run))
    assert stored_policy(run, "best").frames == frames
    evaluate_command([str(run), "which=best", "episodes=4"])
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (told["frames"], told["score_mean"]) == (frames, score)
    evaluate_command([str(run), "episodes=4"])
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (last["frames"], last["score_mean"]) == evaluations(run)[-1]


def test_a_run_that_is_gone_on_with_keeps_the_best_of_the_unbroken_one(run, tmp_path):
    for frames in (1000, 2500, 4000):
        train(compose(*WORDS, f"frames={frames}"), tmp_path)
    one, other = (stored_policy(directory, "best") for directory in (run, tmp_path))
    assert one.frames == other.frames and np.array_equal(one.snapshot.parameters, other.snapshot.parameters)


def test_only_a_higher_score_replaces_the_best(monkeypatch, tmp_path):
    scores, kept = iter([1.0, 3.0, 3.0, 2.0, 4.0, 4.0]), []
    record = training.Training._record_evaluations

    def recorded(self):
        before = self.run_directory.evaluations.rows
        record(self)
        if self.run_directory.evaluations.rows > before:
            kept.append((self.best.frames, self.best.score))

    class Evaluator:
        child = None

        def __init__(self, config):
            pass

        def poll(self, pending):
            for frames in sorted(pending)[:1]:
                yield training.EvaluationResult(frames, [next(scores)])

        def end(self):
            pass

    monkeypatch.setattr(training, "Evaluator", Evaluator)
    monkeypatch.setattr(training.Training, "_record_evaluations", recorded)
    train(compose(*WORDS, "frames=2400"), tmp_path)
    frames = [row[0] for row in evaluations(tmp_path)]
    assert [score for _, score in evaluations(tmp_path)] == [1, 3, 3, 2, 4, 4]
    assert kept == [(frames[at], score) for at, score in ((0, 1), (1, 3), (1, 3), (1, 3), (4, 4), (4, 4))]


def altered(directory, target, rows, best, pending=None):
    """A copy of a checkpoint with another best, other pending evaluations, and a table with these rows."""
    found = load_checkpoint(directory, pytest.fail)
    target.mkdir()
    (target / "config.yaml").write_bytes((directory / "config.yaml").read_bytes())
    save_checkpoint(target, Checkpoint(found.arrays, None, pending or {}, Counters(*found.counters), best=best))
    lines = [f"{frames},0,{score},0,0,4,0\n" for frames, score in rows]
    (target / "evaluations.csv").write_text(
        "frames,seconds,score_mean,score_median,score_std,episodes,real_seconds\n" + "".join(lines)
    )
    return found


def test_an_evaluation_that_ended_after_the_checkpoint_may_be_the_best(run, tmp_path):
    last = load_checkpoint(run, pytest.fail)
    n = last.arrays["parameters"].size
    best = BestEvaluation(400, 3.0, np.full(n, 1, np.float32), np.zeros(0))
    waiting = {800: (np.full(n, 2, np.float32), np.zeros(0), 0.0, 0.0)}
    cases = {
        "kept": ([(400, 3.0), (800, 3.0), (last.frames, 2.0)], 400, 1.0),
        "pending": ([(400, 3.0), (800, 5.0), (last.frames, 5.0)], 800, 2.0),
        "final": ([(400, 3.0), (800, 4.0), (last.frames, 5.0)], last.frames, last.arrays["parameters"][0]),
    }
    for name, (rows, frames, parameter) in cases.items():
        from a3crepro.runs.checkpoint import PendingEvaluation

        altered(run, tmp_path / name, rows, best, {800: PendingEvaluation(*waiting[800])})
        found = stored_policy(tmp_path / name, "best")
        assert (found.frames, found.snapshot.parameters[0]) == (frames, parameter), name


def test_what_is_not_there_is_told(run, tmp_path, capsys):
    altered(run, tmp_path / "none", [], None)
    with pytest.raises(UserError, match="no evaluation whose parameters are stored yet; allowed: last"):
        stored_policy(tmp_path / "none", "best")
    frames = load_checkpoint(run, pytest.fail).frames
    altered(run, tmp_path / "lost", [(400, 9.0), (frames, 1.0)], None)  # of an older version
    assert stored_policy(tmp_path / "lost", "best").frames == frames
    assert "parameters of its best evaluation are not stored" in capsys.readouterr().err
    with pytest.raises(UserError, match="which: allowed: last, best; got 'worst'"):
        load_policy(run, "worst")
    with pytest.raises(UserError, match="which: only valid with a run directory"):
        evaluate_command(["env=toy/catch", "policy=random", "which=best"])
    export_command([str(run), str(tmp_path / "agent"), "which=best", "episodes=2", "video=false"])
    assert np.array_equal(stored_policy(tmp_path / "agent").snapshot.parameters, stored_policy(run, "best").snapshot[0])
    with pytest.raises(UserError, match=r"which: .* is a trained agent's directory"):
        stored_policy(tmp_path / "agent", "best")
