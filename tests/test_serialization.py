"""Trees of plain values as arrays and back."""

import io

import numpy as np
import pytest

from a3crepro.common.serialization import from_arrays, is_serializable, to_arrays

TREE = {
    "none": None,
    "numbers": [True, 3, 2**127 + 1, 0.1, float("inf"), -0.0],
    "pair": (1, ("two", [])),
    "arrays": [np.arange(6, dtype=np.float32).reshape(2, 3), np.zeros((0, 4), np.uint8), np.array(7)],
    "scalars": (np.float32(0.1), np.int64(-5), np.bool_(True)),
    "empty": {},
    "state": np.random.default_rng(3).bit_generator.state,
    "legacy": np.random.RandomState(3).get_state(legacy=False),
}


def same(a, b):
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            same(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for one, other in zip(a, b, strict=True):
            same(one, other)
    elif isinstance(a, np.ndarray | np.generic):
        assert a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    else:
        assert repr(a) == repr(b)


def test_a_tree_comes_back_from_a_file_that_holds_arrays_alone():
    file = io.BytesIO()
    np.savez(file, **to_arrays(TREE))
    file.seek(0)
    with np.load(file, allow_pickle=False) as stored:
        same(from_arrays(stored), TREE)


def test_a_tree_shares_nothing_with_what_it_was_made_of():
    array = np.zeros(3)
    arrays = to_arrays([array])
    array += 1
    assert not from_arrays(arrays)[0].any()


@pytest.mark.parametrize("value", [object(), {1: 2}, {1, 2}, b"x", np.array([None]), np.random.default_rng()])
def test_other_types_are_refused(value):
    assert not is_serializable([value])
    with pytest.raises(TypeError, match="not serializable"):
        to_arrays({"key": [value]})
