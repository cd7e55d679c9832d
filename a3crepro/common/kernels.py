"""Numba kernels, compiled once, before any worker process is forked."""

import contextlib
import importlib
import os
import stat
import tempfile
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import FunctionCache

MODULES = (
    "a3crepro.models.fast.kernels",
    "a3crepro.mathematics.exploration",
    "a3crepro.mathematics.output_gradients",
    "a3crepro.mathematics.variance",
    "a3crepro.learner.normalisation",
)
"""The modules with kernels that every run needs; those of an environment or optimizer are compiled with it."""


def kernel(*signatures: Any, fastmath: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Compiles a function for these signatures when it is defined, i.e. when its module is imported.

    The machine code is cached on disk, in Numba's directory or else among the temporary files. It is compiled again
    (seconds) if the cache is damaged or cannot be written.
    """
    compiled = partial(numba.njit, list(signatures), fastmath=fastmath, error_model="numpy", nogil=True)

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        def empty_the_cache() -> None:
            FunctionCache(function).flush()  # type: ignore[no-untyped-call]

        preparations: list[Callable[[], None]] = [lambda: None, empty_the_cache, _cache_among_temporary_files]
        for prepare in preparations:
            with contextlib.suppress(Exception):  # a damaged file may cause any error
                prepare()
                return compiled(cache=True)(function)
        return compiled()(function)

    return decorate


def _cache_among_temporary_files() -> None:
    """Sets a cache directory of this user alone, whose files are executed; child processes inherit it."""
    path = Path(tempfile.gettempdir()) / f"a3crepro-{os.getuid()}"
    path.mkdir(mode=0o700, exist_ok=True)
    status = path.lstat()
    if (status.st_uid, stat.S_IMODE(status.st_mode)) != (os.getuid(), 0o700):
        raise PermissionError(f"{path} is not this user's alone")
    os.environ["NUMBA_CACHE_DIR"] = str(path)
    numba.config.reload_config()  # type: ignore[no-untyped-call]


def compile_all() -> None:
    """Compiles all kernels, or loads them from the cache."""
    notice = threading.Timer(3.0, print, ["compiling for this machine, once: some 15 seconds"], {"flush": True})
    notice.start()
    try:
        for name in MODULES:
            importlib.import_module(name)
    finally:
        notice.cancel()
