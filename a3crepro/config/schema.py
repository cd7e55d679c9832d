"""The schema of a run's configuration: types, ranges and documentation.

The values, with their sources, are in `conf/`; each component's own keys are documented in its class.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import Field, PrivateAttr, SerializeAsAny, ValidationError
from torch import nn

from a3crepro.algorithms._algorithm import Algorithm
from a3crepro.common.config_model import (
    ComponentConfig,
    ConfigModel,
    Count,
    PositiveCount,
    PositiveFloat,
    component_class,
)
from a3crepro.common.errors import UserError
from a3crepro.config.groups import GROUPS
from a3crepro.config.messages import one_line, validation_message
from a3crepro.environments._environment import Environment
from a3crepro.networks._network import Network, seeded
from a3crepro.optimizers._optimizer import Optimizer

TrackerName = Literal["tensorboard", "wandb", "mlflow"]
"""The experiment trackers, which `a3crepro.runs.trackers` implements: names of packages, and of extras."""
MAX_ROLLOUT_STEPS = 10_000
"""All observations and activations of a rollout are kept in memory."""


class EvaluationConfig(ConfigModel):
    """Evaluations during and after training: whole episodes, unclipped scores."""

    every: Count
    """Frames (of all actor-learners) between evaluations during training; 0: none."""
    episodes: Count
    """Episodes per evaluation; 0: no final evaluation either."""
    max_frames: PositiveCount
    """Maximal length of an episode in an evaluation."""


class CheckpointConfig(ConfigModel):
    """When the state of a run is written."""

    every_seconds: PositiveFloat
    """Seconds between checkpoints; a run that stops writes one more."""
    copies_every: Count = 0
    """Frames (of all actor-learners) between permanent copies of θ and the optimizer's statistics; 0: none."""


class LoggingConfig(ConfigModel):
    """The output of a run."""

    every_seconds: PositiveFloat
    """Seconds between log lines, if the output is not a terminal."""
    metrics_seconds: PositiveFloat = 10.0
    """Seconds between rows of `metrics.csv`; in virtual time, virtual seconds, so that rows repeat to the bit."""
    trackers: list[TrackerName] = Field(default=["tensorboard"])
    """Where to show scores and metrics; []: only in the run's own tables."""
    tensorboard: bool
    """False leaves TensorBoard out of `trackers`."""

    @property
    def active_trackers(self) -> list[str]:
        """Each of `trackers` once, but for TensorBoard if that is switched off."""
        return [name for name in dict.fromkeys(self.trackers) if self.tensorboard or name != "tensorboard"]


class ExecutionConfig(ComponentConfig, ABC):
    """Configuration of how actor-learners run; `a3crepro.execution` implements it."""

    makes_one_update: ClassVar[bool] = False
    """Whether the gradients of all actor-learners are summed into one update, so that statistics are always shared."""

    @abstractmethod
    def is_exact(self, threads: int) -> bool:
        """Whether a run is repeatable to the bit; if `Environment.supports_exact_resume`, also when it is resumed."""

    @abstractmethod
    def process_count(self, threads: int) -> int:
        """Number of processes for this number of actor-learners."""


class Composition(NamedTuple):
    """How a configuration was composed; empty if it was not."""

    choices: Mapping[str, str] = {}
    """The choice of each configuration group."""
    overrides: Sequence[str] = ()
    """Overrides of the command line, in order, without Hydra's own keys."""


class Config(ConfigModel):
    """One training run. Configurations with equal values are equal, however they were composed."""

    algo: SerializeAsAny[Algorithm]
    env: SerializeAsAny[Environment]
    network: SerializeAsAny[Network]
    optimizer: SerializeAsAny[Optimizer]
    execution: SerializeAsAny[ExecutionConfig]
    evaluation: EvaluationConfig
    checkpoint: CheckpointConfig
    logging: LoggingConfig
    threads: Annotated[PositiveCount, Field(le=1024)]
    """Number of actor-learners."""
    frames: Annotated[Count, Field(lt=2**62)]
    """Training budget in environment frames, of all actor-learners together."""
    seed: Annotated[Count, Field(lt=2**63)]
    """Seeds all randomness of a run."""
    _composition: Composition = PrivateAttr(default=Composition())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Config) and self.model_dump() == other.model_dump()

    @property
    def composition(self) -> Composition:
        """The choices and overrides that it was composed of."""
        return self._composition

    def composed_of(self, choices: Mapping[str, str], overrides: Sequence[str]) -> Config:
        """Returns this configuration with a record of its choices and overrides."""
        config = self.model_copy()
        config._composition = Composition({group: choices[group] for group in GROUPS}, tuple(overrides))
        return config

    @property
    def is_exact(self) -> bool:
        """See `ExecutionConfig.is_exact`."""
        return self.execution.is_exact(self.threads)

    @property
    def processes(self) -> int:
        """Number of processes in which the actor-learners run."""
        return self.execution.process_count(self.threads)

    def seeded_network(self) -> nn.Module:
        """A network with its initial parameters, which depend on the configuration alone."""
        observations, actions = self.env.spaces()
        return seeded(self.network, observations, self.algo.heads(actions), self.seed)

    @property
    def modules_to_preload(self) -> list[str]:
        """Modules that worker processes import before they fork."""
        return [*self.env.modules_to_preload(), type(self.optimizer).__module__]

    @property
    def lr_anneal_frames(self) -> int:
        """Frames over which the learning rate is annealed to 0."""
        return self.optimizer.annealed_over(self.frames)

    @property
    def max_evaluation_steps(self) -> int:
        """`evaluation.max_frames` in agent steps, rounded up."""
        return -(-self.evaluation.max_frames // self.env.frames_per_step)

    @property
    def max_update_steps(self) -> int:
        """Maximum number of agent steps whose gradients an actor-learner sums into an update; a rollout is no longer.

        Those of an episode are bounded by `Environment.episode_steps`.
        """
        steps = self.algo.max_update_steps or self.env.episode_steps
        assert steps is not None
        return steps


def dotted_items(values: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of nested mappings, each with its dotted key."""
    if isinstance(values, Mapping):
        for key, value in values.items():
            yield from dotted_items(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, values


NO_EFFECT = ("logging.", "checkpoint.", "env.schedule.")
"""Prefixes of keys that do not affect training; those of a schedule only provide defaults of other keys."""


def effective_values(config: Config) -> dict[str, Any]:
    """The values that determine a run, by dotted key; `optimizer.anneal_frames` is resolved to a number.

    Runs that differ in `frames` alone are one run with different budgets.
    """
    values = {key: value for key, value in dotted_items(config.model_dump()) if not key.startswith(NO_EFFECT)}
    return {**values, "optimizer.anneal_frames": config.lr_anneal_frames}


def build(values: Any, check_fit: bool = True, stored: bool = False) -> Config:
    """Validates a configuration.

    Args:
      values: a mapping, or what Hydra composed.
      check_fit: also make an environment, to check that its spaces fit the network and the algorithm.
      stored: the values are from the directory of a run or an agent, so that they must not decide what is imported.

    Raises:
      UserError: one line that names the first wrong key and what is allowed.
    """
    if OmegaConf.is_config(values):
        try:
            values = OmegaConf.to_container(values, resolve=True, throw_on_missing=True)
        except OmegaConfBaseException as error:
            raise UserError(one_line(error)) from error
    if not isinstance(values, Mapping):
        raise UserError(f"configuration: expected a mapping, got {values!r}")
    components = {group: _build_component(group, values, stored) for group in GROUPS if group in values}
    config: Config = validate(Config, {**values, **components}, (), values)
    if check_fit:
        _check_fit(config)
    return config


def _build_component(group: str, whole: Mapping[str, Any], stored: bool) -> ConfigModel:
    values = whole[group]
    if not isinstance(values, Mapping) or "name" not in values:
        raise UserError(f"{group}: expected a choice of this group with a name, got {values!r}")
    try:
        found = component_class(GROUPS[group], values["name"])
    except LookupError as error:
        raise UserError(f"{group}.name: {error}") from None
    component: ConfigModel = validate(found, dict(values), (group,), whole, stored)
    return component


def validate(
    model: type[Any], values: Mapping[str, Any], prefix: tuple[str, ...], whole: Mapping[str, Any], stored: bool = False
) -> Any:
    """Validates values; a `UserError` names the first wrong key, which begins with `prefix`.

    `whole` has the keys that an unknown one may stand for. Validators find `stored` in pydantic's context.
    """
    try:
        return model.model_validate(values, context={"stored": stored})
    except ValidationError as error:
        # A misspelt key also leaves the right one missing, and a value deeper in the tree follows from those above.
        first = min(error.errors(), key=lambda detail: (detail["type"] == "missing", len(detail["loc"])))
        keys = [key for key, _ in dotted_items(whole)]
        raise UserError(validation_message(model, first, prefix, keys)) from error


def _check_fit(config: Config) -> None:
    """Refuses choices that are valid, but do not fit together."""
    observation_space, actions = config.env.spaces()
    group = "network"
    try:
        config.network.check(observation_space)
        group = "algo"
        config.algo.heads(actions)
    except ValueError as error:
        raise UserError(f"{group}: {error}") from error
    if config.algo.max_update_steps is not None:
        return
    steps = config.env.episode_steps
    if steps is None or steps > MAX_ROLLOUT_STEPS:
        length = "no known limit" if steps is None else f"up to {steps:,} agent steps"
        raise UserError(
            f"algo.t_max: 'episode' needs episodes of at most {MAX_ROLLOUT_STEPS:,} agent steps, those of "
            f"{config.env.title} have {length}; allowed: a number of steps"
        )
