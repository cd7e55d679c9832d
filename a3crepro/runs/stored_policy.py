"""The policy that a directory holds, a run's or a trained agent's. Nothing that is stored is executed on loading."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError, safe_open

from a3crepro.common.settings import UserError
from a3crepro.config import Config
from a3crepro.learner.shared_state import Learnt, learnt
from a3crepro.runs.run_directory import last_checkpoint, stored_config

PARAMETERS = "parameters.safetensors"


class Stored(NamedTuple):
    """What a directory, a run's or an agent's, holds of a policy."""

    config: Config
    learnt: Learnt
    frames: int
    """Environment frames that it was trained for."""


def stored_policy(directory: Path) -> Stored:
    """What was learnt, of a run's directory or an agent's.

    Raises:
      UserError: it is neither, or the run has no checkpoint yet.
      RunError: no checkpoint in it is whole.
    """
    config = stored_config(directory)
    if (directory / PARAMETERS).exists():
        return Stored(config, *_read(directory / PARAMETERS))
    checkpoint = last_checkpoint(directory, lambda text: print(text, file=sys.stderr))
    return Stored(config, learnt(checkpoint.arrays), checkpoint.frames)


def _read(path: Path) -> tuple[Learnt, int]:
    try:
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
            frames = int((file.metadata() or {})["frames"])
        return Learnt(**arrays), frames
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is no agent's parameters: {' '.join(str(error).split())}") from error
