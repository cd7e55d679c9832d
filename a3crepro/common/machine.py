"""What the machine offers, or the container that this process is in: cores, memory, open files."""

from __future__ import annotations

import math
import os
import resource
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")
SHARED_MEMORY = Path("/dev/shm")


def usable_cores() -> int:
    """Cores that this process can keep busy: its affinity, or its control groups' least quota, rounded up."""
    return math.ceil(min([len(os.sched_getaffinity(0)), *_quotas()]))


def memory_bytes() -> int:
    """Bytes of memory that this process can have at most: the machine's, or what its control groups allow."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limits = [
        words
        for group in _groups("memory")
        for words in (_words(group, "memory.max"), _words(group, "memory.limit_in_bytes"))
    ]
    return min([machine, *(int(words[0]) for words in limits if words and words[0].isdecimal())])


def _quotas() -> Iterator[float]:
    """Cores that each control group around this process may use, where it has a quota."""
    for group in _groups("cpu"):
        words = _words(group, "cpu.max") or [*_words(group, "cpu.cfs_quota_us"), *_words(group, "cpu.cfs_period_us")]
        if len(words) == 2 and all(word.isdecimal() and int(word) for word in words):  # not "max 100000", nor -1
            yield int(words[0]) / int(words[1])


def _groups(controller: str) -> Iterator[Path]:
    """The control groups that this process is in, each with those around it; of version 2 and of version 1."""
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


def _words(group: Path, name: str) -> list[str]:
    """What a file of a control group says; nothing where there is none."""
    try:
        return (group / name).read_text().split()
    except OSError:
        return []


def free_shared_memory() -> int:
    """Free bytes in `/dev/shm`.

    Raises:
      OSError: there is none, or nothing can be written there.
    """
    found = os.statvfs(SHARED_MEMORY)
    if found.f_flag & os.ST_RDONLY or not os.access(SHARED_MEMORY, os.W_OK):
        raise PermissionError(13, "cannot be written", str(SHARED_MEMORY))
    return found.f_bavail * found.f_frsize


def allow_open_files(count: int) -> int:
    """Lets this process, and those that it starts, have so many files open, or as many as the hard limit allows.

    Returns:
      The limit as it is then.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= count:
        return count if soft == resource.RLIM_INFINITY else soft
    soft = count if hard == resource.RLIM_INFINITY else min(count, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft
