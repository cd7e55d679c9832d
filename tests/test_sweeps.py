"""The sweeps' commands: what they would run, without running it."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from a3crepro.cli import own_words, positive_number
from a3crepro.config import compose
from a3crepro.settings import UserError
from a3crepro.sweep import circumstances

SWEEPS = Path(__file__).resolve().parent.parent / "sweeps"
TRAINING = {"executions": 60, "first_runs": 7, "implementations": 24, "staleness": 14}


@pytest.fixture
def commands(monkeypatch):
    """The commands that a sweep starts."""
    started = []

    def start(command, **_):
        started.append(command)
        return subprocess.CompletedProcess(command, 0)

    def of(name, *arguments):
        started.clear()
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *arguments])
        with monkeypatch.context() as patch:
            patch.setattr(subprocess, "run", start)
            runpy.run_path(str(SWEEPS / f"{name}.py"), run_name="__main__")
        return list(started)

    return of


@pytest.mark.parametrize(("sweep", "runs"), TRAINING.items())
def test_the_runs_of_a_sweep_can_be_composed_and_have_directories_of_their_own(commands, sweep, runs):
    directories = set()
    for scale in ("smoke", "laptop"):
        started = commands(sweep, f"scale={scale}", "optimizer.alpha=0.5")
        assert len(started) == runs or (sweep == "executions" and scale == "smoke")
        for python, *words in started:
            assert python == sys.executable and words[:2] == ["-m", "a3crepro"]
            (directory,) = (word for word in words if word.startswith("hydra.run.dir="))
            (parsed,) = OverridesParser.create().parse_overrides([directory])
            assert parsed.value().startswith(f"runs/{sweep}/{scale}/")
            assert parsed.value() not in directories
            directories.add(parsed.value())
    config = compose(*(word for word in words[2:] if word != directory))
    assert config.optimizer.alpha == 0.5


def test_a_sweep_s_own_words_are_checked(capsys, commands):
    with pytest.raises(SystemExit) as ended:
        commands("staleness", "scale=huge")
    assert ended.value.code == 2
    assert "scale: allowed: smoke, laptop; got 'huge'" in capsys.readouterr().err


def test_own_words_are_parted_from_overrides():
    own, overrides = own_words(["scale=b", "algo=a3c", "env=pong"], {"scale": "a", "part": "all"}, {"scale": "ab"})
    assert own == {"scale": "b", "part": "all"} and overrides == ["algo=a3c", "env=pong"]
    with pytest.raises(UserError, match="scale: allowed: a, b; got 'c'"):
        own_words(["scale=c"], {"scale": "a"}, {"scale": "ab"})


@pytest.mark.parametrize("text", ["0", "-1", "x", "nan", "inf", ""])
def test_a_number_that_must_be_positive(text):
    assert positive_number("seconds", "2.5") == 2.5
    with pytest.raises(UserError, match="seconds: should be a number greater than 0"):
        positive_number("seconds", text)


def test_what_a_measurement_was_made_with():
    found = circumstances()
    assert {"commit", "clean", "date", "load", "cpu", "usable_cores", "python"} <= found.keys()
    assert found["usable_cores"] >= 1
