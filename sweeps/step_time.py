"""Times each part of the actor-learners' loop during training.

  python sweeps/step_time.py [seconds=10] [warm_up=3] [overrides]

Prints a table and adds a line to `results/throughput/step_time.jsonl`.
"""

import json
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from a3crepro.benchmark import gather
from a3crepro.common.kernels import compile_all
from a3crepro.common.processes import Child, make_lock
from a3crepro.config import Config, compose
from a3crepro.experiments.measurements import provenance
from a3crepro.experiments.results import RESULTS
from a3crepro.learner.actor_learner import ActorLearner
from a3crepro.learner.shared_state import SharedState
from a3crepro.runs.arguments import own_arguments, positive_number
from a3crepro.runs.command_line import run_command
from a3crepro.runs.training import initial_state


class Stopwatch:
    """Accumulates the time spent in methods, by part; nested parts are subtracted from the enclosing one."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inner: list[float] = []

    def watch(self, part: str, owner: Any, name: str) -> None:
        """Starts timing a method of an object."""
        setattr(owner, name, self._timed(part, getattr(owner, name)))

    def _timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        self.seconds.setdefault(part, 0.0)

        def timed(*arguments: Any) -> Any:
            began = time.perf_counter()
            self._inner.append(0.0)
            try:
                return function(*arguments)
            finally:
                spent = time.perf_counter() - began
                self.seconds[part] += spent - self._inner.pop()
                if self._inner:
                    self._inner[-1] += spent

        return timed


PARTS = (
    ("forward pass", "forward"),
    ("θ' ← θ", "synchronise"),
    ("outputs of the rollout", "rollout_outputs"),
    ("backward pass", "backward"),
    ("gradient norm", "gradient_norm"),
    ("update of θ, g, θ'", "update"),
    ("dθ ← 0", "clear_gradient"),
)
"""Methods of a model, each a part of a step."""


def work(connection: Connection, config: Config, shared: SharedState, thread: int, warm_up: float) -> None:
    """The process of one actor-learner; says when timing starts, then sends steps, seconds and those of each part."""
    learner = ActorLearner(config, shared, thread, 0, lambda report: None)
    stopwatch = Stopwatch()
    env: Any = learner.env
    stopwatch.watch("environment", env, "step")
    if hasattr(env, "_preprocessor"):
        for name in ("store_screen", "preprocess"):
            stopwatch.watch("picture", env._preprocessor, name)
    for part, name in PARTS:
        stopwatch.watch(part, learner.model, name)
    if learner.algo.target_interval is not None:
        stopwatch.watch("target network", learner.models.target, "forward")
    started, began, steps = time.monotonic(), None, None
    while not shared.stopping:
        learner.iterate()
        if began is None and time.monotonic() > started + warm_up:
            began, steps = time.perf_counter(), learner.own_steps
            stopwatch.seconds.update(dict.fromkeys(stopwatch.seconds, 0.0))
            connection.send("warmed up")
    assert began is not None and steps is not None
    connection.send((learner.own_steps - steps, time.perf_counter() - began, stopwatch.seconds))


def measure(config: Config, seconds: float, warm_up: float) -> dict[str, float]:
    """Microseconds per step of an actor-learner, by part, as the mean over all.

    Args:
      config: what trains.
      seconds: of the measurement.
      warm_up: seconds of training before timing starts.
    """
    compile_all()
    shared = initial_state(config)
    shared.share(make_lock())
    children = [Child(f"actor-learner {i}", work, config, shared, i, warm_up) for i in range(config.threads)]
    try:
        gather(children)  # all have warmed up
        time.sleep(seconds)
        shared.request_stop()
        answers: list[Any] = gather(children)
    finally:
        for child in children:
            child.end()
    steps, total = sum(answer[0] for answer in answers), sum(answer[1] for answer in answers)
    parts = {part: 1e6 * sum(answer[2][part] for answer in answers) / steps for part in answers[0][2]}
    return {**parts, "everything else": 1e6 * total / steps - sum(parts.values()), "whole step": 1e6 * total / steps}


def main() -> None:
    """Measures as the command line specifies."""
    own, words = own_arguments(sys.argv[1:], {"seconds": positive_number(10), "warm_up": positive_number(3)})
    config = compose(*words, "evaluation.every=0", "evaluation.episodes=0")
    parts = measure(config, own.seconds, own.warm_up)
    line = {
        "command": " ".join(["python", "sweeps/step_time.py", *sys.argv[1:]]),
        "microseconds": {part: round(value, 1) for part, value in parts.items()},
        **provenance(),
    }
    with open(RESULTS / "throughput" / "step_time.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")
    print("| part | µs a step | share |\n|---|---|---|")
    for part, value in parts.items():
        print(f"| {part} | {value:.0f} | {100 * value / parts['whole step']:.0f} % |")


if __name__ == "__main__":
    run_command(main, __doc__)
