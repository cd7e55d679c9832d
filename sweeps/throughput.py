"""Measures throughput, memory and start-up time, in rounds over all cases.

  python sweeps/throughput.py [scale=smoke|laptop] [part=table|threads|executions|methods|control] [case=TEXT]
                              [pfrl=PYTHON] [overrides]

Each call of `python -m a3crepro.benchmark` adds a line to `results/throughput/PART.jsonl`, with the case, the commit,
the date and the machine. A round measures every case once, so that all cases run under the same conditions; existing
calls of this commit on this machine are not repeated. With `pfrl=`, a Python whose environment has PFRL (see
`pfrl_throughput.py`), the rounds of the table include PFRL's A3C. With `case=`, only cases whose names contain the text
are measured.
`python analysis/throughput.py` makes the tables. Sweeps estimate their core-hours from `part=methods`.
"""

import json
import subprocess
import sys
from pathlib import Path

from a3crepro.config import compose
from a3crepro.experiments.measurements import components, machine, provenance
from a3crepro.experiments.results import RESULTS
from a3crepro.runs.arguments import Key, one_of, own_arguments
from a3crepro.runs.command_line import run_command
from a3crepro.runs.manifest import git_state

SCALES = {"smoke": (1, 2), "laptop": (5, 8)}
"""Calls per case, and seconds per call."""

BREAKOUT = ["env=breakout", "threads=2"]
SIXTEEN = ["env=breakout", "threads=16"]
TABLE = {
    "a3c": BREAKOUT,
    "a3c, 16 threads": SIXTEEN,
    "a3c, mnih2013_lstm": [*BREAKOUT, "network=mnih2013_lstm"],
    "a3c, mnih2015": [*BREAKOUT, "network=mnih2015"],
    "n_step_q": [*BREAKOUT, "algo=n_step_q"],
    "one_step_q": [*BREAKOUT, "algo=one_step_q"],
    "one_step_sarsa": [*BREAKOUT, "algo=one_step_sarsa"],
    "minatar a3c": ["env=minatar/breakout", "threads=2"],
}
THREADS = {
    f"{env}, {threads} threads": [f"env={env}", f"threads={threads}"]
    for env in ("breakout", "minatar/breakout")
    for threads in (1, 2, 4, 8, 16)
}
SYNCHRONOUS = ["env=breakout", "threads=16", "execution=synchronous"]
EXECUTIONS = {
    "hogwild, 1 thread": ["env=breakout", "threads=1"],
    "virtual_time, 1 thread": ["env=breakout", "threads=1", "execution=virtual_time"],
    "virtual_time, 16 threads": ["env=breakout", "threads=16", "execution=virtual_time"],
    "synchronous, 16 threads": SYNCHRONOUS,
}
METHODS = {
    f"{env}, {algo}": [f"env={env}", f"algo={algo}", "threads=16", "execution=virtual_time"]
    for env in ("breakout", "minatar/breakout")
    for algo in ("one_step_q", "one_step_sarsa", "n_step_q", "a3c")
} | {
    f"breakout, a3c, {network}": ["env=breakout", "threads=16", "execution=virtual_time", f"network={network}"]
    for network in ("mnih2015", "mnih2015_lstm")
}
ROLLOUTS = ["network=control_mlp", "algo.t_max=20", "env.normalise_observations=true"]
METHODS |= {
    name: [*words, "threads=16", "execution=virtual_time"]
    for name, words in {
        "minatar/breakout, a3c, LSTM": ["env=minatar/breakout", "network.lstm_cells=128"],
        "cheetah_run, whole episodes": ["env=control/cheetah_run"],
        "cheetah_run, rollouts": ["env=control/cheetah_run", *ROLLOUTS],
        "cartpole_balance_pixels, rollouts": ["env=control/cartpole_balance_pixels", "algo.t_max=20"],
        "labyrinth, a3c": ["env=labyrinth"],
        "labyrinth_static, a3c": ["env=labyrinth_static"],
        "racing/slow_bots, one_step_q": ["env=racing/slow_bots", "algo=one_step_q"],
        "racing/slow_bots, one_step_sarsa": ["env=racing/slow_bots", "algo=one_step_sarsa"],
        "racing/slow_bots, n_step_q": ["env=racing/slow_bots", "algo=n_step_q"],
        "racing/slow_bots, a3c": ["env=racing/slow_bots"],
    }.items()
}
CONTROL = {
    f"{task}, {how}": [f"env=control/{task}", *words]
    for task in ("cheetah_run", "cartpole_swingup")
    for how, words in {"whole episodes": [], "rollouts": ROLLOUTS}.items()
}
PARTS = {"table": TABLE, "threads": THREADS, "executions": EXECUTIONS, "methods": METHODS, "control": CONTROL}
MODULE = {
    "table": [name for name, overrides in TABLE.items() if overrides is not SIXTEEN],
    "executions": ["synchronous, 16 threads"],
}
"""Cases also measured with autograd."""
PFRL = {f"PFRL, {processes} processes": ["--processes", str(processes)] for processes in (2, 16)}


def main() -> None:
    """Measures as the command line specifies."""
    keys = {"scale": one_of(SCALES, "laptop"), "part": one_of(PARTS, "table"), "pfrl": Key(), "case": Key(default="")}
    own, overrides = own_arguments(sys.argv[1:], keys)
    calls, seconds = SCALES[own.scale]
    path = RESULTS / "throughput" / f"{own.part}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    for call in range(calls):
        for implementation, case in cases(own.part):
            if own.case in case:
                words = [*PARTS[own.part][case], f"network.implementation={implementation}", *overrides]
                known = {"implementation": implementation, "components": components(compose(*words))}
                measure(path, case, call, ["-m", "a3crepro.benchmark", *words, f"seconds={seconds}"], known)
        for case, words in PFRL.items() if own.pfrl and own.part == "table" else ():
            if own.case in case:
                script = str(Path(__file__).with_name("pfrl_throughput.py").relative_to(Path.cwd()))
                measure(path, case, call, [script, *words, "--seconds", str(seconds)], {}, own.pfrl)


def cases(part: str) -> list[tuple[str, str]]:
    """Pairs of network implementation and case."""
    return [*(("fast", case) for case in PARTS[part]), *(("module", case) for case in MODULE.get(part, ()))]


def is_measured(path: Path, call: int, command: str) -> bool:
    """Whether the file already has this call of a command, for this commit and machine."""
    if not path.exists():
        return False
    here = {"call": call, "command": command, "commit": git_state().commit, **machine()}
    return any(here.items() <= json.loads(line).items() for line in path.read_text().splitlines())


def measure(
    path: Path, case: str, call: int, arguments: list[str], known: dict[str, object], python: str = sys.executable
) -> None:
    """Runs one call of a benchmark and adds to the file the JSON object it prints last, with its provenance.

    Does nothing if that line exists.
    """
    command = " ".join(["python", *arguments])
    if is_measured(path, call, command):
        return
    done = subprocess.run([python, *arguments], capture_output=True, text=True)
    if done.returncode:
        sys.stderr.write(done.stderr)
        raise SystemExit(done.returncode)
    line = {
        "case": case,
        "call": call,
        **known,
        **json.loads(done.stdout.splitlines()[-1]),
        "command": command,
        **provenance(),
    }
    with open(path, "a") as file:
        file.write(json.dumps(line) + "\n")
    print(f"{case}: {line['steps_per_second']:.0f} steps/s", flush=True)


if __name__ == "__main__":
    run_command(main, __doc__)
