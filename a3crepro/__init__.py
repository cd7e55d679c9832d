"""Asynchronous Methods for Deep Reinforcement Learning (Mnih et al. 2016), as software."""

from typing import TYPE_CHECKING, Any

from a3crepro.common.version import __version__

if TYPE_CHECKING:
    from a3crepro.config import compose as compose
    from a3crepro.runs.training import load_policy as load_policy
    from a3crepro.runs.training import train as train

__all__ = ["__version__", "compose", "load_policy", "train"]


def __getattr__(name: str) -> Any:
    """`train`, `load_policy` and `compose` are imported when they are first used, so that a mistake is told at once."""
    if name in ("compose", "load_policy", "train"):
        from a3crepro.common.settings import check_python

        check_python()
    if name == "compose":
        from a3crepro.config import compose

        return compose
    if name in ("train", "load_policy"):
        from a3crepro.runs import training

        return getattr(training, name)
    raise AttributeError(f"module 'a3crepro' has no attribute {name!r}")
