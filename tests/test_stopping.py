import contextlib
import os
import random
import resource
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from helpers import (
    ENDLESS,
    SMALL,
    Faulty,
    alive,
    at_once,
    frames,
    gone_within,
    meanwhile,
    rows,
    running,
    summary,
    wait_until,
    whole_checkpoint,
    workers,
)

from a3crepro import compose, train
from a3crepro.common.processes import ProcessDied
from a3crepro.common.signals import SIGNALS
from a3crepro.execution._execution import stop_timeout
from a3crepro.runs.checkpoint import load_checkpoint
from a3crepro.runs.training import Stopped, stop_signals

LIMIT = 10
"""Seconds within which every run has to end."""
BUDGET = 40_000
TINY = ("threads=2", "evaluation.episodes=0", "logging.tensorboard=false")
EVALUATED = ("evaluation.episodes=2", "evaluation.every=5_000")


def faulty(fault: str, *overrides: str):
    return compose("env=gym", f"env.id='helpers:{fault}-v0'", ENDLESS, *TINY, *overrides)


def is_stopped_in_order(run, processes, began):
    """A run has ended, saved, and left no process."""
    assert gone_within(processes, LIMIT - (time.monotonic() - began))
    assert not (run.directory / "summary.json").exists()
    rows(run.directory)
    return whole_checkpoint(run.directory)


# ---- Stopped -------------------------------------------------------------------------------------------------------


def stop(cwd: Path, number: signal.Signals, group: bool) -> None:
    with running(cwd, *SMALL, *EVALUATED, f"frames={BUDGET}") as run:
        run.wait_for_episodes()
        processes = run.processes()
        began = time.monotonic()
        run.send(number, group)
        assert run.wait(LIMIT) == 130, run.stderr
        stopped = is_stopped_in_order(run, processes, began)
        assert run.stderr.count("\n") == 1 and number.name in run.stderr
    assert 0 < stopped.frames < BUDGET
    assert max(frames(run.directory)) <= stopped.frames


def goes_on(cwd: Path) -> None:
    stopped = whole_checkpoint(cwd / "run")
    before = (cwd / "run" / "episodes.csv").read_text()
    games = len(rows(cwd / "run"))
    directory = cwd / "run"
    found = train(compose(*SMALL, *EVALUATED, f"frames={BUDGET}"), directory)
    assert BUDGET <= found["frames"] < BUDGET + 2 * 5 and summary(directory) == found
    assert found["seconds"] > stopped.counters.seconds > 0
    assert whole_checkpoint(directory).counters.attempt == 1
    assert (directory / "episodes.csv").read_text().startswith(before)
    assert min(frames(directory)[games:]) >= stopped.frames
    assert min(float(row["seconds"]) for row in rows(directory)[games:]) >= stopped.counters.seconds
    games_are_in_order(directory)
    assert frames(directory, "evaluations.csv") == [*range(5_000, BUDGET, 5_000), found["frames"]]


def games_are_in_order(directory: Path) -> None:
    """Those of each actor-learner, over all starts of the run together."""
    games = rows(directory)
    for thread in {row["thread"] for row in games}:
        times = [(int(row["frames"]), float(row["seconds"])) for row in games if row["thread"] == thread]
        assert times == sorted(times)


def test_a_run_that_is_stopped_saves_leaves_no_process_and_goes_on(tmp_path):
    at_once(stop, (tmp_path / "terminal", signal.SIGHUP, True), (tmp_path / "term", signal.SIGTERM, False))
    goes_on(tmp_path / "terminal")


@pytest.mark.slow
def test_it_does_so_whoever_gets_the_signal(tmp_path):
    calls = (("ctrl-c", signal.SIGINT, True), ("main", signal.SIGINT, False), ("term", signal.SIGTERM, True),
             ("terminal", signal.SIGHUP, False))  # fmt: skip
    at_once(stop, *((tmp_path / name, *how) for name, *how in calls))
    for name, *_ in calls:
        goes_on(tmp_path / name)


@pytest.fixture(autouse=True)
def terminal():
    """Of its tests' commands, SIGHUP is not ignored, though it may be of the tests."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(("ignored", "received"), [(False, [signal.SIGHUP]), (True, [])], ids=["terminal", "nohup"])
def test_a_terminal_that_is_closed_stops_a_run_unless_it_is_to_go_on_without(ignored, received):
    signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
    before = signal.getsignal(signal.SIGHUP)
    with stop_signals(SIGNALS) as found:
        os.kill(os.getpid(), signal.SIGHUP) if ignored or signal.getsignal(signal.SIGHUP) != before else None
    assert found == received
    assert signal.getsignal(signal.SIGHUP) == before


def stop_at_once(cwd: Path, number: signal.Signals, delay: float) -> None:
    with running(cwd, *SMALL, ENDLESS) as run:
        run.wait_until(lambda: "training in" in run.stdout, "the start")
        time.sleep(delay)
        processes = run.processes()
        run.send(number, group=True)
        assert run.wait(2 * LIMIT) == 130, run.stderr  # the imports that it waits for can be slow
        assert run.stderr.count("\n") == 1 and number.name in run.stderr
        assert gone_within(processes, LIMIT)


@pytest.mark.slow
def test_a_run_whose_processes_are_still_starting_can_be_stopped(tmp_path):
    stop_at_once(tmp_path, signal.SIGINT, 0.7)


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("group", [False, True], ids=["main", "group"])
def test_a_command_can_be_stopped_at_any_moment_of_its_start(tmp_path, number, group):
    for delay in (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0):
        with running(tmp_path / str(delay), *SMALL, ENDLESS) as run:
            time.sleep(delay)
            processes = run.processes()
            run.send(number, group)
            status = run.wait(2 * LIMIT)
            assert status == 130 or (status == -number and delay < 1.5), run.stderr  # Python itself was starting
            assert "Traceback" not in run.stderr or delay < 1.5
            assert gone_within(processes, LIMIT)


SERVER_THAT_IMPORTS_FOR_LONG = """
from a3crepro.runs.command_line import run_command

def command():
    from a3crepro import compose, train
    from a3crepro.common.processes import preload

    preload(["imports_for_long"])
    train(compose("env=toy/catch", "threads=2"), "run")

if __name__ == "__main__":
    run_command(command)
"""
IMPORTS_FOR_LONG = """
import time
from pathlib import Path

Path("imports").touch()
time.sleep(1e6)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("group", [False, True], ids=["main", "group"])
def test_a_fork_server_that_imports_for_long_does_not_keep_a_run_from_being_stopped(tmp_path, number, group):
    (tmp_path / "script.py").write_text(SERVER_THAT_IMPORTS_FOR_LONG)
    (tmp_path / "imports_for_long.py").write_text(IMPORTS_FOR_LONG)
    with running(tmp_path, command=["script.py"]) as run:
        run.wait_until(lambda: (tmp_path / "imports").exists(), "the server's imports")
        processes = run.processes()
        run.send(number, group)
        assert run.wait(LIMIT) == (-number if number == signal.SIGKILL else 130), run.stderr
        assert run.stderr == ("" if number == signal.SIGKILL else f"a3crepro: stopped by {number.name}\n")
        assert gone_within(processes, LIMIT)


MAKES_A_LOCK = """
from pathlib import Path
import time

from a3crepro.common.processes import make_lock
from a3crepro.runs.command_line import run_command

def command():
    lock = make_lock()
    Path("lock").touch()
    time.sleep(1e6)

run_command(command)
"""


def test_a_command_that_is_stopped_says_nothing_of_semaphores(tmp_path):
    (tmp_path / "script.py").write_text(MAKES_A_LOCK)
    with running(tmp_path, command=["script.py"]) as run:
        run.wait_until(lambda: (tmp_path / "lock").exists(), "the lock")
        processes = run.processes()
        run.send(signal.SIGTERM, False)
        assert run.wait(LIMIT) == 130
        assert gone_within(processes, LIMIT)
        assert run.stderr == "a3crepro: stopped by SIGTERM\n"


def stop_in_process(after) -> None:
    """Waits for something and presses Ctrl-C."""
    wait_until(after)
    os.kill(os.getpid(), signal.SIGINT)


def has_rows(directory: Path, count: int):
    path = directory / "episodes.csv"
    return lambda: path.exists() and path.read_bytes().count(b"\n") > count


def test_whole_episodes_have_longer_to_come_to_an_end():
    assert stop_timeout(compose("env=breakout")) < LIMIT / 1.5 < stop_timeout(compose("env=control/dog_run")) == 15


def test_a_worker_that_hangs_does_not_keep_ctrl_c_from_ending_the_run(tmp_path):
    began = []

    def hanging() -> bool:
        checkpoint = load_checkpoint(tmp_path, lambda _: None) if (tmp_path / "checkpoint.npz").exists() else None
        return checkpoint is not None and checkpoint.frames >= 2 * Faulty.before

    def press() -> None:
        stop_in_process(hanging)
        began.append(time.monotonic())

    with meanwhile(press), pytest.raises(Stopped):
        train(faulty("Hangs", "checkpoint.every_seconds=0.2"), tmp_path)
    assert time.monotonic() - began[0] < LIMIT
    assert workers(os.getpid()) == []
    assert whole_checkpoint(tmp_path).frames >= 2 * Faulty.before


def test_a_final_evaluation_that_is_stopped_is_made_once_afterwards(tmp_path):
    config = compose("env=toy/catch", "frames=100", *TINY, "evaluation.every=0", "evaluation.episodes=3000")
    with meanwhile(lambda: stop_in_process(lambda: finished_training(tmp_path))), pytest.raises(Stopped):
        train(config, tmp_path)
    assert rows(tmp_path, "evaluations.csv") == []
    found = train(config, tmp_path)
    (row,) = rows(tmp_path, "evaluations.csv")
    assert int(row["frames"]) == found["frames"]
    assert float(row["score_mean"]) == found["score_mean"]
    assert found["episodes"] == 3000


def finished_training(directory: Path) -> bool:
    checkpoint = load_checkpoint(directory, pytest.fail)
    return checkpoint is not None and checkpoint.frames >= 100


# ---- Killed --------------------------------------------------------------------------------------------------------


def kill(cwd: Path, find, status: int, said: str) -> None:
    with running(cwd, *SMALL, ENDLESS) as run:
        run.wait_for_episodes(100)
        processes = run.processes()
        began = time.monotonic()
        find(run).kill()
        assert run.wait(LIMIT) == status, run.stderr
        assert gone_within(processes, LIMIT - (time.monotonic() - began))
        if status == 1:
            assert is_stopped_in_order(run, processes, began).frames > 0
            assert run.stderr.count("\n") == 1 and said in run.stderr


def test_the_death_of_the_main_process_or_of_the_fork_server_ends_all_others(tmp_path):
    at_once(
        kill,
        (tmp_path / "main", lambda run: psutil.Process(run.process.pid), -signal.SIGKILL, ""),
        (tmp_path / "server", lambda run: run.fork_server(), 1, "fork server"),
    )


@pytest.mark.slow
def test_the_death_of_an_actor_learner_is_told_in_a_line(tmp_path):
    kill(tmp_path, lambda run: run.workers()[0], 1, "actor-learner 0 was killed by SIGKILL")


@pytest.mark.parametrize(("index", "name"), [(0, "actor-learner 0"), (1, "actor-learner 1"), (2, "the evaluator")])
def test_the_death_of_any_of_its_processes_ends_the_run(tmp_path, index, name):
    long = ("env=toy/catch", ENDLESS, *TINY, "evaluation.every=100", "evaluation.episodes=100_000_000")
    began = []

    def kill_one() -> None:
        wait_until(lambda: len(workers(os.getpid())) == 3)
        began.append(time.monotonic())
        workers(os.getpid())[index].kill()

    with meanwhile(kill_one), pytest.raises(ProcessDied, match=f"{name} was killed by SIGKILL"):
        train(compose(*long), tmp_path)
    assert time.monotonic() - began[0] < LIMIT
    assert workers(os.getpid()) == []
    assert whole_checkpoint(tmp_path).frames >= 100
    assert not (tmp_path / "summary.json").exists()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("Raises", r"actor-learner \d failed:\nTraceback[^$]*ArithmeticError: the game is broken"),
        ("Refuses", r"^actor-learner \d failed: env\.game: there is none$"),
        (
            "NanReward",
            r"^actor-learner \d failed: NanReward-v0: step returned the reward nan; needs one finite number$",
        ),
        ("Exits", r"actor-learner \d ended with exit code 3"),
    ],
)
def test_a_worker_that_fails_ends_the_run_and_says_why(tmp_path, fault, said):
    with pytest.raises(ProcessDied, match=said):
        train(faulty(fault), tmp_path)
    assert workers(os.getpid()) == []
    assert whole_checkpoint(tmp_path).frames > 50
    assert not (tmp_path / "summary.json").exists()
    assert len(rows(tmp_path)) >= (0 if fault == "Exits" else 6)  # its own games, of ten steps each


# ---- Gradients that are not finite -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "algo"),
    [
        ("NanObservation", "a3c"),
        pytest.param("NanObservation", "n_step_q", marks=pytest.mark.slow),
        ("NanObservation", "one_step_sarsa"),
        pytest.param("NanObservation", "one_step_q", marks=pytest.mark.slow),
    ],
)
def test_gradients_that_are_not_finite_are_never_applied_and_end_the_run_if_they_persist(tmp_path, capsys, fault, algo):
    with pytest.raises(ProcessDied, match="gradients in a row were not finite"):
        train(faulty(fault, f"algo={algo}", "env.reward_clip=null"), tmp_path)
    checkpoint = whole_checkpoint(tmp_path)
    refused = int(checkpoint.arrays["counters"][:, 2].sum())
    assert refused >= 100
    assert reported(capsys.readouterr().out) == refused


@pytest.mark.parametrize("execution", ["hogwild", "synchronous"])
def test_a_learning_rate_that_is_far_too_large_is_named_in_one_line(tmp_path, execution, capfd):
    how = ("env=minatar/breakout", ENDLESS, *TINY, f"execution={execution}")
    with pytest.raises(ProcessDied) as caught:
        train(compose(*how, "optimizer.lr=1e10"), tmp_path)
    (line,) = str(caught.value).splitlines()
    assert "optimizer.lr=1e+10" in line and "rewards" in line and "minatar/breakout" in line
    assert capfd.readouterr().err == ""


def test_a_gradient_that_is_not_finite_now_and_then_is_counted_and_reported(tmp_path, capsys):
    found = train(faulty("SometimesNan", "frames=1000", "algo.t_max=5"), tmp_path)
    checkpoint = whole_checkpoint(tmp_path)
    refused = int(checkpoint.arrays["counters"][:, 2].sum())
    assert refused > 0
    assert reported(capsys.readouterr().out) == refused
    assert found["updates"] + refused in (200, 201)  # five steps each; both finish the segment that they are in


def reported(text: str) -> int:
    lines = [line for line in text.splitlines() if "not finite" in line]
    return sum(int(line.split()[0]) for line in lines)


# ---- A full disk -----------------------------------------------------------------------------------------------------


def has_trained(directory: Path) -> bool:
    """Whether both checkpoints were written, and hold steps: on a busy machine, the first ones hold none."""
    checkpoint = load_checkpoint(directory, lambda _: None) if (directory / "checkpoint_before.npz").exists() else None
    return checkpoint is not None and checkpoint.frames > 0


@pytest.mark.parametrize("tensorboard", ["true", pytest.param("false", marks=pytest.mark.slow)])
def test_a_full_disk_ends_the_run_with_one_line_and_the_last_checkpoint(tmp_path, tensorboard):
    words = (*SMALL, ENDLESS, f"logging.tensorboard={tensorboard}", "checkpoint.every_seconds=0.2")
    with running(tmp_path, *words) as run:
        saved = run.directory / "checkpoint.npz"
        run.wait_until(lambda: has_trained(run.directory) and has_rows(run.directory, 0)(), "a checkpoint and a game")
        limit = saved.stat().st_size // 2
        resource.prlimit(run.process.pid, resource.RLIMIT_FSIZE, (limit, limit))
        assert run.wait() == 1
        assert run.stderr.count("\n") == 1, run.stderr
        assert "File too large" in run.stderr or "No space left on device" in run.stderr
        assert whole_checkpoint(run.directory).frames > 0
        assert len(rows(run.directory)) > 0


@contextlib.contextmanager
def small_disk(path: Path) -> Iterator[Path]:
    path.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(path)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no small file system can be mounted: {mounted.stderr.decode().strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def fill(path: Path) -> None:
    """Writes to a file until its disk is full."""
    with open(path, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


@pytest.mark.parametrize("tensorboard", ["false", pytest.param("true", marks=pytest.mark.slow)])
def test_a_disk_that_fills_up_and_is_made_free_again_costs_nothing_that_was_saved(tmp_path, tensorboard):
    overrides = ("env=toy/catch", ENDLESS, "threads=2", "checkpoint.every_seconds=0.2")
    evaluated = ("evaluation.every=2000", "evaluation.episodes=2")
    config = compose(*overrides, *evaluated, f"logging.tensorboard={tensorboard}")
    with small_disk(tmp_path / "run") as directory:

        def fill_the_disk() -> None:
            wait_until(lambda: has_trained(directory) and has_rows(directory, 0)())
            fill(directory / "filler")

        with meanwhile(fill_the_disk), pytest.raises(OSError, match="No space left on device"):
            train(config, directory)
        assert workers(os.getpid()) == []
        stopped = whole_checkpoint(directory)
        games = rows(directory)
        rows(directory, "evaluations.csv")
        assert stopped.frames > 0 and games
        assert not list(directory.rglob("*.tmp"))

        (directory / "filler").unlink()
        more = len(games) + 20
        with meanwhile(lambda: stop_in_process(has_rows(directory, more))), pytest.raises(Stopped):
            train(config, directory)
        assert whole_checkpoint(directory).frames > stopped.frames
        kept = games[: stopped.counters.episodes]
        assert rows(directory)[: len(kept)] == kept
        at = frames(directory, "evaluations.csv")
        assert at == sorted(set(at))


# ---- Everything, many times ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_run_that_is_killed_twenty_times_finishes_with_whole_tables(tmp_path):
    rng = random.Random(0)
    words = ("env=toy/catch", "threads=3", "hydra.run.dir=run", "checkpoint.every_seconds=0.3", *EVALUATED,
             "evaluation.every=2_500")  # fmt: skip
    budget, directory, reached = 1_000_000, tmp_path / "run", 0
    for _ in range(20):
        with running(tmp_path, *words, f"frames={budget}") as run:
            going = rng.random() < 0.8
            if going:
                begun = (directory / "episodes.csv").read_bytes() if (directory / "episodes.csv").exists() else b""
                run.wait_until(lambda begun=begun: games_since(directory, begun), "new games")
                time.sleep(rng.uniform(0, 1.5))
            else:
                time.sleep(rng.uniform(0.3, 5))
            processes = run.processes()
            match rng.choice(["main", "child", "child", "ctrl-c", "group"]):
                case "main":
                    run.send(signal.SIGKILL)
                case "child" if left := [process for process in processes if alive(process)]:
                    rng.choice(left).kill()
                    time.sleep(0.5)
                    run.send(signal.SIGTERM)
                case "group":
                    run.send(rng.choice([signal.SIGINT, signal.SIGHUP]), group=True)
                case _:
                    run.send(signal.SIGINT)
            assert run.wait(2 * LIMIT) in (1, 130, -signal.SIGKILL, *(-number for number in SIGNALS)), run.stderr
            assert gone_within(processes, LIMIT)
            assert not (directory / "summary.json").exists(), "the budget is too small for this machine"
        if directory.exists() and (checkpoint := load_checkpoint(directory, pytest.fail)):
            assert checkpoint.frames >= reached
            reached = checkpoint.frames
    with running(tmp_path, *words, f"frames={budget}") as run:
        assert run.wait(600) == 0, run.stderr
    assert summary(directory)["frames"] >= budget
    games = [tuple(row.values()) for row in rows(directory)]
    assert len(games) == len(set(games))
    at = frames(directory, "evaluations.csv")
    assert at == sorted(set(at)) and at[-1] == summary(directory)["frames"]
    games_are_in_order(directory)


def games_since(directory: Path, begun: bytes) -> bool:
    path = directory / "episodes.csv"
    return path.exists() and path.read_bytes()[-200:] != begun[-200:] and path.read_bytes().count(b"\n") > 20
