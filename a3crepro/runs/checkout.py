"""The git checkout of the package: its commit and uncommitted changes."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
CODE = ("a3crepro", "conf", "hydra_plugins", "sweeps")
"""Directories whose untracked files may affect a run."""
MAX_PATCH_BYTES = 1_000_000
PATCH = ("diff", "--no-color", "--no-ext-diff", "--no-textconv", "--src-prefix=a/", "--dst-prefix=b/")
"""Gives a patch for `git apply`, independent of the user's git configuration."""


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


def git_state() -> GitState:
    """Reads the state of the package's checkout."""
    commit = _git("rev-parse", "HEAD")
    return GitState(None, None) if commit is None else GitState(commit.decode().strip(), _difference())


def _difference() -> bytes | None:
    """Changes to tracked files, and untracked code."""
    changes = _git(*PATCH, "HEAD", "--")
    untracked = _git("ls-files", "-z", "--others", "--exclude-standard", "--", *CODE)
    if changes is None or untracked is None:
        return None
    patch, names = changes, untracked.decode(errors="surrogateescape").split("\0")[:-1]
    for name in names:
        if len(patch) > MAX_PATCH_BYTES:
            break
        patch += _as_patch(name)
    if len(patch) <= MAX_PATCH_BYTES:
        return patch
    return (
        patch[:MAX_PATCH_BYTES].rpartition(b"\n")[0]
        + f"\n# cut off: only {MAX_PATCH_BYTES:,} bytes are kept\n".encode()
    )


def _as_patch(name: str) -> bytes:
    """A patch that creates the file."""
    patch = _git(*PATCH, "--no-index", "--", "/dev/null", name, status=1)
    return patch or f"# not kept: {name}\n".encode(errors="replace")


def _git(*words: str, status: int = 0) -> bytes | None:
    """The output of git; None outside a checkout, or with another exit status."""
    if not (ROOT / ".git").exists():
        return None
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == status else None
