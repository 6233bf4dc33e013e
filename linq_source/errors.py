"""Every error this package raises, one class for each decision that a caller makes.

    LinqError
    ├── UsageError                the user must change something (exit code 2)
    │   ├── ConfigurationError    a setting or option is missing or cannot be used
    │   └── AuthenticationError   Linq refuses the token (401)
    ├── ApiError                  Linq's answer cannot be used (exit code 1)
    │   ├── ForbiddenError        403: this number or chat is not ours to read; skipped and named
    │   ├── NotFoundError         404: gone; skipped and named
    │   ├── RequestRefusedError   any other 4xx or a redirect: a repeat would not help
    │   └── UnavailableError      429, 5xx, timeouts, broken bodies: still so after every retry
    │       └── UnprovenListError a list whose total keeps growing while it is read
    ├── DestinationError          the database, warehouse or folder cannot be used (exit code 1)
    └── LockedError               another run is at work on the same destination (exit code 75)

A message stands alone, since dlt wraps errors and prints only their text. It names what failed, the path or
setting, and what to do; never a token, a phone number or a message's text.
"""


class LinqError(Exception):
    """Base of all errors of this package."""

    exit_code = 1


class UsageError(LinqError):
    """The user must change something; a repeat of the same command fails the same way."""

    exit_code = 2


class ConfigurationError(UsageError):
    """A setting or option is missing or cannot be used; the message names it."""


class AuthenticationError(UsageError):
    """Linq answered 401: the token is wrong or was revoked."""


class ApiError(LinqError):
    """An answer of Linq that cannot be used. `path` has no query, since queries hold phone numbers."""

    def __init__(self, message: str, *, path: str, status: int | None = None) -> None:
        super().__init__(message)
        self.path = path
        self.status = status


class ForbiddenError(ApiError):
    """403: the token may not read this."""


class NotFoundError(ApiError):
    """404: no such chat, message or contact."""


class RequestRefusedError(ApiError):
    """A 4xx other than 401, 403, 404 and 429, or a redirect: sending it again would not help."""


class UnavailableError(ApiError):
    """Retries and waiting are used up: 429, 5xx, timeouts, cut connections, bodies that are no JSON."""


class UnprovenListError(UnavailableError):
    """A list has no end: its total keeps growing while it is read."""


class DestinationError(LinqError):
    """The database, warehouse or folder cannot be opened, read or written."""


class LockedError(LinqError):
    """Another run holds the lock of this destination."""

    exit_code = 75
