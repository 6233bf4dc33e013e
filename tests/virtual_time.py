"""Coroutines on a clock of their own: sleeping costs nothing, and waits of hours are exact."""

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeAlias, TypeVar

import httpx

from linq_source.client import LinqClient
from linq_source.limits import Limits

T = TypeVar("T")
Answer: TypeAlias = httpx.Response | Awaitable[httpx.Response]

TOKEN = "tok-5f1d2c7a"
PATH = "/api/partner/v2/contacts"


class _Selector(selectors.SelectSelector):
    """Never waits: the time that it was asked to wait has passed."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("everything waits, and for nothing")
        # Every turn takes a moment, or a timer that fires that much too early would be set again for ever.
        self.now += max(0.0 if ready else timeout or 0.0, 1e-8)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only while everything waits."""

    def __init__(self) -> None:
        self._clock = _Selector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now


def run(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine function on a virtual clock that starts at 0."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())


def now() -> float:
    """The virtual second."""
    return asyncio.get_running_loop().time()


class FakeLinq:
    """Answers requests in memory. `answer` gets each request and its number, from 1."""

    def __init__(self, answer: Callable[[httpx.Request, int], Answer]) -> None:
        self.requests: list[httpx.Request] = []
        self.times: list[float] = []
        self.most_at_once = 0
        self.latency: Callable[[int], float] = lambda _number: 0.0
        self._answer = answer
        self._at_once = 0

    @classmethod
    def of(cls, *answers: httpx.Response | Callable[[], httpx.Response]) -> "FakeLinq":
        """One that gives these answers in turn, the last one for ever."""

        def answer(_request: httpx.Request, number: int) -> httpx.Response:
            each = answers[min(number, len(answers)) - 1]
            if not isinstance(each, httpx.Response):
                return each()
            return httpx.Response(each.status_code, headers=each.headers.raw, content=each.content)

        return cls(answer)

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        number = len(self.requests)
        self.times.append(round(now(), 3))
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            await asyncio.sleep(self.latency(number))
            answer = self._answer(request, number)
            return answer if isinstance(answer, httpx.Response) else await answer
        finally:
            self._at_once -= 1

    def client(self, base_url: str = "http://127.0.0.1", **limits: Any) -> LinqClient:
        """A client of it, on the virtual clock."""
        return LinqClient(
            TOKEN, base_url=base_url, limits=Limits(**limits), transport=httpx.MockTransport(self._handle), clock=now
        )

    def get(self, path: str = PATH, *, params: dict[str, str | int] | None = None, **limits: Any) -> Any:
        """Return the body of one GET, or raise what the client raises."""

        async def main() -> Any:
            async with self.client(**limits) as client:
                return await client.get(path, params, read=lambda body: body)

        return run(main)
