"""Experiments as data: the runs of each, at each scale, and the figure they reproduce."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from a3crepro.config import file_name


@dataclass(frozen=True)
class Run:
    """A training run, given by the overrides that set it apart at its scale; `env=` and `algo=` come first.

    Two experiments that name the same run share it.
    """

    settings: Mapping[str, str]
    """Keys and values, in command-line order."""
    budget: int | None = None
    """Frames, if they may be raised later; not part of the name. None: from the settings, if given there."""

    def __hash__(self) -> int:
        return hash((frozenset(self.settings.items()), self.budget))

    @property
    def overrides(self) -> tuple[str, ...]:
        """Its settings and budget as Hydra overrides."""
        return self._but()

    @property
    def name(self) -> str:
        """Its directory, relative to that of the scale."""
        rest = ",".join(f"{key}={value}" for key, value in self.settings.items() if key not in ("env", "algo"))
        return f"{self.settings['env']}/{self.settings['algo']}/{file_name(rest)}"

    @property
    def kind(self) -> tuple[str, ...]:
        """What determines its cost: its overrides except learning rate and seed."""
        return self._but("optimizer.lr", "seed")

    def _but(self, *keys: str) -> tuple[str, ...]:
        settings = self.settings if self.budget is None else {**self.settings, "frames": str(self.budget)}
        return tuple(f"{key}={value}" for key, value in settings.items() if key not in keys)


def run(env: str, algo: str, budget: int | None = None, **others: object) -> Run:
    """Makes a run; write `__` for the dots in a key."""
    rest = {key.replace("__", "."): _text(value) for key, value in others.items() if value is not None}
    return Run({"env": env, "algo": algo, **rest}, budget)


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


HELD_OUT = 1000
"""First held-out seed. Runs from here on repeat the learning rate that was best with other seeds."""

Scores = Callable[[Run], float | None]
"""Returns the final score of a run, or None before it is finished."""


@dataclass(frozen=True)
class Scale:
    """An experiment at one scale."""

    common: tuple[str, ...]
    """Overrides common to all runs."""
    runs: Callable[[Scores], Iterable[Run]]
    """All runs known from the scores so far; some, such as repeats of the best rate, depend on earlier results."""
    best: int | None = None
    """Number of best learning rates whose mean the figures show, as in the paper; None for all."""
    later: int = 0
    """Maximum number of runs that depend on the results of others."""


@dataclass(frozen=True)
class Experiment:
    """One experiment of the paper."""

    name: str
    """The name of its file in `sweeps/` and of its directory in `results/`."""
    figure: str
    """The figure or table of the paper that it reproduces."""
    scales: Mapping[str, Scale] = field(repr=False)
    tables: str = ""
    """The experiment whose tables in `results/` it uses, if it is a view of another one."""

    def root(self, scale: str, overrides: Iterable[str] = ()) -> Path:
        """The directory for the runs of a scale, shared by all experiments."""
        return Path("runs") / file_name(",".join([scale, *sorted(overrides)]))
