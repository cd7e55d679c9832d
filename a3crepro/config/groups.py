"""Configuration groups and their choices: the YAML files in `conf/`."""

import importlib.util
from collections.abc import Iterable
from pathlib import Path

from a3crepro.common.errors import UserError

GROUPS = {
    "algo": "a3crepro.algorithms",
    "env": "a3crepro.environments",
    "network": "a3crepro.networks",
    "optimizer": "a3crepro.optimizers",
    "execution": "a3crepro.execution",
}
"""Each group, and the package whose modules are its components."""

LAUNCHERS = {"local": "joblib", "joblib": "joblib", "slurm": "submitit", "submitit_slurm": "submitit"}
"""Launchers that come with a Hydra plugin, and the library of the plugin."""


def conf_directory() -> Path:
    """The directory `conf`: beside the package in a checkout, inside it in an installed wheel."""
    package = Path(__file__).resolve().parents[1]
    for candidate in (package / "conf", package.parent / "conf"):
        if (candidate / "config.yaml").is_file():
            return candidate
    raise UserError(f"conf: no configuration found beside or inside {package}; install a3crepro again")


def choices(group: str, directories: Iterable[Path] = ()) -> list[str]:
    """The choices of a group: its YAML files in `conf` and in further directories."""
    roots = [root / group for root in (conf_directory(), *directories)]
    found = {path.relative_to(root).with_suffix("").as_posix() for root in roots for path in root.rglob("*.yaml")}
    return sorted(name for name in found if not name.rpartition("/")[2].startswith("_"))


def check_launcher(overrides: Iterable[str]) -> None:
    """Raises a `UserError` for a launcher whose plugin is not installed."""
    for override in overrides:
        key, _, launcher = override.partition("=")
        library = LAUNCHERS.get(launcher) if key == "hydra/launcher" else None
        if library and not _is_installed(f"hydra_plugins.hydra_{library}_launcher"):
            extra = {"joblib": "local", "submitit": "slurm"}[library]
            raise UserError(f'{override}: needs hydra-{library}-launcher; pip install "a3crepro[{extra}]"')


def check_optuna() -> None:
    """Raises a `UserError` if Optuna is not installed."""
    if not _is_installed("optuna"):
        raise UserError('hydra/sweeper=optuna: needs optuna; pip install "a3crepro[search]"')


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
