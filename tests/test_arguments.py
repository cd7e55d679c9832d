"""A command's own arguments."""

import pytest

from a3crepro.common.errors import UserError
from a3crepro.runs.arguments import Key, non_negative_number, one_of, own_arguments, positive_number, whole_number

KEYS = {"scale": one_of("ab", "a"), "part": Key(default="all"), "seed": whole_number(0), "noise": non_negative_number()}


def test_own_arguments_are_parted_from_overrides_and_the_last_of_a_key_counts():
    own, others = own_arguments(["scale=b", "algo=a3c", "seed=1", "seed=2_000", "env=pong"], KEYS)
    assert vars(own) == {"scale": "b", "part": "all", "seed": 2000, "noise": None} and others == [
        "algo=a3c",
        "env=pong",
    ]


@pytest.mark.parametrize(
    ("argument", "line"),
    [
        ("scale=c", "scale: allowed: a, b; got 'c'"),
        ("seed=-1", "seed: should be a whole number of at least 0, got '-1'"),
        ("seed=1.5", "seed: should be a whole number of at least 0, got '1.5'"),
        ("noise=nan", "noise: should be a number of at least 0, got 'nan'"),
    ],
)
def test_a_value_that_is_not_allowed_is_refused(argument, line):
    with pytest.raises(UserError, match=f"^{line}$"):
        own_arguments([argument], KEYS)


@pytest.mark.parametrize("text", ["0", "-1", "x", "nan", "inf", ""])
def test_a_number_that_must_be_positive(text):
    keys = {"seconds": positive_number(20)}
    assert own_arguments(["seconds=2.5"], keys)[0].seconds == 2.5
    with pytest.raises(UserError, match="seconds: should be a number greater than 0"):
        own_arguments([f"seconds={text}"], keys)
