"""Runs of the command line as their users start them, and what is read from the directories they leave."""

import contextlib
import csv
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import psutil
from gymnasium.envs.classic_control import CartPoleEnv

from a3crepro.common.errors import UserError
from a3crepro.runs.checkpoint import Checkpoint, load_checkpoint

PATIENCE = 120
"""Seconds after which something that must happen soon is taken never to happen: long, for a busy machine."""

SMALL = ("env=toy/catch", "threads=2", "evaluation.episodes=0", "logging.tensorboard=false", "hydra.run.dir=run")
"""A run in the directory `run` that takes a few seconds."""
ENDLESS = "frames=1_000_000_000"


class Run:
    """A command in a session of its own."""

    def __init__(
        self,
        cwd: Path,
        *words: str,
        command: Sequence[str] = ("-m", "a3crepro"),
        env: Mapping[str, str] | None = None,
        **popen: Any,
    ) -> None:
        self.directory = cwd / "run"
        self._files = [open(cwd / name, "w+") for name in ("stdout.txt", "stderr.txt")]
        self.process = subprocess.Popen(
            [sys.executable, *command, *words],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=self._files[0],
            stderr=self._files[1],
            start_new_session=True,
            **popen,
        )

    @property
    def stdout(self) -> str:
        return self._read(0)

    @property
    def stderr(self) -> str:
        return self._read(1)

    def _read(self, index: int) -> str:
        return Path(self._files[index].name).read_text()

    def processes(self) -> list[psutil.Process]:
        """All processes of the run but the main one."""
        return descendants(self.process.pid)

    def fork_server(self) -> psutil.Process:
        return fork_server(self.process.pid)

    def workers(self) -> list[psutil.Process]:
        """Actor-learners, then the evaluator, if it was started."""
        return workers(self.process.pid)

    def send(self, number: signal.Signals, group: bool = False) -> None:
        (os.killpg if group else os.kill)(self.process.pid, number)

    def wait_until(self, happened: Callable[[], object], what: str) -> None:
        """Waits until something happened in the run, which must not end before."""
        deadline = time.monotonic() + PATIENCE
        while not happened():
            assert self.process.poll() is None, f"ended before {what}: {self.stdout}\n{self.stderr}"
            assert time.monotonic() < deadline, f"never {what}: {self.stdout}\n{self.stderr}"
            time.sleep(0.02)

    def wait_for_episodes(self, count: int = 20) -> None:
        path = self.directory / "episodes.csv"
        self.wait_until(lambda: path.exists() and path.read_bytes().count(b"\n") > count, f"{count} episodes")

    def wait(self, timeout: float = PATIENCE) -> int:
        return self.process.wait(timeout)

    def close(self) -> None:
        """Leaves nothing running, whatever failed."""
        left = self.processes()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait(10)
        for file in self._files:
            file.close()


@contextlib.contextmanager
def running(cwd: Path, *words: str, **options: Any) -> Iterator[Run]:
    """A run that is going on, and is gone afterwards."""
    cwd.mkdir(parents=True, exist_ok=True)
    run = Run(cwd, *words, **options)
    try:
        yield run
    finally:
        run.close()


def finished(cwd: Path, *words: str, **options: Any) -> Run:
    """A run that has ended by itself."""
    with running(cwd, *words, **options) as run:
        run.wait()
    return run


def descendants(pid: int) -> list[psutil.Process]:
    """The oldest first."""
    try:
        found = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return sorted(found, key=lambda process: process.pid)


def fork_server(pid: int) -> psutil.Process:
    """What the actor-learners of this main process were forked from."""
    (found,) = (process for process in descendants(pid) if _parent(process) == pid and "forkserver" in _words(process))
    return found


def workers(pid: int) -> list[psutil.Process]:
    """What was forked from the fork server of this main process: actor-learners, then the evaluator."""
    parents = {process: _parent(process) for process in descendants(pid)}
    servers = [process.pid for process, parent in parents.items() if parent == pid and "forkserver" in _words(process)]
    return [process for process, parent in parents.items() if parent in servers and alive(process)]


def _parent(process: psutil.Process) -> int | None:
    try:
        return process.ppid()
    except psutil.NoSuchProcess:
        return None


def _words(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # or a zombie
        return ""


def gone_within(processes: list[psutil.Process], seconds: float) -> bool:
    """Whether none of these processes is left after so many seconds; one that waits to be reaped is gone."""
    deadline = time.monotonic() + seconds
    while any(map(alive, processes)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextlib.contextmanager
def meanwhile(act: Callable[[], object]) -> Iterator[None]:
    """Acts in another thread while the body of the `with` goes on, which is interrupted where the thread fails."""
    failure: list[BaseException] = []

    def body() -> None:
        try:
            act()
        except BaseException as error:
            failure.append(error)
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    try:
        yield
    finally:
        if failure:
            raise failure[0]
    thread.join(PATIENCE)
    assert not thread.is_alive()


def wait_until(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def at_once(act: Callable[..., object], *calls: Sequence[Any]) -> None:
    """Makes these calls at the same time, and raises what the first of them that failed raised."""
    with ThreadPoolExecutor(len(calls)) as pool:
        for done in [pool.submit(act, *arguments) for arguments in calls]:
            done.result()


def rows(directory: Path, name: str = "episodes.csv") -> list[dict[str, str]]:
    """The rows of a table, each of which must be whole."""
    text = (directory / name).read_text()
    assert text.endswith("\n"), f"the last row of {name} is incomplete"
    header, *found = csv.reader(text.splitlines())
    assert all(len(row) == len(header) and row != header for row in found), f"{name} is not well-formed"
    return [dict(zip(header, row, strict=True)) for row in found]


def frames(directory: Path, name: str = "episodes.csv") -> list[int]:
    return [int(row["frames"]) for row in rows(directory, name)]


def summary(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / "summary.json").read_text())
    return found


def whole_checkpoint(directory: Path) -> Checkpoint:
    """The last checkpoint, which must be undamaged and hold nothing but finite parameters."""
    damaged: list[str] = []
    checkpoint = load_checkpoint(directory, damaged.append)
    assert checkpoint is not None, f"{directory} holds no checkpoint"
    assert not damaged
    assert math.isfinite(checkpoint.counters.seconds)
    assert all(np.isfinite(checkpoint.arrays[name]).all() for name in ("parameters", "target", "statistics"))
    return checkpoint


def files(directory: Path) -> dict[str, bytes]:
    """Everything that a directory holds."""
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


# ---- Environments that go wrong, as `env=gym env.id="helpers:Raises-v0"` -------------------------------------------


class Faulty(gym.Env[np.ndarray, int]):
    """Games of ten steps, each worth 1, until the fault comes."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (4,), np.float32)
    action_space: gym.Space[Any] = gym.spaces.Discrete(2)
    before = 60

    def __init__(self, fault: str, render_mode: str | None = None) -> None:
        self.fault, self.render_mode, self.steps = fault, render_mode, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        return self._observation(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        reward = 1.0
        if self.steps > self.before:
            match self.fault:
                case "Raises":
                    raise ArithmeticError("the game is broken")
                case "Refuses":
                    raise UserError("env.game: there is none")
                case "Exits":
                    os._exit(3)
                case "Hangs":
                    time.sleep(1e6)
                case "NanReward":
                    reward = math.nan
        return self._observation(), reward, self.steps % 10 == 0, False, {}

    def _observation(self) -> np.ndarray:
        broken = self.steps > self.before and (
            self.fault == "NanObservation" or (self.fault == "SometimesNan" and self.steps % 50 == 25)
        )
        return np.full(4, math.nan if broken else self.steps % 10 / 10, np.float32)


for _fault in ("Raises", "Refuses", "Exits", "Hangs", "NanReward", "NanObservation", "SometimesNan"):
    gym.register(f"{_fault}-v0", lambda fault=_fault, **options: Faulty(fault, **options), disable_env_checker=True)


class TellsNothing(gym.Env[np.ndarray, int]):
    """An environment with a state that nobody can read."""

    observation_space = gym.spaces.Box(0.0, 1.0, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        return np.zeros(1, np.float32), float(action), self.np_random.random() < 0.2, False, {}


class Noisy(gym.ObservationWrapper[np.ndarray, int, np.ndarray]):
    """Adds noise from a generator of its own, which nobody can ask for its state."""

    def __init__(self, env: gym.Env[np.ndarray, int]) -> None:
        super().__init__(env)
        self.rng = np.random.default_rng(0)

    def observation(self, observation: np.ndarray) -> np.ndarray:
        return observation + self.rng.normal(size=4).astype(np.float32)


gym.register("a3crepro-tests/NoisyCartPole-v0", lambda **options: Noisy(CartPoleEnv(**options)))


def play_randomly(env: gym.Env, seed: int, steps: int, action_seed: int = 0) -> tuple[list[np.ndarray], list[float]]:
    rng = np.random.default_rng(action_seed)
    observations, rewards = [env.reset(seed=seed)[0]], []
    for _ in range(steps):
        observation, reward, terminated, truncated, _ = env.step(int(rng.integers(env.action_space.n)))
        observations.append(observation)
        rewards.append(float(reward))
        if terminated or truncated:
            observations.append(env.reset()[0])
    return observations, rewards


def differ(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    return len(a) != len(b) or not all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
