"""`manifest.json`: for each attempt of a run, what its result depends on besides the configuration."""

from __future__ import annotations

import importlib.metadata
import platform
import socket
import sys
import time
from pathlib import Path
from typing import Any

from a3crepro.common.machine import usable_cores
from a3crepro.config import multirun_job
from a3crepro.runs.checkout import GitState
from a3crepro.runs.files import read_json

PACKAGES = ("torch", "numpy", "numba", "gymnasium", "mujoco", "dm-control", "ale-py", "minatar", "hydra-core",
            "pydantic", "opencv-python-headless")  # fmt: skip


def attempts_of(
    directory: Path, remedy: str = "put it back, or remove the directory and run it again"
) -> list[dict[str, Any]]:
    """The attempts of a run, in order.

    Raises:
      DamagedFile: the manifest is damaged; the message ends with the remedy.
    """
    attempts: list[dict[str, Any]] = read_json(directory / "manifest.json", _is_manifest, remedy)["starts"]
    return attempts


def _is_manifest(found: Any) -> bool:
    attempts = found.get("starts") if isinstance(found, dict) else None
    return isinstance(attempts, list) and len(attempts) > 0 and all(isinstance(entry, dict) for entry in attempts)


def this_attempt(git: GitState) -> dict[str, Any]:
    """Command, versions, commit and machine of this process."""
    return {
        "command": ["python", "-m", "a3crepro", *_arguments()],
        "date": utc_now(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "git_commit": git.commit,
        "git_clean": git.is_clean,
        "host": socket.gethostname(),
        "cores": usable_cores(),
    }


def utc_now() -> str:
    """Date and time, UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _arguments() -> list[str]:
    """The command-line arguments of this run; of a job of a multirun, those that run it alone."""
    job = multirun_job()
    return sys.argv[1:] if job is None else list(job.overrides.task)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
