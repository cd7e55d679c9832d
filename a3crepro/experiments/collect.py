"""Collects the runs of an experiment into tidy tables to commit; refuses runs that are incomplete or do not match."""

import io
import json
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from a3crepro.common.errors import UserError
from a3crepro.config import Config, compose, effective_values
from a3crepro.experiments.command import Command
from a3crepro.experiments.experiment import Run
from a3crepro.experiments.imported_runs import read_cells
from a3crepro.experiments.results import DIAGNOSTICS, short_commits
from a3crepro.experiments.state import MARK, RunState, real_seconds_of, states_of, summary_of_done, whole_table
from a3crepro.learner.actor_learner import share_above_epsilon
from a3crepro.runs.checkpoint import load_checkpoint
from a3crepro.runs.files import read_json, write_text
from a3crepro.runs.manifest import attempts_of, commits_of, cpus_of
from a3crepro.runs.run_directory import EPISODES, EVALUATIONS, stored_config
from a3crepro.runs.training import initial_state

UNFINISHED = "unfinished.csv"
BINS = 20
"""Rows per run in the training scores: means over this many equal parts of the budget."""
EPOCH_STEPS = 1_000_000
"""Agent steps per epoch, over all actor-learners: 4M frames on Atari (Figure 3)."""
OWN_COLUMNS = {
    "env", "algo", "network", "optimizer", "optimizer.epsilon", "optimizer.lr", "execution", "threads", "seed",
    "frames",
}  # fmt: skip
"""Keys for which every run has a column, see `describe`; any other overridden key gets a column named after it."""


def collect(command: Command, unfinished: bool = False) -> list[str]:
    """Writes `runs.csv`, a row per run, and `scores.csv`, a row per evaluation or part of training.

    `unfinished.csv` holds the rows so far of runs that are not done; it is removed once all are. A run that is missing
    here, or that went further on another machine, keeps its rows there.

    Args:
      command: the sweep with its scale, overrides and table directory; imported runs keep their rows.
      unfinished: collect the runs that are done and warn about the others.

    Returns:
      Warnings for readers of the tables: missing runs, more than one version of the code.

    Raises:
      UserError: some runs are not done, the configuration of one differs from its sweep's, or the tables hold runs
        that would be lost.
    """
    runs = command.runs()
    states = states_of(runs, command.root, command.imported)
    done = [run for run in runs if states[run] is RunState.DONE]
    here = [run for run in done if run.name not in command.imported]
    begun = [run for run in runs if states[run] in (RunState.RUNNING, RunState.STOPPED)]
    elsewhere = _unfinished_elsewhere(command, done, begun)
    warnings = _not_done(states, set(elsewhere[UNFINISHED]["run"]))
    _check_that_some_are_done(command, warnings if not unfinished else [], len(runs), bool(done or begun))
    _check_that_none_is_lost(command, done, begun)
    begun = [run for run in begun if run.name not in set(elsewhere[UNFINISHED]["run"])]
    for run in (*here, *begun):
        _check_protocol(command, run)
    texts = _tables(command, done, begun, elsewhere)
    warnings += remarks(pd.read_csv(io.StringIO(texts["runs.csv"]))) if done else []
    planned = len(runs) + command.runs_to_follow()
    notes = {"experiment": command.experiment.name, "figure": command.experiment.figure, "best": command.scale.best,
             "planned": planned, "runs": len(done), "notes": warnings}  # fmt: skip
    _write(command.tables, {**texts, "notes.json": json.dumps(notes, indent=2) + "\n"})
    return warnings


def _write(tables: Path, texts: Mapping[str, str]) -> None:
    """Writes the files of a directory of tables; removes those that are empty now."""
    tables.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        if text:
            write_text(tables / name, text)
        else:
            (tables / name).unlink(missing_ok=True)


def _not_done(states: Mapping[Run, RunState], elsewhere: set[str]) -> list[str]:
    """A line for each run that is not done; `elsewhere`: those whose rows are of another machine."""
    words = {
        run: "stopped on another machine" if run.name in elsewhere else state.value for run, state in states.items()
    }
    return [f"{words[run]}: {run.name}" for run, state in states.items() if state is not RunState.DONE]


def _check_that_some_are_done(command: Command, not_done: Sequence[str], planned: int, some: bool) -> None:
    if not_done:
        raise UserError(
            f"{command.title}: {len(not_done)} of {planned} runs are not done ({not_done[0]}, ...); "
            "use --unfinished to collect the others"
        )
    if not some:
        raise UserError(f"{command.title}: no run is done")


def _check_that_none_is_lost(command: Command, done: Sequence[Run], begun: Sequence[Run]) -> None:
    """Runs that go on here with a larger budget are not lost: their rows so far are those of unfinished runs."""
    path = command.tables / "runs.csv"
    table = pd.read_csv(path) if path.exists() else pd.DataFrame({"run": [], "frames": []})
    before: dict[str, int] = dict(zip(table["run"], table["frames"], strict=True))
    known = {run.name: load_checkpoint(command.root / run.name, print) for run in begun if run.name in before}
    larger = {name for name, checkpoint in known.items() if checkpoint and checkpoint.frames >= before[name]}
    lost = sorted({*before} - {run.name for run in done} - larger)
    if lost:
        raise UserError(
            f"{path}: holds {len(lost)} runs that are not done here ({lost[0]}, ...): --collected keeps those of this "
            "sweep; to do without them, remove the table first"
        )


def _unfinished_elsewhere(command: Command, done: Sequence[Run], begun: Sequence[Run]) -> dict[str, pd.DataFrame]:
    """The committed rows of runs that stopped on another machine and went further there than here, by table."""
    before = {name: read_cells(command.tables / name) for name in (UNFINISHED, DIAGNOSTICS)}
    reached = before[UNFINISHED].astype({"frames": float}).groupby("run")["frames"].max()
    both = [run for run in begun if run.name in reached]
    here = {run.name: _scores(command, run).get("frames", pd.Series([0])).max() for run in both}
    settled = {run.name for run in done} | {run for run, frames in here.items() if frames >= reached[run]}
    kept = set(reached.index) - settled
    return {name: table[table["run"].isin(kept)] for name, table in before.items()}


def _tables(
    command: Command, done: Sequence[Run], begun: Sequence[Run], elsewhere: Mapping[str, pd.DataFrame]
) -> dict[str, str]:
    """All tables as CSV text, by file name; an empty table has an empty text and no file."""
    names, unfinished = [run.name for run in done], [run.name for run in begun]
    unfinished += list(dict.fromkeys(elsewhere[UNFINISHED]["run"]))
    here = [run for run in done if run.name not in command.imported]

    def table(name: str, own: pd.DataFrame, runs: Sequence[str]) -> str:
        committed = [command.imported.rows(name, runs), elsewhere.get(name, pd.DataFrame())]
        return join_tables(own, pd.concat([rows for rows in committed if not rows.empty] or [pd.DataFrame()]), runs)

    def rows(make: Callable[[Command, Run], pd.DataFrame], runs: Sequence[Run]) -> pd.DataFrame:
        tables = (make(command, run) for run in runs)
        return pd.concat([table for table in tables if not table.empty] or [pd.DataFrame()])

    return {
        "runs.csv": table("runs.csv", runs_table(command, here), names),
        "scores.csv": table("scores.csv", rows(_scores, here), names),
        DIAGNOSTICS: table(DIAGNOSTICS, rows(_diagnostics, [*here, *begun]), [*names, *unfinished]),
        UNFINISHED: table(UNFINISHED, rows(_scores, begun), unfinished),
    }


def _text(table: pd.DataFrame) -> str:
    return "" if table.empty else table.to_csv(index=False)


def _diagnostics(command: Command, run: Run) -> pd.DataFrame:
    """The run's records of policy and optimizer at each evaluation; empty for runs that predate them."""
    path = command.root / run.name / DIAGNOSTICS
    table = pd.read_csv(path) if path.exists() else pd.DataFrame()
    return table if table.empty else table.assign(run=run.name)


def join_tables(own: pd.DataFrame, imported: pd.DataFrame, runs: Sequence[str]) -> str:
    """Joins two tables with the same columns, in the order of `runs`; imported cells stay as written."""
    if own.empty or imported.empty:
        return _text(imported if own.empty else own)
    text = pd.read_csv(io.StringIO(own.to_csv(index=False)), dtype=str, keep_default_na=False)
    both = pd.concat([text, imported]).fillna("")
    order = {run: number for number, run in enumerate(runs)}
    return both.sort_values("run", key=lambda column: column.map(order), kind="stable").to_csv(index=False)


def remarks(table: pd.DataFrame) -> list[str]:
    """Warnings about the code that made the runs."""
    found = []
    commits = short_commits(table["commit"])
    if len(commits) > 1:
        found.append(f"made by {len(commits)} commits: {', '.join(commits)}")
    if changed := int((table["clean"] == False).sum()):  # noqa: E712 - None: not in a checkout
        found.append(f"{changed} runs were started in a checkout with changes")
    if unknown := int(table["commit"].isna().sum()):
        found.append(f"{unknown} runs were not started in a checkout")
    return found


def runs_table(command: Command, runs: Iterable[Run]) -> pd.DataFrame:
    """A row for each finished run: its configuration, the commit and date that made it, and its results."""
    keys = override_keys(command.runs())
    return pd.DataFrame(_run_row(command, run, keys) for run in runs)


def _check_protocol(command: Command, run: Run) -> None:
    stored, meant = stored_config(command.root / run.name), compose(*command.words(run))
    if effective_values(stored) != effective_values(meant):
        raise UserError(f"{command.root / run.name} has another configuration than {command.title} says")


def override_keys(runs: Iterable[Run]) -> list[str]:
    """The keys overridden by some run that have a column of their own name."""
    return list(dict.fromkeys(key for run in runs for key in run.settings if key not in OWN_COLUMNS))


def describe(run: Run, config: Config, choices: Mapping[str, str], keys: Iterable[str]) -> dict[str, Any]:
    """The columns that describe a run.

    Args:
      run: a run of the experiment.
      config: its configuration.
      choices: of Hydra's groups, from the manifest.
      keys: those with columns of their own; the cell is empty if the run does not override the key.
    """
    return {
        "method": choices["algo"],
        "env": choices["env"],
        "network": choices["network"],
        "optimizer": choices["optimizer"],
        "epsilon": getattr(config.optimizer, "epsilon", None),
        **{key: run.settings.get(key, "") for key in keys},
        "execution": choices["execution"],
        "threads": config.threads,
        "seed": config.seed,
        "learning_rate": config.optimizer.lr,
    }


def _run_row(command: Command, run: Run, keys: Iterable[str]) -> dict[str, Any]:
    directory = command.root / run.name
    config = stored_config(directory)
    summary = summary_of_done(directory)
    found = read_json(directory / MARK, _is_mark, "remove it, and run the sweep again")
    greedy = found["greedy"]
    starts = attempts_of(directory)
    cores = starts[0]["cores"]  # of the machine it ran on, perhaps not this one
    return {
        "run": run.name,
        **describe(run, config, _choices(directory, starts), keys),
        "budget": config.frames,
        "frames": summary["frames"],
        "updates": summary["updates"],
        "seconds": summary["seconds"],
        "core_seconds": round(real_seconds_of(directory) * min(config.processes, cores), 1),
        "score": summary["score_mean"],
        "score_median": summary["score_median"],
        "score_type": config.algo.score_type,
        "greedy_score": None if greedy is None else float(np.mean(greedy)),
        "episodes": summary["episodes"],
        **found["counts"],
        "share_g_above_epsilon": _share_above_epsilon(directory, config),
        "starts": len(starts),
        "date": starts[0]["date"],
        "commit": commits_of(starts),
        "clean": None if starts[0]["git_clean"] is None else all(start["git_clean"] for start in starts),
        "python": starts[0]["python"],
        "versions": _versions(starts[0]),
        "cpu": cpus_of(starts),
        "command": shlex.join(starts[-1]["command"]),  # the last start: the budget may have grown
    }


def _is_mark(found: Any) -> bool:
    return isinstance(found, dict) and {"greedy", "counts"} <= found.keys()


def _choices(directory: Path, starts: Sequence[Mapping[str, Any]]) -> Mapping[str, str]:
    for start in starts:
        if found := start.get("choices"):
            return found  # type: ignore[no-any-return]
    raise UserError(f"{directory}: its manifest has no choices: made by an older version; run it again")


def _versions(start: dict[str, Any]) -> str:
    return ", ".join(
        f"{name} {start['packages'][name]}" for name in ("torch", "numpy", "numba") if name in start["packages"]
    )


def _share_above_epsilon(directory: Path, config: Config) -> float | None:
    """Share of the statistics g, over all actor-learners, that exceed ε at the end; None if the optimizer has no ε."""
    checkpoint = load_checkpoint(directory, print)
    if checkpoint is None:
        return None
    shared = initial_state(config)
    shared.restore(checkpoint.arrays)
    return share_above_epsilon(config, shared)


def _scores(command: Command, run: Run) -> pd.DataFrame:
    directory = command.root / run.name
    config = stored_config(directory)
    starts = attempts_of(directory)
    columns = describe(run, config, _choices(directory, starts), override_keys(command.runs()))
    table = pd.DataFrame({**columns, **row} for row in _score_rows(directory, config))
    if table.empty:
        return table
    table["epoch"] = epochs(table["frames"], config.env.frames_per_step)
    return table.assign(run=run.name, commit=commits_of(starts), versions=_versions(starts[0]))


def epochs(frames: pd.Series, frames_per_step: int) -> pd.Series:
    """The paper's epochs of a million agent steps: 4M frames on Atari."""
    return (frames / (EPOCH_STEPS * frames_per_step)).round(6)


def _score_rows(directory: Path, config: Config) -> Iterator[dict[str, Any]]:
    checkpoint = load_checkpoint(directory, print)
    counted = (checkpoint.counters.episodes, checkpoint.counters.evaluations) if checkpoint else (0, 0)
    games = whole_table(directory / "episodes.csv", EPISODES, counted[0])
    evaluations = whole_table(directory / "evaluations.csv", EVALUATIONS, counted[1])
    for row in evaluations.itertuples():
        yield {"frames": row.frames, "seconds": row.seconds, "score": row.score_mean,
               "score_type": config.algo.score_type, "score_std": row.score_std,
               "episodes": row.episodes}  # fmt: skip
    part = np.minimum(games["frames"] * BINS // max(1, config.frames), BINS - 1)
    for row in games.groupby(part).agg({"frames": "max", "seconds": "max", "score": "mean"}).round(4).itertuples():
        yield {"frames": row.frames, "seconds": row.seconds, "score": row.score, "score_type": "training"}
