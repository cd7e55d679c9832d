"""The length of a gradient."""

from __future__ import annotations

import numpy as np


def l2_norm(vector: np.ndarray) -> float:
    """The L2 norm of a float32 vector; finite where the vector is, also where squares of float32 are not."""
    with np.errstate(over="ignore"):
        norm = float(np.linalg.norm(vector))
    return norm if np.isfinite(norm) else float(np.linalg.norm(vector.astype(np.float64)))
