"""The methods: one module and one YAML file each."""
