"""Experiments of many runs: definitions, progress, and execution with Hydra's launchers."""
