"""LinqClient reads what Linq lists: concurrency, pace, retries and limits; nothing of tables."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from itertools import count
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from aiolimiter import AsyncLimiter

from linq_source import settings
from linq_source.access import check_base_url, check_token
from linq_source.answers import ENCODINGS, Action, action_for, describe, excerpt, retry_after, status_in_body
from linq_source.connection import Connection, connect
from linq_source.errors import AuthenticationError, UnavailableError
from linq_source.limits import Counters, Limits
from linq_source.strict_json import BrokenBodyError, decode

T = TypeVar("T")

_CATCH_UP_SECONDS = 0.25


class LinqClient:
    """Reads from Linq's Partner API v2. Building it makes no request.

    Used as `async with LinqClient(token) as client: await client.get(path, params)`. One client serves one
    event loop. It only ever sends GET. `clean` takes the path and the body of every answer that is accepted, and
    returns the body that is read.
    """

    def __init__(
        self,
        integration_token: str,
        *,
        base_url: str = settings.BASE_URL,
        limits: Limits | None = None,
        clean: Callable[[str, Any], Any] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits = limits or Limits()
        self._clean = clean
        self.counters = Counters()
        self._sleep = sleep
        self._clock = clock
        rate = self.limits.requests_per_second
        self._pace: AsyncLimiter | None = None
        if rate:
            # Turns that were missed in the last quarter of a second, as while rows are shaped, are made up for.
            burst = max(1.0, rate * _CATCH_UP_SECONDS)
            self._pace = AsyncLimiter(burst, burst / rate)
        self._is_paced = False
        self._resume_at = 0.0
        self._waited_until = 0.0
        base = check_base_url(base_url)
        self._token = check_token(integration_token)
        self._connections = connect(base, self._token, self.limits, transport)
        # The last one that was used comes first, so that few are opened where few are needed.
        self._idle: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()
        for connection in reversed(self._connections):
            self._idle.put_nowait(connection)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        for connection in self._connections:
            await connection.aclose()

    async def get(self, path: str, params: dict[str, str | int] | None = None, *, read: Callable[[Any], T]) -> T:
        """GET `path` and return `read(decoded body)`, trying again while the answer cannot be used.

        `read` raises BrokenBodyError for a body of the wrong shape, which is retried like a cut one.

        Raises AuthenticationError (401), ForbiddenError, NotFoundError, RequestRefusedError, or
        UnavailableError when every attempt, or the sync's whole allowance of waiting, is used up.
        """
        connection = await self._idle.get()
        try:
            failures = 0
            for attempt in count(1):
                await self._wait_for_turn()
                try:
                    return await self._attempt(connection, path, params, read)
                except _Again as again:
                    # Being asked to slow down is no failure: only max_wait_seconds bounds that.
                    failures += not again.pauses_everyone
                    if failures >= self.limits.attempts:
                        what = "could not be used" if again.status else "did not arrive"
                        raise UnavailableError(
                            f"Linq's answer to GET {path} {what} after {failures} attempts: {again.reason}. "
                            "Try again later.",
                            path=path,
                            status=again.status,
                        ) from None
                    await self._back_off(again, attempt, path)
            raise AssertionError("unreachable: waiting is bounded by max_wait_seconds")
        finally:
            self._idle.put_nowait(connection)

    async def _wait_for_turn(self) -> None:
        if self._pace:
            if not self._is_paced:  # it begins without turns to make up for
                self._is_paced = True
                await self._pace.acquire(self._pace.max_rate - 1)
            await self._pace.acquire()
        # After the pace, since a pause may begin while requests queue for their turn.
        while (left := self._resume_at - self._clock()) > 0:
            await self._sleep(left)
            if self._pace:
                await self._pace.acquire()

    async def _attempt(
        self, connection: Connection, path: str, params: dict[str, str | int] | None, read: Callable[[Any], T]
    ) -> T:
        self.counters.requests += 1
        try:
            async with asyncio.timeout(self.limits.request_seconds):
                async with connection.get(path, params) as response:
                    body = await self._body(response)
        except TimeoutError:
            raise _Again(f"no whole answer within {self.limits.request_seconds:g} s") from None
        except httpx.HTTPError as error:
            raise _Again(describe(error)) from None
        return self._judge(path, response, body, read)

    async def _body(self, response: httpx.Response) -> bytes:
        if response.headers.get("Content-Encoding", "identity").strip().lower() not in ENCODINGS:
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
            status = status_in_body(decoded) or status
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
                return read(self._clean(path, decoded) if self._clean else decoded)
            except BrokenBodyError as error:
                raise _Again(str(error), status) from None
        reason = f"status {status}{excerpt(decoded, self._token)}"
        if action is Action.REFUSE:
            raise error_type(f"Linq refused GET {path}: {reason}.", path=path, status=status)
        after = retry_after(response) if status in (429, 503) else None
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
                f"Gave up on GET {path}: {again.reason}. Waiting another {delay:.0f} s would exceed the "
                f"{self.limits.max_wait_seconds:g} s that max_wait_seconds allows one sync.",
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
