"""The request for longer time slices, in a process of its own."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, os, struct
from a3crepro.common.scheduling import _SCHED_SETATTR, TIME_SLICE, ask_for_long_time_slices
os.nice(5)
taken = ask_for_long_time_slices()
attributes = ctypes.create_string_buffer(48)
number = _SCHED_SETATTR[os.uname().machine] + 1  # sched_getattr
assert ctypes.CDLL(None).syscall(number, 0, attributes, 48, 0) == 0
_, policy, _, nice, _, runtime, _, _ = struct.unpack("=IIQiIQQQ", attributes.raw)
print(taken, policy == os.SCHED_OTHER, nice, runtime == int(1e9 * TIME_SLICE))
"""


@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="number of the system call unknown")
def test_time_slices_are_longer_and_the_priority_stays() -> None:
    said = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout.split()
    release = tuple(int(part) for part in platform.release().split(".")[:2])
    assert said[:3] == ["True", "True", "5"]
    assert said[3] == "True" or release < (6, 12)
