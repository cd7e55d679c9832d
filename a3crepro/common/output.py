"""Standard output and error that survive a closed pipe or terminal: output that cannot be written is dropped."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TextIO, cast


class Lasting:
    """A stream whose reader may disappear, e.g. a pipe to `head` or a terminal.

    Args:
      stream: written to as long as possible.
      notice: written once to standard error when it is no longer possible; empty: nothing.
    """

    def __init__(self, stream: TextIO, notice: str) -> None:
        self._stream, self._notice = stream, notice

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Writes the text, or drops it."""
        self._try(self._stream.write, text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Writes the lines, or drops them."""
        self.write("".join(lines))

    def flush(self) -> None:
        """Flushes the buffer, or drops it."""
        self._try(self._stream.flush)

    def _try(self, act: Callable[..., object], *arguments: str) -> None:
        try:
            act(*arguments)
        except OSError as error:
            self._let_go()
            notice, self._notice = self._notice, ""
            if notice:
                print(f"a3crepro: {notice} ({error.strerror}): going on without it", file=sys.stderr, flush=True)

    def _let_go(self) -> None:
        """Redirects the stream and its buffer, which Python flushes once more at exit, to the null device."""
        try:
            number = self._stream.fileno()
        except OSError:  # no file descriptor
            self._stream = open(os.devnull, "w")
            return
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, number)
        os.close(null)


UNWRITTEN = "standard output cannot be written"


@contextlib.contextmanager
def lasting_output(notice: str = UNWRITTEN) -> Iterator[None]:
    """Keeps standard output and error usable; one that is closed from the start becomes the null device."""
    for number in range(3):
        _fill(number)
    before = sys.stdout, sys.stderr
    lasting = sys.stdout, sys.stderr = _lasting(sys.stdout, notice), _lasting(sys.stderr, "")
    try:
        yield
    finally:
        for stream in lasting:
            stream.flush()
        sys.stdout, sys.stderr = before


def _lasting(stream: TextIO | None, notice: str) -> TextIO:
    if isinstance(stream, Lasting):
        return cast(TextIO, stream)
    return cast(TextIO, Lasting(stream or open(os.devnull, "w"), notice))


def _fill(number: int) -> None:
    """Opens a closed standard descriptor, which the next opened file would get otherwise."""
    try:
        os.fstat(number)
    except OSError:
        null = os.open(os.devnull, os.O_RDWR)
        if null == number:
            os.set_inheritable(number, True)
        else:
            os.dup2(null, number)
            os.close(null)
