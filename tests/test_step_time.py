"""The account of a step's time."""

import pytest

from a3crepro.config import compose
from sweeps.step_time import PARTS, measure


@pytest.mark.parametrize("algo", ["a3c", pytest.param("one_step_q", marks=pytest.mark.slow)])
def test_the_parts_of_a_step_make_up_its_time(algo):
    parts = measure(compose(f"algo={algo}", "env=toy/catch", "threads=2", "evaluation.every=0"), 0.2, 0.2)
    whole = parts.pop("whole step")
    assert sum(parts.values()) == pytest.approx(whole) and min(parts.values()) >= 0
    assert parts.keys() >= {"environment", "everything else", *(part for part, _ in PARTS)}
    assert (0 < parts["environment"] < whole) and (0 < parts["forward pass"] < whole)
