"""Resources of the machine or the container: cores, time slices, memory, shared memory, open files."""

import contextlib
import ctypes
import math
import os
import platform
import resource
import struct
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")
SHARED_MEMORY = Path("/dev/shm")


def usable_cores() -> int:
    """Usable cores: the CPU affinity or the smallest quota of the control groups, rounded up."""
    return math.ceil(min([len(os.sched_getaffinity(0)), *_quotas()]))


def cpu_model() -> str:
    """The kind of processor, on which results that repeat to the bit depend: its name, family and model number."""
    fields: dict[str, str] = {}
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as file:
        for line in file:
            name, _, value = line.partition(":")
            fields.setdefault(name.strip(), value.strip())
    if "model name" not in fields:  # as on ARM
        return platform.machine()
    numbers = [f"{name} {fields[key]}" for name, key in (("family", "cpu family"), ("model", "model")) if key in fields]
    return ", ".join([fields["model name"], *numbers])


def memory_bytes() -> int:
    """Usable memory in bytes: the machine's or the smallest limit of the control groups."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    names = ("memory.max", "memory.limit_in_bytes")
    limits = [field for group in _groups("memory") for name in names for field in _fields(group, name)]
    return min([machine, *(int(limit) for limit in limits if limit.isdecimal())])


def _quotas() -> Iterator[float]:
    """The quotas of the enclosing control groups, in cores."""
    for group in _groups("cpu"):
        fields = _fields(group, "cpu.max") or [
            *_fields(group, "cpu.cfs_quota_us"),
            *_fields(group, "cpu.cfs_period_us"),
        ]
        if len(fields) == 2 and all(field.isdecimal() and int(field) for field in fields):  # not "max 100000", nor -1
            yield int(fields[0]) / int(fields[1])


def _groups(controller: str) -> Iterator[Path]:
    """The control groups of this process and their parents, of versions 1 and 2."""
    try:
        lines = OWN_CGROUPS.read_text().splitlines()
    except OSError:
        lines = ["0::/"]
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers or controller in controllers.split(","):
            root = CGROUPS / controller if controllers else CGROUPS
            own = PurePosixPath(path.lstrip("/"))
            yield from (root / group for group in (own, *own.parents))


def _fields(group: Path, name: str) -> list[str]:
    """The fields in a file of a control group; empty without the file."""
    try:
        return (group / name).read_text().split()
    except OSError:
        return []


def free_shared_memory() -> int:
    """Free bytes in `/dev/shm`; an `OSError` if it does not exist or cannot be written."""
    found = os.statvfs(SHARED_MEMORY)
    if found.f_flag & os.ST_RDONLY or not os.access(SHARED_MEMORY, os.W_OK):
        raise PermissionError(13, "cannot be written", str(SHARED_MEMORY))
    return found.f_bavail * found.f_frsize


def allow_open_files(count: int) -> int:
    """Raises the limit of open files to `count`, or to the hard limit, and returns the resulting limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= count:
        return count if soft == resource.RLIM_INFINITY else soft
    soft = count if hard == resource.RLIM_INFINITY else min(count, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft


TIME_SLICE = 0.012
"""Seconds. By default, 3 to 4 ms, about one rollout of Breakout, after which the caches are lost. Three to four
rollouts in a row take a tenth less time (docs/speed.md)."""
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}
"""System call numbers; Python has no function for it."""


def ask_for_long_time_slices() -> bool:
    """Requests slices of `TIME_SLICE` for this process; its share of the cores stays the same.

    Returns whether the kernel accepted the request; before Linux 6.12 it has no effect.
    """
    number = _SCHED_SETATTR.get(platform.machine())
    if number is None or os.sched_getscheduler(0) != os.SCHED_OTHER:
        return False
    # struct sched_attr: size, policy, flags, nice, priority, runtime (the slice, in ns), deadline, period
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    attributes = struct.pack("=IIQiIQQQ", 48, os.SCHED_OTHER, 0, nice, 0, int(1e9 * TIME_SLICE), 0, 0)
    return bool(ctypes.CDLL(None).syscall(number, 0, attributes, 0) == 0)
