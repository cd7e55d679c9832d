"""Composed configurations, and messages of those that are refused."""

import functools
from typing import Any

import pytest

from a3crepro.common.errors import UserError
from a3crepro.config import Config, build, compose


@functools.cache
def composed(*overrides: str) -> Config:
    return compose(*overrides)


def refused(*overrides: str, config_dir: str | None = None, config_name: str = "config") -> str:
    with pytest.raises(UserError) as error:
        compose(*overrides, config_dir=config_dir, config_name=config_name)
    message = str(error.value)
    assert message
    assert "\n" not in message
    return message


def values(config: Config, *keys: str) -> list[Any]:
    found = []
    for key in keys:
        value: Any = config.model_dump()
        for part in key.split("."):
            value = value[part]
        found.append(value)
    return found


def build_with(values: dict[str, Any], path: tuple[str, ...], value: Any) -> Config:
    def changed(level: dict[str, Any], rest: tuple[str, ...]) -> dict[str, Any]:
        return {**level, rest[0]: changed(level[rest[0]], rest[1:]) if rest[1:] else value}

    return build(changed(values, path))


def mistake(values: dict[str, Any], path: tuple[str, ...], value: Any) -> str:
    with pytest.raises(UserError) as error:
        build_with(values, path, value)
        pytest.fail(f"{'.'.join(path)}={value!r} was accepted")
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith(".".join(path)), f"{message!r} does not name {'.'.join(path)}"
    return message
