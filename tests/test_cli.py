"""Commands: help, directories, multiruns, resuming."""

import io
import json
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from cli_helpers import NOTHING, directories, is_one_line
from helpers import ENDLESS, SMALL, descendants, files, finished, frames, gone_within, rows, running, summary

import a3crepro
from a3crepro import benchmark, compose, evaluate, play
from a3crepro.common.errors import UserError
from a3crepro.runs.run_directory import RunDirectory

DRAWN = "optimizer.lr=${log_uniform:1e-4,1e-2,${seed}}"
"""As Python gets it where it stands in a shell's command as in INTERFACE.md."""


@pytest.mark.parametrize("module", [benchmark, evaluate, play], ids=lambda module: module.__name__)
def test_help_is_the_documentation_of_the_command(module, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["a3crepro", "--help"])
    with pytest.raises(SystemExit) as ended:
        module.main()
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"{module.__doc__}\n"


@pytest.mark.parametrize("module", [evaluate, play], ids=lambda module: module.__name__)
def test_a_command_that_needs_words_tells_which(module, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["a3crepro"])
    with pytest.raises(SystemExit) as ended:
        module.main()
    assert ended.value.code == 2
    assert capsys.readouterr().out == f"{module.__doc__}\n"


def test_the_version_is_ours(command, monkeypatch, capsys):
    status, said, _ = command("--version")
    assert (status, said.split()[:2]) == (0, ["a3crepro", a3crepro.__version__])
    monkeypatch.setattr(sys, "argv", ["evaluate", "--version"])
    with pytest.raises(SystemExit):
        evaluate.main()
    assert capsys.readouterr().out == said


@pytest.mark.parametrize("overrides", [("threads=3", "optimizer.lr=1e-3"), (DRAWN,)], ids=["numbers", "a draw"])
def test_a_multirun_makes_the_directories_of_single_runs(command, tmp_path, monkeypatch, overrides):
    for place in ("many", "single"):
        (tmp_path / place).mkdir()
    monkeypatch.chdir(tmp_path / "many")
    status, _, line = command("--multirun", *NOTHING, *overrides, "algo=a3c,n_step_q")
    assert status == 0, line
    monkeypatch.chdir(tmp_path / "single")
    for algo in ("a3c", "n_step_q"):
        assert command(*NOTHING, *overrides, f"algo={algo}")[0] == 0
    assert len(directories(tmp_path / "single")) == 2
    assert directories(tmp_path / "many") == directories(tmp_path / "single")


def test_the_same_command_finds_the_same_directory_whatever_the_time_and_the_budget(command, tmp_path):
    for words in ((), (), ("frames=0",)):
        assert command(*NOTHING, "threads=3", *words)[0] == 0
    assert len(directories(tmp_path)) == 1


@pytest.mark.parametrize(
    "words",
    [("threads=16",), ("optimizer.lr=0.0007", "execution=hogwild"), ("logging.every_seconds=3", "seed=0")],
)
def test_equal_configurations_have_one_directory(command, tmp_path, words):
    assert command(*NOTHING)[0] == 0
    status, said, line = command(*NOTHING, *words)
    assert status == 0, line
    assert "is finished" in said
    assert len(directories(tmp_path)) == 1


def test_train_chooses_the_directory_of_the_command(command, tmp_path, capsys):
    assert command(*NOTHING, "threads=3")[0] == 0
    a3crepro.train(compose(*NOTHING, "threads=3.0"))
    assert "is finished" in capsys.readouterr().out
    assert len(directories(tmp_path)) == 1


ODD_PLACES = ["x/a=b", "x/a#b", "x/é", "x/a~b", "x/a,b", "x/a'b", 'x/a"b', "x/[a] (b) {c}", "1e3", "null", "x/a:b"]


@pytest.mark.parametrize("place", ODD_PLACES)
def test_a_directory_is_called_as_it_is_written(command, tmp_path, place):
    for written in (place, f"'{place}'"):
        if written == place or "'" not in place:
            status, _, line = command(*NOTHING, f"hydra.run.dir={written}")
            assert status == 0, line
    assert directories(tmp_path) == {place}


def test_the_directory_of_a_multirun_is_called_as_it_is_written(command, tmp_path):
    assert command("--multirun", *NOTHING, "seed=0,1", "hydra.sweep.dir=a,b=#", "hydra.sweep.subdir=é${seed}")[0] == 0
    assert directories(tmp_path) == {"a,b=#/é0", "a,b=#/é1"}


def test_a_tilde_at_the_beginning_is_the_home_directory(command, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert command(*NOTHING, "hydra.run.dir=~/run")[0] == 0
    assert directories(tmp_path) == {"home/run"}


def test_a_key_of_evaluate_is_one_beside_a_directory_of_its_name(command, tmp_path, capsys):
    assert command("env=toy/catch", "threads=1", "frames=10", *NOTHING[2:], "hydra.run.dir=seed=0")[0] == 0
    capsys.readouterr()
    for directory in ("./seed=0", str(tmp_path / "seed=0")):
        evaluate.evaluate_command([directory, "seed=0", "episodes=1"])
        assert json.loads(capsys.readouterr().out.splitlines()[-1])["seed"] == 0
    with pytest.raises(UserError, match="env: missing"):
        evaluate.evaluate_command(["seed=0", "episodes=1"])


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.slow
def test_output_in_a_locale_without_the_characters_has_escapes(tmp_path):
    """The directory is `é` in UTF-8, whatever the locale takes it for."""
    words = ("env=toy/catch", "threads=1", "frames=100", "evaluation.episodes=1", "hydra.run.dir=run/é")
    run = finished(tmp_path, *words, env=ASCII)
    assert run.wait() == 0, run.stderr
    assert "Unicode" not in run.stderr
    assert summary(tmp_path / "run" / "é")["frames"] >= 100


@pytest.mark.parametrize("words", [["--help"], ["é", "--episodes", "ö"]], ids=["help", "a mistake"])
def test_text_in_a_locale_without_the_characters_has_escapes(monkeypatch, words):
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    for stream in ("stdout", "stderr"):
        monkeypatch.setattr(sys, stream, out)
    monkeypatch.setattr(sys, "argv", ["evaluate", *words])
    with pytest.raises(SystemExit):
        evaluate.main()
    out.flush()
    assert b"\\u2026" in out.buffer.getvalue() or b"\\xf6" in out.buffer.getvalue()


def test_a_drawn_learning_rate_is_a_number_that_the_seed_decides(command, tmp_path):
    drawn = {}
    for algo in ("a3c", "n_step_q"):
        for seed in (0, 1):
            where = f"{algo}-{seed}"
            status, _, line = command(*NOTHING, f"algo={algo}", f"seed={seed}", DRAWN, f"hydra.run.dir={where}")
            assert status == 0, line
            text = (tmp_path / where / "config.yaml").read_text()
            assert "${" not in text
            drawn[algo, seed] = yaml.safe_load(text)["optimizer"]["lr"]
    assert all(isinstance(rate, float) and 1e-4 <= rate < 1e-2 for rate in drawn.values())
    assert all(drawn["a3c", seed] == drawn["n_step_q", seed] for seed in (0, 1))
    assert len(set(drawn.values())) == 2


def test_a_directory_that_holds_another_configuration_is_refused_and_nothing_is_lost(command, tmp_path):
    assert command(*NOTHING, "hydra.run.dir=run")[0] == 0
    before = files(tmp_path)
    status, _, line = command(*NOTHING, "hydra.run.dir=run", "seed=1", "algo.gamma=0.5")
    assert status == 2
    assert is_one_line(line, "algo.gamma (0.99 there, 0.5 here)", "seed (0 there, 1 here)"), line
    assert files(tmp_path) == before


def test_frames_may_not_grow_where_the_learning_rate_s_fall_depends_on_them(command, tmp_path):
    assert command(*NOTHING, "hydra.run.dir=run")[0] == 0
    before = files(tmp_path)
    status, _, line = command(*NOTHING, "hydra.run.dir=run", "frames=100")
    assert status == 2
    assert is_one_line(line, "frames", "optimizer.anneal_frames"), line
    assert files(tmp_path) == before


def test_a_directory_in_use_is_refused_at_once(command, tmp_path):
    with RunDirectory(tmp_path / "run", compose(*NOTHING)):
        before = files(tmp_path)
        status, _, line = command(*NOTHING, "hydra.run.dir=run")
        assert status == 1
        assert is_one_line(line, "in use"), line
        assert files(tmp_path) == before


def test_a_run_finishes_and_the_same_command_does_nothing_until_its_budget_grows(command, tmp_path):
    words = (*SMALL, "optimizer.anneal_frames=5000")
    directory = tmp_path / "run"
    status, _, line = command(*words, "frames=1000")
    assert status == 0, line
    assert 1000 <= summary(directory)["frames"] < 1000 + 2 * 5
    before, summary_frames = files(tmp_path), summary(directory)["frames"]

    status, said, _ = command(*words, "frames=1000")
    assert status == 0
    assert "is finished" in said
    assert files(tmp_path) == before

    status, said, line = command(*words, "frames=2000")
    assert status == 0, line
    assert f"resuming at {summary_frames:,} of 2,000 frames" in said
    assert 2000 <= summary(directory)["frames"] < 2000 + 2 * 5
    assert (directory / "episodes.csv").read_bytes().startswith(before["run/episodes.csv"])
    assert frames(directory)[-1] > 1500


@pytest.mark.slow  # the next test's runs are started so, too
def test_a_multirun_takes_the_launchers_of_the_sweeps(tmp_path):
    """Joblib's workers start their processes in a way of their own."""
    run = finished(tmp_path, "--multirun", *SMALL[:-1], "frames=200", "seed=0,1", "hydra/launcher=local")
    assert run.wait() == 0, run.stderr
    assert len(list((tmp_path / "runs").rglob("summary.json"))) == 2


@pytest.mark.slow  # of sweeps and searches, too
def test_the_runs_of_a_multirun_save_and_end_with_it(tmp_path):
    words = ("--multirun", *SMALL[:-1], ENDLESS, "seed=0,1", "hydra/launcher=local", "hydra.launcher.n_jobs=2")
    with running(tmp_path, *words) as run:
        run.wait_until(
            lambda: sum(len(path.read_text()) > 200 for path in tmp_path.rglob("episodes.csv")) == 2, "games"
        )
        begun = descendants(run.process.pid)
        run.send(signal.SIGINT)
        assert run.wait() == 130
        assert is_one_line(run.stderr, "SIGINT", "save")
        assert gone_within(begun, 30)
    assert len(list(tmp_path.rglob("checkpoint.npz"))) == 2


@pytest.mark.slow
def test_a_multirun_that_is_killed_is_gone_on_with_and_nothing_is_lost_or_doubled(tmp_path):
    """With all of its processes, in the middle of the first two runs and of the others."""
    words = ("--multirun", "env=toy/catch", "execution=virtual_time", "threads=2", "frames=20_000", "seed=0,1,2,3",
             "evaluation.every=5_000", "evaluation.episodes=2", "logging.tensorboard=false",
             "checkpoint.every_seconds=0.2", "hydra/launcher=local", "hydra.launcher.n_jobs=2")  # fmt: skip
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert finished(whole, *words).wait() == 0
    for count in (1, 3):
        with running(broken, *words) as run:
            run.wait_until(lambda count=count: len(list(broken.rglob("checkpoint.npz"))) >= count, f"{count} runs")
            begun = run.processes()
            run.send(signal.SIGKILL, group=True)
            assert run.wait() == -signal.SIGKILL
            assert gone_within(begun, 30)
    assert len(list(broken.rglob("summary.json"))) < 4
    assert finished(broken, *words).wait() == 0
    assert directories(broken) == directories(whole) and len(directories(whole)) == 4
    for name in directories(whole):
        for table in ("episodes.csv", "evaluations.csv"):
            found = [[{**row, "real_seconds": ""} for row in rows(root / name, table)] for root in (whole, broken)]
            assert found[0] == found[1]
    starts = [len(json.loads(path.read_text())["starts"]) for path in broken.rglob("manifest.json")]
    assert sum(starts) > 4


@pytest.mark.slow  # in this process mistakes have it, too
def test_a_mistake_has_its_status(tmp_path):
    run = finished(tmp_path, *SMALL, "threds=2")
    assert run.wait() == 2
    assert is_one_line(run.stderr, "threds: unknown key")
    assert not run.directory.exists()


@pytest.mark.slow
def test_a_built_wheel_finds_its_configuration_from_any_directory(tmp_path):
    root = Path(__file__).resolve().parent.parent
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    build = [*pip, "wheel", "--no-deps", "--quiet", "--wheel-dir", str(tmp_path / "wheel")]
    if subprocess.run([sys.executable, "-c", "import hatchling"], capture_output=True).returncode == 0:
        build.append("--no-build-isolation")
    built = subprocess.run([*build, str(root)], capture_output=True, text=True)
    if built.returncode and "hatchling" in built.stderr and "--no-build-isolation" not in build:
        pytest.skip("hatchling is neither installed nor can it be fetched")
    assert built.returncode == 0, built.stderr
    (wheel,) = (tmp_path / "wheel").glob("*.whl")
    assert "a3crepro/conf/env/breakout.yaml" in zipfile.ZipFile(wheel).namelist()
    site = tmp_path / "site"
    subprocess.run([*pip, "install", "--no-deps", "--quiet", "--target", str(site), str(wheel)], check=True)

    env = {"PYTHONPATH": str(site)}
    found = [sys.executable, "-c", "from a3crepro.config import conf_directory; print(conf_directory())"]
    place = subprocess.run(found, cwd=tmp_path, env={**os.environ, **env}, capture_output=True, text=True, check=True)
    assert place.stdout.strip() == str(site / "a3crepro" / "conf")
    with running(tmp_path / "elsewhere", *SMALL, "frames=200", env=env) as run:
        assert run.wait() == 0, run.stderr
    assert summary(run.directory)["frames"] >= 200
