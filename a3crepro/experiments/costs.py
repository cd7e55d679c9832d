"""Estimates the cost of runs from committed throughput measurements."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from a3crepro.config import Config
from a3crepro.experiments.results import RESULTS

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
