"""One-line messages for mistakes in a configuration: which key, what is allowed, and what was probably meant."""

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym

from a3crepro.common.config_model import ConfigModel
from a3crepro.config.groups import GROUPS, check_launcher, choices

SYNONYMS = {
    "learning_rate": "optimizer.lr", "discount": "algo.gamma", "game": "env", "environment": "env", "algorithm": "algo",
    **dict.fromkeys(("workers", "num_workers", "num_threads"), "threads"),
    **dict.fromkeys(("steps", "timesteps", "total_timesteps"), "frames"),
}  # fmt: skip
"""Names of keys in other software."""
MAX_LISTED = 20
"""Larger folders of a group are listed only if the mistaken choice is in that folder."""


def validation_message(
    model: type[ConfigModel], detail: Mapping[str, Any], prefix: tuple[str, ...], keys: Iterable[str]
) -> str:
    """One line for an error that pydantic found.

    Args:
      model: the class whose values were validated.
      detail: an item of `ValidationError.errors()`.
      prefix: the key of the validated values.
      keys: all keys of the configuration, dotted, for suggestions.
    """
    key = ".".join(str(part) for part in (*prefix, *detail["loc"]))
    if detail["type"] == "extra_forbidden":
        suggestion = suggested_key(
            str(detail["loc"][-1]), [known for known in keys if not f"{known}.".startswith(f"{key}.")]
        )
        hint = f"did you mean {suggestion}? " if suggestion else ""
        return f"{key}: unknown key; {hint}allowed: {', '.join(_sibling_keys(model, detail['loc']))}"
    if detail["type"] == "missing":
        return f"{key}: missing"
    message = detail["msg"].removeprefix("Input ").removeprefix("Value error, ")
    if isinstance(detail["input"], Mapping) and detail["type"] == "value_error":
        return f"{key}.{message}"  # a check of several keys: its message begins with the wrong one
    return f"{key}: {message}, got {detail['input']!r}{_number_hint(key, detail['input'])}"


def suggested_key(name: str, keys: Iterable[str]) -> str | None:
    """The dotted key that an unknown `name` probably stands for: a synonym, or a key that ends in `name`."""
    name, keys = name.replace("-", "_").lower(), list(keys)
    if name in SYNONYMS or name in {key.partition(".")[0] for key in keys}:
        return SYNONYMS.get(name, name)
    return next((key for key in keys if key.rpartition(".")[2] == name), None)


def _number_hint(key: str, value: object) -> str:
    """Suggests digits for `20M` and `1.5k`."""
    found = re.fullmatch(r"(\d+(?:_\d+)*(?:\.\d+)?)([kmbg])", value, re.IGNORECASE) if isinstance(value, str) else None
    if found is None:
        return ""
    number = float(found[1]) * 1000 ** (1 + "kmbg".index(found[2].lower()) - (found[2] in "gG"))
    return f"; did you mean {key}={round(number):_}?"


def _sibling_keys(model: type[ConfigModel], location: tuple[Any, ...]) -> list[str]:
    """The known keys at the level of an unknown one, the most similar first."""
    for part in location[:-1]:
        annotation = model.model_fields[part].annotation
        assert isinstance(annotation, type)
        model = annotation
    known = list(model.model_fields)
    close = difflib.get_close_matches(str(location[-1]), known)
    return close + [key for key in known if key not in close]


def one_line(error: BaseException, directories: Iterable[Path] = ()) -> str:
    """An error of Hydra or OmegaConf in one line; `directories` are further ones with choices."""
    text = str(error).replace("'++", "'")
    unknown = re.search(r"Could not find '([^']+)'\s+Available options in '([^']+)':", text)
    if unknown:
        group = unknown[2].split("/")[0] if unknown[2].split("/")[0] in GROUPS else unknown[2]
        choice = unknown[1].removeprefix(f"{group}/")
        allowed = choices(group, directories) if group in GROUPS else re.findall(r"^\t(\S+)", text, re.MULTILINE)
        close = _suggested_choices(group, choice, allowed)
        hint = f"did you mean {' or '.join(close)}? " if close else ""
        return f"{group}: unknown choice {choice!r}; {hint}allowed: {formatted_choices(allowed, choice)}"
    several = re.search(r"Ambiguous value for argument '([^=]+)=(\d{1,3}(?:,\d{3})+)'", text)
    if several:
        return (
            f"{several[1]}: several values need --multirun; did you mean {several[1]}={several[2].replace(',', '_')}?"
        )
    launcher = re.search(r"Could not load 'hydra/launcher/(\w+)'", text)
    if launcher:
        check_launcher([f"hydra/launcher={launcher[1]}"])
    useless = ("See http", "object_type", "Set the environment")
    lines = [line.strip() for line in text.splitlines()]
    return "; ".join(line for line in lines if line and not line.startswith(useless))


def _suggested_choices(group: str, choice: str, allowed: list[str]) -> list[str]:
    """Choices with that name in other software (`ALE/Breakout-v5`, `cheetah-run`, `CartPole-v1`), or a similar one."""

    def letters(name: str) -> str:
        name = re.sub(r"(NoFrameskip|Deterministic|-ram)*(-v\d+)?$", "", name.rpartition("ALE/")[2])
        return re.sub(r"[^a-z0-9]", "", name.lower())

    whole = [name for name in allowed if letters(name) == letters(choice)]
    last = [name for name in allowed if letters(name.rpartition("/")[2]) == letters(choice)]
    if whole or last:
        return whole or last
    if group == "env":
        ids = [name for name in gym.registry if letters(name) == letters(choice)]
        if ids:
            return [f"env=gym env.id={choice if choice in ids else ids[-1]}"]
    return difflib.get_close_matches(choice, allowed, n=3)


def formatted_choices(allowed: list[str], mistaken: str) -> str:
    """The choices, separated by commas; a large folder as its name and size, or alone if `mistaken` is in it."""
    folders: dict[str, list[str]] = {}
    for name in allowed:
        folders.setdefault(name.rpartition("/")[0], []).append(name)
    inside = folders.get(mistaken.rpartition("/")[0], []) if "/" in mistaken else []
    if len(inside) > MAX_LISTED:
        return ", ".join(inside)
    parts = [
        [f"{folder}/… ({len(names)})"] if folder and len(names) > MAX_LISTED else names
        for folder, names in folders.items()
    ]
    return ", ".join(sorted(name for names in parts for name in names))
