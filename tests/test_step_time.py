"""The account of a step's time."""

from types import SimpleNamespace

import pytest

from a3crepro.config import compose
from sweeps.step_time import PARTS, Stopwatch, measure


def test_the_time_of_a_part_within_a_part_counts_once(monkeypatch):
    """Of 10 seconds, the inner part takes the middle 4."""
    moments = iter([0.0, 3.0, 7.0, 10.0])
    monkeypatch.setattr("sweeps.step_time.time.perf_counter", lambda: next(moments))
    stopwatch = Stopwatch()
    inner = SimpleNamespace(run=lambda: None)
    outer = SimpleNamespace(run=lambda: inner.run())
    stopwatch.watch("inner", inner, "run")
    stopwatch.watch("outer", outer, "run")
    outer.run()
    assert stopwatch.seconds == {"inner": 4.0, "outer": 6.0}


@pytest.mark.parametrize("algo", ["a3c", pytest.param("one_step_q", marks=pytest.mark.slow)])
def test_the_parts_of_a_step_make_up_its_time(algo):
    parts = measure(compose(f"algo={algo}", "env=toy/catch", "threads=2", "evaluation.every=0"), 0.2, 0.2)
    whole = parts.pop("whole step")
    assert sum(parts.values()) == pytest.approx(whole) and min(parts.values()) >= 0
    assert parts.keys() >= {"environment", "everything else", *(part for part, _ in PARTS)}
    assert (0 < parts["environment"] < whole) and (0 < parts["forward pass"] < whole)
