"""The signals that stop commands and runs: Ctrl-C, SIGTERM, and SIGHUP, which a terminal sends as it closes."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Mapping
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Handler = Callable[[int, FrameType | None], Any]


def handle(handler: Handler, numbers: Iterable[signal.Signals] = SIGNALS) -> dict[signal.Signals, Any]:
    """Has signals handled so; SIGHUP only where it is not ignored, as `nohup` has it.

    Returns:
      The handlers that they had before.
    """
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    wanted = [number for number in numbers if not (number == signal.SIGHUP and ignored)]
    return {number: signal.signal(number, handler) for number in wanted}


def handle_as_before(handlers: Mapping[signal.Signals, Any]) -> None:
    """Undoes what `handle` did, with what it returned."""
    for number, handler in handlers.items():
        signal.signal(number, handler)


def ignore_all() -> None:
    """They are for the run's main process, which then stops the others in order."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
