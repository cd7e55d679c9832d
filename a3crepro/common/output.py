"""Standard output and error that outlive who reads them: what cannot be written is dropped, and the work goes on."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TextIO, cast


class Lasting:
    """A stream whose reader may go: a pipe to `head`, a terminal that is closed.

    Args:
      stream: where to write, as long as that can be done.
      notice: what standard error is told once when it cannot; empty: nothing.
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
        """Writes what is in the buffer, or drops it."""
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
        """Writes to nowhere from now on, the buffer included: Python flushes it once more as it ends."""
        try:
            number = self._stream.fileno()
        except OSError:  # no file of the system's
            self._stream = open(os.devnull, "w")
            return
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, number)
        os.close(null)


UNWRITTEN = "standard output cannot be written"


@contextlib.contextmanager
def lasting_output(notice: str = UNWRITTEN) -> Iterator[None]:
    """Standard output and error outlive who reads them; where one was closed from the start, it leads nowhere."""
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
    """Opens a standard descriptor that is closed: the next file would take its place, and what is printed go there."""
    try:
        os.fstat(number)
    except OSError:
        null = os.open(os.devnull, os.O_RDWR)
        if null == number:
            os.set_inheritable(number, True)
        else:
            os.dup2(null, number)
            os.close(null)
