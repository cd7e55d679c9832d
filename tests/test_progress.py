"""What a run shows: measured without the time before the first step, up to date at the end, and whose it is."""

import functools
import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from rich.console import Console

from a3crepro.common.processes import Launcher
from a3crepro.config import Config, compose
from a3crepro.learner.shared_state import FRAMES
from a3crepro.mathematics.metrics import ENTROPY, POLICIES
from a3crepro.runs import progress
from a3crepro.runs.evaluation import EvaluationResult
from a3crepro.runs.training import initial_state

BUDGET = 8_000
RATE = 0.004


@functools.cache
def configured() -> Config:
    return compose("env=toy/catch", "threads=2", f"frames={BUDGET}", f"optimizer.lr={RATE}", "algo=a3c",
                   "logging.tensorboard=false", "logging.every_seconds=10")  # fmt: skip


class Watched:
    """A run of two actor-learners on a clock of its own, and what is seen of it."""

    def __init__(self, directory: Path) -> None:
        self.now = 0.0
        self.points: list[tuple[str, float, int]] = []
        config = configured()
        self.shared = initial_state(config)
        self.shown = progress.Progress(config, self.shared, directory)
        self.shown._trackers._active["test"] = SimpleNamespace(
            add=lambda name, value, frames: self.points.append((name, value, frames)), close=lambda: None
        )

    def go_on(self, seconds: int, frames_per_second: int = 0, entropy: float = 1.0) -> None:
        """The first actor-learner alone takes steps."""
        for _ in range(8 * seconds):
            self.now += 0.125
            self.shared.counters[0, FRAMES] += frames_per_second // 8
            self.shared.metric_sums[0, POLICIES] += frames_per_second // 8
            self.shared.metric_sums[0, ENTROPY] += frames_per_second // 8 * entropy
            self.shown.update()


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    clock = SimpleNamespace(monotonic=lambda: found.now if found else 0.0)
    found: Any = None
    monkeypatch.setattr(progress, "time", clock)
    found = Watched(tmp_path)
    return found


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What a terminal gets."""
    text = io.StringIO()
    monkeypatch.setattr(progress, "Console", lambda **_: Console(file=text, force_terminal=True, highlight=False))
    return text


def last_of(text: str) -> dict[str, str]:
    """The last plain line, by its words."""
    cells = (cell.split(" ", 1) for cell in text.splitlines()[-1].replace("learning rate", "rate").split("  "))
    return dict(cells)


def test_what_is_left_is_told_without_the_time_before_the_first_step(
    watched: Watched, capsys: pytest.CaptureFixture[str]
) -> None:
    watched.go_on(60)
    assert last_of(capsys.readouterr().out)["left"] == "-"
    watched.go_on(20, frames_per_second=80)
    line = last_of(capsys.readouterr().out)
    assert line["frames"] == "1,600 (20.0%)" and line["frames/s"] == "80"
    assert line["elapsed"] == "0:01:20" and line["left"] == "0:01:20"
    assert line["rate"] == "3.20e-03" and line["entropy"] == "1.000"


def test_speed_is_that_of_the_last_half_minute(watched: Watched) -> None:
    watched.go_on(40, frames_per_second=80)
    watched.go_on(30, frames_per_second=16)
    assert watched.shown.frames_per_second == pytest.approx(16)


def test_the_numbers_of_a_row_of_metrics_are_plotted_but_for_its_times(watched: Watched) -> None:
    row = {"frames": 640, "seconds": 8.0, "entropy": 0.7, "epsilon": None, "frames_per_second": 80.0,
           "thread_frames_per_second": "50 30", "real_seconds": 9.0}  # fmt: skip
    watched.shown.add_metrics(row)
    assert watched.points == [("training/entropy", 0.7, 640), ("training/frames_per_second", 80.0, 640)]


def test_the_entropy_is_that_of_the_last_half_minute(watched: Watched, capsys: pytest.CaptureFixture[str]) -> None:
    watched.go_on(40, frames_per_second=80, entropy=1.5)
    watched.go_on(40, frames_per_second=16, entropy=0.7)
    assert last_of(capsys.readouterr().out)["entropy"] == "0.700"


def test_the_final_evaluation_is_no_standstill(watched: Watched, capsys: pytest.CaptureFixture[str]) -> None:
    watched.go_on(100, frames_per_second=80)
    watched.go_on(40)
    line = last_of(capsys.readouterr().out)
    assert line["left"] == "final evaluation" and line["frames/s"] == "80"


def test_the_last_line_is_up_to_date(watched: Watched, capsys: pytest.CaptureFixture[str]) -> None:
    with watched.shown:
        watched.go_on(101, frames_per_second=80)
        watched.shown.add_evaluation(EvaluationResult(watched.shared.frames(), [3.0, 4.0]))
    line = last_of(capsys.readouterr().out)
    assert line["evaluation"] == "3.50 at 8,080 frames" and line["left"] == "0:00:00" and line["rate"] == "0.00e+00"


def test_a_terminal_has_a_bar_and_at_the_end_a_table_that_is_up_to_date(screen: io.StringIO, watched: Watched) -> None:
    with watched.shown:
        watched.go_on(50, frames_per_second=80)
        table = screen.getvalue()[screen.getvalue().rindex("━") :]
        assert all(name in table for name in ("4,000 (50.0%)", "elapsed", "0:00:50", "learning rate", "2.00e-03"))
        watched.go_on(51, frames_per_second=80)
        watched.shown.add_evaluation(EvaluationResult(watched.shared.frames(), [3.0, 4.0]))
    last = screen.getvalue()[screen.getvalue().rindex("━") :]
    assert last.splitlines()[0].strip().endswith("━\x1b[0m"), "the bar has a line of its own"
    assert "8,080 (101.0%)" in last and "3.50 at 8,080 frames" in last


def multirun(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a job of one."""
    runtime = SimpleNamespace(choices=compose("env=toy/catch").composition.choices)
    sweep = SimpleNamespace(subdir="toy/catch/a3c/seed=[1]")
    job = SimpleNamespace(mode=RunMode.MULTIRUN, sweep=sweep, runtime=runtime)
    monkeypatch.setattr(HydraConfig, "initialized", lambda: True)
    monkeypatch.setattr(HydraConfig, "get", lambda: job)


def test_each_line_of_a_multirun_says_whose_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, watched: Watched, capsys: pytest.CaptureFixture[str]
) -> None:
    assert watched.shown.run is None
    multirun(monkeypatch)
    with Watched(tmp_path).shown as shown:
        shown.add_evaluation(EvaluationResult(0, [1.0]))
    _, *lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and all(line.startswith("toy/catch/a3c/seed=[1]: ") for line in lines)


def test_a_table_of_a_multirun_says_whose_it_is_and_several_at_a_time_have_lines(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, screen: io.StringIO, watched: Watched
) -> None:
    multirun(monkeypatch)
    with Watched(tmp_path).shown:
        pass
    assert "━" in screen.getvalue() and "toy/catch/a3c/seed=[1]" in screen.getvalue()
    screen.truncate(0)
    monkeypatch.setattr(Launcher, "watched", object())
    with Watched(tmp_path).shown:
        pass
    assert "━" not in screen.getvalue() and "toy/catch/a3c/seed=[1]: " in screen.getvalue()
