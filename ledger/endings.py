"""SIGTERM, SIGINT and SIGHUP: one ends the command where it stands, and what must be whole is done first."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# A closed terminal ends a service as Ctrl-C does: nobody would know that it runs.
ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Ending:
    """Ends the process with status 0 at the first signal, so that every `finally` runs; counts the others.

    An exception out of a signal gets lost where Python can only report it, as in the callback of a weak reference:
    whoever waits for long has to `heed`.

    asked: how many signals came; more than one is impatience.
    """

    def __init__(self) -> None:
        """Take the signals over."""
        self._begun = False
        self.asked = 0
        for number in _ours():
            signal.signal(number, self._end)

    def begin(self) -> None:
        """Say that the end has begun for another reason: from here on signals are counted only."""
        self._begun = True

    def heed(self) -> None:
        """End now if a signal came and its exception got lost."""
        if self.asked:
            sys.exit(0)

    def _end(self, _: int, __: FrameType | None) -> None:
        self.asked += 1
        if not self._begun:
            self._begun = True
            sys.exit(0)


class Interruption:
    """Ends the process by KeyboardInterrupt, whichever signal came: what asyncio and others know how to handle.

    status: of a process that was ended so; 128 and the number of the signal.
    """

    def __init__(self) -> None:
        """Take the signals over."""
        self.status = 128 + signal.SIGINT
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number in _ours():
            if number != signal.SIGINT:
                signal.signal(number, self._interrupt)

    def _interrupt(self, number: int, _: FrameType | None) -> None:
        self.status = 128 + number
        signal.raise_signal(signal.SIGINT)


def _ours() -> list[signal.Signals]:
    """All but a hang-up that is ignored, as under nohup."""
    return [each for each in ENDING if each != signal.SIGHUP or signal.getsignal(each) != signal.SIG_IGN]


@contextmanager
def endings_deferred() -> Iterator[None]:
    """Let signals wait until the block is done: between starting a process and knowing it, one would be orphaned."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Handlers run in the main thread only.
        return
    came: list[int] = []
    before = {each: signal.getsignal(each) for each in _ours()}
    for each in before:
        signal.signal(each, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        for number in came:
            signal.raise_signal(number)
