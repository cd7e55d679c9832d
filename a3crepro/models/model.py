"""A network at a flat vector of parameters: outputs, gradients, updates.

`ModuleModel` implements it for any `nn.Module`, with autograd; `FastModel` for networks that the fast path supports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
from torch import Tensor

from a3crepro.common.rollout import Rollout
from a3crepro.common.serialization import PyTree
from a3crepro.optimizers._optimizer import Optimizer, OptimizerState, Step

Gradients = Mapping[str, np.ndarray]
"""∂loss/∂outputs, [T, width] for each head."""
OutputsAndState = tuple[dict[str, np.ndarray], Any]
"""The outputs for one observation, a vector for each head, and the next recurrent state."""


class Model(Protocol):
    """A network that acts and learns."""

    uses_autograd: ClassVar[bool]
    """Whether PyTorch's autograd computes its gradients."""

    def replica(self) -> Model:
        """A model that shares parameters but has its own gradient, for another actor-learner of this process.

        Replicas take turns in using θ': each from its `synchronise` to its `backward`.
        """

    def initial_state(self) -> Any:
        """The recurrent state at the start of an episode; None without LSTM cells."""

    def synchronise(self) -> None:
        """θ' ← θ, for a model with its own copy."""

    def forward(self, observation: np.ndarray, state: Any) -> OutputsAndState:
        """The outputs for one observation, valid until the next call, and the next recurrent state.

        Args:
          observation: in the shape and dtype of the observation space.
          state: the recurrent state, as `initial_state` or the call before returned it: float32 [2, cells], with
            autograd [2, 1, cells]; None without LSTM cells.

        Returns:
          A float32 vector [width] for each head, and a state of the same kind.
        """

    def rollout_outputs(self, rollout: Rollout) -> dict[str, np.ndarray]:
        """The outputs for the states of a rollout, [T, width] for each head.

        Its observations were passed to `forward`, in this order, since the last `synchronise`.
        """

    def backward(self, gradients: Gradients) -> None:
        """dθ ← dθ + ∂loss/∂θ', for the rollout of the last `rollout_outputs`.

        Backpropagation through time ends at the first recurrent state of the rollout.
        """

    def gradient_norm(self) -> float:
        """The L2 norm of dθ."""

    def full_gradient(self) -> np.ndarray:
        """dθ as a flat vector."""

    def update(self, optimizer: Optimizer, state: OptimizerState, step: Step) -> None:
        """Updates the shared θ, float32 [n], and the optimizer's statistics in place, with the gradient clip · dθ.

        Args:
          optimizer: applies its equation.
          state: statistics, float32 [vectors, n], and their deferred decay, float32 [rows].
          step: learning rate, factor `clip` and number of the update.
        """

    def clear_gradient(self) -> None:
        """dθ ← 0."""

    def get_state(self) -> PyTree:
        """The gradient."""

    def set_state(self, state: PyTree) -> None:
        """Restores what `get_state` returned."""

    def get_cache(self) -> PyTree:
        """What replicas share and later outputs depend on, apart from θ."""

    def set_cache(self, state: PyTree) -> None:
        """Restores what `get_cache` returned, after θ was restored."""


class Batch(Model, Protocol):
    """A model for several actor-learners of a process that act together at the same θ', one per lane."""

    def forward_batch(self, requests: Mapping[int, tuple[np.ndarray, Any]]) -> dict[int, OutputsAndState]:
        """Outputs and next recurrent states, given an observation and a recurrent state for each requested lane.

        The first call after `synchronise` requests all lanes. Outputs are valid until the next `synchronise`.
        """

    def batch_rollout_outputs(self, rollouts: Sequence[Rollout]) -> list[dict[str, np.ndarray]]:
        """`rollout_outputs` for one rollout of each lane, all begun at the last `synchronise`."""

    def backward_batch(self, gradients: Sequence[Gradients]) -> None:
        """dθ ← dθ + ∂loss/∂θ', for the rollouts of the last `batch_rollout_outputs`."""


class Writes(NamedTuple):
    """What tells an actor-learner which rows of θ others have written."""

    counts: np.ndarray
    """How often each actor-learner has written each row, int32 [threads, rows]."""
    thread: int
    """Number of this actor-learner."""


class Theta(NamedTuple):
    """The parameters of a model."""

    shared: Tensor
    """float32 [n]."""
    version: Callable[[], int] | None = None
    """Returns a number that changes whenever they do, for a model that acts at the shared θ; None for one that acts at
    a copy θ'."""
    writes: Writes | None = None
    """None: nobody else writes to them, or any write changes them as a whole."""


class Sizes(NamedTuple):
    """Capacity of a model between two changes of its parameters."""

    entries: int
    """Entries of the activation cache, one per observation."""
    steps: int
    """Maximum number of states whose gradients are summed; 0 for a model that does not learn."""
    lanes: int = 0
    """Actor-learners that act together; 0 for one at a time."""
