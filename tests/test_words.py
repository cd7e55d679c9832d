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
from a3crepro.experiments.provenance import provenance
from a3crepro.runs.command_line import own_words, positive_number, run_command


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
    found = provenance()
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
