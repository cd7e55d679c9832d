"""The provenance of measurements, and the costs of runs by committed ones."""

import json
import os
import platform
from functools import cache
from pathlib import Path
from typing import Any

from a3crepro.common.machine import cpu_model, usable_cores
from a3crepro.config import Config
from a3crepro.experiments.results import RESULTS
from a3crepro.runs.manifest import GitState, git_state, utc_now

MEASURED = RESULTS / "throughput" / "methods.jsonl"
"""Written by `python sweeps/throughput.py part=methods`; each case runs in virtual time on one core."""


def committed_cost(config: Config) -> float | None:
    """Core-seconds per frame for this method, network and family of environments; None if never measured.

    Falls back to the cost of A3C with the same network.
    """
    for algo in (config.algo.name, "a3c"):
        wanted = {**components(config), "algo": algo}
        speeds: list[float] = [line["steps_per_second"] for line in _measured(MEASURED) if line["components"] == wanted]
        if speeds:
            return len(speeds) / sum(speeds) / config.env.frames_per_step
    return None


def components(config: Config) -> dict[str, Any]:
    """The components that determine the cost of a step."""
    return {
        "env": config.env.name,
        "algo": config.algo.name,
        "network": config.network.name,
        "lstm": config.network.lstm_cells > 0,
    }


@cache
def _measured(path: Path) -> list[dict[str, Any]]:
    """All measurements in the file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def machine() -> dict[str, Any]:
    """The processor, the number of usable cores and the Python version."""
    return {"cpu": cpu_model(), "usable_cores": usable_cores(), "python": platform.python_version()}


def provenance(git: GitState | None = None) -> dict[str, Any]:
    """The commit, date, load and machine of a measurement made now, of another checkout if `git` is given."""
    state = git or git_state()
    return {
        "commit": state.commit,
        "clean": state.is_clean,
        "date": utc_now(),
        "load": os.getloadavg()[0],
        **machine(),
    }
