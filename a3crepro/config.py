"""The configuration of a run: its schema, and the way from a command line or a stored file to it.

The only module, beside the command line, that knows Hydra. Types, ranges and documentation live in Python (here and in
the components' own classes); values, each with its source, in `conf/`.
"""

from __future__ import annotations

import contextlib
import difflib
import math
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import Field, SerializeAsAny, ValidationError

from a3crepro.algorithms._algorithm import Algorithm
from a3crepro.environments._environment import Environment
from a3crepro.execution._execution import Execution
from a3crepro.networks._network import Network
from a3crepro.optimizers._optimizer import Optimizer
from a3crepro.settings import Count, PositiveCount, PositiveFloat, Settings, UserError, component_class, names

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


class Logging(Settings):
    """What a run shows while it goes on."""

    every_seconds: PositiveFloat
    """Seconds between two log lines where the output is not a terminal."""
    tensorboard: bool
    """Write the scores and the speed for TensorBoard, too."""


class Config(Settings):
    """One training run."""

    algo: SerializeAsAny[Algorithm]
    env: SerializeAsAny[Environment]
    network: SerializeAsAny[Network]
    optimizer: SerializeAsAny[Optimizer]
    execution: SerializeAsAny[Execution]
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


# ---- From plain values to a Config ---------------------------------------------------------------------------------


def build(values: Any) -> Config:
    """Checks plain values (a mapping, or what Hydra composed) and makes a `Config` of them.

    Raises:
      UserError: one line that names the first wrong key and what is allowed there.
    """
    if OmegaConf.is_config(values):
        try:
            values = OmegaConf.to_container(values, resolve=True, throw_on_missing=True)
        except OmegaConfBaseException as error:
            raise UserError(_one_line(error)) from error
    if not isinstance(values, Mapping):
        raise UserError(f"configuration: expected a mapping, got {values!r}")
    checked = dict(values)
    for group, package in GROUPS.items():
        if group in values:
            checked[group] = _build_component(group, package, values[group])
    config: Config = _checked(Config, checked, ())
    _check_fit(config)
    return config


def _build_component(group: str, package: str, values: Any) -> Settings:
    if not isinstance(values, Mapping) or "name" not in values:
        raise UserError(f"{group}: expected a choice of this group with a name, got {values!r}")
    try:
        found = component_class(package, values["name"])
    except LookupError:
        allowed = ", ".join(names(package))
        raise UserError(f"{group}.name: unknown name {values['name']!r}; allowed: {allowed}") from None
    component: Settings = _checked(found, dict(values), (group,))
    return component


def _checked(settings: type[Any], values: Mapping[str, Any], prefix: tuple[str, ...]) -> Any:
    try:
        return settings.model_validate(values)
    except ValidationError as error:
        details = error.errors()
        # A misspelt key also leaves the right one missing: say the first, not the second. Values deeper in the tree
        # are made of those above them.
        first = min(details, key=lambda detail: (detail["type"] == "missing", len(detail["loc"])))
        raise UserError(_describe(settings, first, prefix)) from error


def _describe(settings: type[Settings], detail: Mapping[str, Any], prefix: tuple[str, ...]) -> str:
    key = ".".join(str(part) for part in (*prefix, *detail["loc"]))
    if detail["type"] == "extra_forbidden":
        return f"{key}: unknown key; allowed: {', '.join(_keys_beside(settings, detail['loc']))}"
    if detail["type"] == "missing":
        return f"{key}: missing"
    message = detail["msg"].removeprefix("Input ").removeprefix("Value error, ")
    if isinstance(detail["input"], Mapping) and detail["type"] == "value_error":
        return f"{key}.{message}"  # found by looking at several keys: the message names the one that is wrong
    return f"{key}: {message}, got {detail['input']!r}"


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
    from hydra import compose as hydra_compose
    from hydra.errors import HydraException

    register_resolvers()
    further = [Path(config_dir).absolute()] if config_dir else []
    if further and not further[0].is_dir():
        raise UserError(f"--config-dir: {config_dir} is no directory")
    for override in overrides:
        _check_choice(override, further)
    try:
        with _hydra(further):
            return build(hydra_compose(config_name, overrides=[_forced(quoted(override)) for override in overrides]))
    except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
        raise UserError(_one_line(error, further)) from error


@contextlib.contextmanager
def _hydra(further: Iterable[Path]) -> Iterator[None]:
    """Hydra with this project's `conf` and, before it, further directories, as its own command line has it."""
    from hydra import initialize_config_dir
    from hydra._internal.hydra import Hydra
    from hydra._internal.utils import create_config_search_path
    from hydra.core.config_search_path import SearchPathQuery
    from hydra.core.global_hydra import GlobalHydra

    with initialize_config_dir(str(conf_directory()), version_base="1.3"):
        search_path = create_config_search_path(str(conf_directory()))
        for path in further:
            search_path.prepend("command-line", f"file://{path}", SearchPathQuery(provider="schema"))
        GlobalHydra.instance().clear()
        Hydra.create_main_hydra2(task_name="a3crepro", config_search_path=search_path)
        yield


def _check_choice(override: str, further: Iterable[Path]) -> None:
    """Refuses choices that Hydra would stumble over, or that lead out of the configuration."""
    group, _, choice = override.lstrip("+").partition("=")
    word = re.fullmatch(r"[\w./-]*", choice) and not re.fullmatch(r"[\d.e+-]+|null|true|false", choice)
    strange = not word or ".." in choice.split("/")
    if (group in GROUPS and strange) or not group:
        allowed = ", ".join(choices(group, further) if group else [*GROUPS, *Config.model_fields])
        raise UserError(
            f"{group or repr(override)}: unknown {'choice' if group else 'key'} {choice!r}; allowed: {allowed}"
        )


def quoted(override: str) -> str:
    """`key='${…}'` for `key=${…}`: Hydra's grammar takes an interpolation within another one only in quotes."""
    key, equals, value = override.partition("=")
    return (
        f"{key}='{value}'"
        if equals and value.startswith("${") and value.endswith("}") and "'" not in value
        else override
    )


def _forced(override: str) -> str:
    """`++key=value` for `key=value`, so that an unknown key reaches the schema, whose message names what is allowed.

    Choices of a group (`env=pong`), deletions and Hydra's own keys stay as they are.
    """
    match = re.match(r"^\+{0,2}([\w.]+)=", override)
    if match is None or match[1] in GROUPS or match[1].startswith("hydra."):
        return override
    return "++" + override.lstrip("+")


def _one_line(error: BaseException, directories: Iterable[Path] = ()) -> str:
    """What Hydra or OmegaConf says in several lines, in one."""
    text = str(error).replace("'++", "'")
    unknown = re.search(r"Could not find '([^']+)'\s+Available options in '([^']+)':", text)
    if unknown:
        group, choice = unknown[2].split("/")[0], unknown[1].partition("/")[2]
        allowed = choices(group, directories)
        close = difflib.get_close_matches(choice, allowed, n=3)
        hint = f"did you mean {' or '.join(close)}? " if close else ""
        return f"{group}: unknown choice {choice!r}; {hint}allowed: {_listed(allowed, choice)}"
    useless = ("See http", "object_type", "Set the environment")
    return "; ".join(
        line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith(useless)
    )


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


def run_name(choices: Mapping[str, str], overrides: Iterable[str]) -> str:
    """The directory of a run below `runs`: its choices, its overrides and its seed, never the time.

    `frames` is left out, so that a longer budget finds the shorter run and goes on with it.
    """
    given = dict(map(_key_and_value, overrides))
    seed = given.pop("seed", "0")
    for key in ("env", "algo", "frames"):
        given.pop(key, None)
    words = ",".join(f"{key}={value}" for key, value in sorted(given.items()))
    env = choices["env"].replace("..", "_")
    parts = (env, choices["algo"], file_name(words), file_name(f"seed={seed}"))
    return "/".join(part for part in parts if part)


def cores_wanted(execution: str, threads: int) -> int:
    """Cores that a run can keep busy."""
    return 1 if execution == "virtual_time" else threads


def runs_at_once(execution: str, threads: int) -> int:
    """So many runs fill the cores of this machine."""
    return max(1, len(os.sched_getaffinity(0)) // cores_wanted(execution, threads))


def frames_in(seconds: float) -> int:
    """Frames of a first-person world; 1 of what is no time, so that it is `env.seconds` that is refused."""
    from a3crepro.environments._first_person import FRAMES_PER_SECOND

    try:
        return max(1, round(FRAMES_PER_SECOND * seconds))
    except (TypeError, ValueError, OverflowError):
        return 1


def _key_and_value(override: str) -> tuple[str, str]:
    """Key and value as a multirun would write them: `1e-3` is 0.001 and `false` False, however they were given."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        parsed = OverridesParser.create().parse_override(override)
    except HydraException:
        key, _, text = override.lstrip("+~").partition("=")
        return key, text
    value: Any = parsed.value()
    return parsed.key_or_group, str(getattr(value, "text", None) or parsed.get_value_element_as_str())


def file_name(words: str) -> str:
    """A name that every file system takes, and that differs where the words do."""
    name = re.sub(r"[^\w.,=+:@-]", "_", re.sub("['\"]", "", words), flags=re.ASCII)
    return name if len(name) <= 150 else f"{name[:140]}-{zlib.crc32(words.encode()):08x}"


def register_resolvers() -> None:
    """Makes functions of this module known to the YAML files and the command line."""
    for function in (log_uniform, run_name, cores_wanted, runs_at_once, frames_in):
        OmegaConf.register_new_resolver(function.__name__, function, replace=True)
