"""Shared RMSProp: one vector g for all actor-learners, updated without locks (§4, §7)."""

from typing import ClassVar

from a3crepro.optimizers.rmsprop import RMSProp


class SharedRMSProp(RMSProp):
    """RMSProp, non-centred, without momentum; actor-learners share g."""

    shares_statistics: ClassVar[bool] = True
