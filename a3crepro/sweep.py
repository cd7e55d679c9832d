"""What sweeps have in common: training runs one after another, and what a measurement was made with."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from a3crepro.run_directory import git_state


def machine() -> dict[str, Any]:
    """What figures depend on, beside the code."""
    with open("/proc/cpuinfo") as file:
        model = next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), "unknown")
    return {"cpu": model, "usable_cores": len(os.sched_getaffinity(0)), "python": platform.python_version()}


def circumstances() -> dict[str, Any]:
    """Commit, date, load and machine of a measurement that is made now."""
    state = git_state()
    return {
        "commit": state["git_commit"],
        "clean": state["git_clean"],
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "load": os.getloadavg()[0],
        **machine(),
    }


def train_in_turn(root: str, runs: Sequence[Sequence[str]], common: Sequence[str]) -> None:
    """Training runs, each in a process of its own. Those that are finished say so; one that fails ends the sweep.

    Args:
      root: a directory for this experiment alone, below which each run has one, named after its own words.
      runs: the words in which each run differs from the others.
      common: words of all runs.
    """
    for words in runs:
        directory = f"{root}/{','.join(words).replace('/', '_')}"
        command = ["-m", "a3crepro", *words, *common, f"hydra.run.dir='{directory}'"]
        print("python", *command, flush=True)
        status = subprocess.run([sys.executable, *command]).returncode
        if status:
            raise SystemExit(status)
