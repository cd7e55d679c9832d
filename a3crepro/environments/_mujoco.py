"""What the environments that use MuJoCo share: headless rendering, and the state of a simulation for exact resume.

MuJoCo is optional, and it reads `MUJOCO_GL` when it is imported: here that happens within functions.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from a3crepro.common.errors import UserError
from a3crepro.common.serialization import PyTree

if TYPE_CHECKING:
    import mujoco

PACKAGES = "Debian's libegl1 libegl-mesa0 libgl1-mesa-dri libopengl0"
CHOSEN = os.environ.get("MUJOCO_GL") or "egl"
"""The rendering backend."""
FIXED = ("mesh", "tex", "skin", "bvh", "oct", "flex", "names", "text", "plugin", "key")
"""Prefixes of the model's arrays that no task changes; they can be large."""
DERIVED = ("xpos", "xquat", "xmat", "xipos", "geom_xpos", "site_xpos", "subtree_com", "cinert", "cvel", "cacc",
           "cfrc_ext", "cfrc_int", "qfrc_actuator", "sensordata")  # fmt: skip
"""What Gymnasium's environments read beside the state."""


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
    with contextlib.suppress(Exception):  # PyOpenGL raises what it likes
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
        raise UserError(f"env: rendering failed ({error}); {unset}install {PACKAGES}") from error


@contextlib.contextmanager
def without_warnings() -> Iterator[None]:
    """Keeps MuJoCo from printing its warnings and from writing them to a file in the working directory."""
    import mujoco

    before = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(lambda text: None)
    try:
        yield
    finally:
        mujoco.set_mju_user_warning(before)


class Simulation:
    """A model and its data, with `get_state` and `set_state`.

    The integration state (positions, velocities, activations, warm start, time, controls) is not enough: some tasks
    place targets by changing the model at the beginning of an episode.

    Args:
      model: as loaded; later changes are part of the state.
      data: its data.
      with_derived: save derived quantities, too, for environments that read the previous step's at the next one.
    """

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData, with_derived: bool = False) -> None:
        import mujoco

        self.mujoco, self.kind = mujoco, mujoco.mjtState.mjSTATE_INTEGRATION
        self.model, self.data, self.derived = model, data, DERIVED if with_derived else ()
        self._loaded = {name: np.array(values) for name, values in self._model_arrays()}

    def _model_arrays(self) -> list[tuple[str, np.ndarray]]:
        names = (name for name in dir(self.model) if not name.startswith(("_", *FIXED)))
        found = ((name, getattr(self.model, name)) for name in names)
        return [(name, value) for name, value in found if isinstance(value, np.ndarray)]

    def get_state(self) -> PyTree:
        """The integration state, and the arrays of the model that have changed since it was loaded."""
        state = np.empty(self.mujoco.mj_stateSize(self.model, self.kind))
        self.mujoco.mj_getState(self.model, self.data, state, self.kind)
        changed = {
            name: np.array(values)
            for name, values in self._model_arrays()
            if not np.array_equal(values, self._loaded[name], equal_nan=values.dtype.kind == "f")
        }
        derived = [np.array(getattr(self.data, name)) for name in self.derived]
        return {"state": state, "model": changed, "derived": derived}

    def set_state(self, tree: PyTree) -> None:
        """Restores the state twice: computing the derived quantities in between changes the solver's warm start."""
        for name, values in self._model_arrays():
            values[...] = tree["model"].get(name, self._loaded[name])
        self.mujoco.mj_setState(self.model, self.data, tree["state"], self.kind)
        self.mujoco.mj_forward(self.model, self.data)
        self.mujoco.mj_setState(self.model, self.data, tree["state"], self.kind)
        for name, values in zip(self.derived, tree["derived"], strict=True):
            getattr(self.data, name)[...] = values
