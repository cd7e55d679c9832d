"""Measures throughput, memory and start-up time, in rounds over all cases.

  python sweeps/throughput.py [scale=smoke|laptop] [part=table|threads|executions|methods|control|versions]
                              [case=TEXT] [pfrl=PYTHON] [before=CHECKOUT] [overrides]

Each call of `python -m a3crepro.benchmark` adds a line to `results/throughput/PART.jsonl`, with the case, the commit,
the date and the machine. A round measures every case once, so that all cases run under the same conditions; existing
calls of this commit on this machine are not repeated. With `pfrl=`, a Python whose environment has PFRL (see
`pfrl_throughput.py`), the rounds of the table include PFRL's A3C. With `case=`, only cases whose names contain the text
are measured. With `before=`, the directory of a checkout of another commit, each call is followed by the same call
there, so that two versions are compared under the same conditions.
`python analysis/throughput.py` makes the tables. Sweeps estimate their core-hours from `part=methods`.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from a3crepro.config import compose
from a3crepro.experiments.measurements import components, machine, provenance
from a3crepro.experiments.results import RESULTS
from a3crepro.runs.arguments import Key, one_of, own_arguments
from a3crepro.runs.command_line import run_command
from a3crepro.runs.manifest import ROOT, git_state

SCALES = {"smoke": (1, 2), "laptop": (5, 4)}
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
VIRTUAL = ["threads=16", "execution=virtual_time"]
METHODS = {
    f"{env}, {algo}": [f"env={env}", f"algo={algo}", *VIRTUAL]
    for env in ("breakout", "minatar/breakout")
    for algo in ("one_step_q", "one_step_sarsa", "n_step_q", "a3c")
} | {
    f"breakout, a3c, {network}": ["env=breakout", *VIRTUAL, f"network={network}"]
    for network in ("mnih2015", "mnih2015_lstm")
}
ROLLOUTS = ["network=control_mlp", "algo.t_max=20", "env.normalise_observations=true"]
METHODS |= {
    name: [*words, *VIRTUAL]
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
MINATAR = ["env=minatar/breakout", *VIRTUAL]
VERSIONS = {
    **{f"breakout, {name}": words for name, words in TABLE.items() if name not in ("minatar a3c", "n_step_q")},
    "breakout, a3c, synchronous, 16 threads": SYNCHRONOUS,
    "minatar, a3c": TABLE["minatar a3c"],
    "minatar, a3c, virtual_time": MINATAR,
    "minatar, one_step_q, virtual_time": [*MINATAR, "algo=one_step_q"],
    "minatar, a3c, 128 LSTM cells, virtual_time": [*MINATAR, "network.lstm_cells=128"],
    "minatar, a3c, synchronous, 16 threads": ["env=minatar/breakout", "threads=16", "execution=synchronous"],
    "labyrinth, a3c, virtual_time": ["env=labyrinth", *VIRTUAL],
    "cartpole_balance_pixels, a3c, virtual_time": METHODS["cartpole_balance_pixels, rollouts"],
}
"""One case per way through the code; two actor-learners unless stated."""
PARTS = {
    "table": TABLE,
    "threads": THREADS,
    "executions": EXECUTIONS,
    "methods": METHODS,
    "control": CONTROL,
    "versions": VERSIONS,
}
MODULE = {
    "table": [name for name, overrides in TABLE.items() if overrides is not SIXTEEN],
    "executions": ["synchronous, 16 threads"],
}
"""Cases also measured with autograd."""
PFRL = {f"PFRL, {processes} processes": ["--processes", str(processes)] for processes in (2, 16)}


def main() -> None:
    """Measures as the command line specifies."""
    keys = {
        "scale": one_of(SCALES, "laptop"),
        "part": one_of(PARTS, "table"),
        "pfrl": Key(),
        "case": Key(default=""),
        "before": Key(Path),
    }
    own, overrides = own_arguments(sys.argv[1:], keys)
    calls, seconds = SCALES[own.scale]
    path = RESULTS / "throughput" / f"{own.part}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    for call in range(calls):
        for implementation, case in cases(own.part):
            if own.case in case:
                words = [*PARTS[own.part][case], f"network.implementation={implementation}", *overrides]
                known = {"implementation": implementation, "components": components(compose(*words))}
                arguments = ["-m", "a3crepro.benchmark", *words, f"seconds={seconds}"]
                measure(path, case, call, arguments, known)
                if own.before:
                    measure(path, case, call, arguments, known, checkout=own.before)
        for case, words in PFRL.items() if own.pfrl and own.part == "table" else ():
            if own.case in case:
                script = "sweeps/pfrl_throughput.py"
                measure(path, case, call, [script, *words, "--seconds", str(seconds)], {}, own.pfrl)


def cases(part: str) -> list[tuple[str, str]]:
    """Pairs of network implementation and case."""
    return [*(("fast", case) for case in PARTS[part]), *(("module", case) for case in MODULE.get(part, ()))]


def is_measured(path: Path, call: int, command: str, commit: str | None) -> bool:
    """Whether the file already has this call of a command, for this commit and machine."""
    if not path.exists():
        return False
    here = {"call": call, "command": command, "commit": commit, **machine()}
    return any(here.items() <= json.loads(line).items() for line in path.read_text().splitlines())


def measure(
    path: Path,
    case: str,
    call: int,
    arguments: list[str],
    known: dict[str, object],
    python: str = sys.executable,
    checkout: Path = ROOT,
) -> None:
    """Runs one call of a benchmark and adds to the file the JSON object it prints last, with its provenance.

    Does nothing if that line exists.

    Args:
      path: of the file.
      case: its name.
      call: the number of the round.
      arguments: of Python.
      known: what else the line says.
      python: the interpreter.
      checkout: the directory of the code that is measured.
    """
    command, git = " ".join(["python", *arguments]), git_state(checkout)
    if is_measured(path, call, command, git.commit):
        return
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    done = subprocess.run([python, *arguments], cwd=checkout, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.stderr.write(done.stderr)
        raise SystemExit(done.returncode)
    line = {
        "case": case,
        "call": call,
        **known,
        **json.loads(done.stdout.splitlines()[-1]),
        "command": command,
        **provenance(git),
    }
    with open(path, "a") as file:
        file.write(json.dumps(line) + "\n")
    print(f"{case}: {line['steps_per_second']:.0f} steps/s", flush=True)


if __name__ == "__main__":
    run_command(main, __doc__)
