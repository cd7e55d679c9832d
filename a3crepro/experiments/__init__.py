"""Experiments of many runs: what they are, how far they are, and their way through Hydra's launchers."""
