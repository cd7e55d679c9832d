"""What every part of the configuration is made of: typed, documented, immutable settings.

A component of the configuration (an algorithm, an environment, a network, an optimizer, an execution) is a class that
derives from `Settings`: its fields are its keys, with type, range and documentation; their values live in `conf/`.
The key `name` says in which module of the group's package the class is found, or which entry point of an installed
distribution it is.
"""

from __future__ import annotations

import importlib
import pkgutil
import platform
import sys
from importlib.metadata import entry_points
from types import ModuleType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


class UserError(Exception):
    """A mistake in the command or the configuration: one line that names the key and what is allowed (status 2)."""


class RunError(Exception):
    """A run cannot start or go on, through no mistake in the configuration: one line (status 1)."""


class EnvironmentFault(RunError):
    """An environment returned what nobody can learn from."""


def check_python() -> None:
    """Refuses a Python on which Hydra fails in words that help nobody.

    Raises:
      RunError: it is too new.
    """
    if sys.version_info >= (3, 14):
        raise RunError(f"needs Python 3.11 to 3.13: Hydra 1.3 does not run on {platform.python_version()}")


class Settings(BaseModel):
    """Immutable settings; an unknown key, a wrong type and a value out of range are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


class Component(Settings):
    """Settings of a member of a configuration group, found by its `name`."""

    name: str
    """The module of the group's package that defines the component, or an entry point of that name."""


def _whole(value: Any) -> Any:
    """2e6 is a whole number in a command or a YAML file; 2.5, true and "2" are none."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _rollout_length(value: Any) -> Any:
    value = _whole(value)
    if value != "episode" and (type(value) is not int or value < 1):
        raise ValueError("should be a whole number of at least 1, or 'episode'")
    return value


RolloutLength = Annotated[int | Literal["episode"], BeforeValidator(_rollout_length)]
"""In agent steps; `episode`: to the end of the episode, however long it is."""

Count = Annotated[int, BeforeValidator(_whole), Field(ge=0)]
PositiveCount = Annotated[int, BeforeValidator(_whole), Field(ge=1)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


def own_names(package: str) -> list[str]:
    """The modules of a group's package that define a component."""
    path = importlib.import_module(package).__path__
    return sorted(module.name for module in pkgutil.iter_modules(path) if not module.name.startswith("_"))


def names(package: str) -> list[str]:
    """The names that may stand in `<group>.name`: of modules of the group's package, and of entry points."""
    return sorted({*own_names(package), *entry_points(group=package).names})


def component_class(package: str, name: str) -> type[Component]:
    """The component that the module `package.name` defines, or else the entry point of this name.

    Only this project's own modules, and those that an installed distribution offers as entry points of the group named
    like the package, can be named, so a stored configuration cannot run other code.

    Raises:
      LookupError: there is none of this name.
      UserError: the entry point cannot be loaded, or is no component.
    """
    if name in own_names(package):
        return _component_of(importlib.import_module(f"{package}.{name}"))
    entries = entry_points(group=package, name=name)
    if not entries:
        raise LookupError(name)
    (entry, *_) = entries
    try:
        return _component_of(entry.load())
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        raise UserError(f"the entry point {name} = {entry.value} of {package} is no component ({said})") from error


def _component_of(found: Any) -> type[Component]:
    """A component, or the only one that a module defines."""
    if not isinstance(found, ModuleType):
        candidates = [found]
    else:
        candidates = [value for value in vars(found).values() if getattr(value, "__module__", "") == found.__name__]
    components = [value for value in candidates if isinstance(value, type) and issubclass(value, Component)]
    if len(components) != 1:
        raise TypeError(f"{found!r} defines {len(components)} components")
    return components[0]
