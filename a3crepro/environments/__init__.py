"""Environments: one module and one YAML file each; every one is made as a `gymnasium.Env`."""
