"""`python -m a3crepro.benchmark [overrides] [seconds=20]`: measures training speed and the emulator's.

The same number of processes takes random actions, trains, and takes random actions again, so that one call compares
both even if the machine's speed drifts. There is no evaluation, checkpoint or TensorBoard. The last line is one JSON
object; steps are agent steps of all processes together.
"""

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
from a3crepro.execution._execution import Execution, ResumePoint
from a3crepro.runs.arguments import own_arguments, positive_number
from a3crepro.runs.command_line import run_command
from a3crepro.runs.resources import check_resources
from a3crepro.runs.training import initial_state, say_if_slow

WARM_UP = 3.0
"""Seconds of training between the first update and the measurement."""


def main() -> None:
    """Measures and prints the result."""
    run_command(lambda: print(json.dumps(benchmark(sys.argv[1:]))), __doc__)


def benchmark(arguments: list[str]) -> dict[str, Any]:
    """Measures training and the emulator, for `seconds` each."""
    own, overrides = own_arguments(arguments, {"seconds": positive_number(20)})
    seconds = own.seconds
    quiet = ("evaluation.every=0", "evaluation.episodes=0", "logging.tensorboard=false")
    config = compose(*overrides, *quiet)
    check_resources(config, initial_state(config))
    say_if_slow(config)
    preload(config.modules_to_preload)
    before = emulator_speed(config, seconds / 2)
    speed, peak, first_update = measure_training(config, seconds)
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
        "steps_per_second": round(speed, 1),
        "frames_per_second": round(speed * config.env.frames_per_step, 1),
        "emulator_steps_per_second": round(emulator, 1),
        "fraction_of_emulator": round(speed / emulator, 4),
        "peak_pss_bytes": peak,
        "seconds_to_first_update": round(first_update, 2),
    }


# ---- Training --------------------------------------------------------------------------------------------------------


def measure_training(config: Config, seconds: float) -> tuple[float, int, float]:
    """Agent steps per second, peak memory of the process tree in bytes, and seconds to the first update."""
    began = time.monotonic()
    compile_all()
    shared = initial_state(config)
    config = config.model_copy(update={"frames": 2**62})
    first_update = start = None
    steps, peak = 0, 0
    last_look = 0.0
    execution = config.execution
    assert isinstance(execution, Execution)
    for _ in execution.run(config, shared, ResumePoint()):
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
    start_up = min(IMPORTED, began) - _process_start()  # which a training command has, too
    return steps / config.env.frames_per_step / elapsed, peak, first_update - began + start_up


def _process_start() -> float:
    """Start of this process on the monotonic clock."""
    with open("/proc/self/stat") as stat:
        ticks = int(stat.read().rpartition(")")[2].split()[19])
    return ticks / os.sysconf("SC_CLK_TCK") - (time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic())


def pss_of_tree(root: int, part: str = "Pss") -> int:
    """Proportional set size in bytes of a process and its descendants, which counts shared pages once.

    `part` is a line of `/proc/PID/smaps_rollup`; `Pss_Anon` excludes files, which other processes may share.
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
    """Agent steps per second of random actions, in as many processes as train."""
    processes = config.processes
    children = [Child(f"emulator {number}", _emulate, config, number) for number in range(processes)]
    try:
        gather(children)  # all environments are ready
        until = time.monotonic() + seconds
        for child in children:
            child.connection.send(until)
        return float(sum(gather(children)))
    finally:
        for child in children:
            child.end()


def gather(children: list[Child]) -> list[Any]:
    """Receives one message from each process."""
    messages: list[Any] = []
    while len(messages) < len(children):
        wait_for_messages(children, timeout=1.0)
        for child in children:
            messages.extend(child.receive())
    return messages


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
    connection.recv()  # waits for the other processes


IMPORTED = time.monotonic()

if __name__ == "__main__":
    main()
