"""Experiment trackers, which show scores and metrics besides a run's tables; one that fails never ends the run."""

import hashlib
import importlib.util
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from a3crepro.common.errors import UserError
from a3crepro.config import Config, dotted_items
from a3crepro.runs.manifest import attempts_of

PROJECT = "a3crepro"
"""The name of the project or experiment that runs belong to in a tracker."""
FLUSH_SECONDS = 10.0
"""Longest time that MLflow's numbers are kept back, to be written together."""
MAX_PARAMS, MAX_METRICS = 100, 1000
"""What MLflow takes at once."""


class Tracker(ABC):
    """Receives the numbers of one run.

    Args:
      config: of the run.
      directory: of the run.
      frames: from where the run goes on; 0 at its beginning.
    """

    package: ClassVar[str]
    """Name of the tracker, of the package that it imports, and of the extra that installs it."""

    @abstractmethod
    def __init__(self, config: Config, directory: Path, frames: int) -> None: ...

    @abstractmethod
    def add(self, name: str, value: float, frames: int) -> None:
        """Adds a number at this frame count."""

    @abstractmethod
    def close(self) -> None:
        """Writes what has not been written."""


class TensorBoard(Tracker):
    """Files in the run's directory, for `tensorboard --logdir runs`."""

    package = "tensorboard"

    def __init__(self, config: Config, directory: Path, frames: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        try:
            str(directory).encode()
        except UnicodeEncodeError:  # bytes that are no text in this locale
            raise ValueError("it needs a UTF-8 path") from None
        self._writer: Any = SummaryWriter(str(directory / "tensorboard"), purge_step=frames, flush_secs=10)

    def add(self, name: str, value: float, frames: int) -> None:
        self._writer.add_scalar(name, value, frames)

    def close(self) -> None:
        self._writer.close()


class WandB(Tracker):
    """Weights & Biases; `WANDB_MODE=offline` keeps everything in the run's directory, for `wandb sync`."""

    package = "wandb"

    def __init__(self, config: Config, directory: Path, frames: int) -> None:
        import wandb

        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT), name=_name(directory), id=_identity(directory),
            resume="allow", dir=str(directory), config=config.model_dump(),
            settings=wandb.Settings(console="off", silent=True),
        )  # fmt: skip
        self._run.define_metric("*", step_metric="frames")  # evaluations are late, so frames do not always grow

    def add(self, name: str, value: float, frames: int) -> None:
        self._run.log({name: value, "frames": frames})

    def close(self) -> None:
        self._run.finish()


class MLflow(Tracker):
    """MLflow, in `mlflow.db` of the working directory, or where `MLFLOW_TRACKING_URI` says."""

    package = "mlflow"

    def __init__(self, config: Config, directory: Path, frames: int) -> None:
        from mlflow import MlflowClient

        self._client = MlflowClient(os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{Path('mlflow.db').absolute()}"))
        self._waiting: list[Any] = []
        self._written = time.monotonic()
        self._run = self._resumed(_identity(directory)) or self._created(config, directory)

    def _resumed(self, identity: str) -> str | None:
        """The id of the run that an earlier attempt began."""
        found = self._client.get_experiment_by_name(PROJECT)
        if found is None:
            return None
        runs = self._client.search_runs([found.experiment_id], f"tags.run = '{identity}'", max_results=1)
        return str(runs[0].info.run_id) if runs else None

    def _created(self, config: Config, directory: Path) -> str:
        from mlflow.entities import Param

        found = self._client.get_experiment_by_name(PROJECT)
        experiment = found.experiment_id if found else self._client.create_experiment(PROJECT)
        created = self._client.create_run(experiment, tags={"run": _identity(directory)}, run_name=_name(directory))
        run = str(created.info.run_id)
        params = [Param(key, str(value)) for key, value in dotted_items(config.model_dump())]
        for first in range(0, len(params), MAX_PARAMS):
            self._client.log_batch(run, params=params[first : first + MAX_PARAMS])
        return run

    def add(self, name: str, value: float, frames: int) -> None:
        from mlflow.entities import Metric

        self._waiting.append(Metric(name, value, int(1000 * time.time()), frames))
        if time.monotonic() - self._written > FLUSH_SECONDS or len(self._waiting) >= MAX_METRICS:
            self._write()

    def _write(self) -> None:
        waiting, self._waiting, self._written = self._waiting, [], time.monotonic()
        if waiting:
            self._client.log_batch(self._run, waiting)

    def close(self) -> None:
        self._write()
        self._client.set_terminated(self._run)


TRACKERS: dict[str, type[Tracker]] = {tracker.package: tracker for tracker in Tracker.__subclasses__()}
"""The classes above, by the names that `logging.trackers` takes."""


def _name(directory: Path) -> str:
    return "/".join(directory.absolute().parts[-4:])


def _identity(directory: Path) -> str:
    """Names the run in all of its attempts: its path and the host and date of the first one."""
    first = attempts_of(directory)[0]
    text = f"{directory.absolute()} {first['host']} {first['date']}"
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]


def check_trackers(config: Config) -> None:
    """Raises a `UserError` with the extra to install if a package is missing."""
    for name in config.logging.active_trackers:
        if importlib.util.find_spec(TRACKERS[name].package) is None:
            raise UserError(f"logging.trackers: {name} is not installed: pip install 'a3crepro[{name}]'")


class Trackers:
    """All trackers of a run; `say` receives a line for each that fails, and training continues without it."""

    def __init__(self, config: Config, directory: Path, frames: int, say: Callable[[str], None]) -> None:
        self._say, self._active = say, dict[str, Tracker]()
        for name in config.logging.active_trackers:
            try:
                self._active[name] = TRACKERS[name](config, directory, frames)
            except Exception as error:
                self._failed(name, error)

    def add(self, name: str, value: float, frames: int) -> None:
        """Adds a number at this frame count to all of them."""
        self._each(lambda tracker: tracker.add(name, value, frames))

    def close(self) -> None:
        """Closes all of them."""
        self._each(lambda tracker: tracker.close())

    def _each(self, act: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._active.items()):
            try:
                act(tracker)
            except Exception as error:
                del self._active[name]
                self._failed(name, error)

    def _failed(self, name: str, error: Exception) -> None:
        reason = " ".join(str(error).split()) or type(error).__name__
        self._say(f"logging.trackers: {name} failed, and training continues without it: {reason[:300]}")
