"""From a command line to a `Config`. The only module that configures Hydra, by its public API but for one import."""

import contextlib
import functools
import itertools
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, IntervalSweep, Quote, QuotedString
from hydra.core.plugins import Plugins
from hydra.errors import ConfigCompositionException, HydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from a3crepro.common.errors import UserError
from a3crepro.config.groups import GROUPS, check_launcher, choices, conf_directory
from a3crepro.config.messages import formatted_choices, one_line
from a3crepro.config.schema import Config, build
from a3crepro.config.search import search_config, search_space

DIRECTORY_KEYS = ("hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir")
"""Keys whose values are paths: always quoted, with `~` expanded."""
SWEEPER = "hydra.sweeper."
SEARCHES = "OptunaSweeper"
"""The sweeper whose jobs depend on the scores of earlier ones."""


def compose(*overrides: str, config_dir: str | None = None, config_name: str = "config") -> Config:
    """The configuration for these overrides, e.g. `compose("algo=a3c", "env=pong")`.

    Args:
      overrides: as on the command line.
      config_dir: a further directory of configuration files, as of `--config-dir`.
      config_name: the primary file, as of `--config-name`.

    Raises:
      UserError: one line that names the wrong key and what is allowed.
    """
    directories = _directories(config_dir)
    quoted_overrides = [quote(override) for override in overrides]
    for override in quoted_overrides:
        _check_choice(override, directories)
    try:
        with _hydra(directories):
            composed, chosen = _without_hydra(_composed(config_name, quoted_overrides))
            return build(composed).composed_of(chosen, overrides)
    except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
        raise UserError(one_line(error, directories)) from error


@functools.cache
def compose_defaults(*overrides: str) -> tuple[DictConfig, dict[str, str]]:
    """The unresolved defaults with these overrides, and the choice of each group; cached: copy it to change it."""
    with _hydra([]):
        return _without_hydra(hydra_compose("config", overrides=list(overrides), return_hydra_config=True))


def _without_hydra(composed: DictConfig) -> tuple[DictConfig, dict[str, str]]:
    choices: dict[str, str] = dict(composed.hydra.runtime.choices)
    OmegaConf.set_struct(composed, False)
    del composed["hydra"]
    return composed, choices


def _composed(config_name: str, overrides: list[str]) -> DictConfig:
    """Composes even with unknown keys, because the schema's message about these says what is allowed."""
    try:
        return hydra_compose(config_name, overrides=overrides, return_hydra_config=True)
    except ConfigCompositionException:
        with contextlib.suppress(HydraException):
            forced = [_forced(override) for override in overrides]
            return hydra_compose(config_name, overrides=forced, return_hydra_config=True)
        raise


def _forced(override: str) -> str:
    """`++key=value` for `key=value`; choices (`env=pong`), deletions and most of Hydra's own keys are unchanged."""
    match = re.match(r"^([\w.]+)=", override)
    if match is None or match[1] in GROUPS or (match[1].startswith("hydra.") and not match[1].startswith(SWEEPER)):
        return override
    return f"++{override}"


class FurtherDirectories(SearchPathPlugin):
    """Adds the directories of `--config-dir` to the search path where `hydra.main` adds them: before the schema."""

    directories: ClassVar[Sequence[Path]] = ()

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for path in self.directories:
            search_path.append("command-line", f"file://{path}")


@contextlib.contextmanager
def _hydra(directories: Sequence[Path]) -> Iterator[None]:
    """Initialises Hydra with `conf` and further directories, also within one of its jobs, whose own state it keeps."""
    outer = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    Plugins.instance().register(FurtherDirectories)
    FurtherDirectories.directories = directories
    try:
        with initialize_config_dir(str(conf_directory()), job_name="a3crepro", version_base="1.3"):
            yield
    finally:
        FurtherDirectories.directories = ()
        GlobalHydra.instance().hydra = outer


def _directories(config_dir: str | None) -> list[Path]:
    if config_dir is None:
        return []
    if not Path(config_dir).is_dir():
        raise UserError(f"--config-dir: {config_dir} is not a directory")
    return [Path(config_dir).absolute()]


def normalized_overrides(overrides: Iterable[str], config_dir: str | None = None) -> list[str]:
    """Quotes values that Hydra's grammar would refuse, and expands `glob()` over a group's folders."""
    directories = _directories(config_dir)
    return [_expanded(quote(override), directories) for override in overrides]


def _expanded(override: str, directories: Iterable[Path]) -> str:
    """`env=toy/catch,toy/chain,…` for `env=glob(toy/*)`: Hydra's own `glob` does not match files in folders."""
    group = override.partition("=")[0]
    if group not in GROUPS or "glob(" not in override or not _is_grammatical(override):
        return override
    pattern = OverridesParser.create().parse_override(override).value()
    if not isinstance(pattern, Glob):
        return override
    depths = {text.count("/") for text in pattern.include}
    allowed = choices(group, directories)
    found = [name for name in pattern.filter(allowed) if name.count("/") in depths]
    if not found:
        raise UserError(f"{override}: no choice matches; allowed: {formatted_choices(allowed, '')}")
    return f"{group}={','.join(found)}"


OPEN_KEYS = ("env.kwargs.",)
"""Prefixes of keys that need not be in a YAML file."""


@functools.cache
def quote(override: str) -> str:
    """Quotes the value where Hydra's grammar would refuse or misread it; adds `++` to a key below `OPEN_KEYS`."""
    override = f"++{override}" if override.startswith(OPEN_KEYS) else override
    key, equals, value = override.partition("=")
    if not equals or re.fullmatch(r"(['\"]).*\1", value, re.DOTALL):
        return override
    if key.lstrip("+") in DIRECTORY_KEYS:
        return f"{key}={_in_quotes(os.path.expanduser(value))}"  # noqa: PTH111 - Path would normalise it
    as_text = f"{key}={_in_quotes(value)}"
    nested = value.startswith("${") and value.endswith("}")  # an interpolation within another one needs quotes
    return as_text if nested or (not _is_grammatical(override) and _is_grammatical(as_text)) else override


def _in_quotes(value: str) -> str:
    return str(QuotedString(text=value, quote=Quote.single).with_quotes())


def _is_grammatical(override: str) -> bool:
    try:
        OverridesParser.create().parse_override(override)
    except HydraException:
        return False
    return True


def _check_choice(override: str, directories: Iterable[Path]) -> None:
    """Refuses choices on which Hydra fails without naming the key, or that are outside of the configuration."""
    group, _, choice = override.lstrip("+").partition("=")
    choice = choice.strip("'\"")
    is_name = re.fullmatch(r"[\w./-]*", choice) and not re.fullmatch(r"[\d.e+-]+|null|true|false", choice)
    if not group:
        raise UserError(f"{override!r}: unknown key {choice!r}; allowed: {', '.join(Config.model_fields)}")
    if group in GROUPS and (not is_name or ".." in choice.split("/")):
        allowed = formatted_choices(choices(group, directories), choice)
        raise UserError(f"{group}: unknown choice {choice!r}; allowed: {allowed}")


def jobs(
    overrides: Sequence[str], multirun: bool, config_dir: str | None = None, config_name: str = "config"
) -> list[list[str]]:
    """The overrides of each job of a command line, including those of a sweep in the configuration itself.

    For a search, the overrides of jobs that show mistakes in its space. Empty if another sweeper determines the jobs
    one after another.
    """
    normalized, directories = normalized_overrides(overrides, config_dir), _directories(config_dir)
    if not (multirun or directories or any(override.startswith("hydra.mode=") for override in normalized)):
        return [normalized]
    try:
        with _hydra(directories):
            return _jobs(config_name, normalized, multirun)
    except (HydraException, yaml.YAMLError) as error:
        raise UserError(one_line(error, directories)) from error


def _jobs(config_name: str, overrides: list[str], multirun: bool) -> list[list[str]]:
    first = _first_job(overrides)
    try:
        composed = _composed(config_name, first)
        own = composed.hydra
        if not (multirun or own.mode == RunMode.MULTIRUN):
            return [overrides]
        check_launcher([f"hydra/launcher={own.runtime.choices['hydra/launcher']}"])
        if own.sweeper._target_.endswith(SEARCHES):
            return _probes(composed, overrides)
    except (HydraException, OmegaConfBaseException):
        return [first]  # composing this job says why
    if not own.sweeper._target_.endswith(("BasicSweeper", "ReportingSweeper")):
        return []
    found = _product([*(f"{key}={value}" for key, value in (own.sweeper.params or {}).items()), *overrides])
    if not found:
        globs = " ".join(override for override in overrides if "glob(" in override)
        raise UserError(f"no runs: {globs} matches nothing")
    return found


def _first_job(overrides: Sequence[str]) -> list[str]:
    """The overrides with the first value of each swept key."""
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    found = []
    for override in parser.parse_overrides(list(overrides)):
        if not override.is_sweep_override():
            found.append(str(override.input_line))
            continue
        value: Any = override.value()
        texts = [str(value.start)] if isinstance(value, IntervalSweep) else override.sweep_string_iterator()
        found.extend(f"{override.get_key_element()}={text}" for text in itertools.islice(texts, 1))
    return found


def _probes(composed: DictConfig, overrides: Sequence[str]) -> list[list[str]]:
    """Jobs that show mistakes in the space of a search."""
    settings = search_config(composed.hydra.sweeper)
    if OmegaConf.select(composed, "evaluation.episodes") == 0:
        raise UserError("evaluation.episodes: a search compares scores; allowed: at least 1, got 0")
    return list(search_space(overrides, settings.params).probes())


def _product(overrides: Sequence[str]) -> list[list[str]]:
    """The jobs of Hydra's basic sweeper: the product of all values; the last override of a key counts."""
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    parsed = parser.parse_overrides(list(overrides))
    for override in parsed:
        if override.is_sweep_override() and not override.is_discrete_sweep():
            said = f"{override.input_line}: intervals need hydra/sweeper=optuna; allowed: values, range() or glob()"
            raise HydraException(said)
    (found,) = BasicSweeper.split_arguments(parsed, max_batch_size=None)
    return found


def hydra_job() -> Any:
    """Hydra's configuration of the job in this process; None outside of jobs, and in those of other applications."""
    job = HydraConfig.get() if HydraConfig.initialized() else None
    return job if job is not None and set(GROUPS) <= set(job.runtime.choices) else None


def with_job(config: Config) -> Config:
    """The configuration with the choices and overrides of the Hydra job in this process, if there is one."""
    job = hydra_job()
    return config if job is None else config.composed_of(job.runtime.choices, job.overrides.task)


def multirun_job() -> Any:
    """The Hydra job in this process if it is part of a multirun; else None."""
    job = hydra_job()
    return job if job is not None and job.mode == RunMode.MULTIRUN else None
