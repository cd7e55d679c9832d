"""Words of commands, and what a measurement was made with."""

import importlib
import platform
import sys
import tomllib
from pathlib import Path

import pytest

import a3crepro
from a3crepro.cli import main
from a3crepro.common.settings import RunError, UserError
from a3crepro.experiments.circumstances import circumstances
from a3crepro.runs.arguments import Key, non_negative_number, one_of, own_arguments, positive_number, whole_number
from a3crepro.runs.command_line import run_command

KEYS = {"scale": one_of("ab", "a"), "part": Key(default="all"), "seed": whole_number(0), "noise": non_negative_number()}


def test_own_arguments_are_parted_from_overrides_and_the_last_of_a_key_counts():
    own, others = own_arguments(["scale=b", "algo=a3c", "seed=1", "seed=2_000", "env=pong"], KEYS)
    assert vars(own) == {"scale": "b", "part": "all", "seed": 2000, "noise": None} and others == [
        "algo=a3c",
        "env=pong",
    ]


@pytest.mark.parametrize(
    ("argument", "line"),
    [
        ("scale=c", "scale: allowed: a, b; got 'c'"),
        ("seed=-1", "seed: should be a whole number of at least 0, got '-1'"),
        ("seed=1.5", "seed: should be a whole number of at least 0, got '1.5'"),
        ("noise=nan", "noise: should be a number of at least 0, got 'nan'"),
    ],
)
def test_a_value_that_is_not_allowed_is_refused(argument, line):
    with pytest.raises(UserError, match=f"^{line}$"):
        own_arguments([argument], KEYS)


@pytest.mark.parametrize("text", ["0", "-1", "x", "nan", "inf", ""])
def test_a_number_that_must_be_positive(text):
    keys = {"seconds": positive_number(20)}
    assert own_arguments(["seconds=2.5"], keys)[0].seconds == 2.5
    with pytest.raises(UserError, match="seconds: should be a number greater than 0"):
        own_arguments([f"seconds={text}"], keys)


def test_what_a_measurement_was_made_with():
    found = circumstances()
    assert {"commit", "clean", "date", "load", "cpu", "usable_cores", "python"} <= found.keys()
    assert found["usable_cores"] >= 1


def test_a_python_that_is_too_new_is_told_in_one_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "version_info", (3, 14, 1, "final", 0))
    monkeypatch.setattr(platform, "python_version", lambda: "3.14.1")
    with pytest.raises(SystemExit) as caught:
        run_command(lambda: None)
    said = "needs Python 3.11 to 3.13: Hydra 1.3 does not run on 3.14.1"
    assert caught.value.code == 1
    assert capsys.readouterr().err == f"a3crepro: {said}\n"
    with pytest.raises(RunError, match=f"^{said}$"):
        _ = a3crepro.compose


def test_the_console_command_is_that_of_the_module():
    project = tomllib.loads((Path(__file__).resolve().parent.parent / "pyproject.toml").read_text())["project"]
    module, _, function = project["scripts"]["a3crepro"].partition(":")
    assert getattr(importlib.import_module(module), function) is main
    assert importlib.import_module("a3crepro.__main__").main is main
