"""What the shell, the system and the machine around a run are like."""

import contextlib
import errno
import multiprocessing
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
import types
from multiprocessing.connection import arbitrary_address

import pytest
from helpers import PATIENCE, SMALL, frames, meanwhile, summary, wait_until, whole_checkpoint

from a3crepro import compose, train
from a3crepro.common import machine
from a3crepro.common.output import lasting_output
from a3crepro.common.processes import Launcher, ScriptError, start_server
from a3crepro.common.settings import UserError
from a3crepro.common.signals import SIGNALS
from a3crepro.config import choices, runs_at_once
from a3crepro.experiments import provenance
from a3crepro.runs.checkout import GitState
from a3crepro.runs.needs import check_needs
from a3crepro.runs.run_directory import RunError, this_start
from a3crepro.runs.training import Stopped, Training, initial_state, stop_signals

TINY = ("env=toy/catch", "threads=2", "frames=400", "evaluation.episodes=0", "logging.tensorboard=false")

# ---- Output that nobody reads ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def broken_pipe():
    """Standard output is a pipe whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", buffering=1) as stream, contextlib.redirect_stdout(stream):
        yield


@pytest.mark.parametrize("execution", ["hogwild", "virtual_time"])
def test_a_run_goes_on_without_output_when_its_reader_is_gone_and_says_so(tmp_path, capfd, execution):
    config = compose(*TINY, f"execution={execution}", "logging.every_seconds=0.01")
    with broken_pipe():
        found = train(config, tmp_path)
    assert summary(tmp_path) == found
    assert capfd.readouterr().err.splitlines() == [
        "a3crepro: standard output cannot be written (Broken pipe): going on without it"
    ]


def test_a_stream_without_a_file_of_the_system_is_dropped_too(monkeypatch):
    class Closed(list):
        def write(self, text):
            raise OSError(errno.EIO, "hung up")

        flush = fileno = lambda self: self.write("")

    monkeypatch.setattr(sys, "stdout", Closed())
    monkeypatch.setattr(sys, "stderr", Closed())
    with lasting_output():
        print("nobody reads this", flush=True)
        print("nor this", file=sys.stderr, flush=True)


EVALUATE = (".evaluate", "env=toy/catch", "policy=random", "episodes=5")


@pytest.mark.parametrize("command", [(), pytest.param(EVALUATE, marks=pytest.mark.slow)], ids=["train", "evaluate"])
def test_a_command_whose_output_was_closed_from_the_start_does_its_work(tmp_path, command):
    words = command[1:] or (*SMALL, "frames=400", "execution=virtual_time")
    module = "".join(("a3crepro", *command[:1]))
    shell = ["bash", "-c", 'exec "$@" <&- >&- 2>error', "-", sys.executable, "-m", module, *words]
    assert subprocess.run(shell, cwd=tmp_path, timeout=PATIENCE).returncode == 0
    assert (tmp_path / "error").read_text() == ""
    assert command or summary(tmp_path / "run")["frames"] >= 400


# ---- Systems that lack something -------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS])
def test_no_process_needs_a_pidfd(tmp_path, monkeypatch, number):
    def refused(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "pidfd_open", refused)
    assert train(compose(*TINY), tmp_path)["frames"] >= 400
    parent = [os.getppid()]
    monkeypatch.setattr(os, "getppid", lambda: parent[0])
    with stop_signals(SIGNALS) as received:
        launcher = Launcher()
        assert not launcher.is_gone
        parent[0] = 1
        wait_until(lambda: received)
        assert launcher.is_gone and received == [signal.SIGTERM]


def test_a_long_path_of_temporary_files_is_none_of_the_servers_socket(tmp_path, monkeypatch):
    long = tmp_path / ("x" * 118)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    monkeypatch.delitem(multiprocessing.current_process()._config, "tempdir", raising=False)
    bound = []

    def bind():
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(arbitrary_address("AF_UNIX"))
            bound.append(listener.getsockname())

    monkeypatch.setattr("multiprocessing.forkserver.ensure_running", bind)
    start_server()
    assert len(bound) == 1 and tempfile.gettempdir() == str(long)


# ---- Scripts ---------------------------------------------------------------------------------------------------------

SCRIPT = f"""
import a3crepro
a3crepro.train(a3crepro.compose(*{TINY!r}), "run")
"""


def is_refused(tmp_path, words, said, **options):
    done = subprocess.run(
        [sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, **options
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and said in done.stderr and 'if __name__ == "__main__":' in done.stderr
    assert not (tmp_path / "run" / "summary.json").exists()


def test_a_script_that_is_no_file_is_refused(tmp_path, monkeypatch):
    script = types.ModuleType("__main__")
    script.__file__ = "<stdin>"
    monkeypatch.setitem(sys.modules, "__main__", script)
    with pytest.raises(ScriptError, match="put it into a file"):
        train(compose(*TINY), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_script_on_standard_input_is_told_what_to_do(tmp_path):
    is_refused(tmp_path, ["-"], "put it into a file", input=SCRIPT)
    assert not (tmp_path / "run").exists()


def test_a_script_that_trains_as_it_is_imported_is_told_what_to_do(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    is_refused(tmp_path, ["script.py"], "which trains then")


# ---- What the machine offers -----------------------------------------------------------------------------------------


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
    assert runs_at_once("virtual_time", 16) == cores
    assert this_start(GitState(None, None))["cores"] == provenance.machine()["usable_cores"] == cores
    config = compose("env=toy/catch", "execution=synchronous", "threads=16")
    assert config.processes == cores


def test_without_control_groups_cores_are_those_of_the_affinity(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "OWN_CGROUPS", tmp_path / "none")
    monkeypatch.setattr(machine, "CGROUPS", tmp_path)
    assert machine.usable_cores() == len(os.sched_getaffinity(0))


def refused(kind, directory, *overrides):
    """The line with which a run is refused, before anything is written."""
    with pytest.raises(kind) as error:
        train(compose(*overrides), directory)
    assert not directory.exists()
    assert "\n" not in str(error.value)
    return str(error.value)


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
    monkeypatch.setattr("a3crepro.runs.needs.memory_bytes", lambda: 2 * 2**30)
    assert re.search(said, refused(UserError, tmp_path / "run", *words))


def test_memory_is_that_of_the_container(cgroups):
    cgroups("0::/a", memory_DOT_max="max\n", a__memory_DOT_max=f"{2**30}\n")
    assert machine.memory_bytes() == 2**30
    cgroups("7:memory:/", memory__memory_DOT_limit_in_bytes="9223372036854771712\n", a__memory_DOT_max="")
    assert machine.memory_bytes() == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("choice", choices("env"))
@pytest.mark.slow
def test_every_environment_fits_into_a_machine_of_eight_gibibytes(monkeypatch, choice):
    monkeypatch.setattr("a3crepro.runs.needs.memory_bytes", lambda: 8 * 2**30)
    config = compose(f"env={choice}", *(("env.id=CartPole-v1",) if choice == "gym" else ()))
    check_needs(config, initial_state(config))


# ---- Evaluations that take longer than training ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "execution", ["hogwild", *(pytest.param(name, marks=pytest.mark.slow) for name in ("virtual_time", "synchronous"))]
)
def test_training_waits_for_evaluations_and_makes_all_of_them(tmp_path, capsys, monkeypatch, execution):
    monkeypatch.setattr("a3crepro.runs.training.WAITING", 3)
    words = ("env=toy/catch", "threads=2", "logging.tensorboard=false", f"execution={execution}")
    train(compose(*words, "frames=400", "evaluation.every=20", "evaluation.episodes=5"), tmp_path)
    at = frames(tmp_path, "evaluations.csv")
    assert len(at) == len(set(at)) >= 15 and at == sorted(at)
    assert capsys.readouterr().out.count("evaluation.every=20: training waits") == 1


def test_a_run_that_waits_for_its_evaluations_saves_and_stops_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr("a3crepro.runs.training.WAITING", 3)
    words = ("env=toy/catch", "threads=2", "logging.tensorboard=false", "frames=1_000_000", "evaluation.every=20")
    config = compose(*words, "evaluation.episodes=100_000_000", "checkpoint.every_seconds=0.2")
    began, counts = [], []
    evaluate = Training._evaluate

    def count(self, *snapshot):
        evaluate(self, *snapshot)
        counts.append(len(self.waiting))

    def stop():
        wait_until(lambda: len(counts) >= 3)
        time.sleep(1)  # what was on its way
        before = len(counts)
        time.sleep(1)
        began.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGTERM)
        assert len(counts) == before

    monkeypatch.setattr(Training, "_evaluate", count)
    with meanwhile(stop), pytest.raises(Stopped):
        train(config, tmp_path)
    assert time.monotonic() - began[0] < 10
    checkpoint = whole_checkpoint(tmp_path)
    assert checkpoint.frames > 0
    assert len(checkpoint.waiting) == counts[-1] >= 3
