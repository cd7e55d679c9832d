"""Base classes, types and the registry of the configuration.

A component of the configuration (an algorithm, environment, network, optimizer or execution) is a subclass of
`ComponentConfig`: its fields are its keys, with type, range and documentation; the values are in `conf/`. The key
`name` is the module of the group's package that defines the component, or an installed distribution's entry point.
"""

import importlib
import pkgutil
from importlib.metadata import entry_points
from types import ModuleType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from a3crepro.common.errors import UserError


class ConfigModel(BaseModel):
    """An immutable part of the configuration; unknown keys, wrong types and values out of range are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


class ComponentConfig(ConfigModel):
    """A choice of a configuration group, found by its `name`."""

    name: str
    """The module of the group's package that defines the component, or an entry point of that name."""


def _whole(value: Any) -> Any:
    """Accepts 2e6 as a whole number; 2.5, true and "2" are none."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _rollout_length(value: Any) -> Any:
    value = _whole(value)
    if value != "episode" and (type(value) is not int or value < 1):
        raise ValueError("should be a whole number of at least 1, or 'episode'")
    return value


RolloutLength = Annotated[int | Literal["episode"], BeforeValidator(_rollout_length)]
"""Length of a rollout in agent steps; `episode`: until the episode ends."""

Count = Annotated[int, BeforeValidator(_whole), Field(ge=0)]
PositiveCount = Annotated[int, BeforeValidator(_whole), Field(ge=1)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
ProperFraction = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]


def own_names(package: str) -> list[str]:
    """The modules of a group's package that define a component."""
    path = importlib.import_module(package).__path__
    return sorted(module.name for module in pkgutil.iter_modules(path) if not module.name.startswith("_"))


def component_class(package: str, name: str) -> type[ComponentConfig]:
    """The component that the module `package.name` defines, or the entry point of this name.

    Only this project's modules and the entry points of installed distributions can be named, so that a stored
    configuration cannot run other code.

    Raises:
      LookupError: there is none of this name; the message says which are allowed.
      UserError: the entry point cannot be loaded, or is not a component.
    """
    if name in own_names(package):
        return _component_of(importlib.import_module(f"{package}.{name}"))
    entries = entry_points(group=package, name=name)
    if not entries:
        allowed = sorted({*own_names(package), *entry_points(group=package).names})
        raise LookupError(f"unknown name {name!r}; allowed: {', '.join(allowed)}")
    (entry, *_) = entries
    try:
        return _component_of(entry.load())
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        raise UserError(f"the entry point {name} = {entry.value} of {package} is not a component ({said})") from error


def _component_of(found: Any) -> type[ComponentConfig]:
    """A component, or the only one that a module defines."""
    if not isinstance(found, ModuleType):
        candidates = [found]
    else:
        candidates = [value for value in vars(found).values() if getattr(value, "__module__", "") == found.__name__]
    components = [value for value in candidates if isinstance(value, type) and issubclass(value, ComponentConfig)]
    if len(components) != 1:
        raise TypeError(f"{found!r} defines {len(components)} components")
    return components[0]
