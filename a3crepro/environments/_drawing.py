"""Pictures of MuJoCo's without a screen; what can be said before MuJoCo is imported."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from a3crepro.settings import UserError

PACKAGES = "Debian's libegl1 libegl-mesa0 libgl1-mesa-dri"


def without_a_screen() -> None:
    """From now on MuJoCo and gymnasium draw by EGL, unless the user wants it otherwise.

    MuJoCo looks at this when it is imported, and then cannot be imported where there is no EGL.
    """
    os.environ.setdefault("LP_NUM_THREADS", "1")  # of Mesa's software renderer
    os.environ.setdefault("MUJOCO_GL", "egl")


@contextlib.contextmanager
def drawing() -> Iterator[None]:
    """Says what is missing where a picture cannot be drawn.

    Raises:
      UserError: in place of whatever a missing or broken OpenGL raises.
    """
    try:
        yield
    except Exception as error:
        raise UserError(f"env: nothing here can draw pictures ({error}); install {PACKAGES}") from error
