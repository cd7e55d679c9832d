"""A search over configurations with Optuna: asks for trials, runs them, and tells their final scores.

A trial is recorded before it runs and again when it has ended. After an interruption, the trials in between run first:
a run that finished returns at once, and one that did not resumes in its directory.
"""

import contextlib
import fcntl
import math
import os
import shlex
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import optuna
import pandas as pd
from hydra.core.utils import JobReturn, JobStatus
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from a3crepro.common.errors import RunError, UserError
from a3crepro.common.machine import usable_cores
from a3crepro.config import Domain, SearchConfig, SearchSpace, file_name
from a3crepro.experiments.state import score_of_evaluations
from a3crepro.runs.command_line import line_of
from a3crepro.runs.files import trying, write_text
from a3crepro.runs.run_directory import DirectoryInUse

Launch = Callable[[Sequence[Sequence[str]], int], Sequence[JobReturn]]
"""A Hydra launcher: the overrides of jobs and the index of the first one; returns what they returned."""
FOLDER = "searches"
"""Below `hydra.sweep.dir`: a record, a lock and a table for each search."""
WORDS = "overrides"
"""The attribute of a study that says what is searched, by key."""


def search(launch: Launch, config: SearchConfig, space: SearchSpace, directory: Path) -> None:
    """Runs the trials that are missing, and prints the best one.

    Args:
      launch: a Hydra launcher.
      config: the sweeper's keys.
      space: of the trials.
      directory: `hydra.sweep.dir`.

    Raises:
      UserError: the record is of another search.
      RunError: the search, or the directory of a run, is in use; or no trial has a score.
      OSError: a file cannot be written; the trial is not counted as failed.
    """
    with exclusive_lock(directory / FOLDER / f"{name_of(config, space)}.lock"):
        record = SearchRecord(config, space, directory / FOLDER)
        print(record.summary_line(), flush=True)
        while trials := record.next_trials():
            for trial, result in zip(trials, _results(launch, trials), strict=True):
                record.tell(trial, result)
        record.print_best()


def name_of(config: SearchConfig, space: SearchSpace) -> str:
    """The name of a search: the same for the same overrides in any order."""
    words = sorted([*space.fixed.values(), *space.swept.values()])
    return file_name(config.study_name or ",".join([*words, config.direction, f"{config.sampler}={config.seed}"]))


@contextlib.contextmanager
def exclusive_lock(path: Path) -> Iterator[None]:
    """Holds a lock; a `RunError` if another process does."""
    with trying("write", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "ab")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(f"the search {path.stem} is in progress in another process") from None
        yield


def distribution(domain: Domain) -> BaseDistribution:
    """Optuna's distribution over a domain."""
    if domain.choices:
        return CategoricalDistribution(domain.choices)
    if domain.is_whole:
        return IntDistribution(int(domain.low), int(domain.high), log=domain.log, step=int(domain.step or 1))
    return FloatDistribution(domain.low, domain.high, log=domain.log, step=domain.step)


class Trial(NamedTuple):
    """A trial that has not ended."""

    number: int
    """Number in Optuna's record."""
    overrides: tuple[str, ...]
    """Overrides of its job."""


class Result(NamedTuple):
    """How a run ended."""

    directory: str
    """Empty if it never began."""
    score: float = math.nan
    """The final score; NaN if it has none."""
    error: BaseException | None = None
    """Why it failed."""


# ---- Running ---------------------------------------------------------------------------------------------------------


def _results(launch: Launch, trials: Sequence[Trial]) -> list[Result]:
    """Runs trials at once; equal ones share a run."""
    jobs = list(dict.fromkeys(trial.overrides for trial in trials))
    results = dict(zip(jobs, _launched(launch, jobs, trials[0].number), strict=True))
    for result in results.values():
        if isinstance(result.error, DirectoryInUse | OSError):  # no fault of the trial, which runs again later
            raise result.error
    return [results[trial.overrides] for trial in trials]


def _launched(launch: Launch, jobs: Sequence[Sequence[str]], index: int) -> list[Result]:
    """Runs jobs, one by one if the launcher gives up on all of them, as when a process dies."""
    try:
        return [_result(job) for job in launch(jobs, index)]
    except OSError:
        raise
    except Exception as error:
        if len(jobs) == 1:
            return [Result("", error=error)]
        return [result for place, job in enumerate(jobs) for result in _launched(launch, [job], index + place)]


def _result(job: JobReturn) -> Result:
    assert job.hydra_cfg is not None
    directory = str(job.hydra_cfg.hydra.runtime.output_dir)
    if job.status == JobStatus.FAILED:
        error: BaseException = job._return_value
        return Result(directory, error=error)
    try:
        return Result(directory, score_of_evaluations(Path(directory)))
    except RunError as error:
        return Result(directory, error=error)


# ---- The record ------------------------------------------------------------------------------------------------------


class SearchRecord:
    """The trials of a search, in a file that survives an interruption at any moment. Only one process may use it."""

    def __init__(self, config: SearchConfig, space: SearchSpace, folder: Path) -> None:
        self.config, self.space, self.name = config, space, name_of(config, space)
        self.path = (folder / f"{self.name}.db").absolute()
        self.storage, self.table = config.storage or f"sqlite:///{self.path}", folder / f"{self.name}.csv"
        self.at_once = config.n_jobs if config.n_jobs > 0 else usable_cores()
        self.distributions = {key: distribution(domain) for key, domain in space.domains.items()}
        self.study = self._open()
        self._check()
        for trial in self._trials(TrialState.RUNNING, whole=False):  # interrupted before all its values were chosen
            self.study.tell(trial.number, state=TrialState.FAIL)

    def _open(self) -> optuna.Study:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            return optuna.create_study(
                study_name=self.name, storage=self.storage, direction=self.config.direction, load_if_exists=True
            )
        except Exception as error:  # of Optuna, SQLAlchemy or a driver
            (said, *_) = str(error).splitlines() or [type(error).__name__]
            raise RunError(f"cannot use the search's record {self.storage}: {said}") from error

    def _check(self) -> None:
        """Refuses the record of another search."""
        own = {"direction": self.config.direction, "sampler": self.config.sampler, "seed": str(self.config.seed)}
        here = {**self.space.fixed, **self.space.swept, **{f"hydra.sweeper.{key}": own[key] for key in own}}
        there = self.study.user_attrs.get(WORDS)
        if there is None:
            self.study.set_user_attr(WORDS, here)
            return
        differing = sorted(key for key in here.keys() | there.keys() if here.get(key) != there.get(key))
        if differing:
            values = ", ".join(f"{key} ({there.get(key)!r} there, {here.get(key)!r} here)" for key in differing)
            raise UserError(f"hydra.sweeper.study_name: {self.name} is another search: {values}; choose another name")

    def _trials(self, *states: TrialState, whole: bool = True) -> list[FrozenTrial]:
        """The trials in these states, or in any; those that have all of their values, or those that lack some."""
        found = self.study.get_trials(deepcopy=False, states=states or None)
        return [trial for trial in found if (trial.params.keys() == self.distributions.keys()) is whole]

    def next_trials(self) -> list[Trial]:
        """The trials to run at once: those that were interrupted, then new ones. Empty if all have ended."""
        waiting = self._trials(TrialState.RUNNING)
        while len(waiting) < self.at_once and len(self._trials()) < self.config.n_trials:
            self._ask()
            waiting = self._trials(TrialState.RUNNING)
        return [Trial(trial.number, self._overrides(trial)) for trial in waiting[: self.at_once]]

    def _ask(self) -> None:
        """Adds a trial: a function of the seed and of the trials before it, so that interruptions change nothing."""
        entropy = np.random.SeedSequence([self.config.seed, len(self._trials())])
        seed = int(entropy.generate_state(1)[0])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            if self.config.sampler == "random":
                self.study.sampler = optuna.samplers.RandomSampler(seed=seed)
            else:  # `constant_liar` keeps trials that run at the same time apart
                self.study.sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
            self.study.ask(self.distributions)

    def _overrides(self, trial: FrozenTrial) -> tuple[str, ...]:
        return tuple(self.space.overrides({key: trial.params[key] for key in self.distributions}))

    def tell(self, trial: Trial, result: Result) -> None:
        """Records how a trial ended, and prints it."""
        failed = result.error is not None or not math.isfinite(result.score)
        if failed:
            self.study.tell(trial.number, state=TrialState.FAIL)
        else:
            self.study.tell(trial.number, result.score)
        ended = self._trials(TrialState.COMPLETE, TrialState.FAIL)
        what = f"trial {len(ended)} of {max(self.config.n_trials, len(ended))}, {self._text(trial.overrides)}"
        print(f"{what}: {'failed: ' + _reason(result) if failed else f'score {result.score:.2f}'}", flush=True)
        write_text(self.table, self._rows(ended))

    def _text(self, overrides: Sequence[str]) -> str:
        return " ".join(overrides[len(self.space.fixed) :])

    def _rows(self, trials: Sequence[FrozenTrial]) -> str:
        """A table of trials, as CSV; the score of a failed one is empty."""
        columns = [{"trial": trial.number, "score": trial.value, **trial.params} for trial in trials]
        return str(pd.DataFrame(columns).to_csv(index=False))

    def summary_line(self) -> str:
        """The search and its progress."""
        done, failed = (len(self._trials(state)) for state in (TrialState.COMPLETE, TrialState.FAIL))
        failures = f", {failed} failed" if failed else ""
        path = os.path.relpath(self.path) if self.config.storage is None else self.storage
        return f"search: {done} of {self.config.n_trials} trials done{failures}; record: {path}"

    def print_best(self) -> None:
        """Prints the best trial and the command that repeats it; a `RunError` if there is none."""
        if not self._trials(TrialState.COMPLETE):
            raise RunError("all trials of the search failed")
        best = self.study.best_trial
        words = self._overrides(best)
        print(f"{self.summary_line()}\nbest: {self._text(words)}, score {best.value:.2f}")
        print(f"to run it again with another seed: {shlex.join(['python', '-m', 'a3crepro', *words, 'seed=1'])}")


def _reason(result: Result) -> str:
    """Why a trial failed, in one line; prints the traceback of an unexpected error."""
    if result.error is None:
        return "it has no score"
    found = line_of(result.error)
    if found is None:
        traceback.print_exception(result.error)
    where = f" (in {os.path.relpath(result.directory)})" if result.directory else ""
    return f"{found[0] if found else repr(result.error)}{where}"
