"""How actor-learners are run: one module and one YAML file for each way."""
