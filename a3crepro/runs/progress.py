"""What a run shows: a bar and one live table on a terminal, plain lines elsewhere, and TensorBoard's files."""

from __future__ import annotations

import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

from a3crepro.common.processes import Launcher
from a3crepro.config import Config, multirun_job
from a3crepro.learner.shared_state import FRAMES, SharedState
from a3crepro.runs.evaluation import EvaluationResult
from a3crepro.runs.run_directory import trying

RECENT = 100
"""Games that the mean of recent scores is taken over."""
LOOK = 0.5
"""Seconds between two looks at the frames."""
WINDOW = 60
"""Looks that the speed is measured over: half a minute."""


class Progress:
    """The screen and TensorBoard of one run.

    Args:
      config: the run's configuration.
      shared: where frames, updates and monitors are read.
      directory: of the run; TensorBoard's files go to `tensorboard` in it.
    """

    def __init__(self, config: Config, shared: SharedState, directory: Path) -> None:
        self.config, self.shared, self.directory = config, shared, directory
        self.console = Console(stderr=False, highlight=False)
        self.run = run_of_multirun()
        self.recent: deque[float] = deque(maxlen=RECENT)
        self.games = 0
        self.evaluation: EvaluationResult | None = None
        self._began = self._looked = self._shown = time.monotonic()
        self._first_frames = shared.frames()
        self._speed: deque[tuple[float, int]] = deque(maxlen=WINDOW)
        self._refused = shared.refused()
        alone = self.console.is_terminal and Launcher.watched is None  # two tables do not go on one screen
        self._live = Live(console=self.console, auto_refresh=False, transient=False) if alone else None
        self._tensorboard = self._open_tensorboard() if config.logging.tensorboard else None

    def _open_tensorboard(self) -> Any:
        from torch.utils.tensorboard import SummaryWriter

        directory = self.directory / "tensorboard"
        if any(
            "\ud800" <= character <= "\udfff" for character in str(directory)
        ):  # bytes that the locale does not know
            self.say("TensorBoard's files are not written: it takes paths in UTF-8 alone")
            return None
        with trying("write", directory):
            return SummaryWriter(str(directory), purge_step=self.shared.frames(), flush_secs=10)

    def _plot(self, name: str, value: float, frames: int) -> None:
        if self._tensorboard:
            with trying("write", self.directory / "tensorboard"):
                self._tensorboard.add_scalar(name, value, frames)

    def __enter__(self) -> Progress:
        begun = self.shared.frames()
        frames = f"{f'going on at {begun:,} of ' if begun else ''}{self.config.frames:,} frames"
        self.say(f"training in {self.directory}: {frames}, actor-learners: {self.config.threads}")
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._report_refused()
        self._show()
        if self._live:
            self._live.stop()
        if self._tensorboard:
            with trying("write", self.directory / "tensorboard"):
                self._tensorboard.close()

    def say(self, text: str) -> None:
        """One line that stays."""
        self.console.print(text, soft_wrap=True, markup=False)
        sys.stdout.flush()

    def game(self, frames: int, score: float) -> None:
        """A game of an actor-learner ended."""
        self.recent.append(score)
        self.games += 1
        self._plot("training/score", score, frames)

    def evaluated(self, scores: EvaluationResult) -> None:
        """An evaluation is done."""
        self.evaluation = scores
        summary = scores.summary()
        self._plot("evaluation/score_mean", summary["score_mean"], scores.frames)
        if not self._live:
            self._say_of_run(
                f"evaluation at {scores.frames:,} frames: mean score {summary['score_mean']:.2f}, "
                f"median {summary['score_median']:.2f}, {summary['episodes']} games"
            )

    def update(self) -> None:
        """Looks at the frames twice a second; draws the table anew each time, or prints a line now and then."""
        now = time.monotonic()
        if now - self._looked < LOOK:
            return
        self._looked = now
        frames = self.shared.frames()
        if self._first_frames < frames < self.config.frames:  # neither the start nor the final evaluation is training
            self._speed.append((now, frames))
        if self._live or now - self._shown >= self.config.logging.every_seconds:
            self._show()
            self._write(frames)
            self._report_refused()

    def _show(self) -> None:
        self._shown = time.monotonic()
        rows = self._rows()
        if self._live:
            bar = ProgressBar(self.config.frames, self.shared.frames(), width=50)
            self._live.update(_table(rows, bar), refresh=True)
        else:
            self._say_of_run("  ".join(f"{name} {value}" for name, value in rows))

    def _write(self, frames: int) -> None:
        """TensorBoard's points, from when there is something to tell."""
        speed, monitor = self.frames_per_second, self._monitor()
        if speed is not None and monitor is not None:
            self._plot("training/frames_per_second", speed, frames)
            self._plot(f"training/{self.config.algo.metric_name}", monitor, frames)
            self._plot("training/learning_rate", self._learning_rate(frames), frames)

    @property
    def frames_per_second(self) -> float | None:
        """Over the last half minute of training; None before anything has been measured."""
        if len(self._speed) < 2:
            return None
        (begin, first), (end, last) = self._speed[0], self._speed[-1]
        return (last - first) / (end - begin)

    def _monitor(self) -> float | None:
        """The mean over the actor-learners that have acted."""
        acted = self.shared.counters[:, FRAMES] > 0
        return float(self.shared.monitors[acted].mean()) if acted.any() else None

    def _learning_rate(self, frames: int) -> float:
        return self.config.optimizer.learning_rate(frames, self.config.frames)

    def _rows(self) -> list[tuple[str, str]]:
        frames, speed, monitor = self.shared.frames(), self.frames_per_second, self._monitor()
        share = frames / self.config.frames if self.config.frames else 1.0
        mean = sum(self.recent) / len(self.recent) if self.recent else None
        rows = [
            ("frames", f"{frames:,} ({share:.1%})"),
            ("frames/s", "-" if speed is None else f"{speed:,.0f}"),
            ("elapsed", _duration(time.monotonic() - self._began)),
            ("left", self._left(frames, speed)),
            (
                "score",
                "-" if mean is None else f"{mean:.2f} (mean of the last {len(self.recent)} of {self.games} games)",
            ),
            ("learning rate", f"{self._learning_rate(frames):.2e}"),
            (self.config.algo.metric_name, "-" if monitor is None else f"{monitor:.3f}"),
        ]
        if self.evaluation:
            rows.append(
                ("evaluation", f"{self.evaluation.summary()['score_mean']:.2f} at {self.evaluation.frames:,} frames")
            )
        return [("run", self.run), *rows] if self._live and self.run else rows

    def _left(self, frames: int, speed: float | None) -> str:
        """At the speed of the last half minute, so that the time until the first step is no part of it."""
        if frames < self.config.frames:
            return _duration((self.config.frames - frames) / speed) if speed else "-"
        waits = self.config.evaluation.episodes and (self.evaluation is None or self.evaluation.frames < frames)
        return "final evaluation" if waits else _duration(0)

    def _say_of_run(self, text: str) -> None:
        """One line that says whose it is, where several runs have one screen."""
        self.say(f"{self.run}: {text}" if self.run else text)

    def _report_refused(self) -> None:
        refused = self.shared.refused()
        if refused > self._refused:
            self._say_of_run(f"{refused - self._refused} gradients were not finite and were not applied")
            self._refused = refused


def run_of_multirun() -> str | None:
    """The name of this run among those of Hydra's multirun; None where there is none."""
    job = multirun_job()
    return None if job is None else str(job.sweep.subdir)


def _table(rows: list[tuple[str, str]], bar: ProgressBar) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_row("", bar)
    for name, value in rows:
        table.add_row(f"[bold]{name}[/bold]", escape(value))
    return table


def _duration(seconds: float) -> str:
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"
