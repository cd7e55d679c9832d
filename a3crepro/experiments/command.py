"""The command line of a sweep: reports what is done, what is missing and what it costs, then runs it.

  python sweeps/NAME.py [scale=smoke|laptop|paper] [--dry-run|--status] [--collected] [hydra/launcher=…] [overrides]

Without a scale, a launcher or an override, nothing starts: the sweep prints the number of runs, their cost and the
command that starts them. The default scale is `laptop`.

Launchers: `local` runs as many at once as the cores allow, `slurm` uses a cluster's queue; the default is one by one.

`--dry-run` prints the commands of the runs and stops. `--status` prints progress, whether or not the sweep is running,
and lists failed runs. The same command again runs what is missing or failed. Two sweeps at once share the work. With
`--collected`, runs in the sweep's tables in `results/` count as done, so you can continue on another machine.
"""

import contextlib
import shlex
import signal
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from types import FrameType
from typing import NoReturn

from a3crepro.common.errors import UserError
from a3crepro.common.machine import usable_cores
from a3crepro.common.signals import handling
from a3crepro.config import Config, check_launcher, compose
from a3crepro.experiments.experiment import Experiment, Run
from a3crepro.experiments.imported_runs import ImportedRuns
from a3crepro.experiments.launch import LOG, launch
from a3crepro.experiments.measurements import committed_cost
from a3crepro.experiments.results import RESULTS
from a3crepro.experiments.state import ERROR, Overview, RunState, final_score_of, frames_of, real_seconds_of, states_of
from a3crepro.runs.arguments import one_of, own_arguments
from a3crepro.runs.command_line import run_command
from a3crepro.runs.training import Stopped

FLAGS = ("--dry-run", "--status", "--collected")
EVERY = 10.0
"""Seconds between progress checks."""
ARRAY = 1000
"""Maximum jobs per array; SLURM's default limit is 1,001."""


def main(experiment: Experiment) -> None:
    """Runs an experiment as the command line specifies."""
    run_command(lambda: Command(experiment, sys.argv[1:]).run())


class Command:
    """One invocation of a sweep.

    Raises:
      UserError: an invalid argument; the message names the key.
    """

    def __init__(self, experiment: Experiment, arguments: Sequence[str]) -> None:
        flags = [argument for argument in arguments if argument.startswith("-")]
        if set(flags) & {"-h", "--help"}:
            print(f"{experiment.figure}.\n\n{__doc__}")
            raise SystemExit(0)
        if unknown := set(flags) - set(FLAGS):
            raise UserError(f"{min(unknown)}: unknown; allowed: {', '.join(FLAGS)}")
        words = [argument for argument in arguments if argument not in flags]
        own, overrides = own_arguments(words, {"scale": one_of(experiment.scales, "laptop")})
        self.experiment, self.flags, self.scale_name = experiment, flags, own.scale
        self.title = f"{experiment.name} ({self.scale_name})"
        self.asked = len(arguments) > len(flags)
        self.scale = experiment.scales[self.scale_name]
        self.hydra = [word for word in overrides if word.lstrip("+~").startswith("hydra")]
        self.overrides = [word for word in overrides if word not in self.hydra]
        check_launcher(self.hydra)
        self.root = experiment.root(self.scale_name, self.overrides)
        self.tables = RESULTS / (experiment.tables or experiment.name) / self.root.name
        self.configs: dict[tuple[str, ...], Config] = {}
        self.imported = self._import_runs() if "--collected" in flags else ImportedRuns()

    # ---- State -------------------------------------------------------------------------------------------------------

    def runs(self) -> list[Run]:
        """All runs known so far."""
        return list(dict.fromkeys(self.scale.runs(self.score)))

    def score(self, run: Run) -> float | None:
        """The final score of a run; None before it is finished."""
        collected = run.name in self.imported
        return self.imported.score(run.name) if collected else final_score_of(self.root / run.name)

    def _import_runs(self) -> ImportedRuns:
        """The runs in the sweep's tables, after checking that their overrides match the sweep."""
        found = ImportedRuns.of(self.tables)
        known = self.scale.runs(lambda run: found.score(run.name))
        found = found.without(
            run.name for run in known if run.name in found and found.frames(run.name) < (run.budget or 0)
        )
        for run in dict.fromkeys(self.scale.runs(lambda run: found.score(run.name))):
            if run.name in found:
                found.check(run.name, self.words(run))
        return found

    def runs_to_follow(self) -> int:
        """Maximum number of runs still to come that depend on others' results."""
        runs = self.runs()
        if len(dict.fromkeys(self.scale.runs(lambda run: self.score(run) or 0.0))) == len(runs):
            return 0  # whatever the runs under way will score
        known = dict.fromkeys(self.scale.runs(lambda run: None))
        return self.scale.later - (len(runs) - len(known))

    @property
    def queues(self) -> bool:
        """Whether jobs wait in a queue that outlives this process."""
        return "hydra/launcher=slurm" in self.hydra

    def words(self, run: Run) -> list[str]:
        """The overrides of a run."""
        return [*self.scale.common, *run.overrides, *self.overrides]

    def config(self, run: Run) -> Config:
        """The configuration of a run, except for learning rate and seed."""
        if run.kind not in self.configs:
            self.configs[run.kind] = compose(*self.scale.common, *run.kind, *self.overrides)
        return self.configs[run.kind]

    def overview(self, runs: Iterable[Run]) -> Overview:
        """The progress of these runs, and their cost: as that of runs of the same kind here, or else as measured."""
        states = states_of(runs, self.root, self.imported)
        budgets, frames = {run: self.config(run).frames for run in states}, dict.fromkeys(states, 0)
        spent: dict[tuple[str, ...], list[float]] = defaultdict(lambda: [0.0, 0.0])
        for run, state in states.items():
            if state is not RunState.MISSING:
                frames[run] = budgets[run] if state is RunState.DONE else frames_of(self.root / run.name)
                spent[run.kind][0] += self._core_seconds(run)
                spent[run.kind][1] += frames[run]
        used, left = sum(seconds for seconds, _ in spent.values()), 0.0
        for run in states:
            seconds, done = spent[run.kind]
            cost = seconds / done if done else committed_cost(self.config(run))
            if cost is None:
                return Overview(states, frames, budgets, used / 3600, None)
            left += cost * (budgets[run] - frames[run])
        return Overview(states, frames, budgets, used / 3600, left / 3600)

    def _core_seconds(self, run: Run) -> float:
        if run.name in self.imported:
            return self.imported.core_seconds(run.name)
        return real_seconds_of(self.root / run.name) * min(self.config(run).processes, usable_cores())

    # ---- Actions -----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Reports, runs what is missing, and reports again."""
        now = self.overview(self.runs())
        print(f"{self.title}, for {self.experiment.figure}: {now.summary_line()}", flush=True)
        if following := self.runs_to_follow():
            print(f"up to {following} more runs depend on the results of these", flush=True)
        if "--status" in self.flags:
            self._print_failures()
            return
        if "--dry-run" in self.flags:
            for run in now.states:
                if now.states[run] is not RunState.DONE:
                    words = [*self.words(run), f"hydra.run.dir='{self.root / run.name}'"]
                    print(shlex.join(["python", "-m", "a3crepro", *words]))
            return
        if not self.asked:
            self._print_usage()
            return
        tried: set[Run] = set()
        while todo := [run for run, state in now.states.items() if state is not RunState.DONE and run not in tried]:
            for group in self._groups(todo):
                self._launch(group, list(now.states))
            now = self.overview(self.runs())
            begun = {run for run in todo if now.states[run] is not RunState.MISSING}
            # If a launcher gave up, runs it had not started are launched again, unless they wait in a cluster's queue.
            tried |= set(todo) if self.queues else begun or set(todo)
        print(f"{self.title}: {now.summary_line()}", flush=True)
        if self._print_failures() or now.counts[RunState.DONE] < len(now.states):
            raise SystemExit(1)

    def _print_usage(self) -> None:
        words = shlex.join(["python", sys.argv[0], f"scale={self.scale_name}", *self.flags])
        print(f"nothing started; to start these runs, one by one: {words}")
        print(f"as many at once as the cores allow: {words} hydra/launcher=local; other scales and options: --help")

    def _groups(self, runs: Iterable[Run]) -> list[list[Run]]:
        """Runs grouped by execution and thread count, at most `ARRAY` per group."""
        groups = defaultdict(list)
        for run in runs:
            config = self.config(run)
            groups[config.execution.name, config.threads].append(run)
        return [group[i : i + ARRAY] for group in groups.values() for i in range(0, len(group), ARRAY)]

    def _launch(self, runs: Sequence[Run], known: Sequence[Run]) -> None:
        jobs = [[*self.words(run), f"hydra.sweep.subdir='{run.name}'"] for run in runs]
        config = self.config(runs[0])
        cores = [f"execution={config.execution.name}", f"threads={config.threads}"]  # used by launchers to share cores
        with printing_progress(self, known), interruptible():
            try:
                launch(jobs, [f"hydra.sweep.dir='{self.root}'", *cores, *self.hydra])
            except RuntimeError as error:  # joblib and submitit: a process or job died
                (first, *_) = str(error).strip().splitlines() or [type(error).__name__]
                rest = "; queued jobs continue, and the same command then runs what is missing" if self.queues else ""
                print(f"{self.title}: the launcher gave up: {first}{rest}", file=sys.stderr, flush=True)

    def _print_failures(self) -> bool:
        """Prints which runs failed or were stopped early, and why; returns whether there are any."""
        failed = False
        for run, state in states_of(self.runs(), self.root, self.imported).items():
            error, log = self.root / run.name / ERROR, self.root / run.name / LOG
            if state is RunState.FAILED:
                lines = error.read_text("utf-8").strip().splitlines() or ["no message"]
                print(f"failed: {run.name}: {lines[-1]} (see {error}, {log})", flush=True)
            elif state is RunState.STOPPED:
                print(f"stopped: {run.name}: by a signal, or its process died (see {log})", flush=True)
            failed |= state in (RunState.FAILED, RunState.STOPPED)
        return failed


@contextlib.contextmanager
def printing_progress(command: Command, runs: Sequence[Run]) -> Iterator[None]:
    """Prints progress periodically while runs are in progress.

    It covers only the runs known at launch: later ones have no configuration yet, and Hydra cannot compose one while it
    is launching.
    """
    out, over = sys.stdout, threading.Event()

    def watch() -> None:
        began, last = time.monotonic(), ""
        first = command.overview(runs)
        while not over.wait(EVERY):
            now = command.overview(runs)
            line = f"{command.title}: {now.summary_line()}{time_left(first, now, time.monotonic() - began)}"
            if out.isatty():
                print(f"\r{line:<{len(last)}}", end="", file=out, flush=True)
            elif line != last:
                print(line, file=out, flush=True)
            last = line

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        if out.isatty():
            print(file=out)


def time_left(first: Overview, now: Overview, seconds: float) -> str:
    """Estimated time left, in words, from the core-hours done between the two overviews, `seconds` apart."""
    done = now.core_hours_done - first.core_hours_done
    if done <= 0 or now.core_hours_left is None:
        return ""
    minutes = int(seconds * now.core_hours_left / done / 60)
    return f", about {minutes // 60} h {minutes % 60:02d} min left"


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Raises `Stopped`, a `KeyboardInterrupt`, on Ctrl-C, SIGTERM and SIGHUP, so that launchers end their processes."""

    def interrupt(number: int, _: FrameType | None) -> NoReturn:
        raise Stopped(f"stopped by {signal.Signals(number).name}; run the same command to resume")

    with handling(interrupt):
        yield
