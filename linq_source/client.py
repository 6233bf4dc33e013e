"""LinqClient: the only code that speaks HTTP. Auth, concurrency, pace, retries and limits; nothing of tables."""

import asyncio
import random
import re
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import Enum
from ipaddress import ip_address
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import httpx
from aiolimiter import AsyncLimiter

from linq_source import settings
from linq_source.errors import (
    ApiError,
    AuthenticationError,
    ConfigurationError,
    ForbiddenError,
    NotFoundError,
    RequestRefusedError,
    UnavailableError,
)
from linq_source.strict_json import BrokenBodyError, decode

T = TypeVar("T")


class Action(Enum):
    """What to do about a status."""

    ACCEPT = "read the body"
    RETRY = "try again after a backoff"
    PAUSE = "make every request wait, then try again"
    REFUSE = "raise at once"


# Status -> (action, error). What is not listed here: other 2xx are accepted, 5xx retried, the rest refused.
ACTIONS: dict[int, tuple[Action, type[ApiError]]] = {
    200: (Action.ACCEPT, ApiError),
    403: (Action.REFUSE, ForbiddenError),
    404: (Action.REFUSE, NotFoundError),
    408: (Action.RETRY, UnavailableError),
    425: (Action.RETRY, UnavailableError),
    429: (Action.PAUSE, UnavailableError),
}


def action_for(status: int) -> tuple[Action, type[ApiError]]:
    """Return what to do about `status`, and the error to raise when that does not help."""
    if status in ACTIONS:
        return ACTIONS[status]
    if status >= 500:
        return Action.RETRY, UnavailableError
    return Action.REFUSE, RequestRefusedError


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
        if self.requests_per_second is not None and self.requests_per_second <= 0:
            raise ConfigurationError(f"requests_per_second must be above 0, not {self.requests_per_second}.")
        if self.max_wait_seconds < 0:
            raise ConfigurationError(f"max_wait_seconds must not be negative, not {self.max_wait_seconds}.")


@dataclass
class Counters:
    """What a client has done so far."""

    requests: int = 0
    retries: int = 0
    waited_seconds: float = 0.0


class LinqClient:
    """Reads from Linq's Partner API v2. Building it makes no request.

    Used as `async with LinqClient(token) as client: await client.get(path, params)`. One client serves one
    event loop. It only ever sends GET.
    """

    def __init__(
        self,
        integration_token: str,
        *,
        base_url: str = settings.BASE_URL,
        limits: Limits | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits = limits or Limits()
        self.counters = Counters()
        self._sleep = sleep
        self._clock = clock
        self._slots = asyncio.Semaphore(self.limits.concurrency)
        rate = self.limits.requests_per_second
        self._pace = AsyncLimiter(1, 1 / rate) if rate else None
        self._resume_at = 0.0
        self._waited_until = 0.0
        base = check_base_url(base_url)
        self._http = httpx.AsyncClient(
            base_url=base,
            headers={
                settings.TOKEN_HEADER: check_token(integration_token),
                "Accept": "application/json",
                "User-Agent": "linq-source",
            },
            timeout=httpx.Timeout(self.limits.read_seconds, connect=self.limits.connect_seconds, pool=None),
            limits=httpx.Limits(max_connections=self.limits.concurrency),
            follow_redirects=False,  # httpx would send the token's header on to the other host
            trust_env=not _is_loopback(urlsplit(base).hostname or ""),
            transport=transport,
            verify=_tls_context(base),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def get(self, path: str, params: dict[str, str | int] | None = None, *, read: Callable[[Any], T]) -> T:
        """GET `path` and return `read(decoded body)`, trying again while the answer cannot be used.

        `read` raises BrokenBodyError for a body of the wrong shape, which is retried like a cut one.

        Raises AuthenticationError (401), ForbiddenError, NotFoundError, RequestRefusedError, or
        UnavailableError when every attempt, or the sync's whole allowance of waiting, is used up.
        """
        async with self._slots:
            for attempt in range(1, 1_000_000):
                await self._wait_for_turn()
                try:
                    return await self._attempt(path, params, read)
                except _Again as again:
                    if attempt >= self.limits.attempts and not again.pauses_everyone:
                        raise UnavailableError(
                            f"Linq's answer to GET {path} could not be used after {attempt} attempts: "
                            f"{again.reason}. Nothing of it was stored; try again later.",
                            path=path,
                            status=again.status,
                        ) from None
                    await self._back_off(again, attempt, path)
            raise AssertionError("unreachable: waiting is bounded by max_wait_seconds")

    async def _wait_for_turn(self) -> None:
        while (left := self._resume_at - self._clock()) > 0:
            await self._sleep(left)
        if self._pace:
            await self._pace.acquire()

    async def _attempt(self, path: str, params: dict[str, str | int] | None, read: Callable[[Any], T]) -> T:
        self.counters.requests += 1
        try:
            async with asyncio.timeout(self.limits.request_seconds):
                async with self._http.stream("GET", path, params=params) as response:
                    body = await self._body(response)
        except TimeoutError:
            raise _Again(f"no whole answer within {self.limits.request_seconds:g} s") from None
        except httpx.HTTPError as error:
            raise _Again(_describe(error)) from None
        return self._judge(path, response, body, read)

    async def _body(self, response: httpx.Response) -> bytes:
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.aiter_bytes():
            size += len(chunk)
            if size > self.limits.max_body_bytes:
                raise _Again(f"a body of over {self.limits.max_body_bytes} bytes", response.status_code)
            chunks.append(chunk)
        return b"".join(chunks)

    def _judge(self, path: str, response: httpx.Response, body: bytes, read: Callable[[Any], T]) -> T:
        status = response.status_code
        decoded: Any = None
        broken: str | None = None
        try:
            decoded = decode(body)
        except BrokenBodyError as error:
            broken = str(error)
        if status == 200:
            status = _status_in_body(decoded) or 200
        if status == 401:
            raise AuthenticationError(
                f"Linq refused the integration token (401 for GET {path}). Put a valid one into "
                "SOURCES__LINQ__INTEGRATION_TOKEN or .dlt/secrets.toml."
            )
        action, error_type = action_for(status)
        if action is Action.ACCEPT:
            if broken:
                raise _Again(f"a body that is not the JSON expected ({broken})", status)
            try:
                return read(decoded)
            except BrokenBodyError as error:
                raise _Again(str(error), status) from None
        reason = f"status {status}{_excerpt(decoded)}"
        if action is Action.REFUSE:
            raise error_type(f"Linq refused GET {path}: {reason}.", path=path, status=status)
        after = _retry_after(response) if status in (429, 503) else None
        raise _Again(reason, status, after=after, pauses_everyone=action is Action.PAUSE)

    async def _back_off(self, again: "_Again", attempt: int, path: str) -> None:
        self.counters.retries += 1
        most = self.limits.max_backoff_seconds
        backoff = min(most, self.limits.backoff_seconds * 2 ** min(attempt - 1, 16))
        delay = backoff * (0.5 + random.random() / 2)  # noqa: S311  # jitter, not a secret
        if again.after is not None:
            delay = max(again.after, self.limits.backoff_seconds)
        now = self._clock()
        # Requests wait side by side: only the part that nobody waited for already is new waiting.
        self.counters.waited_seconds += max(0.0, now + delay - max(now, self._waited_until))
        self._waited_until = max(self._waited_until, now + delay)
        if self.counters.waited_seconds > self.limits.max_wait_seconds:
            raise UnavailableError(
                f"Gave up on GET {path}: waiting another {delay:.0f} s would exceed the "
                f"{self.limits.max_wait_seconds:g} s that max_wait_seconds allows one sync ({again.reason}).",
                path=path,
                status=again.status,
            )
        if again.pauses_everyone:
            self._resume_at = max(self._resume_at, now + delay)
        else:
            await self._sleep(delay)


class _Again(Exception):  # noqa: N818  # a signal inside this module, never raised to a caller
    """This attempt failed in a way that another may not."""

    def __init__(
        self,
        reason: str,
        status: int | None = None,
        *,
        after: float | None = None,
        pauses_everyone: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.after = after
        self.pauses_everyone = pauses_everyone


def check_token(token: object) -> str:
    """Return the token as a header can carry it, or raise ConfigurationError that names the setting."""
    text = token.strip() if isinstance(token, str) else ""
    if not text:
        raise ConfigurationError(
            "No Linq integration token: set SOURCES__LINQ__INTEGRATION_TOKEN, or integration_token under "
            "[sources.linq] in .dlt/secrets.toml. To look around without one, run with --demo."
        )
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ConfigurationError(
            "integration_token holds characters that no token has (spaces, line ends or letters outside "
            "ASCII): copy it again into SOURCES__LINQ__INTEGRATION_TOKEN or .dlt/secrets.toml."
        )
    return text


def check_base_url(base_url: str) -> str:
    """Return the base URL, or raise ConfigurationError: https only, plain http for this machine alone."""
    try:
        parts = urlsplit(base_url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host = ""
    if not host:
        raise ConfigurationError(f"base_url is not a URL: {base_url!r}. The default is {settings.BASE_URL}.")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigurationError("base_url must hold no user, password, query or fragment, only https://host.")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(host)):
        raise ConfigurationError(
            f"base_url must begin with https:// so that the token travels encrypted, not {parts.scheme!r} "
            "(plain http is for 127.0.0.1 alone)."
        )
    return base_url.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _tls_context(base_url: str) -> ssl.SSLContext | bool:
    # Loading the certificates takes longer than the whole idle sync of a local Linq, which needs none.
    return False if base_url.startswith("http://") else ssl.create_default_context()


def _describe(error: httpx.HTTPError) -> str:
    # httpx's own texts may hold the URL, and with it a phone number: only the kind is safe to show.
    kinds: list[tuple[type[httpx.HTTPError], str]] = [
        (httpx.ConnectTimeout, "no connection in time"),
        (httpx.ConnectError, "no connection (is base_url right, and the network up?)"),
        (httpx.TimeoutException, "no answer in time"),
        (httpx.DecodingError, "a body that does not decompress"),
        (httpx.NetworkError, "the connection broke"),
    ]
    return next((text for kind, text in kinds if isinstance(error, kind)), type(error).__name__)


def _status_in_body(decoded: Any) -> int | None:
    """Return the status that an error body names although it came with 200, in either error format."""
    if not isinstance(decoded, dict):
        return None
    status: object = None
    errors = decoded.get("errors")
    if isinstance(errors, list) and not any(key in decoded for key in _LIST_KEYS):
        status = errors[0].get("status") if errors and isinstance(errors[0], dict) else decoded.get("status")
    elif "error_code" not in decoded:
        return None
    else:
        status = decoded.get("status")
    try:
        number = int(str(status))
    except ValueError:
        number = 0
    return number if 400 <= number <= 599 else 500


_LIST_KEYS = ("data", "contacts", "phone_numbers", "webhook_subscriptions")


def _excerpt(decoded: Any) -> str:
    """Return the first sentence of either error format, bounded and without anything like a phone number."""
    texts: list[object] = []
    if isinstance(decoded, dict):
        errors = decoded.get("errors")
        first = errors[0] if isinstance(errors, list) and errors else None
        texts = [first.get("detail"), first.get("title")] if isinstance(first, dict) else []
        texts += [decoded.get("message"), first]
    text = next((text for text in texts if isinstance(text, str) and text.strip()), "")
    text = re.sub(r"[^\x20-\x7e]+", " ", text)
    text = re.sub(r"\+?\d[\d ().-]{5,}\d|\S+@\S+|\S{33,}", "***", text).strip()
    return f" ({text[:160].rstrip('.')})" if text else ""


def _retry_after(response: httpx.Response) -> float | None:
    """Return the seconds that Retry-After asks for (a number or a date), or None where it says nothing usable."""
    value = response.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", value):
        return float(value)
    try:
        until = parsedate_to_datetime(value)
        # The server's own clock, where it says it, so that ours may be wrong.
        sent = parsedate_to_datetime(response.headers.get("Date", ""))
    except (ValueError, TypeError):
        return None
    try:
        return max(0.0, (until - sent).total_seconds())
    except TypeError:
        return None
