"""Errors that end a command with one line instead of a traceback."""

import platform
import sys


class UserError(Exception):
    """A mistake in the command or the configuration: one line that names the key and what is allowed (status 2)."""


class RunError(Exception):
    """A run cannot start or resume, through no mistake in the configuration: one line (status 1)."""


class EnvironmentFault(RunError):
    """An environment returned a value that cannot be learnt from, e.g. a reward that is not finite."""


def check_python() -> None:
    """Raises a `RunError` for a Python on which Hydra fails with an obscure error."""
    if sys.version_info >= (3, 14):
        raise RunError(f"needs Python 3.11 to 3.13: Hydra 1.3 does not run on {platform.python_version()}")
