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
    family = config.env.title.partition("/")[0]
    measured = _measured(MEASURED)
    for algo in (config.algo.name, "a3c"):
        if speeds := measured.get((family, algo, config.network.title)):
            return len(speeds) / sum(speeds) / config.env.frames_per_step
    return None


@cache
def _measured(path: Path) -> dict[tuple[str, str, str], list[float]]:
    """Agent steps a second of one core, call by call."""
    found: dict[tuple[str, str, str], list[float]] = {}
    if not path.exists():
        return found
    for text in path.read_text().splitlines():
        line: dict[str, Any] = json.loads(text)
        key = line["env"].partition("/")[0], line["algo"], line["network"]
        found.setdefault(key, []).append(line["steps_per_second"])
    return found
