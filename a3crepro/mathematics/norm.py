"""Norms."""

import numpy as np


def l2_norm(vector: np.ndarray) -> float:
    """The L2 norm of a float32 vector; in double precision where squares overflow float32."""
    with np.errstate(over="ignore"):
        norm = float(np.linalg.norm(vector))
    return norm if np.isfinite(norm) else float(np.linalg.norm(vector.astype(np.float64)))
