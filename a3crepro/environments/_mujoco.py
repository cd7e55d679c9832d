"""Everything that the future of a MuJoCo simulation depends on, as plain arrays.

The integration state (positions, velocities, activations, warm start, time, controls) is not all: some tasks place
targets by changing the model itself when an episode begins.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import mujoco
import numpy as np

from a3crepro.common.serialization import PyTree

FIXED = ("mesh", "tex", "skin", "bvh", "oct", "flex", "names", "text", "plugin", "key")
"""What no task changes and what can be large: arrays of the model whose names begin so."""
DERIVED = ("xpos", "xquat", "xmat", "xipos", "geom_xpos", "site_xpos", "subtree_com", "cinert", "cvel", "cacc",
           "cfrc_ext", "cfrc_int", "qfrc_actuator", "sensordata")  # fmt: skip
"""What gymnasium's environments read of a simulation beside its state."""


@contextmanager
def without_warnings() -> Iterator[None]:
    """MuJoCo prints its warnings, and writes them to a file where the command was given."""
    before = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(lambda text: None)
    try:
        yield
    finally:
        mujoco.set_mju_user_warning(before)


class Simulation:
    """A model with its data, whose state can be told and restored.

    Args:
      model: as it was loaded: what differs from it later is part of the state.
      data: its data.
      with_derived: somebody reads at the beginning of a step what the last one derived, from a position before its end.
    """

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData, with_derived: bool = False) -> None:
        self.model, self.data, self.derived = model, data, DERIVED if with_derived else ()
        self._loaded = {name: np.array(values) for name, values in self._model_arrays()}

    def _model_arrays(self) -> list[tuple[str, np.ndarray]]:
        names = (name for name in dir(self.model) if not name.startswith(("_", *FIXED)))
        found = ((name, getattr(self.model, name)) for name in names)
        return [(name, value) for name, value in found if isinstance(value, np.ndarray)]

    def get_state(self) -> PyTree:
        """The integration state, and the model's arrays that are no longer as they were loaded."""
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
        """Goes on from there. What follows from the state is computed; that warms the solver, hence the second time."""
        for name, values in self._model_arrays():
            values[...] = tree["model"].get(name, self._loaded[name])
        kind = mujoco.mjtState.mjSTATE_INTEGRATION
        mujoco.mj_setState(self.model, self.data, tree["state"], kind)
        mujoco.mj_forward(self.model, self.data)
        mujoco.mj_setState(self.model, self.data, tree["state"], kind)
        for name, values in zip(self.derived, tree["derived"], strict=True):
            getattr(self.data, name)[...] = values
