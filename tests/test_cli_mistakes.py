"""A mistake on the command line is one line, before anything is created."""

import sys

import pytest
import yaml
from cli_helpers import NOTHING, directories, is_one_line

from a3crepro import benchmark, evaluate, play
from a3crepro.config import groups

MISTAKES = {
    "a misspelt key": ("threds=2", "threds: unknown key; allowed: threads"),
    "a misspelt key in a group": ("algo.gama=0.9", "algo.gama: unknown key; allowed: gamma"),
    "a key of another choice": ("algo.exploration.redraw_frames=5", "algo.exploration: unknown key"),
    "a key at the wrong level": ("gamma=0.9", "gamma: unknown key"),
    "a word for a number": ("threads=two", "threads: "),
    "a unit behind a stray underscore": ("frames=20_M", "frames: should be a valid integer, got '20_M'"),
    "a fraction for a count": ("threads=2.5", "threads: "),
    "a boolean for a count": ("threads=true", "threads: "),
    "nothing for a count": ("threads=null", "threads: "),
    "an unknown tracker": ("logging.trackers=[tensorbord]", "logging.trackers"),
    "no list of trackers": ("logging.trackers=tensorboard", "logging.trackers: "),
    "a number for a boolean": ("logging.tensorboard=1", "logging.tensorboard: "),
    "an unknown choice": ("algo=a4c", "algo: unknown choice 'a4c'; did you mean a3c"),
    "an unknown game": ("env=breakuot", "env: unknown choice 'breakuot'; did you mean breakout"),
    "an unknown launcher": ("hydra/launcher=locl", "hydra/launcher: unknown choice 'locl'; did you mean local"),
    "an unknown name": ("algo.name=os", "algo.name: unknown name 'os'"),
    "an unknown value of a key": ("algo.evaluation_policy=best", "algo.evaluation_policy: "),
    "a discount above 1": ("algo.gamma=2", "algo.gamma: "),
    "no actor-learner": ("threads=0", "threads: "),
    "negative frames": ("frames=-1", "frames: "),
    "a learning rate of 0": ("optimizer.lr=0", "optimizer.lr: "),
    "a negative learning rate": ("optimizer.lr=-1e-3", "optimizer.lr: "),
    "an infinite learning rate": ("optimizer.lr=inf", "optimizer.lr: "),
    "a learning rate that is no number": ("optimizer.lr=nan", "optimizer.lr: "),
    "an unknown key behind +": ("+threds=2", "threds: unknown key"),
    "an unknown key behind ++": ("++threds=2", "threds: unknown key"),
    "an unknown key of a group behind +": ("+algo.gama=0.9", "algo.gama: unknown key"),
    "an unknown deep key behind +": ("+env.schedule.frame=9", "env.schedule.frame: unknown key"),
    "an unknown key in a mapping behind +": ("+env.schedule={frame:9}", "env.schedule.frame: unknown key"),
    "another package behind +": ("+network@nets=mlp", "nets: unknown key"),
    "a deleted key": ("~algo.gamma", "algo.gamma: missing"),
    "a missing value": ("seed=???", "seed"),
    "an unknown resolver": ("optimizer.lr=${uniform:1,2}", "optimizer.lr"),
    "an unknown key to interpolate": ("optimizer.lr=${sead}", "optimizer.lr"),
    "a draw without a key": ("optimizer.lr=${log_uniform:1e-4,1e-2}", "log_uniform"),
    "a network that does not fit": ("network=mnih2013", "network: "),
    "a sweep without --multirun": ("threads=1,2", "threads"),
    "no assignment": ("threads", "threads"),
    "an empty key": ("=1", "=1"),
    "a list for a group": ("algo=[a3c]", "algo"),
}


@pytest.mark.parametrize(("override", "said"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line_before_anything_is_made(command, tmp_path, override, said):
    words = NOTHING if not override.startswith("env=") else NOTHING[1:]
    status, _, line = command(*words, override)
    assert status == 2
    assert is_one_line(line, said), line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("--threads", "4"), "threads=4"),
        (("--threads=4",), "threads=4"),
        (("--learning-rate", "1e-3"), "optimizer.lr=1e-3"),
        (("--gamma", "0.9"), "algo.gamma=0.9"),
    ],
)
def test_an_option_is_answered_with_the_word_that_was_meant(command, tmp_path, monkeypatch, capsys, words, meant):
    status, _, line = command(*words)
    assert status == 2
    assert is_one_line(line, f"{words[0]}: unknown option; did you mean {meant}?"), line
    for module in (evaluate, benchmark, play):
        monkeypatch.setattr(sys, "argv", ["a3crepro", "env=toy/catch", *words])
        with pytest.raises(SystemExit) as ended:
            module.main()
        assert ended.value.code == 2
        assert is_one_line(capsys.readouterr().err, f"did you mean {meant}?")


@pytest.mark.parametrize(("launcher", "extra"), [("local", "local"), ("slurm", "slurm"), ("submitit_slurm", "slurm")])
def test_a_launcher_that_is_not_installed_is_told_with_its_extra(command, monkeypatch, launcher, extra):
    monkeypatch.setattr(groups, "_is_installed", lambda plugin: False)
    status, _, line = command("--multirun", *NOTHING, f"hydra/launcher={launcher}")
    assert status == 2
    assert is_one_line(line, f"hydra/launcher={launcher}: needs hydra-", f'pip install "a3crepro[{extra}]"'), line


def test_all_that_is_allowed_is_named(command):
    line = command(*NOTHING, "optimizer=sgd_with_warm_restarts")[2]
    assert is_one_line(line, ", ".join(groups.choices("optimizer")))


YAML_MISTAKES = {
    "a misspelt key": ("algo/mine.yaml", "defaults: [a3c, _self_]\ngama: 0.9\n", "algo=mine", "algo.gama: unknown key"),
    "a value out of range": ("algo/mine.yaml", "defaults: [a3c, _self_]\ngamma: 2\n", "algo=mine", "algo.gamma: "),
    "a wrong type": ("algo/mine.yaml", "defaults: [a3c, _self_]\ngamma: high\n", "algo=mine", "algo.gamma: "),
    "no YAML": ("algo/mine.yaml", "gamma: [\n", "algo=mine", "mine.yaml"),
    "a misspelt key at the top": (
        "mine.yaml",
        "defaults: [config, _self_]\nthreds: 2\n",
        "--config-name=mine",
        "threds: unknown key",
    ),
}


@pytest.mark.parametrize(("path", "text", "word", "said"), YAML_MISTAKES.values(), ids=YAML_MISTAKES)
def test_a_mistake_in_a_yaml_file_is_one_line_before_anything_is_made(command, tmp_path, path, text, word, said):
    file = tmp_path / "my" / path
    file.parent.mkdir(parents=True)
    file.write_text(text)
    status, _, line = command("--config-dir", "my", *NOTHING, word)
    assert status == 2
    assert is_one_line(line, said), line
    assert [entry.name for entry in tmp_path.iterdir()] == ["my"]


def test_a_configuration_of_one_s_own_is_used(command, tmp_path):
    (tmp_path / "my" / "algo").mkdir(parents=True)
    (tmp_path / "my" / "algo" / "mine.yaml").write_text("defaults: [a3c, _self_]\nt_max: 7\n")
    (tmp_path / "my" / "mine.yaml").write_text("defaults: [config, _self_]\nthreads: 3\n")
    words = ("--config-dir", "my", "--config-name", "mine", *NOTHING, "algo=mine", "hydra.run.dir=run")
    status, _, line = command(*words)
    assert status == 0, line
    stored = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert (stored["threads"], stored["algo"]["t_max"]) == (3, 7)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("threads=1,0", "threads: "),
        ("algo=a3c,a4c", "algo: unknown choice"),
        ("+threds=1,2", "threds: unknown key"),
        ("algo.gamma=choice(0.9,2)", "algo.gamma: "),
        ("seed=range(1,-2,-1)", "seed: "),
    ],
)
def test_one_bad_job_stops_a_multirun_before_its_first(command, tmp_path, override, said):
    status, _, line = command("--multirun", *NOTHING, override)
    assert status == 2
    assert is_one_line(line, said), line
    assert list(tmp_path.iterdir()) == []


SWEPT = """
defaults: [config, _self_]
hydra:
  mode: MULTIRUN
  sweeper:
    params:
      threads: 1,2
      algo.gamma: 0.9,{gamma}
"""


def test_the_jobs_of_a_configuration_s_own_sweep_are_run_and_checked_before(command, tmp_path):
    (tmp_path / "my").mkdir()
    words = ("--config-dir", "my", "--config-name", "swept", *NOTHING)
    (tmp_path / "my" / "swept.yaml").write_text(SWEPT.format(gamma=2))
    status, _, line = command(*words)
    assert status == 2
    assert is_one_line(line, "algo.gamma: "), line
    assert [entry.name for entry in tmp_path.iterdir()] == ["my"]
    (tmp_path / "my" / "swept.yaml").write_text(SWEPT.format(gamma=0.99))
    assert command(*words)[0] == 0
    assert len(directories(tmp_path)) == 4


def test_a_glob_chooses_of_a_folder(command, tmp_path):
    status, _, line = command("--multirun", *NOTHING, "env=glob(toy/*, exclude=toy/p*)")
    assert status == 0, line
    names = {name.partition("/a3c/")[0] for name in directories(tmp_path)}
    assert names == {"runs/toy/catch", "runs/toy/chain", "runs/toy/cue_memory"}
    status, _, line = command("--multirun", *NOTHING, "env=glob(tou/*)")
    assert status == 2
    assert is_one_line(line, "env=glob(tou/*): no choice matches"), line


def test_every_job_that_failed_gets_its_line(command, tmp_path):
    directory = tmp_path / "runs/toy/catch/a3c/evaluation.episodes=0"
    for seed in (0, 2):
        (directory / f"seed={seed}").mkdir(parents=True)
        (directory / f"seed={seed}" / "config.yaml").write_text("algo: [")
    status, _, said = command("--multirun", *NOTHING, "seed=0,1,2")
    assert status == 2
    lines = [line for line in said.splitlines() if line.startswith("a3crepro: ")]
    assert len(lines) == 2
    assert all(f"seed={seed}: " in line and "is damaged" in line for seed, line in zip((0, 2), lines, strict=True))
    assert (directory / "seed=1" / "summary.json").exists()
