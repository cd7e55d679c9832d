"""The signals that stop commands and runs: Ctrl-C, SIGTERM, and SIGHUP, which a terminal sends as it closes."""

import contextlib
import signal
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Handler = Callable[[int, FrameType | None], Any]


def handle(handler: Handler, numbers: Iterable[signal.Signals] = SIGNALS) -> dict[signal.Signals, Any]:
    """Installs a signal handler, and returns the previous ones; SIGHUP stays ignored under `nohup`."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    wanted = [number for number in numbers if not (number == signal.SIGHUP and ignored)]
    return {number: signal.signal(number, handler) for number in wanted}


@contextlib.contextmanager
def handling(handler: Handler, numbers: Iterable[signal.Signals] = SIGNALS) -> Iterator[None]:
    """Installs a signal handler within a `with` block, then restores the previous ones."""
    before = handle(handler, numbers)
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def ignore_all() -> None:
    """Ignores the signals, which the run's main process handles for all of its processes."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
