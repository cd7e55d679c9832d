"""Numba kernels, compiled once, before any worker process is forked."""

import contextlib
import importlib
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import FunctionCache

from a3crepro.common.processes import PARENT, end_with_parent

MODULES = (
    "a3crepro.mathematics.variance",
    "a3crepro.mathematics.exploration",
    "a3crepro.mathematics.output_gradients",
    "a3crepro.mathematics.metrics",
    "a3crepro.learner.normalisation",
    "a3crepro.models.fast.kernels",
)
"""The modules with kernels that every run needs; those of an environment or optimizer are compiled with it."""


OPTIONS: dict[str, Any] = {"error_model": "numpy", "nogil": True}
_deferred: list[tuple[Any, Any]] | None = None
"""Kernels and signatures that a helper is to compile; None in any other process."""
_helpers: list[subprocess.Popen[bytes]] = []


def inner(fastmath: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Makes a function that kernels of the same file call; it is compiled as a part of each."""
    decorate: Callable[[Callable[..., Any]], Callable[..., Any]] = numba.njit(fastmath=fastmath, **OPTIONS)
    return decorate


def kernel(*signatures: Any, fastmath: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Compiles a function for these signatures when it is defined, i.e. when its module is imported.

    The machine code is cached on disk, in Numba's directory or else among the temporary files. It is compiled again
    (seconds) if the cache is damaged or cannot be written.
    """
    compiled = partial(numba.njit, list(signatures), fastmath=fastmath, **OPTIONS)

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        def empty_the_cache() -> None:
            FunctionCache(function).flush()  # type: ignore[no-untyped-call]

        if _deferred is not None:
            later: Callable[..., Any] = numba.njit(fastmath=fastmath, cache=True, **OPTIONS)(function)
            _deferred.extend((later, signature) for signature in signatures)
            return later
        preparations: list[Callable[[], None]] = [lambda: None, empty_the_cache, _cache_among_temporary_files]
        for prepare in preparations:
            with contextlib.suppress(Exception):  # a damaged file may cause any error
                prepare()
                found = compiled(cache=True)(function)
                if found.stats.cache_misses and not _helpers and PARENT not in os.environ:
                    _start_helper()
                return found
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
    """Loads all kernels from the cache; compiles those that are not in it, by two processes, and says so."""
    announced = False
    for name in MODULES:
        if not announced and any(helper.poll() is None for helper in _helpers):
            print("compiling for this machine, once; about 15 seconds", flush=True)
            announced = True
        importlib.import_module(name)
    for helper in _helpers:
        helper.kill()
        helper.wait()


def _start_helper() -> None:
    """Starts a process that compiles, too."""
    command = [sys.executable, "-c", f"import {__name__} as kernels; kernels.help_to_compile()"]
    environment = {**os.environ, PARENT: str(os.getpid())}
    _helpers.append(subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))


def help_to_compile() -> None:
    """The second process: compiles the kernels from the last to the first, so that both meet in the middle."""
    global _deferred
    end_with_parent(True)
    _deferred = []
    for name in MODULES:
        importlib.import_module(name)
    for function, signature in reversed(_deferred):
        function.compile(signature)
