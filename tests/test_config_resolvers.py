"""Resolvers: draws that depend on nothing but their arguments."""

import math
import os
import subprocess
import sys

import numpy as np
import pytest

from a3crepro.config import compose, log_uniform

IN_ANOTHER_PROCESS = """
from a3crepro.config import log_uniform
print(*(repr(log_uniform(1e-4, 1e-2, seed, "lr")) for seed in range(5)))
"""


def test_a_draw_is_the_same_in_another_process() -> None:
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-c", IN_ANOTHER_PROCESS]
    there = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.split()
    np.random.seed(3)
    assert there == [repr(log_uniform(1e-4, 1e-2, seed, "lr")) for seed in range(5)]
    assert len(set(there)) == 5


def test_draws_are_log_uniform_over_seeds() -> None:
    draws = np.array([log_uniform(1e-4, 1e-2, seed) for seed in range(2000)])
    assert draws.min() >= 1e-4
    assert draws.max() < 1e-2
    shares = np.sort(np.log(draws / 1e-4) / np.log(100))
    steps = np.arange(2001) / 2000
    distance = max(np.abs(shares - steps[1:]).max(), np.abs(shares - steps[:-1]).max())
    assert distance < 1.63 / math.sqrt(2000), "Kolmogorov-Smirnov at 1 %"


def test_draws_of_one_seed_under_different_names_are_independent() -> None:
    a, b = (np.log([log_uniform(1e-4, 1e-2, seed, name) for seed in range(2000)]) for name in ("lr", "beta"))
    following = np.log([log_uniform(1e-4, 1e-2, seed) for seed in range(2001)])
    assert abs(np.corrcoef(a, b)[0, 1]) < 4 / math.sqrt(2000)
    assert abs(np.corrcoef(following[1:], following[:-1])[0, 1]) < 4 / math.sqrt(2000)


@pytest.mark.parametrize("quote", ["", "'"], ids=["as-the-shell-passes-it", "quoted"])
def test_a_learning_rate_can_be_drawn_and_is_paired_across_methods(quote: str) -> None:
    """INTERFACE.md: `optimizer.lr='${log_uniform:1e-4,1e-2,${seed}}'`, whose quotes the shell takes away."""
    draw = f"optimizer.lr={quote}${{log_uniform:1e-4,1e-2,${{seed}}}}{quote}"
    rates = [compose(f"algo={algo}", "env=toy/catch", "seed=3", draw).optimizer.lr for algo in ("a3c", "one_step_q")]
    assert rates[0] == rates[1] == log_uniform(1e-4, 1e-2, 3)
    assert compose("env=toy/catch", "seed=4", draw).optimizer.lr != rates[0]


@pytest.mark.parametrize(
    "arguments", [(1e-2, 1e-4, 1), (0, 1, 1), (-1, 1, 1), (1, math.inf, 1), (1e-4, 1e-2), (1, 1, 1)]
)
def test_a_range_that_is_none_is_refused(arguments: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="log_uniform: needs"):
        log_uniform(*arguments)
