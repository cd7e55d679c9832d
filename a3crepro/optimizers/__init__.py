"""Optimizers (§4, §7): one module and one YAML file each; each updates flat vectors in place, in one pass."""
