"""Resources of the machine, and runs that need more."""

import os
import platform
import re
import resource
import subprocess
import sys

import hydra
import pytest
from helpers import PATIENCE
from tiny_runs import TINY, refused

from a3crepro import compose, train
from a3crepro.common import machine
from a3crepro.common.errors import RunError, UserError
from a3crepro.config import choices, runs_at_once
from a3crepro.config.groups import conf_directory
from a3crepro.config.resolvers import cores_wanted
from a3crepro.experiments import measurements
from a3crepro.runs.manifest import GitState, this_attempt
from a3crepro.runs.resources import check_resources
from a3crepro.runs.training import initial_state


@pytest.fixture
def cgroups(tmp_path, monkeypatch):
    """Control groups of a machine with 8 cores; takes the line of the process, and files with what they say."""

    def make(line, **files):
        (tmp_path / "own").write_text(f"{line}\n")
        for path, text in files.items():
            file = tmp_path / path.replace("__", "/").replace("_DOT_", ".")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    monkeypatch.setattr(machine, "OWN_CGROUPS", tmp_path / "own")
    monkeypatch.setattr(machine, "CGROUPS", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    return make


@pytest.mark.parametrize(
    ("line", "files", "cores"),
    [
        ("0::/", {"cpu_DOT_max": "200000 100000\n"}, 2),
        ("0::/", {"cpu_DOT_max": "150000 100000\n"}, 2),
        ("0::/", {"cpu_DOT_max": "20000 100000\n"}, 1),
        ("0::/", {"cpu_DOT_max": "max 100000\n"}, 8),
        ("0::/", {"cpu_DOT_max": "1600000 100000\n"}, 8),
        ("0::/", {"cpu_DOT_max": ""}, 8),
        ("0::/", {}, 8),
        ("0::/a/b", {"a__cpu_DOT_max": "300000 100000\n", "a__b__cpu_DOT_max": "max 100000\n"}, 3),
        ("0::/not/seen/from/here", {"cpu_DOT_max": "400000 100000\n"}, 4),
        ("4:cpu,cpuacct:/", {"cpu__cpu_DOT_cfs_quota_us": "50000\n", "cpu__cpu_DOT_cfs_period_us": "10000\n"}, 5),
        ("4:cpu,cpuacct:/", {"cpu__cpu_DOT_cfs_quota_us": "-1\n", "cpu__cpu_DOT_cfs_period_us": "100000\n"}, 8),
    ],
)
def test_cores_are_the_least_of_affinity_and_quota_everywhere(cgroups, line, files, cores):
    cgroups(line, **files)
    assert machine.usable_cores() == cores
    assert runs_at_once(VIRTUAL, 16) == cores
    assert this_attempt(GitState(None, None), ())["cores"] == measurements.machine()["usable_cores"] == cores
    config = compose("env=toy/catch", "execution=synchronous", "threads=16")
    assert config.processes == cores


VIRTUAL = compose("execution=virtual_time").execution.model_dump()
TWO_PROCESSES = {"name": "synchronous", "processes": 2}


@pytest.mark.parametrize(
    ("execution", "cores"),
    [(VIRTUAL, 1), (TWO_PROCESSES, 2), ({"name": "hogwild"}, 16), ({"name": "synchronous", "processes": -1}, 16),
     ({"name": "unknown"}, 16)],
)  # fmt: skip
def test_a_run_wants_a_core_for_each_of_its_processes(execution, cores):
    assert cores_wanted(execution, 16) == cores


def test_a_launcher_asks_the_execution_for_its_processes(monkeypatch):
    monkeypatch.setattr("a3crepro.config.resolvers.usable_cores", lambda: 8)
    words = ["execution=synchronous", "execution.processes=2", "threads=16", "hydra/launcher=local"]
    with hydra.initialize_config_dir(str(conf_directory()), version_base="1.3"):
        composed = hydra.compose("config", words, return_hydra_config=True)
    assert composed.hydra.launcher.n_jobs == 4


def test_without_control_groups_cores_are_those_of_the_affinity(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "OWN_CGROUPS", tmp_path / "none")
    monkeypatch.setattr(machine, "CGROUPS", tmp_path)
    assert machine.usable_cores() == len(os.sched_getaffinity(0))


@pytest.mark.parametrize("execution", ["hogwild", "synchronous"])
def test_too_little_shared_memory_is_told_with_what_is_needed(tmp_path, monkeypatch, execution):
    def small(path):
        assert str(path) == "/dev/shm"
        return os.statvfs_result((4096, 4096, 16384, 16384, 16384, 0, 0, 0, 0, 255))

    monkeypatch.setattr(os, "statvfs", small)
    words = ("env=breakout", "optimizer=rmsprop", "network=mnih2015", "threads=16", f"execution={execution}")
    more = ("execution.processes=16",) if execution == "synchronous" else ()
    said = refused(RunError, tmp_path / "run", *words, *more)
    theta = 4 * sum(p.numel() for p in compose(*words).network.build(*spaces_and_heads()).parameters())
    least = theta * (1 + (1 + 16 if execution == "synchronous" else 16))
    (needed,) = (int(word.replace(",", "")) for word in re.findall(r"share ([\d,]+)", said))
    assert least < needed < 1.01 * least + 2**17
    assert "/dev/shm has 67,108,864 bytes free" in said
    assert least < int(re.findall(r"--shm-size=(\d+)m", said)[0]) * 2**20 < 2 * least


def spaces_and_heads():
    config = compose("env=breakout")
    space, actions = config.env.spaces()
    return space, config.algo.heads(actions)


def test_shared_memory_that_cannot_be_written_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "SHARED_MEMORY", tmp_path / "none")
    assert "none: No such file or directory" in refused(RunError, tmp_path / "run", *TINY)
    full = os.statvfs("/dev/shm")
    read_only = os.statvfs_result((*full[:8], full[8] | os.ST_RDONLY, full[9]))
    monkeypatch.setattr(os, "statvfs", lambda _: read_only)
    assert "cannot be written" in refused(RunError, tmp_path / "run", *TINY)


@pytest.fixture
def open_files(monkeypatch):
    """The limits on open files, as they would be."""
    limits = [64, 64]
    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(limits))
    monkeypatch.setattr(resource, "setrlimit", lambda _, new: limits.__setitem__(slice(None), new))
    return limits


def test_too_few_open_files_are_told_with_the_number_that_is_needed(tmp_path, open_files):
    said = refused(RunError, tmp_path / "run", "env=toy/catch", "threads=16")
    assert 16 * 3 < int(re.findall(r"ulimit -n (\d+)", said)[0]) < 100


def test_as_many_open_files_are_asked_for_as_are_needed(tmp_path, open_files):
    open_files[:] = [8, 4096]
    train(compose(*TINY), tmp_path)
    assert 30 < open_files[0] < 60 and open_files[1] == 4096


@pytest.mark.slow
@pytest.mark.parametrize("words", [("threads=2", "evaluation.every=100"), ("threads=8", "execution=synchronous")])
def test_no_more_files_are_open_than_a_run_asks_for(tmp_path, words):
    shell = ["bash", "-c", 'ulimit -Sn 8; exec "$@"', "-", sys.executable, "-m", "a3crepro"]
    run = [*shell, "env=toy/catch", "frames=2000", "evaluation.episodes=2", "hydra.run.dir=run", *words]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("env=breakout", "algo.t_max=1_000_000"), r"^algo\.t_max: a rollout of 1,000,000 .* allowed: 4\.0 GiB, here"),
        (("env=breakout", "algo=one_step_q", "algo.update_steps=1_000_000"), r"^algo\.update_steps: "),
        (("env=breakout", "network=mnih2013_lstm", "network.lstm_cells=1_000_000"), r"^network: "),
        (("env=toy/catch", "threads=1024"), r"^threads: 1024 actor-learners .* 16\.\d GiB .* has 2\.0 GiB$"),
    ],
)
def test_what_no_memory_can_hold_is_refused_with_the_key(tmp_path, monkeypatch, words, said):
    monkeypatch.setattr("a3crepro.runs.resources.memory_bytes", lambda: 2 * 2**30)
    assert re.search(said, refused(UserError, tmp_path / "run", *words))


ONE_PROCESS = "execution.processes=1"


@pytest.mark.parametrize(
    ("words", "fits"),
    [
        (("execution=virtual_time",), True),
        (("execution=virtual_time", "network.implementation=module"), False),
        (("execution=virtual_time", "algo.t_max=129"), False),  # the fast path does not take such long rollouts
        (("execution=synchronous", ONE_PROCESS, "network.implementation=module"), True),
        (("execution=synchronous", ONE_PROCESS, "network.implementation=module", "algo=one_step_q"), False),
    ],
)
def test_gradients_are_counted_for_each_actor_learner_that_keeps_its_own(monkeypatch, words, fits):
    """1024 of them take 2.6 GiB, but for factors and for gradients that all actor-learners of a process share."""
    config = compose("env=breakout", "threads=1024", *words)
    monkeypatch.setattr("a3crepro.runs.resources.memory_bytes", lambda: 2 * 2**30)
    if fits:
        check_resources(config, initial_state(config))
        return
    with pytest.raises(UserError, match=r"^network: 1024 actor-learners take at least [23]\.\d GiB of memory"):
        check_resources(config, initial_state(config))


def test_memory_is_that_of_the_container(cgroups):
    cgroups("0::/a", memory_DOT_max="max\n", a__memory_DOT_max=f"{2**30}\n")
    assert machine.memory_bytes() == 2**30
    cgroups("7:memory:/", memory__memory_DOT_limit_in_bytes="9223372036854771712\n", a__memory_DOT_max="")
    assert machine.memory_bytes() == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("choice", choices("env"))
@pytest.mark.slow
def test_every_environment_fits_into_a_machine_of_eight_gibibytes(monkeypatch, choice):
    monkeypatch.setattr("a3crepro.runs.resources.memory_bytes", lambda: 8 * 2**30)
    config = compose(f"env={choice}", *(("env.id=CartPole-v1",) if choice == "gym" else ()))
    check_resources(config, initial_state(config))


PROGRAM = """
import ctypes, os, struct
from a3crepro.common.machine import _SCHED_SETATTR, TIME_SLICE, ask_for_long_time_slices
given = os.nice(5)
taken = ask_for_long_time_slices()
attributes = ctypes.create_string_buffer(48)
number = _SCHED_SETATTR[os.uname().machine] + 1  # sched_getattr
assert ctypes.CDLL(None).syscall(number, 0, attributes, 48, 0) == 0
_, policy, _, nice, _, runtime, _, _ = struct.unpack("=IIQiIQQQ", attributes.raw)
print(taken, policy == os.SCHED_OTHER, nice == given, runtime == int(1e9 * TIME_SLICE))
"""


@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="number of the system call unknown")
def test_time_slices_are_longer_and_the_priority_stays() -> None:
    said = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout.split()
    release = tuple(int(part) for part in platform.release().split(".")[:2])
    assert said[:3] == ["True", "True", "True"]
    assert said[3] == "True" or release < (6, 12)
