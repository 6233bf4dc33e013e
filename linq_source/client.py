"""LinqClient: the only code that speaks HTTP. Auth, concurrency, pace, retries and limits; nothing of tables."""

import asyncio
import logging
import math
import random
import re
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from ipaddress import ip_address
from itertools import count
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


# Status -> (action, error). What is not listed here: 2xx are accepted, 5xx retried, the rest refused.
ACTIONS: dict[int, tuple[Action, type[ApiError]]] = {
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
    if 200 <= status < 300:
        return Action.ACCEPT, UnavailableError
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
        self._token = check_token(integration_token)
        logging.getLogger("httpx").addFilter(_without_query)
        self._http = httpx.AsyncClient(
            base_url=base,
            headers={
                settings.TOKEN_HEADER: self._token,
                "Accept": "application/json",
                "Accept-Encoding": ", ".join(_ENCODINGS),
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
            failures = 0
            for attempt in count(1):
                await self._wait_for_turn()
                try:
                    return await self._attempt(path, params, read)
                except _Again as again:
                    # Being asked to slow down is no failure: only max_wait_seconds bounds that.
                    failures += not again.pauses_everyone
                    if failures >= self.limits.attempts:
                        raise UnavailableError(
                            f"Linq's answer to GET {path} could not be used after {failures} attempts: "
                            f"{again.reason}. Nothing of it was stored; try again later.",
                            path=path,
                            status=again.status,
                        ) from None
                    await self._back_off(again, attempt, path)
            raise AssertionError("unreachable: waiting is bounded by max_wait_seconds")

    async def _wait_for_turn(self) -> None:
        if self._pace:
            await self._pace.acquire()
        # After the pace, since a pause may begin while requests queue for their turn.
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
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            # Not only HTTPError: httpx looks into the address of a redirect even when it does not follow it.
            raise _Again(_describe(error)) from None
        return self._judge(path, response, body, read)

    async def _body(self, response: httpx.Response) -> bytes:
        if response.headers.get("Content-Encoding", "identity").strip().lower() not in _ENCODINGS:
            # Encodings within encodings inflate a small piece beyond any cap before it can be counted.
            raise _Again("a body in an encoding that was not asked for", response.status_code)
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
        if action_for(status)[0] is Action.ACCEPT:
            status = _status_in_body(decoded) or status
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
        reason = f"status {status}{_excerpt(decoded, self._token)}"
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
        waited = self.counters.waited_seconds + max(0.0, now + delay - max(now, self._waited_until))
        if waited > self.limits.max_wait_seconds:
            raise UnavailableError(
                f"Gave up on GET {path}: waiting another {delay:.0f} s would exceed the "
                f"{self.limits.max_wait_seconds:g} s that max_wait_seconds allows one sync ({again.reason}).",
                path=path,
                status=again.status,
            )
        self.counters.waited_seconds = waited
        self._waited_until = max(self._waited_until, now + delay)
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


def check_base_url(base_url: object) -> str:
    """Return the base URL, or raise ConfigurationError: https only, plain http for this machine alone."""
    text = base_url.strip().rstrip("/") if isinstance(base_url, str) else ""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
        host.encode("idna")  # as a look-up does, which would fail with an error that is no network error
        httpx.URL(text)
    except (ValueError, httpx.InvalidURL):
        host = ""
    if not host or "%" in host or any(sign.isspace() for sign in text):
        # Not quoted: it may hold a password, or be the token in the wrong place.
        raise ConfigurationError(f"base_url is not a URL. Write it like {settings.BASE_URL}, which is the default.")
    if "@" in parts.netloc or "?" in text or "#" in text:
        raise ConfigurationError("base_url must hold no user, password, query or fragment, only https://host.")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(host)):
        raise ConfigurationError(
            "base_url must begin with https:// so that the token travels encrypted (plain http is for this "
            "machine alone, like http://127.0.0.1)."
        )
    return text


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _tls_context(base_url: str) -> ssl.SSLContext | bool:
    # Loading the certificates takes longer than the whole idle sync of a local Linq, which needs none.
    return False if base_url.startswith("http://") else ssl.create_default_context()


def _describe(error: Exception) -> str:
    # httpx's own texts may hold the URL, and with it a phone number: only the kind is safe to show.
    kinds: list[tuple[type[Exception], str]] = [
        (httpx.ConnectTimeout, "no connection in time"),
        (httpx.ConnectError, "no connection (is base_url right, and the network up?)"),
        (httpx.TimeoutException, "no answer in time"),
        (httpx.DecodingError, "a body that does not decompress"),
        (httpx.NetworkError, "the connection broke"),
        (httpx.InvalidURL, "a redirect to no address"),
        (UnicodeError, "a redirect to no address"),
    ]
    return next((text for kind, text in kinds if isinstance(error, kind)), type(error).__name__)


def _status_in_body(decoded: Any) -> int | None:
    """Return the status that an error body names although it came with 200, in either error format."""
    if not isinstance(decoded, dict) or any(decoded.get(key) for key in _LIST_KEYS):
        return None
    errors = decoded.get("errors")
    has_list = any(key in decoded for key in _LIST_KEYS)
    if isinstance(errors, list) and (errors or not has_list):
        first = errors[0] if errors else None
        status: object = first.get("status") if isinstance(first, dict) else decoded.get("status")
    elif decoded.get("error_code"):
        status = decoded.get("status")
    else:
        return None
    try:
        number = int(str(status))
    except ValueError:
        number = 0
    return number if 400 <= number <= 599 else 500


_ENCODINGS = ("identity", "gzip", "deflate")
_LIST_KEYS = ("data", "contacts", "phone_numbers", "webhook_subscriptions")


def _excerpt(decoded: Any, token: str) -> str:
    """Return the text of either error format, bounded, without the token and anything like a phone number."""
    texts: list[object] = []
    if isinstance(decoded, dict):
        errors = decoded.get("errors")
        first = errors[0] if isinstance(errors, list) and errors else None
        texts = [first.get("detail"), first.get("title")] if isinstance(first, dict) else []
        texts += [decoded.get("message"), first]
    text = next((text for text in texts if isinstance(text, str) and text.strip()), "")
    text = re.sub(r"[^\x20-\x7e]+", " ", text[:2000].replace(token, "***"))
    text = re.sub(r"\S+@\S+|\+?\d(?:[^A-Za-z\d]{0,3}\d){6,}|\S{33,}", "***", text).strip()
    return f" ({text[:160].rstrip('.')})" if text else ""


def _retry_after(response: httpx.Response) -> float | None:
    """Return the seconds that Retry-After asks for (a number or a date), or None where it says nothing usable."""
    value = response.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", value):
        return float(value)
    until = _http_date(value)
    # The server's own clock, where it says it, so that ours may be wrong.
    now = _http_date(response.headers.get("Date", "")) or datetime.now(UTC)
    return max(0.0, (until - now).total_seconds()) if until else None


def _http_date(value: str) -> datetime | None:
    try:
        instant = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _without_query(record: logging.LogRecord) -> bool:
    """Take the queries, which hold phone numbers, out of the URLs of Linq's API that httpx logs."""
    if isinstance(record.args, tuple):
        record.args = tuple(
            each.copy_with(query=None) if isinstance(each, httpx.URL) and "/api/partner/" in each.path else each
            for each in record.args
        )
    return True
