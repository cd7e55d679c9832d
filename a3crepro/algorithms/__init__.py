"""The four methods: one module and one YAML file each, over pure functions for returns, losses and exploration."""
