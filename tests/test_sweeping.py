"""Sweeps of many runs: what they consist of, how they are interrupted and gone on with, and the tables made of them."""

import csv
import importlib
import io
import json
import math
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import gymnasium
import numpy as np
import pandas as pd
import psutil
import pytest

from a3crepro.common.errors import RunError, UserError
from a3crepro.config import compose
from a3crepro.environments._environment import Environment
from a3crepro.experiments import measurements
from a3crepro.experiments.collect import BINS, collect
from a3crepro.experiments.command import Command, main, time_left
from a3crepro.experiments.experiment import Experiment, Scale, run
from a3crepro.experiments.figures import Results, load_results
from a3crepro.experiments.imported_runs import ImportedRuns
from a3crepro.experiments.state import Overview, RunState, frames_of, last_row, real_seconds_of, state_of
from sweeps import references
from sweeps._protocol import LAPTOP_GAMES, LAPTOP_RATES, MINATAR_GAMES

ROOT = Path(__file__).resolve().parent.parent
NAMES = [
    "ablations", "atari_games", "atari_table", "data_efficiency", "examples", "executions", "first_runs",
    "implementations", "labyrinth", "learning_rates", "learning_speed", "physical_tasks", "optimizers", "racing",
    "stale_gradients", "staleness", "thread_scaling", "training_speed",
]  # fmt: skip


def experiment(name):
    return importlib.import_module(f"sweeps.{name}").EXPERIMENT


# ---- What sweeps consist of ------------------------------------------------------------------------------------------

PLANNED = {  # runs at the scales smoke, laptop and paper, where there is one, before any has ended
    "learning_speed": (4, 100, 1000),
    "learning_rates": (8, 256, 1000),
    "data_efficiency": (8, 128, 5000),
    "training_speed": (8, 128, 5000),
    "thread_scaling": (8, 128, 7000),
    "optimizers": (10, 160, 1200),
    "atari_table": (60, 45, 171),
    "ablations": (8, 128, 2000),
    "physical_tasks": (6, 247, 2750),
    "racing": (12, 32, 800),
    "labyrinth": (1, 6, 20),
    "first_runs": (7, 7),
    "atari_games": (8, 39),
    "implementations": (8, 28),
    "examples": (6, 40),
    "executions": (12, 60),
    "stale_gradients": (4, 18),
    "staleness": (14, 14),
}


@pytest.mark.parametrize(
    "name", ["ablations", "labyrinth", "optimizers", "physical_tasks", "racing", "learning_rates", "atari_games"]
)
def test_committed_tables_hold_the_runs_that_the_sweep_names_on_their_scores(name):
    table = load_results(name, "laptop")
    scores = dict(zip(table.runs["run"], table.runs["score"], strict=True))
    scale = Command(experiment(name), ["scale=laptop"]).scale
    named = {one.name for one in scale.runs(lambda one: scores.get(one.name))}
    missing = table.notes["planned"] - table.notes["runs"]
    assert scores.keys() <= named and (len(named) == len(scores) or missing)


@pytest.mark.parametrize("name", NAMES)
def test_a_sweep_plans_the_runs_that_its_file_says(name, monkeypatch):
    monkeypatch.setattr("sweeps.learning_speed.rate_of", lambda method: 0.01)  # by other runs
    found = experiment(name)
    assert found.name == name and found.figure
    assert list(found.scales) == ["smoke", "laptop", "paper"][: len(PLANNED[name])]
    for scale, count in zip(found.scales, PLANNED[name], strict=True):
        runs = list(found.scales[scale].runs(lambda _: None))
        assert len({one.name for one in runs}) == len(set(runs)) == len(runs) == count
        command = Command(found, [f"scale={scale}"])
        for one in (runs[0], runs[-1]):
            config = compose(*command.words(one))
            assert config.algo.name == one.settings["algo"] and one.settings["env"] == config.composition.choices["env"]


def test_the_rates_of_atari_games_are_means_of_the_best_five_of_the_papers():
    best = {"breakout": (0.001241, 0.001083, 0.0008244, 0.001252, 0.0005882),  # Figure 2: final scores of 436 and more
            "qbert": (0.0006824, 0.0007447, 0.0008243, 0.0007103, 0.0005612)}  # of 10,012 and more  # fmt: skip
    with open(ROOT / "results" / "paper" / "fig2_s11_learning_rates.csv") as file:
        points = list(csv.DictReader(file))
    pairs = set()
    for settings in (one.settings for one in experiment("atari_games").scales["laptop"].runs(lambda _: None)):
        game, method, rate = settings["env"], settings["algo"], float(settings["optimizer.lr"])
        here = [row for row in points if (row["game"], row["method"]) == (game, method)]
        scores = sorted((float(row["score"]), float(row["learning_rate"])) for row in here)
        rates = [rate for _, rate in scores[-5:]]
        assert method != "a3c" or game not in best or sorted(rates) == sorted(best[game])
        if rate not in (7e-4, 3.5e-4, 1.75e-4):  # the authors' for all games, its half and quarter
            assert rate == pytest.approx(math.prod(rates) ** (1 / 5), rel=1e-3)
            pairs.add((game, method))
    assert len(pairs) == 20


def test_a_budget_that_is_raised_is_no_part_of_a_runs_name():
    short, long = (run("pong", "a3c", frames, seed=0) for frames in (1000, 2000))
    assert short.name == long.name and short != long
    assert short.overrides == ("env=pong", "algo=a3c", "seed=0", "frames=1000")


@pytest.mark.parametrize("name", NAMES)
def test_the_page_of_experiments_has_the_core_hours_that_a_sweep_tells(name):
    found = re.search(r"^Core-hours at the scale laptop: (.*)\.$", (ROOT / "sweeps" / f"{name}.py").read_text(), re.M)
    row = re.search(rf"^\|[^|]*\| `{name}` \|[^|]*\| ([\d.]+)", (ROOT / "docs" / "experiments.md").read_text(), re.M)
    assert (found and found[1]) == (row and row[1])


@pytest.mark.parametrize("name", ["ablations", "atari_table", "learning_rates", "learning_speed", "optimizers"])
def test_the_core_hours_that_a_sweep_tells_follow_from_the_committed_speeds(name, tmp_path, monkeypatch):
    """Of sweeps whose runs are all known from the beginning."""
    monkeypatch.chdir(tmp_path)  # without runs
    monkeypatch.setattr("sweeps.learning_speed.rate_of", lambda method: 0.01)
    told = re.search(r"^Core-hours at the scale laptop: (.*)\.$", (ROOT / "sweeps" / f"{name}.py").read_text(), re.M)
    command = Command(experiment(name), ["scale=laptop"])
    hours = command.overview(command.runs()).core_hours_left
    assert float(told[1]) == pytest.approx(hours, abs=0.05 if hours < 10 else 0.5)


def test_runs_of_equally_many_cores_go_to_the_launcher_together(monkeypatch):
    monkeypatch.setattr("a3crepro.experiments.command.ARRAY", 20)
    command = Command(experiment("thread_scaling"), ["scale=laptop"])
    groups = command._groups(command.runs())
    assert all(len(group) <= 20 and len({command.config(one).threads for one in group}) == 1 for group in groups)
    assert len(groups) == 8 and sum(map(len, groups)) == 128
    assert Command(experiment("thread_scaling"), ["scale=paper"]).runs_to_follow() == 0
    assert Command(experiment("thread_scaling"), ["scale=laptop"]).runs_to_follow() == 916


def test_the_order_of_overrides_makes_no_other_directory():
    one, other = (
        Command(TINY, ["scale=smoke", *words]) for words in (("seed=1", "threads=3"), ("threads=3", "seed=1"))
    )
    assert one.root == other.root == Path("runs/smoke,seed=1,threads=3")


def test_experiments_share_runs():
    def planned(name, scale="laptop"):
        return set(experiment(name).scales[scale].runs(lambda _: None))

    assert planned("thread_scaling") == planned("data_efficiency") == planned("training_speed")
    assert len(planned("thread_scaling") & planned("learning_rates")) == 64
    assert len(planned("ablations") & planned("learning_rates")) == 64
    assert planned("learning_speed", "paper") == planned("learning_rates", "paper")
    assert planned("data_efficiency", "paper") < planned("thread_scaling", "paper")


def test_the_best_rates_of_a_complete_game_are_run_again_with_held_out_seeds_before_the_next_game():
    """With 1 actor-learner low rates are best, with 16 high ones; together those in between."""
    runs = experiment("thread_scaling").scales["laptop"].runs
    rates = [float(f"{rate:.4g}") for rate in LAPTOP_RATES]

    def scores(one):
        if one.settings["env"] != "minatar/breakout":
            return None
        place = rates.index(float(one.settings["optimizer.lr"]))
        return max(0.0, 10.0 - (place - {"1": 4, "16": 8}[one.settings["threads"]]) ** 2 / 4)

    found = list(runs(scores))
    assert [one.settings["env"] for one in found] == sorted(
        (one.settings["env"] for one in found), key=["minatar/breakout", "minatar/asterix"].index
    )
    fresh = Counter(
        (one.settings["threads"], rates.index(float(one.settings["optimizer.lr"])))
        for one in found
        if int(one.settings["seed"]) >= 2000
    )
    command = Command(experiment("thread_scaling"), ["scale=laptop"])
    command.score = scores
    assert command.runs_to_follow() == 1044 - len(found)
    assert {place for threads, place in fresh if threads == "4"} == {6}
    assert fresh == {("1", 4): 80, ("1", 6): 80, ("16", 8): 80, ("16", 6): 80, ("4", 6): 20}
    assert len(found) == 128 + 340 + 128
    command.score = lambda one: 1.0 + float(one.settings["optimizer.lr"])  # equally good rates are run once
    assert len(command.runs()) < 1044 and command.runs_to_follow() == 0


def test_long_runs_take_the_rate_that_is_best_in_all_games_of_the_collected_table(monkeypatch):
    module = importlib.import_module("sweeps.learning_speed")
    table = pd.DataFrame(
        {"env": game, "method": "a3c", "epsilon": epsilon, "learning_rate": rate, "score": scale * score}
        for epsilon in (0.1, 1e-5)
        for game, best, scale in zip(LAPTOP_GAMES, (5, 8, 8), (1, 1, 100), strict=True)
        for place, rate in enumerate(LAPTOP_RATES)
        for score in [max(0.0, 10.0 - (place - (best if epsilon == 0.1 else 15)) ** 2 / 8)]
    )
    monkeypatch.setattr(module, "load_results", lambda sweep, scale: Results(table, table, {}))
    assert module.rate_of("a3c") == LAPTOP_RATES[7] and module.rate_of("n_step_q") is None
    assert len(module.held_out_runs(["minatar/freeway"], 5)) == 5
    monkeypatch.setattr(module, "load_results", lambda sweep, scale: Results(table.drop(index=5), table, {}))
    assert module.rate_of("a3c") is None


# ---- Running them ----------------------------------------------------------------------------------------------------

SEEDS = 3
TINY = Experiment(
    "tiny",
    "no figure",
    {
        "smoke": Scale(
            ("frames=3_000", "execution=virtual_time", "evaluation.every=1_500", "evaluation.episodes=2",
             "logging.tensorboard=false", "network=mlp"),
            lambda scores: [run("toy/catch", "a3c", threads=2, seed=seed) for seed in range(SEEDS)],
        )
    },
)  # fmt: skip
SCRIPT = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_sweeping import TINY
from a3crepro.experiments.command import main
main(TINY)
"""


def start(directory, *words, **popen):
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, "scale=smoke", *words], cwd=directory, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, start_new_session=True, **popen,
    )  # fmt: skip


def finish(process, timeout=240):
    out, _ = process.communicate(timeout=timeout)
    return process.returncode, out


def content(root, scale="smoke"):
    """What runs leave but for real time, and how often each was started."""
    tables, starts = {}, {}
    for seed in range(SEEDS):
        directory = root / "runs" / scale / "toy" / "catch" / "a3c" / f"threads=2,seed={seed}"
        assert state_of(directory) is RunState.DONE
        for name in ("episodes.csv", "evaluations.csv"):
            with open(directory / name) as file:
                tables[seed, name] = [{**row, "real_seconds": ""} for row in csv.DictReader(file)]
        starts[seed] = len(json.loads((directory / "manifest.json").read_text())["starts"])
    return tables, starts


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    root = tmp_path_factory.mktemp("unbroken")
    status, out = finish(start(root))
    assert status == 0, out
    assert "0 of 3 done, 3 missing" in out.splitlines()[0] and "3 of 3 done" in out.splitlines()[-1]
    return *content(root), root


@pytest.mark.slow
def test_a_finished_sweep_runs_nothing_again_and_is_collected(tmp_path, unbroken, monkeypatch):
    finish(start(tmp_path, "hydra/launcher=local"))
    before = content(tmp_path)
    assert before[0] == unbroken[0]
    status, out = finish(start(tmp_path))
    assert status == 0 and content(tmp_path) == before
    assert "3 of 3 done" in out
    monkeypatch.chdir(tmp_path)
    check_tables(tmp_path)


def sweep_in(root, *flags):
    """The tiny sweep, with its tables in root/tables."""
    command = Command(TINY, ["scale=smoke"])
    command.tables = root / "tables"
    if "--collected" in flags:
        command.imported = command._import_runs()
    return command


def check_tables(root):
    command = sweep_in(root)
    notes = collect(command)
    assert all("checkout with changes" in note for note in notes)
    runs, scores = (pd.read_csv(root / "tables" / f"{name}.csv") for name in ("runs", "scores"))
    assert runs["seed"].tolist() == list(range(SEEDS)) and (runs["frames"] >= 3000).all()
    both = {"method", "env", "network", "optimizer", "execution", "threads", "seed", "learning_rate", "frames",
            "seconds", "score", "score_type", "run", "commit", "versions"}  # fmt: skip
    assert both | {"greedy_score", "share_g_above_epsilon", "core_seconds", "episodes", "clean", "date"} <= set(runs)
    assert both | {"epoch"} <= set(scores)
    assert runs["greedy_score"].notna().all() and runs["share_g_above_epsilon"].between(0, 1).all()
    first = scores[(scores["seed"] == 0) & (scores["score_type"] == "sampled")]
    with open(root / "runs/smoke/toy/catch/a3c/threads=2,seed=0/evaluations.csv") as file:
        stored = list(csv.DictReader(file))
    assert first["score"].tolist() == [float(row["score_mean"]) for row in stored]
    assert first["frames"].tolist() == [int(row["frames"]) for row in stored]
    assert (scores["score_type"] == "training").sum() == SEEDS * BINS
    assert (scores["epoch"] * 1e6).round().tolist() == scores["frames"].tolist()


def test_tables_are_of_whole_runs_of_one_protocol(tmp_path, unbroken, monkeypatch):
    (tmp_path / "runs").mkdir()
    shutil.copytree(unbroken[2] / "runs" / "smoke", tmp_path / "runs" / "smoke")
    monkeypatch.chdir(tmp_path)
    command = sweep_in(tmp_path)
    directory = command.root / command.runs()[1].name
    (directory / "sweep.json").unlink()
    with pytest.raises(UserError, match="1 of 3 runs are not done"):
        collect(command)
    assert not (tmp_path / "tables").exists()
    notes = collect(command, unfinished=True)
    assert notes[0] == f"stopped: {command.runs()[1].name}"
    stored = json.loads((tmp_path / "tables" / "notes.json").read_text())
    assert stored["planned"] == 3 and stored["runs"] == 2 and stored["notes"] == notes
    scores, unfinished, diagnostics = (
        pd.read_csv(tmp_path / "tables" / f"{name}.csv") for name in ("scores", "unfinished", "diagnostics")
    )
    assert set(unfinished["run"]) == {command.runs()[1].name} and list(unfinished) == list(scores)
    assert set(unfinished["run"]).isdisjoint(scores["run"]) and diagnostics["run"].nunique() == 3
    (directory / "sweep.json").write_text((directory.parent / "threads=2,seed=0" / "sweep.json").read_text())
    collect(command)
    mark = (directory / "sweep.json").read_text()
    (directory / "sweep.json").unlink()  # as with a larger budget
    collect(command, unfinished=True)
    assert len(pd.read_csv(tmp_path / "tables" / "runs.csv")) == 2
    (directory / "sweep.json").write_text(mark)
    collect(command)
    assert not (tmp_path / "tables" / "unfinished.csv").exists()
    config = directory.parent / "threads=2,seed=0" / "config.yaml"
    config.write_text(config.read_text().replace("gamma: 0.99", "gamma: 0.5"))
    with pytest.raises(UserError, match="has another configuration"):
        collect(command, unfinished=True)


def test_a_sweep_goes_on_from_its_tables_where_its_runs_are_not(tmp_path, unbroken, monkeypatch):
    """As on another machine: two runs' rows are there, the third is run, and the tables are those of the whole."""
    monkeypatch.chdir(unbroken[2])
    whole = sweep_in(unbroken[2])
    whole.tables = tmp_path / "whole"
    collect(whole)
    scores = [whole.score(run) for run in whole.runs()]
    there, here = tmp_path / "tables", tmp_path / "runs" / "smoke"
    shutil.copytree(whole.tables, there)
    first, *others = [run.name for run in whole.runs()]
    for name in ("runs.csv", "scores.csv"):
        table = pd.read_csv(there / name, dtype=str, keep_default_na=False)
        table[table["run"] != first].to_csv(there / name, index=False)
    shutil.copytree(unbroken[2] / "runs" / "smoke" / first, here / first)

    monkeypatch.chdir(tmp_path)
    assert [sweep_in(tmp_path).score(run) is None for run in whole.runs()] == [False, True, True]
    command = sweep_in(tmp_path, "--collected")
    assert set(command.overview(command.runs()).states.values()) == {RunState.DONE}
    assert [command.score(run) for run in command.runs()] == scores
    assert command.overview(command.runs()).core_hours_done == pytest.approx(
        sum(pd.read_csv(whole.tables / "runs.csv")["core_seconds"]) / 3600, abs=1e-4
    )
    before = (there / "runs.csv").read_text()
    with pytest.raises(UserError, match=r"holds 2 runs that are not done here .* --collected keeps"):
        collect(sweep_in(tmp_path), unfinished=True)
    assert (there / "runs.csv").read_text() == before
    collect(command)
    for name in ("runs.csv", "scores.csv", "notes.json"):
        assert (there / name).read_text() == (whole.tables / name).read_text()
    assert not (here / others[0]).exists()

    text = (there / "runs.csv").read_text()
    (there / "runs.csv").write_text(text.replace("frames=3_000", "frames=3_000 hydra.run.dir=elsewhere"))  # by hand
    assert set(sweep_in(tmp_path, "--collected").overview(command.runs()).states.values()) == {RunState.DONE}
    (there / "runs.csv").write_text(text.replace("frames=3_000", "frames=9_000"))
    with pytest.raises(UserError, match="another configuration"):
        sweep_in(tmp_path, "--collected")
    shutil.rmtree(there)
    with pytest.raises(UserError, match="nothing was collected there"):
        sweep_in(tmp_path, "--collected")


def test_a_run_that_stopped_on_another_machine_keeps_its_rows(tmp_path, unbroken, monkeypatch):
    """Until it is done, or went at least as far here."""
    shutil.copytree(unbroken[2] / "runs" / "smoke", tmp_path / "runs" / "smoke")
    monkeypatch.chdir(tmp_path)
    command = sweep_in(tmp_path)
    name = command.runs()[1].name
    directory, tables = command.root / name, tmp_path / "tables"
    mark = (directory / "sweep.json").read_text()
    (directory / "sweep.json").unlink()

    def collected(*flags):
        collect(sweep_in(tmp_path, *flags), unfinished=True)
        found = {table: (tables / f"{table}.csv").read_text() for table in ("unfinished", "diagnostics")}
        assert pd.read_csv(io.StringIO(found["diagnostics"])).groupby("run").size().nunique() == 1
        return found

    before = collected()
    directory.rename(tmp_path / "elsewhere")
    assert collected() == before
    assert collected("--collected") == before
    assert f"stopped on another machine: {name}" in json.loads((tables / "notes.json").read_text())["notes"]
    further = before["unfinished"].replace(",sampled,", ",greedy,")
    for text, kept in ((further, False), (re.sub(r",(\d{4}),", r",9\1,", further), True)):
        (tables / "unfinished.csv").write_text(text)
        shutil.copytree(tmp_path / "elsewhere", directory, dirs_exist_ok=True)
        assert collected("--collected")["unfinished"] == (text if kept else before["unfinished"])
    (directory / "sweep.json").write_text(mark)
    collect(sweep_in(tmp_path, "--collected"))
    assert not (tables / "unfinished.csv").exists()
    assert sorted((tables / "diagnostics.csv").read_text().split()) == sorted(before["diagnostics"].split())


@pytest.mark.parametrize(
    ("launcher", "how"),
    [
        ("basic", signal.SIGINT),
        ("basic", signal.SIGKILL),
        ("local", signal.SIGINT),
        ("local", signal.SIGKILL),
    ],
)
@pytest.mark.slow
def test_a_sweep_that_is_interrupted_is_gone_on_with(tmp_path, launcher, how):
    """In the middle of its second run; the first is not touched again."""
    longer = ["checkpoint.every_seconds=0.2", "frames=15_000"]
    words, scale = [f"hydra/launcher={launcher}", *longer], ",".join(["smoke", *longer])
    process = start(tmp_path, *words)
    root = tmp_path / "runs" / scale
    wait_until(lambda: any(root.rglob("sweep.json")) and in_the_middle(root))
    process.send_signal(how)
    process.communicate(timeout=60)
    assert process.returncode == {signal.SIGINT: 130, signal.SIGKILL: -9}[how]
    wait_until(lambda: not running(process.pid))
    done = {path: path.stat().st_mtime_ns for path in root.rglob("sweep.json")}
    assert 0 < len(done) < SEEDS
    status, out = finish(start(tmp_path, *words))
    assert status == 0, out
    assert all(path.stat().st_mtime_ns == moment for path, moment in done.items())
    tables, starts = content(tmp_path, scale)
    (tmp_path / "whole").mkdir()
    assert finish(start(tmp_path / "whole", *longer))[0] == 0
    assert tables == content(tmp_path / "whole", scale)[0]
    assert sum(starts.values()) > SEEDS and all(starts[seed_of(path)] == 1 for path in done)


def in_the_middle(root):
    """Runs that could go on, and that have most of their way before them."""
    return [path for path in root.rglob("checkpoint.npz") if frames_of(path.parent) < 7500]


def seed_of(mark):
    return int(mark.parent.name.rpartition("=")[2])


@pytest.mark.slow
def test_a_launcher_s_process_that_is_killed_takes_one_run_with_it(tmp_path, unbroken):
    process = start(tmp_path, "hydra/launcher=local", "hydra.launcher.n_jobs=2")
    root = tmp_path / "runs" / "smoke"
    wait_until(lambda: any(root.rglob("episodes.csv")))
    worker = next(
        child for child in psutil.Process(process.pid).children() if "popen_loky" in " ".join(child.cmdline())
    )
    worker.kill()
    status, out = finish(process)
    assert status == 1 and "the launcher gave up" in out, out
    assert "stopped: " in out and "its process died" in out
    assert sum((directory / "sweep.json").exists() for directory in root.glob("toy/catch/a3c/*")) >= 1  # went on
    assert finish(start(tmp_path))[0] == 0
    assert content(tmp_path)[0] == unbroken[0]


def wait_until(true, patience=120):
    end = time.monotonic() + patience
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def running(session):
    """Processes of a session that a command was started in, its descendants in other sessions left out."""
    done = subprocess.run(["ps", "-o", "pid=", "-s", str(session)], capture_output=True, text=True)
    return [pid for pid in done.stdout.split() if int(pid) != session]


@pytest.mark.slow
def test_two_sweeps_at_once_share_the_work(tmp_path, unbroken):
    ends = [finish(process) for process in [start(tmp_path), start(tmp_path)]]
    tables, starts = content(tmp_path)
    assert tables == unbroken[0]
    assert set(starts.values()) == {1}
    assert 0 in {status for status, _ in ends}, ends


@pytest.mark.slow
def test_a_run_that_fails_is_told_at_the_end_and_tried_again(tmp_path, unbroken):
    directory = tmp_path / "runs" / "smoke" / "toy" / "catch" / "a3c" / "threads=2,seed=1"
    directory.mkdir(parents=True)
    (directory / "config.yaml").write_text("algo: [")
    status, out = finish(start(tmp_path))
    assert status == 1
    assert "2 of 3 done, 1 failed" in out
    (line,) = (line for line in out.splitlines() if line.startswith("failed: "))
    assert "threads=2,seed=1: " in line and "config.yaml is damaged" in line and "log.txt" in line
    status, out = finish(start(tmp_path, "--status"))
    assert status == 0 and "1 failed" in out and "config.yaml is damaged" in out
    (directory / "config.yaml").unlink()
    assert finish(start(tmp_path))[0] == 0
    tables, _ = content(tmp_path)
    assert tables == unbroken[0]


@pytest.mark.parametrize(
    ("frames", "budget", "seconds", "left", "told"),
    [
        (4_000, 12_000, 30, 96, "4.0k of 12.0k frames, 0.5 core-minutes used, 1.6 core-minutes to go"),
        (800_000, 2_400_000, 600, 9_000, "800.0k of 2.4M frames, 10.0 core-minutes used, 2.5 core-hours to go"),
        (0, 1_234_000_000, 0, None, "0.0k of 1,234M frames, 0.0 core-minutes used, unknown how much to go"),
    ],
)
def test_frames_and_core_time_have_units_of_their_size(frames, budget, seconds, left, told):
    one = run("toy/catch", "a3c")
    left = None if left is None else left / 3600
    found = Overview({one: RunState.RUNNING}, {one: frames}, {one: budget}, seconds / 3600, left).summary_line()
    assert found == f"0 of 1 done, 1 running, {told}"


@pytest.mark.parametrize("words", [[], ["--collected"]])
def test_without_a_word_a_sweep_tells_what_it_would_run_and_starts_nothing(tmp_path, monkeypatch, capsys, words):
    many = Experiment("many", "no figure", {"laptop": TINY.scales["smoke"]})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Command, "_import_runs", lambda self: ImportedRuns())
    monkeypatch.setattr(sys, "argv", ["sweeps/many.py", *words])
    main(many)
    out = capsys.readouterr().out
    assert "0 of 3 done, 3 missing" in out and "core-minutes" in out
    assert shlex.join(["python", "sweeps/many.py", "scale=laptop", *words]) in out
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("word", ["scale=laptop", "hydra/launcher=basic", "threads=1"])
def test_with_a_word_a_sweep_starts(tmp_path, monkeypatch, word):
    monkeypatch.chdir(tmp_path)
    launched = []
    monkeypatch.setattr("a3crepro.experiments.command.launch", lambda jobs, words: launched.extend(jobs))
    with pytest.raises(SystemExit):  # for nothing was run
        Command(Experiment("many", "no figure", {"laptop": TINY.scales["smoke"]}), [word]).run()
    assert len(launched) == SEEDS


def test_a_sweep_s_launcher_that_is_not_installed_is_told_with_its_extra(monkeypatch):
    monkeypatch.setattr("a3crepro.config.groups._is_installed", lambda plugin: False)
    with pytest.raises(UserError, match=r'needs hydra-submitit-launcher; pip install "a3crepro\[slurm\]"'):
        Command(TINY, ["scale=smoke", "hydra/launcher=slurm"])


@pytest.mark.parametrize("name", ["learning_rates", "learning_speed", "optimizers", "thread_scaling", "atari_table"])
def test_at_the_paper_s_scale_the_learning_rate_falls_over_a_run_s_own_frames(name, monkeypatch):
    picture = gymnasium.spaces.Box(0, 255, (4, 84, 84), np.uint8)
    monkeypatch.setattr(Environment, "spaces", lambda self: (picture, gymnasium.spaces.Discrete(4)))
    command = Command(experiment(name), ["scale=paper"])
    one = command.runs()[-1]
    config = compose(*command.words(one))
    assert config.env.name == "atari" and config.lr_anneal_frames == config.frames in (200_000_000, 1_000_000_000)


def test_a_dry_run_tells_the_commands_and_starts_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["sweeps/tiny.py", "scale=smoke", "--dry-run"])
    main(TINY)
    assert not (tmp_path / "runs").exists()
    first, *commands = capsys.readouterr().out.splitlines()
    assert "0 of 3 done, 3 missing" in first and "core-minutes" in first
    assert len(commands) == 3
    for line in commands:
        python, *words = shlex.split(line)
        assert python == "python" and words[:2] == ["-m", "a3crepro"]
        (directory,) = (word for word in words if word.startswith("hydra.run.dir="))
        assert directory.startswith("hydra.run.dir='runs/smoke/toy/catch/a3c/") and directory.endswith("'")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--stat"], "--stat: unknown; allowed: --dry-run, --status"),
        (["scale=huge"], "scale: allowed: smoke; got 'huge'"),
        (["threads=0"], "threads"),
        (["hydra/launcher=slum"], "hydra/launcher"),
    ],
)
def test_mistakes_get_one_line(tmp_path, monkeypatch, capsys, words, line):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["tiny.py", "scale=smoke", *words])
    with pytest.raises(SystemExit) as ended:
        main(TINY)
    out = "".join(capsys.readouterr())
    assert ended.value.code == 2, out
    assert line in out and len(out.strip().splitlines()) <= 2


SCRIPTS = {
    "ablations": ["claims"],
    "atari_games": ["atari_games"],
    "atari_table": ["atari_table"],
    "data_efficiency": ["data_efficiency"],
    "examples": ["examples"],
    "executions": ["executions"],
    "first_runs": ["first_runs"],
    "implementations": ["implementations"],
    "stale_gradients": ["stale_gradients"],
    "staleness": ["staleness"],
    "learning_rates": ["learning_rates"],
    "learning_speed": ["learning_speed"],
    "labyrinth": ["labyrinth"],
    "physical_tasks": ["physical_tasks", "physical_tasks_search"],
    "optimizers": ["optimizers"],
    "racing": ["racing"],
    "thread_scaling": ["data_efficiency", "speedup", "training_speed"],
    "training_speed": ["training_speed"],
}
FLAGS = {"stale_gradients": ["--collect"], "staleness": ["--collect"]}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_sweep_of_a_minute_from_its_command_to_its_figures(tmp_path, name):
    """In a copy of the checkout's scripts, so that nothing is written into the checkout."""
    for part in ("sweeps", "analysis", "conf", "a3crepro", "hydra_plugins"):
        shutil.copytree(ROOT / part, tmp_path / part)  # with what is compiled
    (tmp_path / "results").mkdir()
    for table in ("paper", "references"):
        (tmp_path / "results" / table).symlink_to(ROOT / "results" / table)
    for words in (
        [f"sweeps/{name}.py", "scale=smoke", "hydra/launcher=local"],
        ["analysis/collect.py", name, "scale=smoke"],  # of a view: the tables that it is a view of
        *([f"analysis/{script}.py", "scale=smoke", *FLAGS.get(script, [])] for script in SCRIPTS[name]),
    ):
        done = subprocess.run(
            [sys.executable, *words], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)}, text=True,
            capture_output=True, timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, (words, done.stdout, done.stderr)
    tables = "thread_scaling" if name in ("data_efficiency", "training_speed") else name
    runs = pd.read_csv(tmp_path / "results" / tables / "smoke" / "runs.csv")
    later = {
        "thread_scaling": 8,
        "data_efficiency": 8,
        "training_speed": 8,
        "physical_tasks": 3,
        "labyrinth": 2,
    }
    if name == "labyrinth":
        np.testing.assert_allclose(runs["score"], runs["apples"] + 10 * runs["portals"])
    assert len(runs) == PLANNED[name][0] + later.get(name, 0)
    assert runs["score"].notna().all() or name in FLAGS  # without evaluations
    for script in SCRIPTS[name]:
        text = (tmp_path / "figures" / f"{script}-smoke.md").read_text()
        assert f" {len(runs)} runs" in text or (script == "claims" and "k frames" in text)


def test_what_follows_from_runs_is_not_composed_while_hydra_launches(tmp_path, monkeypatch, capsys):
    """Hydra is one for the whole process."""
    from hydra import initialize_config_dir

    known = [run("toy/catch", "a3c", frames=100)]

    def launching(jobs, overrides):
        capsys.readouterr()
        known.append(run("toy/catch", "a3c", frames=200))
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            time.sleep(0.3)
        assert "0 of 1 done" in capsys.readouterr().out
        known.pop()

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("a3crepro.experiments.command.EVERY", 0.05)
    monkeypatch.setattr("a3crepro.experiments.command.launch", launching)
    command = Command(Experiment("tiny", "nothing", {"smoke": Scale((), lambda scores: list(known))}), ["scale=smoke"])
    with pytest.raises(SystemExit):
        command.run()


def test_the_time_left_is_that_of_as_much_work_at_the_same_pace():
    def at(done, left):
        return Overview({}, {}, {}, done, left)

    assert time_left(at(1.0, 9.0), at(2.0, 8.0), 1800.0) == ", about 4 h 00 min left"
    assert time_left(at(1.0, 9.0), at(1.0, 9.0), 60.0) == ""
    assert time_left(at(1.0, None), at(2.0, None), 60.0) == ""


def test_what_a_run_costs_by_what_was_measured(tmp_path, monkeypatch):
    measured = tmp_path / "methods.jsonl"
    cases = [("a3c", "minatar", 100), ("a3c", "minatar", 300), ("n_step_q", "minatar", 50), ("a3c", "mnih2015", 10)]

    def measured_at(speed, **components):
        return {"components": components, "steps_per_second": speed}

    lines = [measured_at(speed, env="minatar", algo=algo, network=name, lstm=False) for algo, name, speed in cases]
    measured.write_text("".join(json.dumps(line) + "\n" for line in lines))
    monkeypatch.setattr(measurements, "MEASURED", measured)
    assert (
        measurements.committed_cost(compose("algo=a3c", "env=minatar/asterix")) == 1 / 200
    )  # a frame, in core-seconds
    assert measurements.committed_cost(compose("algo=n_step_q", "env=minatar/asterix")) == 1 / 50
    assert measurements.committed_cost(compose("algo=one_step_q", "env=minatar/asterix")) == 1 / 200  # A3C's
    measured.write_text(json.dumps(measured_at(100, env="control", algo="a3c", network="control_pixels", lstm=True)))
    measurements._measured.cache_clear()
    assert measurements.committed_cost(compose("env=control/reacher_easy_pixels", "env.action_repeat=4")) == 1 / 400
    assert measurements.committed_cost(compose("algo=a3c", "env=breakout")) is None  # another family
    monkeypatch.setattr(measurements, "MEASURED", tmp_path / "none.jsonl")
    assert measurements.committed_cost(compose("algo=a3c", "env=minatar/asterix")) is None


def test_the_last_row_of_a_table(tmp_path):
    path = tmp_path / "table.csv"
    assert last_row(path) == {}
    path.write_text("a,b\n")
    assert last_row(path) == {}
    path.write_text("a,b\n" + "1,2\n" * 5000 + "3,4.5\n5,")
    assert last_row(path) == {"a": 3, "b": 4.5}


@pytest.mark.parametrize(
    "content", [b"", b"fra", b"frames,rea\n5", b"5,0.5\n6,0.5\n", b"frames,b\n\0\0\0\n", b"\xff\n1\n"]
)
def test_a_damaged_table_tells_of_no_frames(tmp_path, content):
    for name in ("episodes.csv", "evaluations.csv"):
        (tmp_path / name).write_bytes(content)
    assert frames_of(tmp_path) == 0 and real_seconds_of(tmp_path) == 0


def drop_a_row(path):
    header, *lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([header, *lines[: len(lines) // 2]]))


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        ("summary.json", lambda path: path.write_text("{")),
        ("sweep.json", lambda path: path.write_text("[]")),
        ("manifest.json", lambda path: path.write_text("")),
        ("evaluations.csv", lambda path: path.write_text("")),
        ("evaluations.csv", lambda path: path.write_bytes(path.read_bytes()[:-3])),
        ("episodes.csv", drop_a_row),
        ("episodes.csv", lambda path: path.write_bytes(path.read_bytes().partition(b"\n")[2])),
    ],
    ids=["summary", "mark", "manifest", "empty", "half a row", "rows", "no header"],
)
def test_damaged_files_are_not_collected(tmp_path, unbroken, monkeypatch, name, harm):
    shutil.copytree(unbroken[2] / "runs" / "smoke", tmp_path / "runs" / "smoke")
    monkeypatch.chdir(tmp_path)
    command = sweep_in(tmp_path)
    path = command.root / command.runs()[1].name / name
    harm(path)
    with pytest.raises(RunError, match="is damaged") as caught:
        collect(command)
    said = str(caught.value)
    assert str(path) in said and "\n" not in said and ("remove" in said or "put it back" in said)
    assert not command.tables.exists()
    if name == "summary.json":
        with pytest.raises(RunError, match=r"remove .*sweep\.json"):
            command.score(command.runs()[1])


def test_the_constant_policies_of_minatar_have_all_its_actions():
    for env in MINATAR_GAMES:
        actions = compose(f"env={env}").env.spaces()[1]
        assert [case[2]["action"] for case in references.CASES if case[:2] == (env, "constant")] == list(
            range(actions.n)
        )


def test_an_imported_run_is_that_of_its_overrides_however_its_numbers_are_written():
    command = "python -m a3crepro env=pong frames=40_000_000 'hydra.run.dir=runs/x'"
    imported = ImportedRuns(Path("there"), {"runs.csv": pd.DataFrame([{"run": "x", "command": command}])})
    imported.check("x", ("env=pong", "frames=40000000"))
    with pytest.raises(UserError, match="another configuration than the sweep says"):
        imported.check("x", ("env=pong", "frames=4000000"))
