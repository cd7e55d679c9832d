"""State of a MuJoCo simulation for exact resume.

The integration state (positions, velocities, activations, warm start, time, controls) is not enough: some tasks place
targets by changing the model at the beginning of an episode.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import mujoco
import numpy as np

from a3crepro.common.serialization import PyTree

FIXED = ("mesh", "tex", "skin", "bvh", "oct", "flex", "names", "text", "plugin", "key")
"""Prefixes of the model's arrays that no task changes; they can be large."""
DERIVED = ("xpos", "xquat", "xmat", "xipos", "geom_xpos", "site_xpos", "subtree_com", "cinert", "cvel", "cacc",
           "cfrc_ext", "cfrc_int", "qfrc_actuator", "sensordata")  # fmt: skip
"""What Gymnasium's environments read beside the state."""


@contextmanager
def without_warnings() -> Iterator[None]:
    """Keeps MuJoCo from printing its warnings and from writing them to a file in the working directory."""
    before = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(lambda text: None)
    try:
        yield
    finally:
        mujoco.set_mju_user_warning(before)


class Simulation:
    """A model and its data, with `get_state` and `set_state`.

    Args:
      model: as loaded; later changes are part of the state.
      data: its data.
      with_derived: save derived quantities, too, for environments that read the previous step's at the next one.
    """

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData, with_derived: bool = False) -> None:
        self.model, self.data, self.derived = model, data, DERIVED if with_derived else ()
        self._loaded = {name: np.array(values) for name, values in self._model_arrays()}

    def _model_arrays(self) -> list[tuple[str, np.ndarray]]:
        names = (name for name in dir(self.model) if not name.startswith(("_", *FIXED)))
        found = ((name, getattr(self.model, name)) for name in names)
        return [(name, value) for name, value in found if isinstance(value, np.ndarray)]

    def get_state(self) -> PyTree:
        """The integration state, and the arrays of the model that have changed since it was loaded."""
        kind = mujoco.mjtState.mjSTATE_INTEGRATION
        state = np.empty(mujoco.mj_stateSize(self.model, kind))
        mujoco.mj_getState(self.model, self.data, state, kind)
        changed = {
            name: np.array(values)
            for name, values in self._model_arrays()
            if not np.array_equal(values, self._loaded[name], equal_nan=values.dtype.kind == "f")
        }
        return {
            "state": state,
            "model": changed,
            "derived": [np.array(getattr(self.data, name)) for name in self.derived],
        }

    def set_state(self, tree: PyTree) -> None:
        """Restores the state twice: computing the derived quantities in between changes the solver's warm start."""
        for name, values in self._model_arrays():
            values[...] = tree["model"].get(name, self._loaded[name])
        kind = mujoco.mjtState.mjSTATE_INTEGRATION
        mujoco.mj_setState(self.model, self.data, tree["state"], kind)
        mujoco.mj_forward(self.model, self.data)
        mujoco.mj_setState(self.model, self.data, tree["state"], kind)
        for name, values in zip(self.derived, tree["derived"], strict=True):
            getattr(self.data, name)[...] = values
