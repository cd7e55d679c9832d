"""The configuration of a run: its schema, and how it is composed from a command line."""

from a3crepro.config.compose import compose as compose
from a3crepro.config.compose import hydra_job as hydra_job
from a3crepro.config.compose import jobs as jobs
from a3crepro.config.compose import multirun_job as multirun_job
from a3crepro.config.compose import normalized_overrides as normalized_overrides
from a3crepro.config.compose import with_job as with_job
from a3crepro.config.groups import check_launcher as check_launcher
from a3crepro.config.groups import choices as choices
from a3crepro.config.groups import conf_directory as conf_directory
from a3crepro.config.messages import one_line as one_line
from a3crepro.config.messages import suggested_key as suggested_key
from a3crepro.config.resolvers import log_uniform as log_uniform
from a3crepro.config.resolvers import runs_at_once as runs_at_once
from a3crepro.config.run_name import file_name as file_name
from a3crepro.config.run_name import run_name as run_name
from a3crepro.config.schema import Composition as Composition
from a3crepro.config.schema import Config as Config
from a3crepro.config.schema import ExecutionConfig as ExecutionConfig
from a3crepro.config.schema import build as build
from a3crepro.config.schema import dotted_items as dotted_items
from a3crepro.config.schema import effective_values as effective_values
