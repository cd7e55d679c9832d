"""Asynchronous Methods for Deep Reinforcement Learning (Mnih et al. 2016), as software."""

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from a3crepro.config import compose as compose
    from a3crepro.runs.policies import load_policy as load_policy
    from a3crepro.runs.training import train as train

    __version__: str

__all__ = ["__version__", "compose", "load_policy", "train"]

_MODULES = {"compose": "config", "load_policy": "runs.policies", "train": "runs.training"}


def __getattr__(name: str) -> Any:
    """Imports `train`, `load_policy` and `compose` on first use, so that commands report mistakes without delay."""
    if name == "__version__":
        return _version()
    if name not in _MODULES:
        raise AttributeError(f"module 'a3crepro' has no attribute {name!r}")
    from a3crepro.common.errors import check_python

    check_python()
    return getattr(importlib.import_module(f"a3crepro.{_MODULES[name]}"), name)


def _version() -> str:
    """The version that was installed, which git's tags decide."""
    try:
        return importlib.metadata.version("a3crepro")
    except importlib.metadata.PackageNotFoundError:  # a checkout that is not installed
        return "unknown"
