"""Training of one run: drives the execution, and records, evaluates and saves what it reports."""

import contextlib
import math
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from a3crepro.common.errors import RunError, UserError
from a3crepro.common.kernels import compile_all
from a3crepro.common.output import pipe_safe_output
from a3crepro.common.processes import check_script, preload, wait_for_messages, wait_for_server
from a3crepro.common.signals import SIGNALS, handling
from a3crepro.config import Config, build, hydra_job, run_name, with_job
from a3crepro.execution._execution import Execution, ResumePoint, States
from a3crepro.learner.actor_learner import share_above_epsilon
from a3crepro.learner.normalisation import width
from a3crepro.learner.reports import Episode, Report, Snapshot
from a3crepro.learner.shared_state import COPY, SNAPSHOT, PolicySnapshot, SharedState, Totals
from a3crepro.models.fast.model import why_not_fast
from a3crepro.models.fast.spec import spec_of
from a3crepro.networks._network import flatten, parameter_count, row_sizes
from a3crepro.runs.checkpoint import BestEvaluation, Checkpoint, Counters, PendingEvaluation
from a3crepro.runs.evaluation import EvaluationResult, Evaluator
from a3crepro.runs.metrics import Measurement, metrics_row
from a3crepro.runs.progress import Progress
from a3crepro.runs.resources import check_resources
from a3crepro.runs.run_directory import RunDirectory
from a3crepro.runs.trackers import check_trackers

MAX_PENDING, MAX_PENDING_BYTES = 32, 256 * 2**20
"""Training waits while more evaluations are pending, or their parameters are larger."""


class Stopped(KeyboardInterrupt):
    """The run was stopped by Ctrl-C, SIGTERM or SIGHUP, after saving; the same command resumes it (status 130).

    A `KeyboardInterrupt`, so that the other runs of a multirun do not start.
    """


def train(
    config: Any, directory: str | Path | None = None, *, stop_on: Sequence[signal.Signals] = SIGNALS
) -> dict[str, Any]:
    """Trains, or resumes training, in a directory, and returns the run's summary.

    Args:
      config: a `Config` (see `a3crepro.compose`), a mapping, or what Hydra composed.
      directory: of the run. Default: the output directory of the Hydra job, else `runs/` and the run's name.
      stop_on: signals that stop the run after saving.

    Returns:
      The content of `summary.json`. A finished run is not trained again.

    Raises:
      UserError: a mistake in the configuration, or a directory that holds another one.
      ScriptError: a script that the processes of a run cannot import.
      RunError: the directory is in use or damaged, or the machine lacks shared memory or open files.
      Stopped: Ctrl-C, SIGTERM or SIGHUP, after saving.
      ProcessDied: a process of the run raised an exception or was killed. An exact run resumes from its last
        checkpoint; any other saves θ and its counters first.
      OSError: e.g. a full disk; the message names the file, and the last checkpoint is whole.
    """
    check_script()
    config = with_job(config if isinstance(config, Config) else build(config))
    if directory is None:
        job = hydra_job()
        directory = Path("runs") / run_name(config) if job is None else job.runtime.output_dir
    shared = initial_state(config)
    check_resources(config, shared)
    check_trackers(config)
    with pipe_safe_output(), RunDirectory(Path(directory).absolute(), config) as run:
        if run.summary is not None:
            print(f"{run.path} is finished: {summary_line(run.summary)}", flush=True)
            return run.summary
        return Training(config, run, shared).run(stop_on)


def initial_state(config: Config) -> SharedState:
    """The state that actor-learners share, before the first step; a `UserError` if it does not fit into memory."""
    try:
        module = config.seeded_network()
        initial = torch.empty(parameter_count(module))
    except (RuntimeError, MemoryError) as error:
        raise UserError(f"network: does not fit into memory: {str(error).splitlines()[0]}") from error
    flatten(module, initial)
    one_row = config.optimizer.shares_statistics or config.execution.makes_one_update
    return SharedState(
        initial,
        row_sizes(module),
        target=config.algo.target_interval is not None,
        statistics=(1 if one_row else config.threads, len(config.optimizer.statistics)),
        threads=config.threads,
        sums=width(math.prod(config.env.spaces()[0].shape)) if config.env.normalises else 0,
    )


def say_if_slow(config: Config) -> None:
    """Prints a line if the network is run by autograd although the fast path is configured."""
    if config.network.implementation != "fast":
        return
    space, _ = config.env.spaces()
    why = why_not_fast(spec_of(config.seeded_network(), space), config.max_update_steps)
    if why:
        what = f"network {config.network.title}, for {space.dtype} observations of shape {space.shape}"
        print(f"{what}: runs with autograd, which is slower; {why}", flush=True)


def summary_line(summary: Mapping[str, Any]) -> str:
    """Frames and mean score."""
    score = "not evaluated" if summary["score_mean"] is None else f"mean score {summary['score_mean']:.2f}"
    return f"{summary['frames']:,} frames, {score}"


class Training:
    """Trains a run from its directory's checkpoint to its budget."""

    def __init__(self, config: Config, run: RunDirectory, shared: SharedState) -> None:
        self.config, self.run_directory, self.shared = config, run, shared
        self.resume_point, self.pending = ResumePoint(), dict[int, PendingEvaluation]()
        self.measured = Measurement(0.0, shared.totals())
        self.best: BestEvaluation | None = None
        checkpoint = run.restore()
        if checkpoint:
            self._restore(checkpoint)
        self.seconds, self.real_seconds = self.resume_point.seconds, self.resume_point.real_seconds
        self.evaluator = Evaluator(config)
        self._saved, self._states_requested, self._said_to_wait = time.monotonic(), False, False

    def _restore(self, checkpoint: Checkpoint) -> None:
        try:
            self.shared.restore(checkpoint.arrays)
        except (KeyError, ValueError) as error:
            raise RunError(
                f"the checkpoint in {self.run_directory.path} does not match this configuration: {error}"
            ) from error
        counters = checkpoint.counters
        self.resume_point = ResumePoint(counters.attempt + 1, counters.seconds, counters.real_seconds, checkpoint.tree)
        self.pending = dict(checkpoint.pending)
        self.measured = checkpoint.measured or Measurement(counters.seconds, self.shared.totals())
        self.best = checkpoint.best
        self._restore_triggers(checkpoint)

    def _restore_triggers(self, checkpoint: Checkpoint) -> None:
        """Makes up for evaluations and copies that were lost, or that a smaller budget has left out."""
        config, shared, run = self.config, self.shared, self.run_directory
        evaluates = config.evaluation.episodes and shared.frames() < config.frames  # else the final one stands for it
        last = {
            SNAPSHOT: (config.evaluation.every, max([run.evaluations.last_frames(), *self.pending])),
            COPY: (config.checkpoint.copies_every, run.last_copy()),
        }
        for trigger, (every, frames) in last.items():
            if not every:
                continue
            crossed, handled = shared.frames() // every, int(shared.last_triggers[trigger])
            if not config.is_exact or checkpoint.tree is None:  # reports in transit are lost
                handled = frames // every
            elif trigger == SNAPSHOT and evaluates and handled == crossed > frames // every:
                times = self.resume_point.seconds, self.resume_point.real_seconds
                share = share_above_epsilon(config, shared)
                self.pending[crossed * every] = PendingEvaluation(*shared.policy_snapshot(), *times, share)
            shared.last_triggers[trigger] = min(handled, crossed)  # fewer if the interval has grown

    def run(self, stop_on: Sequence[signal.Signals] = SIGNALS) -> dict[str, Any]:
        """Trains, evaluates, and writes the summary."""
        if self.config.is_exact and not self.run_directory.is_exact:
            title = self.config.env.title
            print(f"{title} cannot save its state: a stopped run resumes with new episodes, so not bit-identically")
        say_if_slow(self.config)
        preload(self.config.modules_to_preload)
        compile_all()  # here, Ctrl-C still ends the process at once
        wait_for_server()
        with (
            Progress(self.config, self.shared, self.run_directory.path) as self.progress,
            stop_signals(stop_on) as self.stop,
        ):
            try:
                self._train()
                self._stop_if_requested()
                self._record_metrics(self.shared.totals())
                final = self._evaluate_finally()
                self._stop_if_requested()
            except BaseException as error:
                if not isinstance(error, Stopped) and not self.config.is_exact:  # which resumes from its checkpoint
                    with contextlib.suppress(OSError):
                        self._save(States(self.shared.arrays(), None))
                raise
            finally:
                self.evaluator.end()
            summary = self._summary(final)
            self.run_directory.finish(summary, self.shared.staleness.numpy().sum(0))
        self.progress.say(f"{self.run_directory.path} is finished: {summary_line(summary)}")
        return summary

    def _train(self) -> None:
        if self.shared.frames() >= self.config.frames:
            return
        self._hold()
        execution = self.config.execution
        assert isinstance(execution, Execution)
        events = execution.run(self.config, self.shared, self.resume_point)
        with contextlib.closing(events):  # always terminates the child processes
            for event in events:
                self.seconds, self.real_seconds = event.seconds, event.real_seconds
                if event.report is not None:
                    self._record(event.report)
                    continue
                self._record_evaluations()
                self.progress.update()
                self._request_states()
                if self.stop:
                    self.shared.request_stop()

    def _request_states(self) -> None:
        """Requests the states for a checkpoint every `checkpoint.every_seconds`."""
        now = time.monotonic()
        if self._states_requested and self.shared.holding:
            self._saved = now  # while reports are held back, missing states do not mean that a process hangs
        if now - self._saved > self.config.checkpoint.every_seconds:
            self.shared.request_states()
            self._saved, self._states_requested = now, True

    def _record(self, report: Report | States) -> None:
        if isinstance(report, Episode):
            self.run_directory.episodes.append({**vars(report), **_times(self.seconds, self.real_seconds)})
            self.progress.add_episode(report.frames, report.score)
        elif isinstance(report, Snapshot):
            self._evaluate(report.frames, report.snapshot, report.share_above_epsilon)
            self._hold()
        elif isinstance(report, Totals):
            self._record_metrics(report)
        elif isinstance(report, States):
            self._save(report)
            self._states_requested = False
        else:
            self.run_directory.keep_copy(report.frames, report.snapshot, report.statistics)

    def _record_metrics(self, totals: Totals) -> None:
        """Adds a row since the last one, unless no frames have been taken since."""
        now = Measurement(self.seconds, totals)
        if (totals.frames > self.measured.totals.frames).any():
            row = {**metrics_row(self.config, self.measured, now), **_times(self.seconds, self.real_seconds)}
            self.run_directory.metrics.append(row)
            self.progress.add_metrics(row)
            self.measured = now

    def _evaluate(self, frames: int, snapshot: PolicySnapshot, share: float | None) -> None:
        self.pending[frames] = PendingEvaluation(*snapshot, self.seconds, self.real_seconds, share)

    def _hold(self) -> None:
        """Leaves reports unread, so that actor-learners wait, while too many evaluations are pending."""
        limit = max(1, min(MAX_PENDING, MAX_PENDING_BYTES // self.shared.parameters.nbytes))
        self.shared.holding = len(self.pending) >= limit
        if self.shared.holding and not self._said_to_wait:
            self._said_to_wait = True
            key = f"evaluation.every={self.config.evaluation.every}"
            self.progress.say(f"{key}: training pauses while {limit} evaluations are pending, because they are slower")

    def _record_evaluations(self) -> None:
        for result in self.evaluator.poll(self.pending):
            pending = self.pending[result.frames]
            times = _times(pending.seconds, pending.real_seconds)
            self.run_directory.evaluations.append({"frames": result.frames, **result.summary(), **times})
            self.run_directory.diagnostics.append(
                {
                    "frames": result.frames,
                    "entropy": result.entropy,
                    "action_frequencies": " ".join(f"{share:.4f}" for share in result.action_frequencies),
                    "share_above_epsilon": pending.share_above_epsilon,
                }
            )
            score = float(np.mean(result.scores))
            if self.best is None or score > self.best.score:
                self.best = BestEvaluation(result.frames, score, pending.parameters, pending.sums)
            del self.pending[result.frames]
            self.progress.add_evaluation(result)
            self._hold()

    def _evaluate_finally(self) -> EvaluationResult | None:
        """Waits for the pending evaluations and the final one, and returns the last result."""
        if not self.config.evaluation.episodes:
            return None
        self._evaluate(
            self.shared.frames(), self.shared.policy_snapshot(), share_above_epsilon(self.config, self.shared)
        )
        while self.pending and not self.stop:
            self._record_evaluations()
            self.progress.update()
            wait_for_messages([self.evaluator.child] if self.evaluator.child else [], timeout=0.2)
        return self.progress.evaluation

    def _summary(self, final: EvaluationResult | None) -> dict[str, Any]:
        frames, scores = self.shared.frames(), final.summary() if final else {}
        return {
            "frames": frames,
            "updates": self.shared.updates(),
            "seconds": round(self.seconds, 3),
            "frames_per_second": round(frames / self.seconds, 1) if self.seconds else None,
            "score_mean": scores.get("score_mean"),
            "score_median": scores.get("score_median"),
            "episodes": scores.get("episodes", 0),
        }

    def _stop_if_requested(self) -> None:
        if self.stop:
            raise Stopped(
                f"stopped by {self.stop[0].name} at {self.shared.frames():,} frames; run the same command to resume"
            )

    def _save(self, states: States) -> None:
        run = self.run_directory
        rows = run.episodes.rows, run.evaluations.rows, run.metrics.rows
        counters = Counters(self.seconds, self.real_seconds, self.resume_point.attempt, *rows)
        run.save(Checkpoint(states.arrays, states.tree, self.pending, counters, self.measured, self.best))


def _times(seconds: float, real_seconds: float) -> dict[str, float]:
    return {"seconds": round(seconds, 3), "real_seconds": round(real_seconds, 3)}


@contextlib.contextmanager
def stop_signals(numbers: Sequence[signal.Signals]) -> Iterator[list[signal.Signals]]:
    """Collects these signals in a list instead of letting them end the process."""
    received: list[signal.Signals] = []
    numbers = numbers if threading.current_thread() is threading.main_thread() else ()
    with handling(lambda number, _: received.append(signal.Signals(number)), numbers):
        yield received
