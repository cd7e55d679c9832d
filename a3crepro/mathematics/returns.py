"""Returns, as pure functions of one rollout.

The discount is data: 0 at a terminal state, γ elsewhere. A time limit is not a terminal state: its discount is γ, and
the return bootstraps from the value of the state that was reached.
"""

from collections.abc import Sequence

import numpy as np


def n_step_returns(r_t: Sequence[float], discount_t: Sequence[float], bootstrap: float) -> np.ndarray:
    """The longest return within the rollout, for each of its states (§4, Algorithms S2, S3).

      R_T = bootstrap,   R_{t-1} = r_t + discount_t · R_t

    Args:
      r_t: rewards r_1 … r_T, of the steps out of s_0 … s_{T-1}.
      discount_t: discounts of s_1 … s_T: 0 where the state is terminal, γ elsewhere.
      bootstrap: the value of s_T, finite; without effect where s_T is terminal.

    Returns:
      R_0 … R_{T-1}, float32 [T].
    """
    assert len(r_t) == len(discount_t)
    returns = np.empty(len(r_t), np.float32)
    r = bootstrap
    for t in reversed(range(len(r_t))):
        r = r_t[t] + discount_t[t] * r
        returns[t] = r
    return returns
