"""What a run shows: one live table on a terminal, plain lines elsewhere, and TensorBoard's files."""

from __future__ import annotations

import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from a3crepro.config import Config
from a3crepro.evaluation import Scores
from a3crepro.shared_state import SharedState

RECENT = 100
"""Games that the mean of recent scores is taken over."""


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
        self.recent: deque[float] = deque(maxlen=RECENT)
        self.games = 0
        self.evaluation: Scores | None = None
        self._speed: deque[tuple[float, int]] = deque([(time.monotonic(), shared.frames())], maxlen=30)
        self._shown = time.monotonic()
        self._refused = shared.refused()
        self._live = (
            Live(console=self.console, auto_refresh=False, transient=False) if self.console.is_terminal else None
        )
        self._tensorboard = self._open_tensorboard() if config.logging.tensorboard else None

    def _open_tensorboard(self) -> Any:
        from torch.utils.tensorboard import SummaryWriter

        directory = str(self.directory / "tensorboard")
        if any("\ud800" <= character <= "\udfff" for character in directory):  # bytes that the locale does not know
            self.say("TensorBoard's files are not written: it takes paths in UTF-8 alone")
            return None
        return SummaryWriter(directory, purge_step=self.shared.frames(), flush_secs=10)

    def __enter__(self) -> Progress:
        self.say(f"training in {self.directory}: {self.config.frames:,} frames, actor-learners: {self.config.threads}")
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._report_refused()
        if self._live:
            self._live.stop()
        if self._tensorboard:
            self._tensorboard.close()

    def say(self, text: str) -> None:
        """One line that stays."""
        self.console.print(text, soft_wrap=True, markup=False)
        sys.stdout.flush()

    def game(self, frames: int, score: float) -> None:
        """A game of an actor-learner ended."""
        self.recent.append(score)
        self.games += 1
        if self._tensorboard:
            self._tensorboard.add_scalar("training/score", score, frames)

    def evaluated(self, scores: Scores) -> None:
        """An evaluation is done."""
        self.evaluation = scores
        summary = scores.summary()
        if self._tensorboard:
            self._tensorboard.add_scalar("evaluation/score_mean", summary["score_mean"], scores.frames)
        if not self._live:
            self.say(
                f"evaluation at {scores.frames:,} frames: mean score {summary['score_mean']:.2f}, "
                f"median {summary['score_median']:.2f}, {summary['episodes']} games"
            )

    def update(self) -> None:
        """Draws the table anew twice a second, or prints a line every so many seconds."""
        now = time.monotonic()
        if now - self._shown < (0.5 if self._live else self.config.logging.every_seconds):
            return
        self._shown = now
        self._speed.append((now, self.shared.frames()))
        rows = self._rows()
        if self._live:
            self._live.update(_table(rows), refresh=True)
        else:
            self.say("  ".join(f"{name} {value}" for name, value in rows))
        if self._tensorboard:
            self._tensorboard.add_scalar("training/frames_per_second", self.frames_per_second, self.shared.frames())
            self._tensorboard.add_scalar(f"training/{self.config.algo.monitor}", self._monitor(), self.shared.frames())
        self._report_refused()

    @property
    def frames_per_second(self) -> float:
        """Over the last half minute on a terminal, over the last lines elsewhere."""
        (begin, first), (end, last) = self._speed[0], self._speed[-1]
        return (last - first) / (end - begin) if end > begin else 0.0

    def _monitor(self) -> float:
        return float(self.shared.monitors.mean())

    def _rows(self) -> list[tuple[str, str]]:
        frames, speed = self.shared.frames(), self.frames_per_second
        left = max(0, self.config.frames - frames) / speed if speed else None
        share = frames / self.config.frames if self.config.frames else 1.0
        mean = sum(self.recent) / len(self.recent) if self.recent else None
        rows = [
            ("frames", f"{frames:,} ({share:.1%})"),
            ("frames/s", f"{speed:,.0f}"),
            ("left", _duration(left)),
            (
                "score",
                "-" if mean is None else f"{mean:.2f} (mean of the last {len(self.recent)} of {self.games} games)",
            ),
            (self.config.algo.monitor, f"{self._monitor():.3f}"),
        ]
        if self.evaluation:
            rows.append(
                ("evaluation", f"{self.evaluation.summary()['score_mean']:.2f} at {self.evaluation.frames:,} frames")
            )
        return rows

    def _report_refused(self) -> None:
        refused = self.shared.refused()
        if refused > self._refused:
            self.say(f"{refused - self._refused} gradients were not finite and were not applied")
            self._refused = refused


def _table(rows: list[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, value in rows:
        table.add_row(f"[bold]{name}[/bold]", value)
    return table


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"
