"""The provenance of measurements."""

from __future__ import annotations

import os
import platform
import time
from typing import Any

from a3crepro.common.machine import usable_cores
from a3crepro.runs.manifest import git_state


def machine() -> dict[str, Any]:
    """The processor, the number of usable cores and the Python version."""
    with open("/proc/cpuinfo") as file:
        model = next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), "unknown")
    return {"cpu": model, "usable_cores": usable_cores(), "python": platform.python_version()}


def provenance() -> dict[str, Any]:
    """The commit, date, load and machine of a measurement made now."""
    state = git_state()
    return {
        "commit": state.commit,
        "clean": state.is_clean,
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "load": os.getloadavg()[0],
        **machine(),
    }
