"""Compiling a loop over a flat vector, once, before any worker process is forked."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from typing import Any

import numba

from a3crepro.settings import own_names

MODULES = (
    "a3crepro.environments._picture",
    "a3crepro.environments._view",
    "a3crepro.fast.kernels",
    "a3crepro.mathematics.exploration",
    "a3crepro.mathematics.output_gradients",
    "a3crepro.mathematics.variance",
    "a3crepro.scaling",
)
"""The modules with kernels, beside those of the optimizers."""


def kernel(*signatures: str, fastmath: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Compiles a function for these signatures as it is defined, so that importing its module is all a worker needs.

    The machine code is cached on disk where there is a place for it, and made anew (seconds) where there is none.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        options: dict[str, Any] = {"fastmath": fastmath, "error_model": "numpy", "nogil": True}
        try:
            return numba.njit(list(signatures), cache=True, **options)(function)
        except (RuntimeError, OSError):  # nothing writable to cache in
            return numba.njit(list(signatures), **options)(function)

    return decorate


def compile_all() -> None:
    """Compiles what was never compiled on this machine, or loads it: all kernels of the project."""
    notice = threading.Timer(3.0, print, ["compiling for this machine, once: some 15 seconds"], {"flush": True})
    notice.start()
    try:
        for name in (*MODULES, *(f"a3crepro.optimizers.{name}" for name in own_names("a3crepro.optimizers"))):
            importlib.import_module(name)
    finally:
        notice.cancel()
