"""One training run, from a configuration to a summary."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from a3crepro.common.kernels import compile_all
from a3crepro.common.output import lasting_output
from a3crepro.common.processes import check_script, preload, wait_for_messages, wait_for_server
from a3crepro.common.settings import UserError
from a3crepro.common.signals import SIGNALS, handle, handle_as_before
from a3crepro.config import Config, build, run_name
from a3crepro.execution._execution import Execution, Origin, States
from a3crepro.learner.actor_learner import share_above_epsilon
from a3crepro.learner.reports import Copy, Episode, Snapshot
from a3crepro.learner.scaling import width
from a3crepro.learner.shared_state import SNAPSHOT, Learnt, SharedState
from a3crepro.models.fast.model import is_known
from a3crepro.networks._network import flatten, parameter_count, seeded
from a3crepro.runs.evaluation import Evaluator, NetworkPolicy
from a3crepro.runs.needs import check_needs
from a3crepro.runs.progress import Progress
from a3crepro.runs.run_directory import Checkpoint, Numbers, RunDirectory, RunError, Waiting
from a3crepro.runs.stored_policy import stored_policy


class Stopped(KeyboardInterrupt):
    """The run was stopped by Ctrl-C, SIGTERM or SIGHUP, after saving; the same command goes on with it (status 130).

    A `KeyboardInterrupt`, so that the other runs of a multirun do not start.
    """


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
      ScriptError: a script that the processes of a run cannot import.
      RunError: the directory is in use, what it holds is damaged, or the machine lacks shared memory or open files.
      Stopped: Ctrl-C, SIGTERM or SIGHUP, after saving.
      ProcessDied: a process of the run raised an exception or was killed; the state was saved.
      OSError: the disk is full, say; the line tells the file, and the last checkpoint is whole.
    """
    check_script()
    config = config if isinstance(config, Config) else build(config)
    path = Path(directory) if directory is not None else default_directory(config)
    shared = initial_state(config)
    check_needs(config, shared)
    with lasting_output(), RunDirectory(path.absolute(), config) as run:
        if run.summary is not None:
            print(f"{run.path} is finished: {told(run.summary)}", flush=True)
            return run.summary
        return Training(config, run, shared).run(stop_on)


def default_directory(config: Config) -> Path:
    """Hydra's output directory inside one of its jobs; else the one that the command line would choose."""
    from hydra.core.hydra_config import HydraConfig

    if HydraConfig.initialized():
        return Path(HydraConfig.get().runtime.output_dir)
    return Path("runs") / run_name(config)


def load_policy(directory: str | Path) -> NetworkPolicy:
    """The policy of a finished or interrupted run, or of a trained agent, as evaluations score it.

    Raises:
      UserError: the directory is no run's and no agent's, or the run has no checkpoint yet.
      RunError: no checkpoint in it is whole.
    """
    stored = stored_policy(Path(directory))
    return NetworkPolicy(stored.config, stored.learnt)


def initial_state(config: Config) -> SharedState:
    """What actor-learners share, before the first step.

    Raises:
      UserError: its parameters do not fit into memory.
    """
    space, actions = config.env.spaces()
    try:
        module = seeded(config.network, space, config.algo.heads(actions), config.seed)
        initial = torch.empty(parameter_count(module))
    except (RuntimeError, MemoryError) as error:
        raise UserError(f"network: does not fit into memory: {str(error).splitlines()[0]}") from error
    flatten(module, initial)
    one_row = config.optimizer.shares_statistics or config.execution.makes_one_update
    return SharedState(
        initial,
        target=config.algo.target_interval is not None,
        statistics=(1 if one_row else config.threads, len(config.optimizer.statistics)),
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


WAITING, WAITING_BYTES = 32, 256 * 2**20
"""Evaluations that may wait, or so many as are not more bytes than that; training waits then."""


class Training:
    """A run that goes on from its directory's checkpoint to its budget."""

    def __init__(self, config: Config, run: RunDirectory, shared: SharedState) -> None:
        self.config, self.run_directory, self.shared = config, run, shared
        self.origin, self.waiting = Origin(), dict[int, Waiting]()
        checkpoint = run.restore()
        if checkpoint:
            self._restore(checkpoint)
        self.seconds, self.real_seconds = self.origin.seconds, self.origin.real_seconds
        self.evaluator = Evaluator(config)
        for frames, what in self.waiting.items():
            self.evaluator.submit(frames, Learnt(what.parameters, what.sums))
        self._saved, self._asked, self._said_to_wait = time.monotonic(), False, False

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
        if self.config.is_exact and not self.run_directory.is_exact:
            title = self.config.env.title
            print(f"{title} cannot save its state: a run that is stopped goes on with new games, and not to the bit")
        say_if_slow(self.config)
        preload(self.config.env.modules_to_preload())
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
        self._hold()
        execution = self.config.execution
        assert isinstance(execution, Execution)
        events = execution.run(self.config, self.shared, self.origin)
        with contextlib.closing(events):  # whatever happens here, no process goes on
            for event in events:
                self.seconds, self.real_seconds = event.seconds, event.real_seconds
                if event.report is not None:
                    self._record(event.report)
                    continue
                self._record_evaluations()
                self.progress.update()
                self._ask_for_states()
                if self.stop:
                    self.shared.request_stop()

    def _ask_for_states(self) -> None:
        """Now and then, for a checkpoint."""
        now = time.monotonic()
        if self._asked and self.shared.holding:
            self._saved = now  # the answers are on their way: who has not sent one does not hang
        if now - self._saved > self.config.checkpoint.every_seconds:
            self.shared.request_states()
            self._saved, self._asked = now, True

    def _record(self, report: Episode | Snapshot | Copy | States) -> None:
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
            self._evaluate(report.frames, report.learnt, report.share_above_epsilon)
            self._hold()
        elif isinstance(report, Copy):
            self.run_directory.keep(report.frames, report.learnt, report.statistics)
        else:
            self._save(report)
            self._asked = False

    def _evaluate(self, frames: int, learnt: Learnt, share: float | None) -> None:
        self.waiting[frames] = Waiting(*learnt, self.seconds, self.real_seconds, share)
        self.evaluator.submit(frames, learnt)

    def _hold(self) -> None:
        """Keeps reports unread, so that actor-learners wait, while too many evaluations do."""
        most = max(1, min(WAITING, WAITING_BYTES // self.shared.parameters.nbytes))
        self.shared.holding = len(self.waiting) >= most
        if self.shared.holding and not self._said_to_wait:
            self._said_to_wait = True
            every = self.config.evaluation.every
            self.progress.say(
                f"evaluation.every={every}: training waits, for evaluations take longer ({most} are left)"
            )

    def _record_evaluations(self) -> None:
        for scores in self.evaluator.poll():
            waiting = self.waiting[scores.frames]
            times = {"seconds": round(waiting.seconds, 3), "real_seconds": round(waiting.real_seconds, 3)}
            self.run_directory.evaluations.append({"frames": scores.frames, **scores.summary(), **times})
            self.run_directory.diagnostics.append(
                {
                    "frames": scores.frames,
                    "entropy": scores.entropy,
                    "action_frequencies": " ".join(f"{share:.4f}" for share in scores.action_frequencies),
                    "share_above_epsilon": waiting.share_above_epsilon,
                }
            )
            del self.waiting[scores.frames]
            self.progress.evaluated(scores)
            self._hold()

    def _evaluate_finally(self) -> dict[str, Any]:
        """Waits for the evaluations that are left, plays the final one, and returns its scores."""
        nothing = {"score_mean": None, "score_median": None, "episodes": 0}
        if not self.config.evaluation.episodes:
            return nothing
        self._evaluate(self.shared.frames(), self.shared.learnt(), share_above_epsilon(self.config, self.shared))
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
        if isinstance(error, Stopped) or self.config.is_exact:
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

    before = handle(remember, numbers)
    try:
        yield received
    finally:
        handle_as_before(before)
