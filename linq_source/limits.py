"""How hard Linq is pressed, how long it is waited for, and what that came to."""

import math
from dataclasses import dataclass

from linq_source import settings
from linq_source.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How hard to press and how long to wait. Times in seconds, sizes in bytes."""

    concurrency: int = settings.CONCURRENCY
    requests_per_second: float | None = None
    connect_seconds: float = 10.0
    read_seconds: float = 30.0
    request_seconds: float = 120.0
    """Deadline of one whole request, whatever trickles in."""
    max_body_bytes: int = 64 * 1024 * 1024
    attempts: int = 6
    backoff_seconds: float = 0.5
    max_backoff_seconds: float = 60.0
    max_wait_seconds: float = settings.MAX_WAIT_SECONDS
    """Waiting of a whole sync, all requests together; what overlaps counts once."""

    def __post_init__(self) -> None:
        for name in ("concurrency", "attempts"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} must be at least 1, not {getattr(self, name)}.")
        # Comparisons are written so that NaN, which compares with nothing, is refused too.
        if self.requests_per_second is not None and not 0.001 <= self.requests_per_second < math.inf:
            raise ConfigurationError(
                f"requests_per_second must be a number from 0.001 on, not {self.requests_per_second}."
            )
        if not self.max_wait_seconds >= 0:
            raise ConfigurationError(f"max_wait_seconds must not be negative, not {self.max_wait_seconds}.")
        if not 0 < self.backoff_seconds <= self.max_backoff_seconds:
            raise ConfigurationError(
                f"backoff_seconds must be above 0 and at most max_backoff_seconds, not {self.backoff_seconds}."
            )


@dataclass
class Counters:
    """What a client has done so far."""

    requests: int = 0
    retries: int = 0
    waited_seconds: float = 0.0
