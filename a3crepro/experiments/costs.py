"""What runs cost that have not run here yet, from committed measurements of throughput."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from a3crepro.config import Config
from a3crepro.experiments.results import RESULTS

MEASURED = RESULTS / "throughput" / "methods.jsonl"
"""Made by `python sweeps/throughput.py part=methods`, each case in virtual time on one core."""


def committed_cost(config: Config) -> float | None:
    """Core-seconds per frame of the method and network in this family of environments; None: never measured.

    Where a method was not measured with this network, the cost of A3C with it is taken.
    """
    for algo in (config.algo.name, "a3c"):
        wanted = {**components(config), "algo": algo}
        speeds: list[float] = [line["steps_per_second"] for line in _measured(MEASURED) if line["components"] == wanted]
        if speeds:
            return len(speeds) / sum(speeds) / config.env.frames_per_step
    return None


def components(config: Config) -> dict[str, Any]:
    """What the cost of a step depends on."""
    return {
        "env": config.env.name,
        "algo": config.algo.name,
        "network": config.network.name,
        "lstm": config.network.lstm_cells > 0,
    }


@cache
def _measured(path: Path) -> list[dict[str, Any]]:
    """All calls."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
