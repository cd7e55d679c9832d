"""Longer time slices for processes that share a core."""

from __future__ import annotations

import ctypes
import os
import platform
import struct

TIME_SLICE = 0.012
"""Seconds. Linux gives 3 to 4 ms, in which an actor-learner makes one rollout of Breakout; whatever it had in the
caches is lost by its next turn. Three to four rollouts in a row cost a tenth less (docs/speed.md)."""

_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}
"""Numbers of the system call, for which Python has no function."""


def ask_for_long_time_slices() -> bool:
    """Asks for slices of `TIME_SLICE` for this process; its share of the cores stays the same.

    Returns:
      Whether the kernel took the request. One before Linux 6.12 takes it without effect.
    """
    number = _SCHED_SETATTR.get(platform.machine())
    if number is None or os.sched_getscheduler(0) != os.SCHED_OTHER:
        return False
    # struct sched_attr: size, policy, flags, nice, priority, runtime (the slice, in ns), deadline, period
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    attributes = struct.pack("=IIQiIQQQ", 48, os.SCHED_OTHER, 0, nice, 0, int(1e9 * TIME_SLICE), 0, 0)
    return bool(ctypes.CDLL(None).syscall(number, 0, attributes, 0) == 0)
