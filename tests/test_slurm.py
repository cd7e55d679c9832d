"""A sweep through SLURM, on a cluster of this machine alone: run on demand, `pytest -m slow tests/test_slurm.py`.

Needs Debian's `slurm-wlm` and `munge`, and root; nothing outside the test's directory is written.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from test_sweeping import SEEDS, content, finish, start, unbroken, wait_until  # noqa: F401 - a fixture

from a3crepro.experiments.state import frames_of

DAEMONS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not all(map(shutil.which, DAEMONS)) or os.getuid() != 0,
        reason=f"needs root and {', '.join(DAEMONS)} (Debian: slurm-wlm, munge)",
    ),
]

SACCT = """#!/bin/sh
# Without accounting: what the controller still knows, in sacct's words.
echo 'JobID|State|NodeList'
job='^JobId=[0-9]+ ArrayJobId=([0-9]+) ArrayTaskId=([0-9]+) '
scontrol show job --oneliner | sed -nE "s/$job.*JobState=([A-Z_]+).*/\\1_\\2|\\3|here/p"
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("", 0))
        return probe.getsockname()[1]


def configuration(root, host, cpus):
    return f"""
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={free_port()}
SlurmdPort={free_port()}
AuthType=auth/munge
AuthInfo=socket={root}/munge.socket
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
MinJobAge=3600
KillWait=5
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=16000 State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


@pytest.fixture
def cluster(tmp_path_factory, monkeypatch):
    """A controller and a node."""
    root = tmp_path_factory.mktemp("slurm")
    for name in ("state", "spool", "bin"):
        (root / name).mkdir()
    root.chmod(0o755)
    for parent in root.parents:
        if parent.stat().st_mode & 0o005 != 0o005 and parent.is_relative_to("/tmp"):
            parent.chmod(parent.stat().st_mode | 0o055)  # munge wants to be reached by everybody
    (root / "munge.key").write_bytes(os.urandom(1024))
    (root / "munge.key").chmod(0o600)
    (root / "slurm.conf").write_text(configuration(root, socket.gethostname(), len(os.sched_getaffinity(0))))
    (root / "bin" / "sacct").write_text(SACCT)
    (root / "bin" / "sacct").chmod(0o755)
    monkeypatch.setenv("SLURM_CONF", str(root / "slurm.conf"))
    monkeypatch.setenv("PATH", f"{root / 'bin'}:{os.environ['PATH']}")
    files = [
        f"--{name}={root}/munge.{name.partition('-')[0]}" for name in ("socket", "pid-file", "log-file", "seed-file")
    ]
    commands = (
        ["munged", "--foreground", "--force", f"--key-file={root}/munge.key", *files],
        ["slurmctld", "-D", "-f", str(root / "slurm.conf")],
        ["slurmd", "-D", "-f", str(root / "slurm.conf")],
    )
    daemons = []
    with open(root / "out.txt", "w") as out:
        for command in commands:
            daemons.append(subprocess.Popen(command, stdout=out, stderr=out))
            time.sleep(2)
    try:
        wait_until(lambda: "idle" in scontrol("show", "node").lower(), patience=60)
        yield root
    finally:
        subprocess.run(["scancel", "--state=RUNNING", "--state=PENDING", "-u", "root"], capture_output=True)
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait(timeout=30)


def scontrol(*words):
    return subprocess.run(["scontrol", *words], capture_output=True, text=True).stdout


def running_tasks():
    jobs = [dict(word.split("=", 1) for word in line.split() if "=" in word)
            for line in scontrol("show", "job", "--oneliner").splitlines()]  # fmt: skip
    return [f"{job['ArrayJobId']}_{job['ArrayTaskId']}" for job in jobs
            if job.get("JobState") == "RUNNING" and "ArrayTaskId" in job]  # fmt: skip


def begun(directory):
    """Seeds of runs that have most of their way before them."""
    return [seed for seed in range(SEEDS)
            if 0 < frames_of(directory / "toy" / "catch" / "a3c" / f"threads=2,seed={seed}") < 30_000]  # fmt: skip


def test_a_sweep_through_slurm_of_which_a_job_is_cancelled(cluster, tmp_path):
    longer, launcher = "frames=100_000", "hydra/launcher=slurm"
    whole = tmp_path / "whole"
    whole.mkdir()
    assert finish(start(whole, longer))[0] == 0
    process = start(tmp_path, launcher, longer)
    directory = tmp_path / "runs" / f"smoke,{longer}"
    wait_until(lambda: begun(directory) and running_tasks(), patience=180)
    midway = f"_{begun(directory)[0]}"
    (cancelled,) = (task for task in running_tasks() if task.endswith(midway))
    subprocess.run(["scancel", "--signal=KILL", "--full", cancelled], check=True)
    status, out = finish(process)
    assert status == 1 and "launcher gave up" in out, out
    wait_until(lambda: not running_tasks(), patience=180)
    status, out = finish(start(tmp_path, launcher, longer))
    assert status == 0 and f"{SEEDS} of {SEEDS} done" in out, out
    tables, starts = content(tmp_path, f"smoke,{longer}")
    assert tables == content(whole, f"smoke,{longer}")[0]
    assert sorted(starts.values()) == [*[1] * (SEEDS - 1), 2]
    scripts = Path(directory / ".submitit").rglob("*_submission.sh")
    assert any("--array=0-" in script.read_text() for script in scripts)


def test_jobs_go_on_without_the_command_that_queued_them(cluster, tmp_path, unbroken):  # noqa: F811
    process = start(tmp_path, "hydra/launcher=slurm")
    wait_until(lambda: any((tmp_path / "runs").rglob("episodes.csv")) and running_tasks(), patience=180)
    process.send_signal(signal.SIGINT)
    status, out = finish(process)
    assert status == 130 and "run the same command to resume" in out, out
    assert running_tasks()
    wait_until(lambda: len(list((tmp_path / "runs").rglob("sweep.json"))) == SEEDS, patience=300)
    status, out = finish(start(tmp_path, "hydra/launcher=slurm"))
    assert status == 0 and f"{SEEDS} of {SEEDS} done" in out, out
    assert content(tmp_path) == (unbroken[0], dict.fromkeys(range(SEEDS), 1))


def test_a_job_that_is_queued_again_goes_on(cluster, tmp_path, unbroken):  # noqa: F811
    """As after a preemption."""
    process = start(tmp_path, "hydra/launcher=slurm")
    directory = tmp_path / "runs" / "smoke"
    wait_until(lambda: any(directory.rglob("episodes.csv")) and running_tasks(), patience=180)
    (again, *_) = running_tasks()
    subprocess.run(["scontrol", "requeue", again], check=True)
    subprocess.run(["scontrol", "update", f"JobId={again}", "StartTime=now"], capture_output=True)
    status, out = finish(process, timeout=400)
    assert status == 0 and f"{SEEDS} of {SEEDS} done" in out, out
    assert content(tmp_path)[0] == unbroken[0]
