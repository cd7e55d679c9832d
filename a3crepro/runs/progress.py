"""Progress of a run: a bar and a live table on a terminal, plain lines elsewhere, and trackers."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

from a3crepro.common.processes import Launcher
from a3crepro.config import Config, multirun_job
from a3crepro.learner.shared_state import FRAMES, SharedState
from a3crepro.mathematics.metrics import ENTROPY, POLICIES
from a3crepro.runs.evaluation import EvaluationResult
from a3crepro.runs.metrics import mean_epsilon
from a3crepro.runs.trackers import Trackers

RECENT_EPISODES = 100
"""Episodes over which the mean of recent scores is taken."""
INTERVAL = 0.5
"""Seconds between two readings of the frame count."""
WINDOW = 60
"""Readings over which the speed is measured: half a minute."""


class Progress:
    """The output of one run on the screen and in its trackers."""

    def __init__(self, config: Config, shared: SharedState, directory: Path) -> None:
        self.config, self.shared, self.directory = config, shared, directory
        self.console = Console(stderr=False, highlight=False)
        job = multirun_job()
        self.run = None if job is None else str(job.sweep.subdir)
        """The name of this run in Hydra's multirun."""
        self.recent: deque[float] = deque(maxlen=RECENT_EPISODES)
        self.episodes = 0
        self.evaluation: EvaluationResult | None = None
        self._began = self._read = self._shown = time.monotonic()
        self._first_frames = shared.frames()
        self._readings: deque[tuple[float, int]] = deque(maxlen=WINDOW)
        self._policies: deque[np.ndarray] = deque([self._policy_sums()], maxlen=WINDOW)
        self._skipped = shared.skipped()
        alone = self.console.is_terminal and Launcher.watched is None  # two live tables do not fit on a screen
        self._live = Live(console=self.console, auto_refresh=False, transient=False) if alone else None
        self._trackers = Trackers(config, directory, self._first_frames, self._say_of_run)

    def __enter__(self) -> Progress:
        begun = self.shared.frames()
        frames = f"{f'resuming at {begun:,} of ' if begun else ''}{self.config.frames:,} frames"
        self.say(f"training in {self.directory}: {frames}, actor-learners: {self.config.threads}")
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._report_skipped()
        self._show()
        if self._live:
            self._live.stop()
        self._trackers.close()

    def say(self, text: str) -> None:
        """Prints a line above the live table."""
        self.console.print(text, soft_wrap=True, markup=False)
        sys.stdout.flush()

    def add_episode(self, frames: int, score: float) -> None:
        """Adds an episode of an actor-learner that ended at `frames`."""
        self.recent.append(score)
        self.episodes += 1
        self._trackers.add("training/score", score, frames)

    def add_evaluation(self, result: EvaluationResult) -> None:
        """Adds a finished evaluation."""
        self.evaluation = result
        summary = result.summary()
        self._trackers.add("evaluation/score_mean", summary["score_mean"], result.frames)
        if not self._live:
            self._say_of_run(
                f"evaluation at {result.frames:,} frames: mean score {summary['score_mean']:.2f}, "
                f"median {summary['score_median']:.2f}, {summary['episodes']} episodes"
            )

    def add_metrics(self, row: Mapping[str, Any]) -> None:
        """Adds a row of `metrics.csv`."""
        for name, value in row.items():
            if isinstance(value, float) and not name.endswith("seconds"):
                self._trackers.add(f"training/{name}", value, row["frames"])

    def update(self) -> None:
        """Updates the speed and the table every half second; prints a line every `logging.every_seconds`."""
        now = time.monotonic()
        if now - self._read < INTERVAL:
            return
        self._read = now
        frames = self.shared.frames()
        if self._first_frames < frames < self.config.frames:  # excludes start-up and the final evaluation
            self._readings.append((now, frames))
            self._policies.append(self._policy_sums())
        if self._live or now - self._shown >= self.config.logging.every_seconds:
            self._show()
            self._report_skipped()

    def _show(self) -> None:
        self._shown = time.monotonic()
        rows = self._rows()
        if self._live:
            table = Table.grid(padding=(0, 2))
            table.add_row("", ProgressBar(self.config.frames, self.shared.frames(), width=50))
            for name, value in rows:
                table.add_row(f"[bold]{name}[/bold]", escape(value))
            self._live.update(table, refresh=True)
        else:
            self._say_of_run("  ".join(f"{name} {value}" for name, value in rows))

    @property
    def frames_per_second(self) -> float | None:
        """Speed of training over the last half minute; None before two readings."""
        if len(self._readings) < 2:
            return None
        (begin, first), (end, last) = self._readings[0], self._readings[-1]
        return (last - first) / (end - begin)

    def _policy_sums(self) -> np.ndarray:
        """The number of states and the sum of the policy's entropy, float64 [2]."""
        sums: np.ndarray = self.shared.metric_sums.numpy()[:, [POLICIES, ENTROPY]].sum(0)
        return sums

    def _exploration(self) -> tuple[str, str]:
        """The mean ε of the actor-learners, or the mean entropy of the policy over the last half minute."""
        epsilon = mean_epsilon(self.config, self.shared.counters[:, FRAMES].numpy())
        if epsilon is not None:
            return "epsilon", f"{epsilon:.3f}"
        states, entropy = self._policy_sums() - self._policies[0]
        return "entropy", f"{entropy / states:.3f}" if states else "-"

    def _learning_rate(self, frames: int) -> float:
        return self.config.optimizer.learning_rate(frames, self.config.frames)

    def _rows(self) -> list[tuple[str, str]]:
        frames, speed = self.shared.frames(), self.frames_per_second
        share = frames / self.config.frames if self.config.frames else 1.0
        score = "-"
        if self.recent:
            mean = sum(self.recent) / len(self.recent)
            score = f"{mean:.2f} (mean of the last {len(self.recent)} of {self.episodes} episodes)"
        rows = [
            ("frames", f"{frames:,} ({share:.1%})"),
            ("frames/s", "-" if speed is None else f"{speed:,.0f}"),
            ("elapsed", _duration(time.monotonic() - self._began)),
            ("left", self._left(frames, speed)),
            ("score", score),
            ("learning rate", f"{self._learning_rate(frames):.2e}"),
            self._exploration(),
        ]
        if self.evaluation:
            mean = self.evaluation.summary()["score_mean"]
            rows.append(("evaluation", f"{mean:.2f} at {self.evaluation.frames:,} frames"))
        return [("run", self.run), *rows] if self._live and self.run else rows

    def _left(self, frames: int, speed: float | None) -> str:
        if frames < self.config.frames:
            return _duration((self.config.frames - frames) / speed) if speed else "-"
        waits = self.config.evaluation.episodes and (self.evaluation is None or self.evaluation.frames < frames)
        return "final evaluation" if waits else _duration(0)

    def _say_of_run(self, text: str) -> None:
        """Prints a line with the name of the run in a multirun."""
        self.say(f"{self.run}: {text}" if self.run else text)

    def _report_skipped(self) -> None:
        skipped = self.shared.skipped()
        if skipped > self._skipped:
            self._say_of_run(f"{skipped - self._skipped} gradients were not finite and were not applied")
            self._skipped = skipped


def _duration(seconds: float) -> str:
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"
