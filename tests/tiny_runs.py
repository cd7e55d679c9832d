"""Tiny runs for several test files."""

import pytest

from a3crepro import compose, train

TINY = ("env=toy/catch", "threads=2", "frames=400", "evaluation.episodes=0", "logging.tensorboard=false")


def refused(kind, directory, *overrides):
    """The line with which a run is refused, before anything is written."""
    with pytest.raises(kind) as error:
        train(compose(*overrides), directory)
    assert not directory.exists()
    assert "\n" not in str(error.value)
    return str(error.value)
