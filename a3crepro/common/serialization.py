"""Pytrees (numbers, strings and arrays in lists, tuples and dictionaries) as named arrays, and back.

A checkpoint holds arrays only, none of which is executed: a pytree becomes a JSON text, as an array of bytes, and the
arrays that the text refers to by number.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

PyTree = Any
"""None, bool, int, float, str, a NumPy array or scalar, or a list, tuple or dictionary (with string keys) of these."""

TEXT = "tree"


def to_arrays(tree: PyTree) -> dict[str, np.ndarray]:
    """Serialises a pytree as arrays by name; a `TypeError` if it contains another type."""
    arrays: dict[str, np.ndarray] = {}
    text = json.dumps(_encode(tree, arrays))
    return {TEXT: np.frombuffer(text.encode(), np.uint8), **arrays}


def from_arrays(arrays: Mapping[str, np.ndarray]) -> PyTree:
    """The pytree that `to_arrays` serialised; a `KeyError` or `ValueError` for other arrays."""
    return _decode(json.loads(arrays[TEXT].tobytes()), arrays)


def is_serializable(value: object) -> bool:
    """Whether a value is a pytree."""
    try:
        _encode(value, {})
    except TypeError:
        return False
    return True


def _encode(value: PyTree, arrays: dict[str, np.ndarray]) -> Any:
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
    raise TypeError(f"not serializable: {type(value).__name__}")


def _decode(value: Any, arrays: Mapping[str, np.ndarray]) -> PyTree:
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
    raise ValueError(f"not a pytree of this version: {kind}")
