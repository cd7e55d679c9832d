"""Shared RMSProp: one vector g for all actor-learners, read and written without locks (§4, §7)."""

from __future__ import annotations

from typing import ClassVar

from a3crepro.optimizers.rmsprop import RMSProp


class SharedRMSProp(RMSProp):
    """RMSProp, non-centred, without momentum; g is shared by all actor-learners."""

    shares_statistics: ClassVar[bool] = True
