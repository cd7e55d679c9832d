"""The checkout that the package is in: its commit, and what is there beside it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
CODE = ("a3crepro", "conf", "hydra_plugins", "sweeps")
"""Directories in which a file that git does not know of may change what a run does."""
MOST = 1_000_000
"""Bytes of differences that are kept."""
PATCH = ("diff", "--no-color", "--no-ext-diff", "--no-textconv", "--src-prefix=a/", "--dst-prefix=b/")
"""Whatever a user's own settings are, `git apply` can read it."""


class GitState(NamedTuple):
    """What a checkout holds."""

    commit: str | None
    """None outside a checkout."""
    difference: bytes | None
    """A patch from the commit to the files as they are, for `git apply`; empty where they are equal."""

    @property
    def is_clean(self) -> bool | None:
        """Whether the commit tells all; None where that is not known."""
        return None if self.difference is None else not self.difference


def git_state() -> GitState:
    """The commit that the package is at, and what differs from it."""
    commit = _git("rev-parse", "HEAD")
    return GitState(None, None) if commit is None else GitState(commit.decode().strip(), _difference())


def _difference() -> bytes | None:
    """Changes to all files that git knows of, and all of the code that it does not."""
    changes = _git(*PATCH, "HEAD", "--")
    untracked = _git("ls-files", "-z", "--others", "--exclude-standard", "--", *CODE)
    if changes is None or untracked is None:
        return None
    patch, names = changes, untracked.decode(errors="surrogateescape").split("\0")[:-1]
    for name in names:
        if len(patch) > MOST:
            break
        patch += _as_patch(name)
    if len(patch) <= MOST:
        return patch
    return patch[:MOST].rpartition(b"\n")[0] + f"\n# cut off: only {MOST:,} bytes are kept\n".encode()


def _as_patch(name: str) -> bytes:
    """That makes a new file."""
    patch = _git(*PATCH, "--no-index", "--", "/dev/null", name, status=1)
    return patch or f"# not kept: {name}\n".encode(errors="replace")


def _git(*words: str, status: int = 0) -> bytes | None:
    """What git prints; None outside a checkout, and where it ends with another exit status."""
    if not (ROOT / ".git").exists():
        return None
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == status else None
