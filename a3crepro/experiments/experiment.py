"""An experiment as data: which runs, at which scale, for which figure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from a3crepro.config import file_name


@dataclass(frozen=True)
class Run:
    """A training run, by the overrides in which it differs from others of its scale; `env=` and `algo=` first.

    Two experiments that name the same run share it.
    """

    settings: Mapping[str, str]
    """Keys and values, in the order of the command line."""
    budget: int | None = None
    """Frames, where they may be raised later: no part of its name. None: they are among the settings, if anywhere."""

    def __hash__(self) -> int:
        return hash((frozenset(self.settings.items()), self.budget))

    @property
    def overrides(self) -> tuple[str, ...]:
        """Its settings and its budget, as Hydra takes them."""
        return self._but()

    @property
    def name(self) -> str:
        """Its directory below that of its scale."""
        rest = ",".join(f"{key}={value}" for key, value in self.settings.items() if key not in ("env", "algo"))
        return f"{self.settings['env']}/{self.settings['algo']}/{file_name(rest)}"

    @property
    def kind(self) -> tuple[str, ...]:
        """What its cost depends on: its overrides without learning rate and seed."""
        return self._but("optimizer.lr", "seed")

    def _but(self, *keys: str) -> tuple[str, ...]:
        settings = self.settings if self.budget is None else {**self.settings, "frames": str(self.budget)}
        return tuple(f"{key}={value}" for key, value in settings.items() if key not in keys)


def run(env: str, algo: str, budget: int | None = None, **others: object) -> Run:
    """A run; a key's dots are written `__`."""
    rest = {key.replace("__", "."): _text(value) for key, value in others.items() if value is not None}
    return Run({"env": env, "algo": algo, **rest}, budget)


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


HELD_OUT = 1000
"""Seeds from here on are held out: they run the learning rate that was best with other seeds."""

Scores = Callable[[Run], float | None]
"""The mean score of a run's final evaluation; None before it is finished."""


@dataclass(frozen=True)
class Scale:
    """One size of an experiment."""

    common: tuple[str, ...]
    """Overrides of all runs."""
    runs: Callable[[Scores], Iterable[Run]]
    """All runs that are known, now that some may have been finished: the best learning rate's, say."""
    best: int | None = None
    """Figures show the mean of the so many best learning rates, as the paper's do, beside all of them; None: all."""
    later: int = 0
    """Runs that depend on how others end, at most."""


@dataclass(frozen=True)
class Experiment:
    """One experiment of the paper."""

    name: str
    """Of its file in `sweeps/`, of its tables in `results/`."""
    figure: str
    """Of the paper: what it is for."""
    scales: Mapping[str, Scale] = field(repr=False)
    tables: str = ""
    """Of which experiment its tables in `results/` are, where it is a view of another one."""

    def root(self, scale: str, overrides: Iterable[str] = ()) -> Path:
        """Where the runs of a scale are, of this experiment and of those that share runs with it."""
        return Path("runs") / file_name(",".join([scale, *sorted(overrides)]))
