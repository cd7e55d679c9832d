"""`python -m a3crepro.benchmark [overrides] [seconds=20]`: how fast training is, beside what the emulator allows.

The same number of processes first does nothing but random actions, then trains, then does random actions again, so
that one call compares like with like on a machine whose speed drifts. No evaluation, checkpoint or TensorBoard. The
last line is one JSON object; a step is an agent step, of all processes together.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

from a3crepro.common.kernels import compile_all
from a3crepro.common.machine import usable_cores
from a3crepro.common.processes import Child, preload, wait_for_messages
from a3crepro.config import Config, compose
from a3crepro.execution._execution import Execution, Origin
from a3crepro.runs.arguments import own_arguments, positive_number
from a3crepro.runs.command_line import run_command
from a3crepro.runs.needs import check_needs
from a3crepro.runs.training import initial_state, say_if_slow

WARM_UP = 3.0
"""Seconds of training before the measurement begins, after the first update."""


def main() -> None:
    """Measures as the command line says."""
    run_command(lambda: print(json.dumps(benchmark(sys.argv[1:]))), __doc__)


def benchmark(arguments: list[str]) -> dict[str, Any]:
    """The measurement, as INTERFACE has it.

    Args:
      arguments: overrides of the configuration, and `seconds=` for each of the two emulator measurements together and
        for the training.
    """
    own, overrides = own_arguments(arguments, {"seconds": positive_number(20)})
    seconds = own.seconds
    quiet = ("evaluation.every=0", "evaluation.episodes=0", "logging.tensorboard=false")
    config = compose(*overrides, *quiet)
    check_needs(config, initial_state(config))
    say_if_slow(config)
    preload(config.env.modules())
    before = emulator_speed(config, seconds / 2)
    training = measure_training(config, seconds)
    after = emulator_speed(config, seconds / 2)
    emulator = (before + after) / 2
    return {
        "env": config.env.title,
        "algo": config.algo.name,
        "network": config.network.title,
        "execution": config.execution.name,
        "threads": config.threads,
        "cores": usable_cores(),
        "seconds": seconds,
        "steps_per_second": round(training["steps_per_second"], 1),
        "frames_per_second": round(training["steps_per_second"] * config.env.frames_per_step, 1),
        "emulator_steps_per_second": round(emulator, 1),
        "fraction_of_emulator": round(training["steps_per_second"] / emulator, 4),
        "peak_pss_bytes": training["peak_pss_bytes"],
        "seconds_to_first_update": round(training["seconds_to_first_update"], 2),
    }


# ---- Training --------------------------------------------------------------------------------------------------------


def measure_training(config: Config, seconds: float) -> dict[str, Any]:
    """Steps a second over so many seconds, peak memory of the process tree, and the time to the first update."""
    began = time.monotonic()
    compile_all()
    shared = initial_state(config)
    config = config.model_copy(update={"frames": 2**62})
    first_update = start = None
    steps, peak = 0, 0
    last_look = 0.0
    execution = config.execution
    assert isinstance(execution, Execution)
    for _ in execution.run(config, shared, Origin()):
        now = time.monotonic()
        if first_update is None and shared.updates():
            first_update = now
        if first_update and start is None and now - first_update > WARM_UP:
            start, steps = now, shared.frames()
        if now - last_look > 1.0:
            peak, last_look = max(peak, pss_of_tree(os.getpid())), now
        if start and now - start >= seconds and not shared.stopping:
            steps = shared.frames() - steps
            elapsed = now - start
            shared.request_stop()
    assert first_update is not None
    return {
        "steps_per_second": steps / config.env.frames_per_step / elapsed,
        "peak_pss_bytes": peak,
        "seconds_to_first_update": first_update - began + _seconds_before_main(began),
    }


def _seconds_before_main(moment: float) -> float:
    """Seconds that this process spent on imports: a training command spends them, too."""
    return min(IMPORTED - _process_start(), moment - _process_start())


def _process_start() -> float:
    """When this process was started, on the monotonic clock."""
    with open("/proc/self/stat") as stat:
        ticks = int(stat.read().rpartition(")")[2].split()[19])
    return ticks / os.sysconf("SC_CLK_TCK") - (time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic())


def pss_of_tree(root: int, part: str = "Pss") -> int:
    """Proportional set size, in bytes, of a process and all its descendants: shared pages are counted once.

    `part`: a line of `/proc/PID/smaps_rollup`; `Pss_Anon` leaves out files, which other processes may share, too.
    """
    return sum(_pss(pid, part) for pid in _tree(root))


def _tree(root: int) -> Iterator[int]:
    yield root
    try:
        with open(f"/proc/{root}/task/{root}/children") as children:
            for child in children.read().split():
                yield from _tree(int(child))
    except OSError:
        return


def _pss(pid: int, part: str) -> int:
    try:
        with open(f"/proc/{pid}/smaps_rollup") as rollup:
            return next(int(line.split()[1]) * 1024 for line in rollup if line.startswith(f"{part}:"))
    except OSError:
        return 0


# ---- The emulator alone ----------------------------------------------------------------------------------------------


def emulator_speed(config: Config, seconds: float) -> float:
    """Agent steps a second of as many processes as train, doing nothing but random actions."""
    processes = config.processes
    children = [Child(f"emulator {number}", _emulate, config, number) for number in range(processes)]
    try:
        gather(children)  # all have made their environments
        until = time.monotonic() + seconds
        for child in children:
            child.connection.send(until)
        return float(sum(gather(children)))
    finally:
        for child in children:
            child.end()


def gather(children: list[Child]) -> list[Any]:
    """One message from each."""
    answers: list[Any] = []
    waiting = list(children)
    while waiting:
        wait_for_messages(waiting, timeout=1.0)
        for child in list(waiting):
            for answer in child.receive():
                answers.append(answer)
                waiting.remove(child)
    return answers


def _emulate(connection: Connection, config: Config, seed: int) -> None:
    step = config.env.emulator(seed)
    for _ in range(10):
        step()
    connection.send(0.0)
    until = connection.recv()
    began, steps = time.monotonic(), 0
    while time.monotonic() < until:
        for _ in range(10):
            step()
        steps += 10
    connection.send(steps / (time.monotonic() - began))
    connection.recv()  # stays until the others are done, too


IMPORTED = time.monotonic()

if __name__ == "__main__":
    main()
