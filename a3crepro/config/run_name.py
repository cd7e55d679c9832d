"""The name of a run: its directory below `runs`."""

import copy
import re
import zlib
from typing import Any

from omegaconf import DictConfig, OmegaConf

from a3crepro.config.compose import compose_defaults
from a3crepro.config.groups import GROUPS, choices
from a3crepro.config.schema import NO_EFFECT, Config, build, dotted_items


def file_name(text: str) -> str:
    """A file name for every file system, at most 150 characters; texts that differ in punctuation may share one."""
    name = re.sub(r"[^\w.,=+:@-]", "_", re.sub("['\"]", "", text), flags=re.ASCII)
    return name if len(name) <= 150 else f"{name[:140]}-{zlib.crc32(text.encode()):08x}"


def run_name(config: Config) -> str:
    """The directory of a run below `runs`: env, algo, differences to their defaults, seed; never the time.

    Equal configurations have the same name, however they were specified. `frames` is left out, so that a run with a
    larger budget resumes the same directory; so are keys that do not affect training (`NO_EFFECT`).
    """
    chosen = {group: _choice(group, getattr(config, group)) for group in GROUPS}
    selected = [f"{group}={chosen[group]}" for group in ("env", "algo") if chosen[group]]
    default, default_choices = compose_defaults(*selected)
    named = [
        f"{group}={name}"
        for group, name in chosen.items()
        if group not in ("env", "algo") and name and name != default_choices[group]
    ]
    reference = copy.deepcopy(compose_defaults(*selected, *named)[0] if named else default)
    for group in GROUPS:
        if chosen[group] is None:  # of another package: all of its values are part of the name
            reference[group] = {}
    differing = [f"{key}={_text(value)}" for key, value in _differences(config, reference).items()]
    env = chosen["env"] or config.env.title
    parts = (*env.split("/"), config.algo.name, ",".join(sorted([*named, *differing])), f"seed={config.seed}")
    return "/".join(file_name(part) for part in parts if part)


def _choice(group: str, component: Any) -> str | None:
    """The choice in `conf` that a component belongs to, or None."""
    title = getattr(component, "title", component.name)
    found = choices(group)
    names = (title, title.removeprefix(f"{component.name}/"), component.name)
    return next((name for name in names if name in found), None)


def _differences(config: Config, reference: DictConfig) -> dict[str, Any]:
    """Keys whose values differ from the reference, and do not follow from others by interpolation."""
    ignored = ("frames", "seed", *NO_EFFECT)
    actual = {key: value for key, value in dotted_items(config.model_dump()) if not key.startswith(ignored)}
    expected = dict(dotted_items(OmegaConf.to_container(reference)))
    derived = {key for key, value in expected.items() if isinstance(value, str) and value.startswith("${")}
    found = {key: actual[key] for key in actual.keys() - derived if _text(actual[key]) != _text(expected.get(key, ...))}
    for key, value in found.items():
        OmegaConf.update(reference, key, value, merge=False, force_add=True)
    resolved = dict(dotted_items(OmegaConf.to_container(reference, resolve=True)))
    return found | {key: actual[key] for key in actual.keys() & derived if _text(actual[key]) != _text(resolved[key])}


def _text(value: Any) -> str:
    """A value as text, the same for equal values."""
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(_text, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _run_name(*, _root_: DictConfig) -> str:
    """The resolver `${run_name:}`, for Hydra's output directories."""
    values = OmegaConf.masked_copy(_root_, [str(key) for key in _root_ if key != "hydra"])
    return run_name(build(values, check_fit=False))


OmegaConf.register_new_resolver("run_name", _run_name, replace=True)
