"""Trees of plain values (numbers, words, arrays in lists, tuples and dictionaries) as arrays, and back.

A checkpoint holds arrays alone, of which nothing is executed: a tree becomes a JSON text, as an array of bytes, and the
arrays that it names by their numbers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

Tree = Any
"""None, bool, int, float, str, an array or a number of NumPy's, or a list, tuple or dictionary (by words) of these."""

TEXT = "tree"


def to_arrays(tree: Tree) -> dict[str, np.ndarray]:
    """The tree as arrays by name.

    Raises:
      TypeError: something in it is not plain.
    """
    arrays: dict[str, np.ndarray] = {}
    text = json.dumps(_encode(tree, arrays))
    return {TEXT: np.frombuffer(text.encode(), np.uint8), **arrays}


def from_arrays(arrays: Mapping[str, np.ndarray]) -> Tree:
    """The tree that `to_arrays` was given.

    Raises:
      KeyError, ValueError: it is not of that form.
    """
    return _decode(json.loads(arrays[TEXT].tobytes()), arrays)


def is_plain(value: object) -> bool:
    """Whether a value can be part of a tree."""
    try:
        _encode(value, {})
    except TypeError:
        return False
    return True


def _encode(value: Tree, arrays: dict[str, np.ndarray]) -> Any:
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, np.ndarray | np.generic) and value.dtype != object:
        name = str(len(arrays))
        arrays[name] = np.array(value)
        return {"array" if isinstance(value, np.ndarray) else "number": name}
    if type(value) in (list, tuple):
        return {type(value).__name__: [_encode(part, arrays) for part in value]}
    if type(value) is dict and all(type(key) is str for key in value):
        return {"dict": {key: _encode(part, arrays) for key, part in value.items()}}
    raise TypeError(f"not plain: {type(value).__name__}")


def _decode(value: Any, arrays: Mapping[str, np.ndarray]) -> Tree:
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    match kind:
        case "array":
            return np.array(arrays[content])
        case "number":
            return arrays[content][()]
        case "list":
            return [_decode(part, arrays) for part in content]
        case "tuple":
            return tuple(_decode(part, arrays) for part in content)
        case "dict":
            return {key: _decode(part, arrays) for key, part in content.items()}
    raise ValueError(f"not a tree of this version: {kind}")
