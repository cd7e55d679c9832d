"""Measures reference scores of policies that do not learn: `random`, `constant`, `blind` and `expert`.

  python sweeps/references.py

Runs `python -m a3crepro.evaluate env=… policy=random|constant|blind|expert` for each environment without published
scores, and writes `results/references/references.csv`, a row per call. Existing rows are kept; a checkout with changes
is refused.
"""

import json
import shlex
import subprocess
import sys

import pandas as pd

from a3crepro.common.errors import UserError
from a3crepro.experiments.measurements import provenance
from a3crepro.experiments.results import RESULTS
from a3crepro.runs.command_line import run_command
from a3crepro.runs.files import write_text
from sweeps._protocol import MINATAR_GAMES
from sweeps.examples import GYMNASIUM
from sweeps.labyrinth import MAZES
from sweeps.racing import SETTINGS

CONTROL = [
    f"control/{task}"
    for task in ("cartpole_balance", "cartpole_swingup", "pendulum_swingup", "point_mass_easy", "reacher_easy",
                 "cheetah_run", "walker_stand", "walker_walk", "manipulator_bring_ball", "reacher_hard", "hopper_hop")
]  # fmt: skip
LABYRINTHS = [*MAZES, "labyrinth_medium", "labyrinth_large"]
WORLDS = [*LABYRINTHS, *SETTINGS]
EPISODES = {"blind": 200}
"""Episodes by policy: a claim rests on this one. Else 300 in MinAtar and Gymnasium (short), 60 in control (varied
starts), 30."""
PARAMETERS = ("env.id", "action", "noise", "env.action_repeat")
"""Parameters of some environments and policies."""
NOISY = [{"action": action, "noise": noise} for action in (0, 0.5, 1) for noise in (0.5, 1.4)]
"""Gaussian policies that ignore observations; within the bounds the variance is at most 2.01."""
ACTIONS = {"asterix": 5, "breakout": 3, "freeway": 3, "seaquest": 6, "space_invaders": 4}
"""Number of actions of each MinAtar game."""
HELD = {"env.action_repeat": 4}
CASES: list[tuple[str, str, dict[str, float | str]]] = [
    *((env, "random", {}) for env in (*MINATAR_GAMES, *CONTROL, *WORLDS)),
    *(
        (env, "constant", {"action": action})
        for env in MINATAR_GAMES
        for action in range(ACTIONS[env.removeprefix("minatar/")])
    ),
    *((env, "constant", numbers) for env in CONTROL for numbers in ({"action": 0}, {"action": 1}, *NOISY)),
    ("control/cheetah_run", "random", HELD),
    *(("control/cheetah_run", "constant", numbers | HELD) for numbers in NOISY),
    *(("gym", "random", {"env.id": name}) for name in GYMNASIUM),
    *((env, "blind", {}) for env in LABYRINTHS),
    *((env, "expert", {}) for env in WORLDS),
]
"""Environments and policies, with parameters of both."""
TABLE = RESULTS / "references" / "references.csv"


def measure(env: str, policy: str, parameters: dict[str, float | str]) -> dict[str, object]:
    """A row of the table, from the last line of the evaluation."""
    episodes = EPISODES.get(policy, 300 if env in (*MINATAR_GAMES, "gym") else 60 if env in CONTROL else 30)
    how = [f"policy={policy}", *(f"{key}={value}" for key, value in parameters.items())]
    words = ["-m", "a3crepro.evaluate", f"env={env}", *how, f"episodes={episodes}", "seed=0"]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"{env}: {done.stderr.strip()}")
    found = json.loads(done.stdout.splitlines()[-1])
    counts = {key: round(found[key], 3) for key in ("apples", "portals") if key in found}
    scores = {key: round(found[key], 3) for key in ("score_mean", "score_std")}
    row = {"env": env, "policy": policy, **dict.fromkeys(PARAMETERS), **parameters, "episodes": episodes}
    return {**row, **scores, **counts,
            "command": shlex.join(["python", *words])}  # fmt: skip


def main() -> None:
    """Measures what is not in the table yet.

    Raises:
      UserError: the checkout has changes, so the recorded commit would not be what was measured.
    """
    rows = pd.read_csv(TABLE).to_dict("records") if TABLE.exists() else []
    where = {key: value for key, value in provenance().items() if key in ("commit", "clean", "date")}
    there = [
        (row["env"], row["policy"], {key: row[key] for key in PARAMETERS if not pd.isna(row.get(key))}) for row in rows
    ]
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    for case in CASES:
        if case not in there:
            if not where["clean"]:
                raise UserError("the checkout has changes; commit or stash them")
            rows.append({**measure(*case), **where})
            print(f"{', '.join(map(str, case))}: {rows[-1]['score_mean']}", flush=True)
            write_text(TABLE, pd.DataFrame(rows).to_csv(index=False))


if __name__ == "__main__":
    run_command(main, __doc__)
