"""Imported by the fork server of a run in `env=control/…`: the Control Suite, with or without something to draw."""

from a3crepro.environments.control import suite

suite()
