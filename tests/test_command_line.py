"""What all commands have in common, and what a measurement records."""

import importlib
import platform
import sys
import tomllib
from pathlib import Path

import pytest

import a3crepro
from a3crepro.cli import main
from a3crepro.common.errors import RunError
from a3crepro.experiments.measurements import provenance
from a3crepro.runs.command_line import run_command


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
