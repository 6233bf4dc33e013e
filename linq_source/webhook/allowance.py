"""How much of the receiver's time unsigned bodies may take: a fifth of it, whoever sends them and however many."""

import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")

_SHARE = 0.2
_MOST_SECONDS = 0.2
"""What is saved up while nobody forges anything, so how long a burst can hold the others."""
_SECONDS_PER_BYTE = 6e-7
"""What the dearest bodies take (measured: `1.5,1.5,...`, 5e-7); an ordinary event takes a twentieth."""


class Allowance:
    """Seconds that attempts may take which find nothing; they come back with time. `clock` tells seconds.

    An attempt is made where it is covered at its dearest: large bodies find the rest too small first, so that a
    flood of them leaves small ones, as genuine events are, their attempt.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at = clock()
        self._left = _MOST_SECONDS

    def covers(self, size: int) -> bool:
        """Whether an attempt with a body of `size` bytes may be made now."""
        now = self._clock()
        self._left = min(_MOST_SECONDS, self._left + (now - self._at) * _SHARE)
        self._at = now
        return self._left >= size * _SECONDS_PER_BYTE

    def attempt(self, size: int, check: Callable[[], _T | None]) -> _T | None:
        """Return what `check` finds; where it finds nothing, its time is taken off."""
        started = self._clock()
        found = check()
        if found is None:
            # Not more than it can have taken: the rest went to other threads, which no sender answers for.
            self._left -= min(self._clock() - started, size * _SECONDS_PER_BYTE)
        return found
