"""Passes a list of runs to Hydra's launcher, and executes each run in the process it starts."""

import contextlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins

from a3crepro.common.processes import set_up_arithmetic, worker_of_a_launcher
from a3crepro.common.signals import SIGNALS
from a3crepro.config import Config, build, conf_directory
from a3crepro.experiments.state import ERROR, MARK, is_done
from a3crepro.learner.shared_state import policy_snapshot
from a3crepro.runs.checkpoint import last_checkpoint
from a3crepro.runs.evaluation import InfoSums, evaluate
from a3crepro.runs.files import write_text
from a3crepro.runs.policies import NetworkPolicy
from a3crepro.runs.run_directory import DirectoryInUse, RunDirectory
from a3crepro.runs.training import train

LOG = "log.txt"
"""Output of a run, over all its starts."""


def launch(jobs: Sequence[Sequence[str]], words: Sequence[str]) -> None:
    """Runs all jobs with the chosen launcher.

    Args:
      jobs: the overrides of each job.
      words: overrides common to all jobs, including Hydra's own (`hydra/launcher=…`).
    """
    plugins = Plugins.instance()  # imports all plugins, and would import one anew that was imported before
    from hydra_plugins.a3crepro_sweepers import ListedSweeper

    plugins.register(ListedSweeper)
    ListedSweeper.jobs = jobs
    os.environ["HYDRA_FULL_ERROR"] = "1"  # propagate exceptions unchanged
    before, sys.argv = sys.argv, [sys.argv[0], "--multirun", "hydra/sweeper=listed", "hydra/hydra_logging=none", *words]
    try:
        hydra.main(config_path=str(conf_directory()), config_name="config", version_base="1.3")(job)()
    finally:
        sys.argv = before


def job(config: Any) -> None:
    """Executes one run unless another process is training it. A failure is written to its directory and stops no other.

    Raises:
      Stopped: Ctrl-C, SIGTERM or SIGHUP, after saving.
    """
    directory = Path(HydraConfig.get().runtime.output_dir)
    directory.mkdir(parents=True, exist_ok=True)
    with worker_of_a_launcher():
        try:
            with _printing_to(directory / LOG):
                _train_and_score(config, directory)
        except DirectoryInUse:
            return
        except Exception as error:
            with contextlib.suppress(OSError):  # a full disk: the log and the missing mark suffice
                (directory / ERROR).write_text(f"{traceback.format_exc()}\n{error}\n", "utf-8", "backslashreplace")


def _train_and_score(config: Any, directory: Path) -> None:
    built = build(config)
    if is_done(directory, built.frames):
        return
    for stale in (ERROR, MARK):  # the mark may be of a smaller budget
        (directory / stale).unlink(missing_ok=True)
    train(built, directory, stop_on=stopping_signals())
    with RunDirectory(directory, built):  # locked, so that no other process scores it
        if not (directory / MARK).exists():
            write_text(directory / MARK, json.dumps(final_games(built, directory)) + "\n")


def stopping_signals() -> tuple[signal.Signals, ...]:
    """The signals on which a run stops after saving.

    SIGTERM is excluded in SLURM jobs: preemption starts with it, and a job that ends by itself is not requeued.
    """
    in_slurm = os.environ.get("SUBMITIT_EXECUTOR") == "slurm"
    return tuple(number for number in SIGNALS if not (in_slurm and number == signal.SIGTERM))


def final_games(config: Config, directory: Path) -> dict[str, Any]:
    """Plays extra episodes with the final policy.

    `greedy`: scores of its most probable actions if it was scored by sampling, else None. `counts`: what the
    environment counts, as means per episode.
    """
    episodes, counts = config.evaluation.episodes, InfoSums(config)
    if not episodes:
        return {"greedy": None, "counts": {}}
    set_up_arithmetic()
    checkpoint = last_checkpoint(directory, print)

    def play(config: Config, tell: Any = None) -> list[float]:
        policy = NetworkPolicy(config, policy_snapshot(checkpoint.arrays))
        return list(evaluate(config, policy, config.seed, checkpoint.frames, episodes, tell))

    greedy = None
    if algo := config.algo.greedy():
        greedy = play(config.model_copy(update={"algo": algo}))
    if config.env.counted_info:
        play(config, counts)
    return {"greedy": greedy, "counts": counts.per_episode(episodes)}


@contextlib.contextmanager
def _printing_to(path: Path) -> Iterator[None]:
    log = open(path, "a", buffering=1, encoding="utf-8", errors="backslashreplace")
    with log, contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
        yield
