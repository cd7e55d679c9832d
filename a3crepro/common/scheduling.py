"""Longer time slices for processes that share a core."""

from __future__ import annotations

import ctypes
import os
import platform
import struct

TIME_SLICE = 0.012
"""Seconds. By default, 3 to 4 ms, about one rollout of Breakout, after which the caches are lost. Three to four
rollouts in a row take a tenth less time (docs/speed.md)."""

_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}
"""System call numbers; Python has no function for it."""


def ask_for_long_time_slices() -> bool:
    """Requests slices of `TIME_SLICE` for this process; its share of the cores stays the same.

    Returns:
      Whether the kernel accepted the request; before Linux 6.12 it has no effect.
    """
    number = _SCHED_SETATTR.get(platform.machine())
    if number is None or os.sched_getscheduler(0) != os.SCHED_OTHER:
        return False
    # struct sched_attr: size, policy, flags, nice, priority, runtime (the slice, in ns), deadline, period
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    attributes = struct.pack("=IIQiIQQQ", 48, os.SCHED_OTHER, 0, nice, 0, int(1e9 * TIME_SLICE), 0, 0)
    return bool(ctypes.CDLL(None).syscall(number, 0, attributes, 0) == 0)
