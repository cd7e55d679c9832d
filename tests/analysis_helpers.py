"""Shared by the tests of `analysis/`."""

import importlib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def script(name):
    """A script of `analysis/`."""
    return importlib.import_module(f"analysis.{name}")
