"""Pictures of MuJoCo's without a screen; what can be said before MuJoCo is imported."""

from __future__ import annotations

import os

NO_RENDERER = "env: nothing here can draw pictures ({}); install Debian's libegl1 libegl-mesa0 libgl1-mesa-dri"


def without_a_screen() -> None:
    """To be called before MuJoCo is imported, which then draws by EGL, unless the user wants it otherwise."""
    os.environ.setdefault("LP_NUM_THREADS", "1")  # of Mesa's software renderer
    os.environ.setdefault("MUJOCO_GL", "egl")
