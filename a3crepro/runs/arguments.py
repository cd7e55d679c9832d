"""A command's own `key=value` arguments, apart from the overrides of the configuration.

own, overrides = own_arguments(sys.argv[1:], {"episodes": whole_number(1, default=30), "video": Key(Path)})
print(own.episodes)
"""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from a3crepro.common.errors import UserError
from a3crepro.config import compose, dotted_items, suggested_key


class Key(NamedTuple):
    """One of a command's own keys."""

    parse: Callable[[str], Any] = str
    """From text to value; a `ValueError` says what is allowed."""
    default: Any = None


def whole_number(minimum: int, default: int | None = None) -> Key:
    """A whole number of at least `minimum`."""
    return _number(int, lambda value: value >= minimum, f"a whole number of at least {minimum}", default)


def positive_number(default: float) -> Key:
    """A number greater than 0 and less than a million."""
    return _number(float, lambda value: 0 < value < 1e6, "a number greater than 0", default)


def non_negative_number(default: float | None = None) -> Key:
    """A finite number of at least 0."""
    return _number(float, lambda value: 0 <= value < math.inf, "a number of at least 0", default)


def _number(
    convert: Callable[[str], float], is_allowed: Callable[[float], bool], allowed: str, default: float | None
) -> Key:
    def parse(text: str) -> float:
        try:
            value = convert(text)
        except ValueError:
            value = math.nan
        if not is_allowed(value):
            raise ValueError(f"should be {allowed}, got {text!r}")
        return value

    return Key(parse, default)


def one_of(allowed: Collection[str], default: str) -> Key:
    """One of these values."""

    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"allowed: {', '.join(allowed)}; got {text!r}")
        return text

    return Key(parse, default)


def boolean(default: bool) -> Key:
    """`true` or `false`."""
    choice = one_of(("true", "false"), "")
    return Key(lambda text: choice.parse(text) == "true", default)


def only_own_arguments(arguments: Sequence[str], keys: Mapping[str, Key]) -> SimpleNamespace:
    """The values by key, as from `own_arguments`; a `UserError` for any other argument."""
    own, others = own_arguments(arguments, keys)
    for other in others:
        raise UserError(f"{other.partition('=')[0]}: unknown key; allowed: {', '.join(keys)}")
    return own


def paths(arguments: Iterable[str], keys: Collection[str]) -> list[Path]:
    """The remaining arguments as paths, which may contain `=`; a `UserError` for an unknown key."""
    found = []
    for word in arguments:
        name, equals, _ = word.partition("=")
        if equals and "/" not in name and not Path(word).exists():
            raise UserError(f"{name}: unknown key; allowed: {', '.join(keys)}, and directories")
        found.append(Path(word))
    return found


def own_arguments(arguments: Sequence[str], keys: Mapping[str, Key]) -> tuple[SimpleNamespace, list[str]]:
    """Parses a command's own arguments; the last one of a key counts.

    Returns:
      The values by key, and the other arguments.

    Raises:
      UserError: an invalid value, or an option (`--episodes 30`).
    """
    refuse_options(arguments)
    values, others = {name: key.default for name, key in keys.items()}, []
    for argument in arguments:
        name, _, text = argument.partition("=")
        if name not in keys:
            others.append(argument)
            continue
        try:
            values[name] = keys[name].parse(text)
        except ValueError as error:
            raise UserError(f"{name}: {error}") from error
    return SimpleNamespace(**values), others


def refuse_options(arguments: Sequence[str]) -> None:
    """Raises a `UserError` for an option of the form that other programs have: `--threads 4`."""
    for index, word in enumerate(arguments):
        if word.startswith("-"):
            raise UserError(unknown_option(word, arguments[index + 1 : index + 2]))


def unknown_option(option: str, following: Iterable[str]) -> str:
    """The message for an unknown option: the `key=value` that was probably meant."""
    name, _, value = option.lstrip("-").partition("=")
    value = value or next((text for text in following if "=" not in text and not text.startswith("-")), "…")
    key = suggested_key(name, [key for key, _ in dotted_items(compose().model_dump())])
    return f"{option}: unknown option; did you mean {key or name}={value}?"
