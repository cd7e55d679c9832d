"""Words of commands, and what a measurement was made with."""

import pytest

from a3crepro.cli import own_words, positive_number
from a3crepro.settings import UserError
from a3crepro.sweeping.circumstances import circumstances


def test_own_words_are_parted_from_overrides():
    own, overrides = own_words(["scale=b", "algo=a3c", "env=pong"], {"scale": "a", "part": "all"}, {"scale": "ab"})
    assert own == {"scale": "b", "part": "all"} and overrides == ["algo=a3c", "env=pong"]
    with pytest.raises(UserError, match="scale: allowed: a, b; got 'c'"):
        own_words(["scale=c"], {"scale": "a"}, {"scale": "ab"})


@pytest.mark.parametrize("text", ["0", "-1", "x", "nan", "inf", ""])
def test_a_number_that_must_be_positive(text):
    assert positive_number("seconds", "2.5") == 2.5
    with pytest.raises(UserError, match="seconds: should be a number greater than 0"):
        positive_number("seconds", text)


def test_what_a_measurement_was_made_with():
    found = circumstances()
    assert {"commit", "clean", "date", "load", "cpu", "usable_cores", "python"} <= found.keys()
    assert found["usable_cores"] >= 1
