"""The search space of `hydra/sweeper=optuna`, in Hydra's syntax for sweeps, and the sweeper's own keys."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from omegaconf import OmegaConf
from pydantic import AfterValidator

from a3crepro.common.config_model import ConfigModel, Count, PositiveCount
from a3crepro.common.errors import UserError
from a3crepro.config.groups import check_optuna
from a3crepro.config.schema import validate

DIGITS = 6
"""Significant digits of a number that a search chooses; they are part of the run's name."""
INSIDE = 0.5123
"""Where a number within an interval is tried: one that is not whole."""


def _jobs(value: int) -> int:
    if value != -1 and value < 1:
        raise ValueError("should be a whole number of at least 1, or -1 (as many as there are cores)")
    return value


class SearchConfig(ConfigModel):
    """The keys of `hydra.sweeper`."""

    n_trials: PositiveCount
    """Number of trials, those of earlier starts included."""
    n_jobs: Annotated[int, AfterValidator(_jobs)]
    """Number of trials that the launcher is given at a time; -1: one per core."""
    direction: Literal["maximize", "minimize"]
    """Whether a high or a low final score is good."""
    sampler: Literal["tpe", "random"]
    """Tree-structured Parzen estimator, which learns from the trials so far, or independent random values."""
    seed: Count
    """Seeds the sampler; the runs have a seed of their own."""
    storage: str | None
    """A URL for Optuna; None: an SQLite file in `searches/` below `hydra.sweep.dir`."""
    study_name: str | None
    """The name of the search; None: one that is made of its overrides."""
    params: Mapping[str, Any] | None
    """Overrides that come before those of the command line."""


def search_config(values: Any) -> SearchConfig:
    """Validates `hydra.sweeper`.

    Raises:
      UserError: one line that names the wrong key, or what must be installed.
    """
    check_optuna()
    found: Any = OmegaConf.to_container(values, resolve=True) if OmegaConf.is_config(values) else dict(values)
    found.pop("_target_", None)
    config: SearchConfig = validate(SearchConfig, found, ("hydra", "sweeper"), {})
    return config


class Domain(NamedTuple):
    """The values that a search may give to a key."""

    choices: tuple[str, ...] = ()
    """The values as written in an override; empty for numbers."""
    low: float = 0
    """An `int` for whole numbers, like `high` and `step`."""
    high: float = 0
    """The greatest value, which is included."""
    step: float | None = None
    """Distance between neighbouring numbers; None: any number."""
    log: bool = False
    """Whether the logarithm is uniformly distributed, instead of the number."""

    @property
    def is_whole(self) -> bool:
        """Whether its numbers are whole."""
        return isinstance(self.low, int)

    def probes(self) -> tuple[str, ...]:
        """Values that are valid if all are: the choices, or both ends, and one in between."""
        if self.choices:
            return self.choices
        inside = () if self.is_whole or self.step else (self.low + INSIDE * (self.high - self.low),)
        return tuple(dict.fromkeys(map(value_text, (self.low, *inside, self.high))))


def value_text(value: Any) -> str:
    """A value as in an override."""
    return f"{value:.{DIGITS}g}" if isinstance(value, float) else str(value)


class SearchSpace(NamedTuple):
    """What is the same in all trials, and what differs."""

    fixed: Mapping[str, str]
    """The overrides, by key."""
    swept: Mapping[str, str]
    """The overrides that span the space, by key."""
    domains: Mapping[str, Domain]
    """The values that each swept key may have."""

    def overrides(self, values: Mapping[str, Any]) -> list[str]:
        """The overrides of the trial with these values."""
        return [*self.fixed.values(), *(f"{key}={value_text(value)}" for key, value in values.items())]

    def probes(self) -> Iterator[list[str]]:
        """Overrides that show mistakes: each key has each of its `Domain.probes` once, the others their first."""
        probes = {key: domain.probes() for key, domain in self.domains.items()}
        first = {key: values[0] for key, values in probes.items()}
        yield self.overrides(first)
        for key, value in itertools.chain(*([(key, value) for value in values[1:]] for key, values in probes.items())):
            yield self.overrides({**first, key: value})


def search_space(overrides: Sequence[str], params: Mapping[str, Any] | None = None) -> SearchSpace:
    """The space that overrides span; the last override of a key counts.

    Args:
      overrides: of the command line; Hydra's own are left out.
      params: further ones, which come first.

    Raises:
      UserError: nothing is to be searched, or a domain is not valid.
    """
    words = [*(f"{key}={value}" for key, value in (params or {}).items()), *overrides]
    parsed = [found for found in OverridesParser.create().parse_overrides(words) if not found.is_hydra_override()]
    last = {override.get_key_element(): override for override in parsed}
    swept = {key: override for key, override in last.items() if override.is_sweep_override()}
    if not swept:
        raise UserError(
            "hydra/sweeper=optuna: nothing to search; give a key several values: choice(a,b), range(1,9), "
            "interval(0,1), tag(log,interval(1e-4,1e-1))"
        )
    fixed = {key: str(override.input_line) for key, override in last.items() if key not in swept}
    texts = {key: str(override.input_line) for key, override in swept.items()}
    return SearchSpace(fixed, texts, {key: _domain(override) for key, override in swept.items()})


def _domain(override: Override) -> Domain:
    value: Any = override.value()
    tags: set[str] = getattr(value, "tags", set())  # a glob has none
    if unknown := tags - {"log"}:
        raise UserError(f"{override.input_line}: unknown tag {min(unknown)}; allowed: log")
    if tags and not isinstance(value, IntervalSweep):
        raise UserError(f"{override.input_line}: only an interval can have the tag log")
    if isinstance(value, IntervalSweep):
        return _interval(override, value)
    if isinstance(value, RangeSweep):
        return _range(override, value)
    return Domain(choices=tuple(dict.fromkeys(override.sweep_string_iterator())))


def _interval(override: Override, value: IntervalSweep) -> Domain:
    low, high, log = value.start, value.end, bool(value.tags)
    assert low is not None and high is not None
    if not (-math.inf < low < high < math.inf) or (log and low <= 0):
        needed = "0 < low < high" if log else "low < high"
        raise UserError(f"{override.input_line}: should have {needed}, both finite")
    return Domain(low=low, high=high, step=1 if isinstance(low, int) else None, log=log)


def _range(override: Override, value: RangeSweep) -> Domain:
    """The numbers of Hydra's `range`, which excludes its end."""
    numbers: list[Any] = list(override.sweep_iterator())
    if not numbers:
        raise UserError(f"{override.input_line}: the range is empty")
    low, high = min(numbers), max(numbers)
    if all(isinstance(number, int) for number in numbers):
        return Domain(low=low, high=high, step=abs(int(value.step)))
    return Domain(low=float(low), high=round(float(high), 12), step=abs(float(value.step)))
