"""Compiling a loop over a flat vector, once, before any worker process is forked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def kernel(signature: str, *, fastmath: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Compiles a function for one signature as it is defined, so that importing its module is all a worker needs.

    The machine code is cached on disk where there is a place for it, and made anew (seconds) where there is none.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        options: dict[str, Any] = {"fastmath": fastmath, "error_model": "numpy", "nogil": True}
        try:
            return numba.njit(signature, cache=True, **options)(function)
        except (RuntimeError, OSError):  # nothing writable to cache in
            return numba.njit(signature, **options)(function)

    return decorate
