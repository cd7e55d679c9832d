"""The configuration of a run: its schema, and the way from a command line or a stored file to it.

The only module, beside the command line, that knows Hydra. Types, ranges and documentation live in Python (here and in
the components' own classes); values, each with its source, in `conf/`.
"""

from __future__ import annotations

import contextlib
import copy
import difflib
import functools
import importlib.util
import math
import os
import re
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple

import gymnasium as gym
import numpy as np
import yaml
from hydra import compose as hydra_compose
from hydra import version
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Quote, QuotedString
from hydra.errors import ConfigCompositionException, HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import Field, SerializeAsAny, ValidationError

from a3crepro.algorithms._algorithm import Algorithm
from a3crepro.common.machine import usable_cores
from a3crepro.common.settings import (
    Component,
    Count,
    PositiveCount,
    PositiveFloat,
    Settings,
    UserError,
    component_class,
    names,
)
from a3crepro.environments._environment import Environment
from a3crepro.networks._network import Network
from a3crepro.optimizers._optimizer import Optimizer

GROUPS = {  # configuration group: the package whose modules are its components
    "algo": "a3crepro.algorithms",
    "env": "a3crepro.environments",
    "network": "a3crepro.networks",
    "optimizer": "a3crepro.optimizers",
    "execution": "a3crepro.execution",
}


LONGEST_ROLLOUT = 10_000
"""Agent steps: all of a rollout's observations and activations are kept."""


class Evaluation(Settings):
    """How θ is scored while and after it is trained: whole games, unclipped score."""

    every: Count
    """Frames (over all actor-learners) between evaluations during training; 0 switches them off."""
    episodes: Count
    """Games an evaluation plays; 0 switches the final one off, too."""
    max_frames: PositiveCount
    """A game of an evaluation is cut off after this many frames."""


class Checkpointing(Settings):
    """When everything needed to go on is written."""

    every_seconds: PositiveFloat
    """Seconds between checkpoints; one more is written whenever a run stops."""
    copies_every: Count = 0
    """Frames (over all actor-learners) between copies of θ and the optimizer's statistics that are kept; 0: none."""


class Logging(Settings):
    """What a run shows while it goes on."""

    every_seconds: PositiveFloat
    """Seconds between two log lines where the output is not a terminal."""
    tensorboard: bool
    """Write the scores and the speed for TensorBoard, too."""


class ExecutionSettings(Component, ABC):
    """Settings of a way to run actor-learners; what runs them is `a3crepro.execution`."""

    makes_one_update: ClassVar[bool] = False
    """Whether the gradients of all actor-learners make one update: an optimizer then needs one set of statistics."""

    @abstractmethod
    def is_exact(self, threads: int) -> bool:
        """Whether a run is repeatable to the bit, also when it is stopped and goes on.

        The latter where the environment can tell its state, too: see `Environment.supports_exact_resume`.
        """

    @abstractmethod
    def process_count(self, threads: int) -> int:
        """Processes in which so many actor-learners run."""


class Config(Settings):
    """One training run."""

    algo: SerializeAsAny[Algorithm]
    env: SerializeAsAny[Environment]
    network: SerializeAsAny[Network]
    optimizer: SerializeAsAny[Optimizer]
    execution: SerializeAsAny[ExecutionSettings]
    evaluation: Evaluation
    checkpoint: Checkpointing
    logging: Logging
    threads: Annotated[PositiveCount, Field(le=1024)]
    """Number of actor-learners."""
    frames: Annotated[Count, Field(lt=2**62)]
    """The budget, in environment frames, over all actor-learners together."""
    seed: Annotated[Count, Field(lt=2**63)]
    """Everything random in a run is drawn from this number."""

    @property
    def is_exact(self) -> bool:
        """Whether the run is repeatable to the bit, if the environment can tell its state."""
        return self.execution.is_exact(self.threads)

    @property
    def processes(self) -> int:
        """Processes in which the actor-learners run."""
        return self.execution.process_count(self.threads)

    @property
    def anneal_frames(self) -> int:
        """Frames over which the learning rate falls to 0."""
        return self.frames if self.optimizer.anneal_frames is None else self.optimizer.anneal_frames

    @property
    def max_evaluation_steps(self) -> int:
        """Agent steps after which a game of an evaluation is cut off: `evaluation.max_frames`, rounded up."""
        return -(-self.evaluation.max_frames // self.env.frames_per_step)

    @property
    def rollout_steps(self) -> int:
        """Most agent steps whose gradients are summed into an update."""
        steps = self.algo.max_steps or self.env.episode_steps
        assert steps is not None
        return steps

    def plain(self) -> dict[str, Any]:
        """The configuration as nested dictionaries of numbers, strings and lists."""
        return self.model_dump()


def conf_directory() -> Path:
    """The directory `conf`: beside the package in a checkout, inside it where it was built into a wheel."""
    package = Path(__file__).resolve().parent
    for candidate in (package / "conf", package.parent / "conf"):
        if (candidate / "config.yaml").is_file():
            return candidate
    raise UserError(f"conf: no configuration found beside or inside {package}; install a3crepro again")


def items(values: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested mappings, each with its key in dots."""
    if isinstance(values, Mapping):
        for key, value in values.items():
            yield from items(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, values


WITHOUT_EFFECT = ("logging.", "checkpoint.", "env.schedule.")
"""How keys begin on which nothing of a run's results depends: others have their defaults from a schedule."""


def course(config: Config) -> dict[str, Any]:
    """All that decides how a run goes, by key. The annealing's frames are a number, be they given or those of `frames`.

    Runs whose courses are equal but for `frames` are one run with another budget.
    """
    values = {key: value for key, value in items(config.plain()) if not key.startswith(WITHOUT_EFFECT)}
    return {**values, "optimizer.anneal_frames": config.anneal_frames}


# ---- From plain values to a Config ---------------------------------------------------------------------------------


def build(values: Any) -> Config:
    """Checks plain values (a mapping, or what Hydra composed) and makes a `Config` of them.

    Raises:
      UserError: one line that names the first wrong key and what is allowed there.
    """
    config = _settings(values)
    _check_fit(config)
    return config


def _settings(values: Any) -> Config:
    """The same, without asking whether the choices fit together: no environment is made for it."""
    if OmegaConf.is_config(values):
        try:
            values = OmegaConf.to_container(values, resolve=True, throw_on_missing=True)
        except OmegaConfBaseException as error:
            raise UserError(one_line(error)) from error
    if not isinstance(values, Mapping):
        raise UserError(f"configuration: expected a mapping, got {values!r}")
    checked = dict(values)
    for group, package in GROUPS.items():
        if group in values:
            checked[group] = _build_component(group, package, values)
    config: Config = _checked(Config, checked, (), values)
    return config


def _build_component(group: str, package: str, whole: Mapping[str, Any]) -> Settings:
    values = whole[group]
    if not isinstance(values, Mapping) or "name" not in values:
        raise UserError(f"{group}: expected a choice of this group with a name, got {values!r}")
    try:
        found = component_class(package, values["name"])
    except LookupError:
        allowed = ", ".join(names(package))
        raise UserError(f"{group}.name: unknown name {values['name']!r}; allowed: {allowed}") from None
    component: Settings = _checked(found, dict(values), (group,), whole)
    return component


def _checked(settings: type[Any], values: Mapping[str, Any], prefix: tuple[str, ...], whole: Mapping[str, Any]) -> Any:
    try:
        return settings.model_validate(values)
    except ValidationError as error:
        details = error.errors()
        # A misspelt key also leaves the right one missing: say the first, not the second. Values deeper in the tree
        # are made of those above them.
        first = min(details, key=lambda detail: (detail["type"] == "missing", len(detail["loc"])))
        raise UserError(_describe(settings, first, prefix, whole)) from error


def _describe(
    settings: type[Settings], detail: Mapping[str, Any], prefix: tuple[str, ...], whole: Mapping[str, Any]
) -> str:
    key = ".".join(str(part) for part in (*prefix, *detail["loc"]))
    if detail["type"] == "extra_forbidden":
        meant = key_meant(str(detail["loc"][-1]), [known for known, _ in items(whole) if known != key])
        hint = f"did you mean {meant}? " if meant else ""
        return f"{key}: unknown key; {hint}allowed: {', '.join(_keys_beside(settings, detail['loc']))}"
    if detail["type"] == "missing":
        return f"{key}: missing"
    message = detail["msg"].removeprefix("Input ").removeprefix("Value error, ")
    if isinstance(detail["input"], Mapping) and detail["type"] == "value_error":
        return f"{key}.{message}"  # found by looking at several keys: the message names the one that is wrong
    return f"{key}: {message}, got {detail['input']!r}{_number_meant(key, detail['input'])}"


SYNONYMS = {
    "learning_rate": "optimizer.lr",
    "discount": "algo.gamma",
    "workers": "threads",
    "num_workers": "threads",
    "num_threads": "threads",
    "steps": "frames",
    "timesteps": "frames",
    "total_timesteps": "frames",
    "game": "env",
    "environment": "env",
    "algorithm": "algo",
}
"""What keys are called elsewhere."""


def key_meant(word: str, keys: Iterable[str]) -> str | None:
    """The one of these keys that was meant by a word that is none: what it is called here, or where it stands."""
    word = word.replace("-", "_").lower()
    if word in SYNONYMS or word in Config.model_fields:
        return SYNONYMS.get(word, word)
    return next((key for key in keys if key.rpartition(".")[2] == word), None)


def _number_meant(key: str, text: object) -> str:
    """`20M` and `1.5k`, in the digits that are understood."""
    found = re.fullmatch(r"([\d_]+\.?\d*)([kmbg])", text, re.IGNORECASE) if isinstance(text, str) else None
    if found is None:
        return ""
    number = float(found[1]) * 1000 ** (1 + "kmbg".index(found[2].lower()) - (found[2] in "gG"))
    return f"; did you mean {key}={round(number):_}?"


def _keys_beside(settings: type[Settings], location: tuple[Any, ...]) -> list[str]:
    """The known keys at the level of an unknown one, the most similar first."""
    for part in location[:-1]:
        annotation = settings.model_fields[part].annotation
        assert isinstance(annotation, type)
        settings = annotation
    known = list(settings.model_fields)
    close = difflib.get_close_matches(str(location[-1]), known)
    return close + [key for key in known if key not in close]


def _check_fit(config: Config) -> None:
    """Refuses choices that are each right and do not fit together, before any process is started."""
    observation_space, actions = config.env.spaces()
    with _naming("network"):
        config.network.check(observation_space)
    with _naming("algo"):
        config.algo.heads(actions)
    if config.algo.max_steps is None:
        _check_episodes(config.env)


@contextlib.contextmanager
def _naming(group: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise UserError(f"{group}: {error}") from error


def _check_episodes(env: Environment) -> None:
    steps = env.episode_steps
    if steps is None or steps > LONGEST_ROLLOUT:
        length = "no known limit" if steps is None else f"up to {steps:,} agent steps"
        raise UserError(
            f"algo.t_max: 'episode' needs episodes of at most {LONGEST_ROLLOUT:,} agent steps, those of {env.title} "
            f"have {length}; allowed: a number of steps"
        )


# ---- From a command line to a Config -------------------------------------------------------------------------------


def compose(*overrides: str, config_dir: str | None = None, config_name: str = "config") -> Config:
    """The configuration that a command line of these overrides gives, e.g. `compose("algo=a3c", "env=pong")`."""
    further = _further(config_dir)
    words = [quoted(override) for override in overrides]
    for word in words:
        _check_choice(word, further)
    try:
        with _hydra(further):
            return build(_composed(config_name, words))
    except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
        raise UserError(one_line(error, further)) from error


def _composed(config_name: str, words: list[str]) -> DictConfig:
    """What Hydra composes, an unknown key in it, too: the schema, which it reaches then, says what is allowed."""
    try:
        return hydra_compose(config_name, overrides=words)
    except ConfigCompositionException:
        with contextlib.suppress(HydraException):
            return hydra_compose(config_name, overrides=[_forced(word) for word in words])
        raise


def _further(config_dir: str | None) -> list[Path]:
    if config_dir is None:
        return []
    if not Path(config_dir).is_dir():
        raise UserError(f"--config-dir: {config_dir} is no directory")
    return [Path(config_dir).absolute()]


def jobs(
    overrides: Sequence[str], multirun: bool, config_dir: str | None = None, config_name: str = "config"
) -> list[list[str]]:
    """The overrides of each job of a command line, those that a configuration's own sweep makes included.

    None at all, where another sweeper than Hydra's own makes them as it goes on.
    """
    words, further = as_hydra_takes_them(overrides, config_dir), _further(config_dir)
    if not (multirun or further or any(word.startswith("hydra.mode=") for word in words)):
        return [words]
    try:
        with _hydra(further):
            hydra = GlobalHydra.instance().hydra
            assert hydra is not None
            swept: Mapping[str, str] = {}
            with contextlib.suppress(HydraException, OmegaConfBaseException):  # told when the jobs are composed
                own = hydra.compose_config(config_name, words, RunMode.MULTIRUN, with_log_configuration=False).hydra
                if not (multirun or own.mode == RunMode.MULTIRUN):
                    return [words]
                check_launcher([f"hydra/launcher={own.runtime.choices['hydra/launcher']}"])
                if not own.sweeper._target_.endswith(("BasicSweeper", "TellingSweeper")):
                    return []
                swept = own.sweeper.params or {}
            parser = OverridesParser.create(config_loader=hydra.config_loader)
            parsed = parser.parse_overrides([*(f"{key}={value}" for key, value in swept.items()), *words])
            found = [job for batch in BasicSweeper.split_arguments(parsed, None) for job in batch]
    except (HydraException, yaml.YAMLError) as error:
        raise UserError(one_line(error, further)) from error
    if not found:
        raise UserError(f"no runs: nothing is matched in {' '.join(word for word in words if 'glob(' in word)}")
    return found


LAUNCHERS = {"local": "joblib", "joblib": "joblib", "slurm": "submitit", "submitit_slurm": "submitit"}
"""Launchers of which plugins of Hydra's; the extras are called `local` and `slurm`."""


def check_launcher(words: Iterable[str]) -> None:
    """Refuses a launcher whose plugin is not installed."""
    for word in words:
        library = LAUNCHERS.get(word.removeprefix("hydra/launcher="))
        if library and word.startswith("hydra/launcher=") and not _is_installed(f"hydra_{library}_launcher"):
            extra = {"joblib": "local", "submitit": "slurm"}[library]
            raise UserError(f'{word}: needs hydra-{library}-launcher; pip install "a3crepro[{extra}]"')


def _is_installed(plugin: str) -> bool:
    return importlib.util.find_spec(f"hydra_plugins.{plugin}") is not None


@contextlib.contextmanager
def _hydra(further: Iterable[Path]) -> Iterator[None]:
    """Hydra with this project's `conf` and, before it, further directories, as its own command line has it."""
    register_resolvers()
    version.setbase("1.3")
    search_path = create_config_search_path(str(conf_directory()))
    for path in further:
        search_path.prepend("command-line", f"file://{path}", SearchPathQuery(provider="schema"))
    outer = GlobalHydra.instance().hydra  # whose job asks for the name of its directory
    GlobalHydra.instance().clear()
    try:
        Hydra.create_main_hydra2(task_name="a3crepro", config_search_path=search_path)
        yield
    finally:
        GlobalHydra.instance().hydra = outer


def _check_choice(override: str, further: Iterable[Path]) -> None:
    """Refuses choices that Hydra would stumble over, or that lead out of the configuration."""
    group, _, choice = override.lstrip("+").partition("=")
    choice = choice.strip("'\"")
    word = re.fullmatch(r"[\w./-]*", choice) and not re.fullmatch(r"[\d.e+-]+|null|true|false", choice)
    strange = not word or ".." in choice.split("/")
    if (group in GROUPS and strange) or not group:
        allowed = _listed(choices(group, further), choice) if group else ", ".join(Config.model_fields)
        raise UserError(
            f"{group or repr(override)}: unknown {'choice' if group else 'key'} {choice!r}; allowed: {allowed}"
        )


DIRECTORIES = ("hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir")
"""Keys whose values are paths, whatever is in them; a `~` at the beginning is the home directory."""


def as_hydra_takes_them(overrides: Iterable[str], config_dir: str | None = None) -> list[str]:
    """Overrides with their values in quotes where they need them, and with the choices that a glob stands for."""
    further = _further(config_dir)
    return [_expanded(quoted(override), further) for override in overrides]


def _expanded(override: str, further: Iterable[Path]) -> str:
    """`env=toy/catch,toy/chain,…` for `env=glob(toy/*)`: Hydra itself looks into no folder of a group."""
    group = override.partition("=")[0]
    if group not in GROUPS or "glob(" not in override or not _is_grammatical(override):
        return override
    pattern = OverridesParser.create().parse_override(override).value()
    if not isinstance(pattern, Glob):
        return override
    depths = {text.count("/") for text in pattern.include}
    found = [name for name in pattern.filter(choices(group, further)) if name.count("/") in depths]
    if not found:
        raise UserError(f"{override}: no choice matches; allowed: {_listed(choices(group, further), '')}")
    return f"{group}={','.join(found)}"


OPEN = ("env.kwargs.",)
"""How keys begin that no YAML file needs to have."""


@functools.cache
def quoted(override: str) -> str:
    """The override with its value in quotes, where Hydra's grammar would refuse it or take it for something else.

    A key below one of `OPEN` gets Hydra's `++`.
    """
    override = f"++{override}" if override.startswith(OPEN) else override
    key, equals, value = override.partition("=")
    if not equals or re.fullmatch(r"(['\"]).*\1", value, re.DOTALL):
        return override
    if key.lstrip("+") in DIRECTORIES:
        return f"{key}={_in_quotes(os.path.expanduser(value))}"  # noqa: PTH111 - as it was written
    as_text = f"{key}={_in_quotes(value)}"
    nested = value.startswith("${") and value.endswith("}")  # an interpolation within another one needs quotes
    return as_text if nested or (not _is_grammatical(override) and _is_grammatical(as_text)) else override


def _in_quotes(value: str) -> str:
    text: str = QuotedString(text=value, quote=Quote.single).with_quotes()
    return text


def _is_grammatical(override: str) -> bool:
    try:
        OverridesParser.create().parse_override(override)
    except HydraException:
        return False
    return True


def _forced(override: str) -> str:
    """`++key=value` for `key=value`; choices of a group (`env=pong`), deletions and Hydra's own keys stay."""
    match = re.match(r"^([\w.]+)=", override)
    return override if match is None or match[1] in GROUPS or match[1].startswith("hydra.") else f"++{override}"


def one_line(error: BaseException, directories: Iterable[Path] = ()) -> str:
    """What Hydra or OmegaConf says in several lines, in one."""
    text = str(error).replace("'++", "'")
    unknown = re.search(r"Could not find '([^']+)'\s+Available options in '([^']+)':", text)
    if unknown:
        group = unknown[2].split("/")[0] if unknown[2].split("/")[0] in GROUPS else unknown[2]
        choice = unknown[1].removeprefix(f"{group}/")
        allowed = choices(group, directories) if group in GROUPS else re.findall(r"^\t(\S+)", text, re.MULTILINE)
        close = _choices_meant(group, choice, allowed)
        hint = f"did you mean {' or '.join(close)}? " if close else ""
        return f"{group}: unknown choice {choice!r}; {hint}allowed: {_listed(allowed, choice)}"
    several = re.search(r"Ambiguous value for argument '([^=]+)=(\d{1,3}(?:,\d{3})+)'", text)
    if several:
        return (
            f"{several[1]}: several values need --multirun; did you mean {several[1]}={several[2].replace(',', '_')}?"
        )
    launcher = re.search(r"Could not load 'hydra/launcher/(\w+)'", text)
    if launcher:
        check_launcher([f"hydra/launcher={launcher[1]}"])
    useless = ("See http", "object_type", "Set the environment")
    return "; ".join(
        line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith(useless)
    )


def _choices_meant(group: str, choice: str, allowed: list[str]) -> list[str]:
    """Those that are called so elsewhere (`ALE/Breakout-v5`, `cheetah-run`, `CartPole-v1`), or that are similar."""

    def letters(name: str) -> str:
        name = re.sub(r"(NoFrameskip|Deterministic|-ram)*(-v\d+)?$", "", name.rpartition("ALE/")[2])
        return re.sub(r"[^a-z0-9]", "", name.lower())

    whole = [name for name in allowed if letters(name) == letters(choice)]
    last = [name for name in allowed if letters(name.rpartition("/")[2]) == letters(choice)]
    if whole or last:
        return whole or last
    if group == "env":
        ids = [name for name in gym.registry if letters(name) == letters(choice)]
        if ids:
            return [f"env=gym env.id={choice if choice in ids else ids[-1]}"]
    return difflib.get_close_matches(choice, allowed, n=3)


MANY = 20
"""Choices of one folder, from which on they are listed only where one of them was meant."""


def _listed(allowed: list[str], meant: str) -> str:
    """The choices; of a large folder its name alone, unless the one that was meant is of it, and then that alone."""
    folders: dict[str, list[str]] = {}
    for name in allowed:
        folders.setdefault(name.rpartition("/")[0], []).append(name)
    inside = folders.get(meant.rpartition("/")[0], []) if "/" in meant else []
    if len(inside) > MANY:
        return ", ".join(inside)
    parts = [
        [f"{folder}/… ({len(names)})"] if folder and len(names) > MANY else names for folder, names in folders.items()
    ]
    return ", ".join(sorted(name for names in parts for name in names))


def choices(group: str, directories: Iterable[Path] = ()) -> list[str]:
    """What may be chosen of a configuration group: its YAML files, those of a further directory included."""
    roots = [root / group for root in (conf_directory(), *directories)]
    found = {path.relative_to(root).with_suffix("").as_posix() for root in roots for path in root.rglob("*.yaml")}
    return sorted(name for name in found if not name.rpartition("/")[2].startswith("_"))


# ---- The name of a run ---------------------------------------------------------------------------------------------


def run_name(config: Config) -> str:
    """The directory of a run below `runs`: env, algo, what differs from their defaults, seed; never the time.

    A function of the resolved configuration, so that equal ones have one directory, however they were given. `frames`
    is left out, so that another budget finds the same run; so is what has no effect on it (`WITHOUT_EFFECT`).
    """
    chosen = {group: _choice(group, getattr(config, group)) for group in GROUPS}
    words = [f"{group}={chosen[group]}" for group in ("env", "algo") if chosen[group]]
    usual = _reference(*words)
    others = {
        group: name
        for group, name in chosen.items()
        if group not in ("env", "algo") and name and name != usual.choices[group]
    }
    named = [f"{group}={name}" for group, name in others.items()]
    reference = copy.deepcopy((_reference(*words, *named) if named else usual).config)
    for group in GROUPS:
        if chosen[group] is None:  # of somebody's own package: all its values are told
            reference[group] = {}
    differing = _differences(config, reference)
    told = ",".join(sorted([*named, *(f"{key}={_text(value)}" for key, value in differing.items())]))
    parts = (*(chosen["env"] or config.env.title).split("/"), config.algo.name, told, f"seed={config.seed}")
    return "/".join(file_name(part) for part in parts if part)


def _choice(group: str, component: Any) -> str | None:
    """The file of a group that a component is of, by what it is called; None: it is of none in `conf`."""
    title = getattr(component, "title", component.name)
    found = choices(group)
    names = (title, title.removeprefix(f"{component.name}/"), component.name)
    return next((name for name in names if name in found), None)


class _Reference(NamedTuple):
    """What choices compose to."""

    config: DictConfig
    """With its interpolations."""
    choices: Mapping[str, str]


@functools.cache
def _reference(*words: str) -> _Reference:
    with _hydra([]):
        config = hydra_compose("config", overrides=list(words), return_hydra_config=True)
    chosen = dict(config.hydra.runtime.choices)
    OmegaConf.set_struct(config, False)
    del config["hydra"]
    return _Reference(config, chosen)


def _differences(config: Config, reference: DictConfig) -> dict[str, Any]:
    """The keys whose values are not what a reference gives them, but for those that follow from others."""
    apart = ("frames", "seed", *WITHOUT_EFFECT)
    meant = {key: value for key, value in items(config.plain()) if not key.startswith(apart)}
    there = dict(items(OmegaConf.to_container(reference)))
    derived = {key for key, value in there.items() if isinstance(value, str) and value.startswith("${")}
    found = {key: meant[key] for key in meant.keys() - derived if _text(meant[key]) != _text(there.get(key, ...))}
    for key, value in found.items():
        OmegaConf.update(reference, key, value, merge=False, force_add=True)
    resolved = dict(items(OmegaConf.to_container(reference, resolve=True)))
    return found | {key: meant[key] for key in meant.keys() & derived if _text(meant[key]) != _text(resolved[key])}


def _text(value: Any) -> str:
    """A value in a name, the same for equal ones."""
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(_text, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def file_name(words: str) -> str:
    """A name that every file system takes, and that differs where the words do."""
    name = re.sub(r"[^\w.,=+:@-]", "_", re.sub("['\"]", "", words), flags=re.ASCII)
    return name if len(name) <= 150 else f"{name[:140]}-{zlib.crc32(words.encode()):08x}"


# ---- Resolvers -----------------------------------------------------------------------------------------------------


def log_uniform(low: float, high: float, *key: float | str) -> float:
    """A number drawn log-uniformly from [low, high) (§8), as a pure function of its arguments.

    The same key (a seed, or a seed and a name) gives the same draw in every run, so that a run can be repeated alone
    and draws are paired across methods: `optimizer.lr='${log_uniform:1e-4,1e-2,${seed}}'`.
    """
    low, high = float(low), float(high)
    if not 0 < low < high < math.inf:
        raise ValueError(f"log_uniform: needs 0 < low < high, got {low}, {high}")
    if not key:
        raise ValueError("log_uniform: needs a key to draw by, e.g. ${log_uniform:1e-4,1e-2,${seed}}")
    words = [zlib.crc32(repr(part).encode()) for part in (low, high, *key)]
    share = np.random.default_rng(words).random()
    return float(math.exp(math.log(low) + share * (math.log(high) - math.log(low))))


def cores_wanted(execution: str, threads: int) -> int:
    """Cores that a run can keep busy."""
    return 1 if execution == "virtual_time" else threads


def runs_at_once(execution: str, threads: int) -> int:
    """So many runs fill the cores of this machine."""
    return max(1, usable_cores() // cores_wanted(execution, threads))


def frames_in(seconds: float) -> int:
    """Frames of a first-person world; 1 of what is no time, so that it is `env.seconds` that is refused."""
    from a3crepro.worlds.first_person import FRAMES_PER_SECOND

    try:
        return max(1, round(FRAMES_PER_SECOND * seconds))
    except (TypeError, ValueError, OverflowError):
        return 1


@functools.cache
def is_unbounded_control(env_id: str) -> bool:
    """Whether actions are vectors and observations have no bounds; False of what is no environment."""
    from a3crepro.environments.gym import make_registered

    with (
        contextlib.suppress(Exception),
        contextlib.closing(make_registered(env_id)) as env,
    ):  # `env.id` itself is refused later
        observations, actions = env.observation_space, env.action_space
        return isinstance(actions, gym.spaces.Box) and not getattr(observations, "is_bounded", bool)()
    return False


def register_resolvers() -> None:
    """Makes functions of this module known to the YAML files and the command line."""
    for function in (log_uniform, cores_wanted, runs_at_once, frames_in, is_unbounded_control):
        OmegaConf.register_new_resolver(function.__name__, function, replace=True)
    OmegaConf.register_new_resolver("run_name", _name_of_job, replace=True)


def _name_of_job(*, _root_: DictConfig) -> str:
    """The name of the run that a job of Hydra's is."""
    return run_name(_settings(OmegaConf.masked_copy(_root_, [str(key) for key in _root_ if key != "hydra"])))
