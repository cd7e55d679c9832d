"""Standard output and error that survive a closed pipe or terminal: output that cannot be written is dropped."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, TextIO, cast


class PipeSafeStream:
    """A stream whose reader may disappear, e.g. a pipe to `head` or a terminal.

    `notice`, if any, is written to standard error when that has happened.
    """

    def __init__(self, stream: TextIO, notice: str) -> None:
        self._stream, self._notice = stream, notice

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        self._try(self._stream.write, text)
        return len(text)

    def flush(self) -> None:
        self._try(self._stream.flush)

    def _try(self, act: Callable[..., object], *arguments: str) -> None:
        try:
            act(*arguments)
        except OSError as error:
            try:
                _to_null(self._stream.fileno())  # also for what is in the buffer, which Python flushes again at exit
            except OSError:  # no file descriptor
                self._stream = open(os.devnull, "w")
            notice, self._notice = self._notice, ""
            if notice:
                print(f"a3crepro: {notice} ({error.strerror}): continuing without it", file=sys.stderr, flush=True)


UNWRITTEN = "standard output cannot be written"


@contextlib.contextmanager
def pipe_safe_output(notice: str = UNWRITTEN) -> Iterator[None]:
    """Keeps standard output and error usable; one that is closed from the start becomes the null device."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            _to_null(number)  # else the next opened file would get this descriptor
    before = sys.stdout, sys.stderr
    streams = sys.stdout, sys.stderr = _pipe_safe(sys.stdout, notice), _pipe_safe(sys.stderr, "")
    try:
        yield
    finally:
        for stream in streams:
            stream.flush()
        sys.stdout, sys.stderr = before


def _pipe_safe(stream: TextIO | None, notice: str) -> TextIO:
    return cast(
        TextIO,
        stream if isinstance(stream, PipeSafeStream) else PipeSafeStream(stream or open(os.devnull, "w"), notice),
    )


def _to_null(number: int) -> None:
    """Makes a file descriptor, open or not, one of the null device."""
    null = os.open(os.devnull, os.O_RDWR)
    if null == number:
        os.set_inheritable(number, True)
    else:
        os.dup2(null, number)
        os.close(null)
