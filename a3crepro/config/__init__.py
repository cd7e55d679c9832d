"""The configuration of a run: its schema, and how it is composed from a command line."""

from a3crepro.config.compose import compose, hydra_job, jobs, multirun_job, normalized_overrides, with_job
from a3crepro.config.groups import check_launcher, choices, conf_directory
from a3crepro.config.messages import one_line, suggested_key
from a3crepro.config.resolvers import log_uniform, runs_at_once
from a3crepro.config.run_name import file_name, run_name
from a3crepro.config.schema import Config, ExecutionConfig, build, dotted_items, effective_values
from a3crepro.config.search import Domain, SearchConfig, SearchSpace, search_config, search_space

__all__ = [
    "Config", "Domain", "ExecutionConfig", "SearchConfig", "SearchSpace", "build", "check_launcher", "choices",
    "compose", "conf_directory", "dotted_items", "effective_values", "file_name", "hydra_job", "jobs", "log_uniform",
    "multirun_job", "normalized_overrides", "one_line", "run_name", "runs_at_once", "search_config", "search_space",
    "suggested_key", "with_job",
]  # fmt: skip
