"""Headless rendering with MuJoCo: backends and errors."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator
from typing import Any

from a3crepro.common.errors import UserError

PACKAGES = "Debian's libegl1 libegl-mesa0 libgl1-mesa-dri"
CHOSEN = os.environ.get("MUJOCO_GL") or "egl"
"""The rendering backend."""


def use_egl() -> None:
    """Selects EGL for MuJoCo and Gymnasium unless `MUJOCO_GL` is set.

    MuJoCo reads this when it is imported, and cannot be imported if EGL is missing.
    """
    os.environ.setdefault("LP_NUM_THREADS", "1")  # of Mesa's software renderer
    os.environ["MUJOCO_GL"] = CHOSEN


def import_with_mujoco(module: str) -> Any:
    """Imports a module that imports MuJoCo; without a renderer if the one that `MUJOCO_GL` names is missing.

    Raises:
      ImportError: the module is not installed.
    """
    with contextlib.suppress(ImportError, AttributeError, RuntimeError):
        return importlib.import_module(module)
    os.environ["MUJOCO_GL"] = "off"
    return importlib.import_module(module)


@contextlib.contextmanager
def rendering_errors() -> Iterator[None]:
    """Says which packages to install where rendering fails.

    Raises:
      UserError: instead of any exception that a missing or broken OpenGL raises.
    """
    try:
        yield
    except Exception as error:
        unset = "" if CHOSEN == "egl" else f"unset MUJOCO_GL, which is {CHOSEN!r}, and "
        raise UserError(f"env: nothing here can draw pictures ({error}); {unset}install {PACKAGES}") from error
