"""Environments: one module and one YAML file each, which make Gymnasium environments."""
