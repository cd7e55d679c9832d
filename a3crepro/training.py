"""One training run, from a configuration to a summary."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from a3crepro.actor_learner import Episode, Snapshot
from a3crepro.config import Config, build
from a3crepro.evaluation import Evaluator, NetworkPolicy
from a3crepro.execution._execution import Origin, States
from a3crepro.fast.model import is_known
from a3crepro.kernels import compile_all
from a3crepro.networks._network import flatten, parameter_count, seeded
from a3crepro.processes import preload, wait_for_messages, wait_for_server
from a3crepro.progress import Progress
from a3crepro.run_directory import Checkpoint, Numbers, RunDirectory, RunError, Waiting, last_checkpoint, stored_config
from a3crepro.scaling import width
from a3crepro.shared_state import SNAPSHOT, Learnt, SharedState, learnt


class Stopped(KeyboardInterrupt):
    """The run was stopped by Ctrl-C or SIGTERM, after saving; the same command goes on with it (status 130).

    A `KeyboardInterrupt`, so that the other runs of a multirun do not start.
    """


SIGNALS = (signal.SIGINT, signal.SIGTERM)


def train(
    config: Any, directory: str | Path | None = None, *, stop_on: Sequence[signal.Signals] = SIGNALS
) -> dict[str, Any]:
    """Trains, or goes on training, in a directory, and returns the run's summary.

    Args:
      config: a `Config` (see `a3crepro.compose`), a mapping of plain values, or what Hydra composed.
      directory: of the run. Default: inside a Hydra job its output directory, else one below `runs` made of the
        configuration.
      stop_on: signals on which the run stops, after saving.

    Returns:
      What `summary.json` holds. A finished run is not trained again.

    Raises:
      UserError: a mistake in the configuration, or a directory that holds another one.
      RunError: the directory is in use, or no checkpoint in it is whole.
      Stopped: Ctrl-C or SIGTERM, after saving.
      ProcessDied: a process of the run raised an exception or was killed; the state was saved.
      OSError: the disk is full; the last checkpoint is whole.
    """
    config = config if isinstance(config, Config) else build(config)
    path = Path(directory) if directory is not None else default_directory(config)
    with RunDirectory(path.absolute(), config) as run:
        summary = run.summary()
        if summary is not None:
            print(f"{run.path} is finished: {told(summary)}", flush=True)
            return summary
        return Training(config, run).run(stop_on)


def default_directory(config: Config) -> Path:
    """Hydra's output directory inside one of its jobs; else `runs/…`, from everything but `frames`."""
    from hydra.core.hydra_config import HydraConfig

    if HydraConfig.initialized():
        return Path(HydraConfig.get().runtime.output_dir)
    plain = {key: value for key, value in config.plain().items() if key not in ("frames", "seed")}
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:8]
    return Path("runs") / config.env.title / f"{config.algo.name}-{digest}" / f"seed={config.seed}"


def load_policy(directory: str | Path) -> NetworkPolicy:
    """The policy of a finished or interrupted run, as its evaluations score it.

    Raises:
      UserError: the directory is no run's, or the run has no checkpoint yet.
      RunError: no checkpoint in it is whole.
    """
    directory = Path(directory)
    config = stored_config(directory)
    return NetworkPolicy(config, learnt(last_checkpoint(directory, print).arrays))


def initial_state(config: Config) -> SharedState:
    """What actor-learners share, before the first step."""
    space, actions = config.env.spaces()
    module = seeded(config.network, space, config.algo.heads(actions), config.seed)
    initial = torch.empty(parameter_count(module))
    flatten(module, initial)
    one_row = config.optimizer.shares_statistics or config.execution.makes_one_update
    return SharedState(
        initial,
        target=config.algo.target_interval is not None,
        statistics_rows=1 if one_row else config.threads,
        threads=config.threads,
        sums=width(math.prod(space.shape)) if config.env.normalises else 0,
    )


def say_if_slow(config: Config) -> None:
    """One line where the network goes by autograd though the fast path is asked for."""
    space, actions = config.env.spaces()
    module = seeded(config.network, space, config.algo.heads(actions), config.seed)
    if config.network.implementation == "fast" and not is_known(module, space):
        what = f"network {config.network.title}, for {space.dtype} observations of shape {space.shape}"
        print(f"{what}: by autograd, which is slower; the fast path has none for it", flush=True)


def told(summary: dict[str, Any]) -> str:
    """A summary in a few words."""
    score = "not evaluated" if summary["score_mean"] is None else f"mean score {summary['score_mean']:.2f}"
    return f"{summary['frames']:,} frames, {score}"


class Training:
    """A run that goes on from its directory's checkpoint to its budget."""

    def __init__(self, config: Config, run: RunDirectory) -> None:
        self.config, self.run_directory = config, run
        self.shared = initial_state(config)
        self.origin, self.waiting = Origin(), dict[int, Waiting]()
        checkpoint = run.restore(print)
        if checkpoint:
            self._restore(checkpoint)
        self.seconds, self.real_seconds = self.origin.seconds, self.origin.real_seconds
        self.evaluator = Evaluator(config)
        for frames, what in self.waiting.items():
            self.evaluator.submit(frames, Learnt(what.parameters, what.sums))
        self._saved = time.monotonic()

    def _restore(self, checkpoint: Checkpoint) -> None:
        try:
            self.shared.restore(checkpoint.arrays)
        except (KeyError, ValueError) as error:
            raise RunError(f"the checkpoint in {self.run_directory.path} is of another kind of run: {error}") from error
        numbers = checkpoint.numbers
        self.origin = Origin(numbers.start + 1, numbers.seconds, numbers.real_seconds, checkpoint.tree)
        self.waiting = dict(checkpoint.waiting)
        if checkpoint.tree is None:  # a run that failed: what was on its way then is lost
            last = max([self.run_directory.evaluations.last_frames(), *self.waiting])
            self.shared.marks[SNAPSHOT] = last // (self.config.evaluation.every or 1)

    def run(self, stop_on: Sequence[signal.Signals] = SIGNALS) -> dict[str, Any]:
        """Trains, evaluates, writes the summary."""
        if self.config.execution.is_exact(self.config) and not self.run_directory.is_exact:
            title = self.config.env.title
            print(f"{title} cannot save its state: a run that is stopped goes on with new games, and not to the bit")
        say_if_slow(self.config)
        preload(self.config.env.modules())
        compile_all()  # here, where Ctrl-C still ends the process at once
        wait_for_server()
        with (
            Progress(self.config, self.shared, self.run_directory.path) as self.progress,
            stop_signals(stop_on) as self.stop,
        ):
            try:
                self._train()
                self._stop_if_asked()
                scores = self._evaluate_finally()
                self._stop_if_asked()
            except BaseException as error:
                self._save_after(error)
                raise
            finally:
                self.evaluator.end()
            summary = self._summary(scores)
            self.run_directory.finish(summary, self.shared.staleness.numpy().sum(0))
        self.progress.say(f"{self.run_directory.path} is finished: {told(summary)}")
        return summary

    def _train(self) -> None:
        if self.shared.frames() >= self.config.frames:
            return
        events = self.config.execution.run(self.config, self.shared, self.origin)
        with contextlib.closing(events):  # whatever happens here, no process goes on
            for event in events:
                self.seconds, self.real_seconds = event.seconds, event.real_seconds
                if event.report is not None:
                    self._record(event.report)
                    continue
                self._record_evaluations()
                self.progress.update()
                if time.monotonic() - self._saved > self.config.checkpoint.every_seconds:
                    self.shared.request_states()
                    self._saved = time.monotonic()
                if self.stop:
                    self.shared.request_stop()

    def _record(self, report: Episode | Snapshot | States) -> None:
        if isinstance(report, Episode):
            self.run_directory.episodes.append(
                {
                    "frames": report.frames,
                    "seconds": round(self.seconds, 3),
                    "thread": report.thread,
                    "score": report.score,
                    "episode_frames": report.episode_frames,
                    "real_seconds": round(self.real_seconds, 3),
                }
            )
            self.progress.game(report.frames, report.score)
        elif isinstance(report, Snapshot):
            self._evaluate(report.frames, report.learnt)
        else:
            self._save(report)

    def _evaluate(self, frames: int, learnt: Learnt) -> None:
        self.waiting[frames] = Waiting(*learnt, self.seconds, self.real_seconds)
        self.evaluator.submit(frames, learnt)

    def _record_evaluations(self) -> None:
        for scores in self.evaluator.poll():
            waiting = self.waiting[scores.frames]
            times = {"seconds": round(waiting.seconds, 3), "real_seconds": round(waiting.real_seconds, 3)}
            self.run_directory.evaluations.append({"frames": scores.frames, **scores.summary(), **times})
            del self.waiting[scores.frames]
            self.progress.evaluated(scores)

    def _evaluate_finally(self) -> dict[str, Any]:
        """Waits for the evaluations that are left, plays the final one, and returns its scores."""
        nothing = {"score_mean": None, "score_median": None, "episodes": 0}
        if not self.config.evaluation.episodes:
            return nothing
        self._evaluate(self.shared.frames(), self.shared.learnt())
        while self.evaluator.busy and not self.stop:
            self._record_evaluations()
            self.progress.update()
            wait_for_messages([self.evaluator.child] if self.evaluator.child else [], timeout=0.2)
        if self.progress.evaluation is None:
            return nothing
        summary = self.progress.evaluation.summary()
        return {key: summary[key] for key in nothing}

    def _summary(self, scores: dict[str, Any]) -> dict[str, Any]:
        frames = self.shared.frames()
        return {
            "frames": frames,
            "updates": self.shared.updates(),
            "seconds": round(self.seconds, 3),
            "frames_per_second": round(frames / self.seconds, 1) if self.seconds else None,
            **scores,
        }

    def _stop_if_asked(self) -> None:
        if self.stop:
            raise Stopped(
                f"stopped by {self.stop[0].name} at {self.shared.frames():,} frames; the same command goes on"
            )

    def _save(self, states: States) -> None:
        rows = self.run_directory.episodes.rows, self.run_directory.evaluations.rows
        numbers = Numbers(self.seconds, self.real_seconds, self.origin.start, *rows)
        self.run_directory.save(Checkpoint(states.arrays, states.tree, self.waiting, numbers))

    def _save_after(self, error: BaseException) -> None:
        """Saves θ when a run fails that is not repeatable anyway; where the disk is full, the last checkpoint stays."""
        if isinstance(error, Stopped) or self.config.execution.is_exact(self.config):
            return
        with contextlib.suppress(OSError):
            self._save(States(self.shared.arrays(), None))


@contextlib.contextmanager
def stop_signals(numbers: Sequence[signal.Signals]) -> Iterator[list[signal.Signals]]:
    """A list that these signals add themselves to, instead of ending the process at once."""
    received: list[signal.Signals] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return

    def remember(number: int, _: FrameType | None) -> None:
        received.append(signal.Signals(number))

    before = {number: signal.signal(number, remember) for number in numbers}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
