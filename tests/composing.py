"""What Hydra does again and again for the thousands of configurations of the tests, done once in a process.

A composition takes 80 ms, many for reading the same YAML files and parsing the same words. Here Hydra keeps what
it read of a file as long as the file is the same, what it parsed, and what it composed of the same words. All that
a3crepro does with that, its checks and its resolvers, it does each time.
"""

import functools
import importlib
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import omegaconf._utils
import omegaconf.base
from hydra._internal.config_repository import ConfigRepository
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

config: Any = importlib.import_module("a3crepro.config.compose")  # the package's attribute of this name is a function
_kept: dict[Any, bytes] = {}
_load, _parse, _compose = ConfigRepository.load_config, OverridesParser.parse_rule, config.hydra_compose


def remember() -> None:
    """From now on."""
    omegaconf.base.parse = omegaconf._utils.parse = functools.lru_cache(10_000)(omegaconf.base.parse)
    ConfigRepository.load_config = load
    OverridesParser.parse_rule = parse
    config.hydra_compose = compose


def load(self: ConfigRepository, config_path: str) -> Any:
    source = self._find_object_source(config_path, ObjectType.CONFIG)
    if source is None or source.scheme() not in ("file", "pkg"):
        return _load(self, config_path)
    key = [source.provider, source.path, config_path]
    if source.scheme() == "file":
        status = (Path(source.path) / f"{config_path.removesuffix('.yaml')}.yaml").stat()
        key += [status.st_ino, status.st_mtime_ns, status.st_size]
    return _copy(tuple(key), lambda: _load(self, config_path))


def parse(self: OverridesParser, s: str, rule_name: str) -> Any:
    return _copy((s, rule_name), lambda: _parse(self, s, rule_name))


def compose(config_name: str, overrides: list[str], **options: Any) -> DictConfig:
    sources = [(one.provider, one.path) for one in config.GlobalHydra.instance().hydra.config_loader.get_sources()]
    if any(provider == "command-line" for provider, _ in sources):  # with files of a test's own
        return _compose(config_name, overrides, **options)
    key = (config_name, *overrides, *sources, *sorted(options.items()))
    return _copy(key, lambda: _compose(config_name, overrides, **options))


def _copy(key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
    """Of what was made by this key; what fails is made again."""
    if key not in _kept:
        _kept[key] = pickle.dumps(make())
    return pickle.loads(_kept[key])
