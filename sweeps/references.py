"""Scores of policies that learn nothing, beside which learnt ones mean something: players without eyes, and experts.

  python sweeps/references.py

Runs `python -m a3crepro.evaluate env=… policy=random|constant|blind|expert` for each environment that has no published
ones, and writes `results/references/references.csv`, a row a call. Rows that are there already are kept; a checkout
with changes is refused.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys

import pandas as pd
from _protocol import MINATAR_GAMES
from labyrinth import MAZES
from racing import SETTINGS

from a3crepro.common.settings import UserError
from a3crepro.experiments.circumstances import circumstances
from a3crepro.experiments.results import RESULTS
from a3crepro.runs.command_line import run_command
from a3crepro.runs.files import write_text

CONTROL = [
    f"control/{task}"
    for task in ("cartpole_balance", "cartpole_swingup", "pendulum_swingup", "point_mass_easy", "reacher_easy",
                 "cheetah_run", "walker_stand", "walker_walk", "manipulator_bring_ball", "reacher_hard", "hopper_hop")
]  # fmt: skip
LABYRINTHS = [*MAZES, "labyrinth_medium", "labyrinth_large"]
WORLDS = [*LABYRINTHS, *SETTINGS]
EPISODES = {"minatar": 300, "control": 60, "blind": 200}
"""By family or policy; 30 otherwise. MinAtar's are short, scores in control vary by the start, and a claim's line rests
on the blind player's."""
NOISY = [f"constant {action} {noise}" for action in (0, 0.5, 1) for noise in (0.5, 1.4)]
"""What a Gaussian policy can be that does not look; within bounds its variance is at most 2.01."""
CASES = [
    *((env, "random") for env in (*MINATAR_GAMES, *CONTROL, *WORLDS)),
    *((env, policy) for env in CONTROL for policy in ("constant 0", "constant 1", *NOISY)),
    *(("control/cheetah_run", policy) for policy in ("random 4", *(f"{noisy} 4" for noisy in NOISY))),
    *((env, "blind") for env in LABYRINTHS),
    *((env, "expert") for env in WORLDS),
]
"""Environments and policies, with their numbers."""
NUMBERS = {"constant": ("action", "noise", "env.action_repeat"), "random": ("env.action_repeat",)}
"""What the numbers of a policy set."""
TABLE = RESULTS / "references" / "references.csv"


def measure(env: str, policy: str) -> dict[str, object]:
    """A row of the table: what the evaluation's last line says."""
    name, *numbers = policy.split()
    episodes = next((EPISODES[key] for key in (policy, env.partition("/")[0]) if key in EPISODES), 30)
    how = [f"policy={name}", *(f"{key}={number}" for key, number in zip(NUMBERS.get(name, ()), numbers, strict=False))]
    words = ["-m", "a3crepro.evaluate", f"env={env}", *how, f"episodes={episodes}", "seed=0"]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"{env}: {done.stderr.strip()}")
    found = json.loads(done.stdout.splitlines()[-1])
    counts = {key: round(found[key], 3) for key in ("apples", "portals") if key in found}
    scores = {key: round(found[key], 3) for key in ("score_mean", "score_std")}
    return {"env": env, "policy": policy, "episodes": episodes, **scores, **counts,
            "command": shlex.join(["python", *words])}  # fmt: skip


def main() -> None:
    """Measures what is not in the table yet.

    Raises:
      UserError: the checkout has changes: the commit in the table would not be what was measured.
    """
    rows = pd.read_csv(TABLE).to_dict("records") if TABLE.exists() else []
    where = {key: value for key, value in circumstances().items() if key in ("commit", "clean", "date")}
    there = {(row["env"], row["policy"]) for row in rows}
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    for case in CASES:
        if case not in there:
            if not where["clean"]:
                raise UserError("the checkout has changes; commit them, or put them away")
            rows.append({**measure(*case), **where})
            print(f"{case[0]}, {case[1]}: {rows[-1]['score_mean']}", flush=True)
            write_text(TABLE, pd.DataFrame(rows).to_csv(index=False))


if __name__ == "__main__":
    run_command(main, __doc__)
