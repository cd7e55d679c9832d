"""Optimizers (§4, §7): one module and one YAML file each."""
