"""`manifest.json`: for each attempt of a run, what its result depends on besides the configuration."""

from __future__ import annotations

import importlib.metadata
import platform
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from a3crepro.common.machine import cpu_model, usable_cores
from a3crepro.config import hydra_job, multirun_job
from a3crepro.runs.files import read_json

PACKAGES = ("a3crepro", "torch", "numpy", "numba", "gymnasium", "mujoco", "dm-control", "ale-py", "minatar",
            "hydra-core", "pydantic", "opencv-python-headless")  # fmt: skip
ROOT = Path(__file__).resolve().parents[2]
CODE = ("a3crepro", "conf", "hydra_plugins", "sweeps")
"""Directories whose untracked files may affect a run."""
MAX_PATCH_BYTES = 1_000_000
PATCH = ("diff", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", "--src-prefix=a/", "--dst-prefix=b/")
"""Gives a patch for `git apply`, independent of the user's git configuration."""


def attempts_of(
    directory: Path, remedy: str = "put it back, or remove the directory and run it again"
) -> list[dict[str, Any]]:
    """The attempts of a run, in order; a `DamagedFile` with the remedy if the manifest is damaged."""
    return list(read_json(directory / "manifest.json", _is_manifest, remedy)["starts"])


def _is_manifest(found: Any) -> bool:
    attempts = found.get("starts") if isinstance(found, dict) else None
    return isinstance(attempts, list) and len(attempts) > 0 and all(isinstance(entry, dict) for entry in attempts)


def cpus_of(attempts: Sequence[Mapping[str, Any]]) -> str:
    """The kinds of processor that a run has used, in order; empty for attempts of older versions."""
    return "; ".join(dict.fromkeys(attempt["cpu"] for attempt in attempts if "cpu" in attempt))


def this_attempt(git: GitState, overrides: Sequence[str]) -> dict[str, Any]:
    """The command, versions, commit and machine of this process.

    Args:
      git: the state of the checkout.
      overrides: those that the configuration was composed from. They are the command of a job of a multirun, and of a
        run that was started from Python; else it is that of this process.
    """
    of_process = hydra_job() is not None and multirun_job() is None
    return {
        "command": ["python", "-m", "a3crepro", *(sys.argv[1:] if of_process else overrides)],
        "date": utc_now(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "git_commit": git.commit,
        "git_clean": git.is_clean,
        "host": socket.gethostname(),
        "cpu": cpu_model(),
        "cores": usable_cores(),
    }


def utc_now() -> str:
    """Date and time, UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


# ---- The git checkout of the package ---------------------------------------------------------------------------------


class GitState(NamedTuple):
    """The commit and the uncommitted changes."""

    commit: str | None
    """None outside a checkout."""
    difference: bytes | None
    """A patch from the commit to the working tree, for `git apply`; empty without changes."""

    @property
    def is_clean(self) -> bool | None:
        """Whether there are no changes; None if unknown."""
        return None if self.difference is None else not self.difference


def git_state(root: Path | None = None) -> GitState:
    """Reads the state of a checkout, by default the package's."""
    root = root or ROOT
    commit = _git(root, "rev-parse", "HEAD")
    return GitState(None, None) if commit is None else GitState(commit.decode().strip(), _difference(root))


def _difference(root: Path) -> bytes | None:
    """Changes to tracked files, and untracked code; of binary files only the names, since no patch applies to them."""
    numbers = _git(root, *PATCH, "--numstat", "-z", "HEAD", "--")  # of lines; a dash for binary files
    untracked = _git(root, "ls-files", "-z", "--others", "--exclude-standard", "--", *CODE)
    if numbers is None or untracked is None:
        return None
    binary = [line.split("\t")[2] for line in _names(numbers) if line.startswith("-")]
    changes = _git(root, *PATCH, "HEAD", "--", ".", *(f":(top,exclude,literal){name}" for name in binary))
    patch = (changes or b"") + b"".join(map(_not_kept, binary))
    for name in _names(untracked):
        if len(patch) > MAX_PATCH_BYTES:
            break
        created = _git(root, *PATCH, "--no-index", "--", "/dev/null", name, status=1)
        patch += _not_kept(name) if created is None or b"\nBinary files /dev/null and " in created else created
    if len(patch) > MAX_PATCH_BYTES:
        whole_lines = patch[:MAX_PATCH_BYTES].rpartition(b"\n")[0]
        patch = whole_lines + f"\n# cut off: only {MAX_PATCH_BYTES:,} bytes are kept\n".encode()
    return patch


def _names(output: bytes) -> list[str]:
    return output.decode(errors="surrogateescape").split("\0")[:-1]


def _not_kept(name: str) -> bytes:
    return f"# not kept: {name}\n".encode(errors="replace")


def _git(root: Path, *words: str, status: int = 0) -> bytes | None:
    """The output of git; None outside a checkout, or with another exit status."""
    if not (root / ".git").exists():
        return None
    try:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == status else None


def commits_of(attempts: Sequence[Mapping[str, Any]]) -> str | None:
    """The commits of all attempts, in order; usually one."""
    return " ".join(dict.fromkeys(start["git_commit"] for start in attempts if start["git_commit"])) or None
