"""Pictures of MuJoCo's without a screen; what can be said before MuJoCo is imported."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator
from typing import Any

from a3crepro.common.errors import UserError

PACKAGES = "Debian's libegl1 libegl-mesa0 libgl1-mesa-dri"
CHOSEN = os.environ.get("MUJOCO_GL") or "egl"
"""What the user wants to draw with."""


def without_a_screen() -> None:
    """From now on MuJoCo and gymnasium draw by EGL, unless the user wants it otherwise.

    MuJoCo looks at this when it is imported, and then cannot be imported where there is no EGL.
    """
    os.environ.setdefault("LP_NUM_THREADS", "1")  # of Mesa's software renderer
    os.environ["MUJOCO_GL"] = CHOSEN


def imported(module: str) -> Any:
    """A module that imports MuJoCo: without a renderer, where the one that `MUJOCO_GL` names cannot be had.

    Raises:
      ImportError: it is not installed.
    """
    with contextlib.suppress(ImportError, AttributeError, RuntimeError):
        return importlib.import_module(module)
    os.environ["MUJOCO_GL"] = "off"
    return importlib.import_module(module)


@contextlib.contextmanager
def drawing() -> Iterator[None]:
    """Says what is missing where a picture cannot be drawn.

    Raises:
      UserError: in place of whatever a missing or broken OpenGL raises.
    """
    try:
        yield
    except Exception as error:
        unset = "" if CHOSEN == "egl" else f"unset MUJOCO_GL, which is {CHOSEN!r}, and "
        raise UserError(f"env: nothing here can draw pictures ({error}); {unset}install {PACKAGES}") from error
