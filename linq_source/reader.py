"""Reader: the client at work in a thread of its own, so that Linq is read while the destination is written.

One thread runs one event loop with one client. The rest of a sync is plain, blocking code: it asks with
`run`, or hands over chats with `submit` and takes what was read with `next_part`.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Set
from concurrent.futures import CancelledError, Future
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar

from linq_source import settings
from linq_source.client import LinqClient
from linq_source.errors import LinqError
from linq_source.limits import Counters
from linq_source.listing import read_chat
from linq_source.pages import MAX_PASSES, Params, Tally, Walk, identity, read_list
from linq_source.plan import ChatRead, whole_instead, windows
from linq_source.times import to_query

T = TypeVar("T")

PART_ROWS = 2_000
"""A chat with more messages than this is handed over in parts of this size, as it is read."""


class InterruptedReadError(Exception):
    """The sync was asked to stop while it waited for Linq."""


@dataclass(frozen=True)
class ChatPart:
    """Messages of one chat as Linq sent them: all of them, or one part of a large chat in order of time."""

    read: ChatRead
    rows: list[Any]
    is_first: bool = True
    is_last: bool = True
    is_clean: bool = True
    """Whether the list was proven; said by the last part."""
    ids: Set[str] = frozenset()
    """Identities of every message listed; said by the last part."""
    is_recounted: bool = False
    """Whether Linq's count was asked for again after the list was read."""
    marked: list[Any] = field(default_factory=list)
    """Messages outside the range, of which events told; they say nothing about the count."""
    error: LinqError | None = None
    room: int = 0
    """How many of the rows that may be read ahead it stands for until it is taken."""

    @property
    def is_streamed(self) -> bool:
        """Whether the chat came in several parts."""
        return not (self.is_first and self.is_last)


class Reader:
    """Runs a LinqClient in a thread. Entering it opens the thread; leaving it ends all requests at once."""

    def __init__(self, make_client: Callable[[], LinqClient]) -> None:
        self.make_client = make_client
        self._tasks: set[asyncio.Task[None]] = set()
        self._last_counters = Counters()
        self._is_stopping = False
        self.max_rows_ahead: int | None = None
        """Messages that may be read before `next_part` asks for them; None for no limit but the queue's."""
        self._rows_ahead = 0

    def __enter__(self) -> Self:
        started: Future[None] = Future()
        self._thread = threading.Thread(target=self._serve, args=(started,), name="linq-reader", daemon=True)
        self._thread.start()
        started.result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    @property
    def counters(self) -> Counters:
        """What the client has done so far."""
        return self._last_counters

    def _serve(self, started: "Future[None]") -> None:
        try:
            asyncio.run(self._main(started))
        except BaseException as error:
            if not started.done():
                started.set_exception(error)
            else:
                raise

    async def _main(self, started: "Future[None]") -> None:
        self._loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        async with self.make_client() as client:
            self._client = client
            self._last_counters = client.counters
            self._room = asyncio.Condition()
            self._chats: asyncio.Queue[Callable[[], Awaitable[None]]] = asyncio.Queue()
            # Without a limit of rows, few parts: enough to keep every connection busy, little enough to hold.
            most_parts = 0 if self.max_rows_ahead else client.limits.concurrency
            self._parts: asyncio.Queue[ChatPart | Exception] = asyncio.Queue(maxsize=most_parts)
            for _ in range(client.limits.concurrency):
                self._track(self._work())
            started.set_result(None)
            await self._end.wait()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _track(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def run(self, work: Callable[[LinqClient], Coroutine[Any, Any, T]]) -> T:
        """Return what `work(client)` returns; raises what it raises, or InterruptedReadError."""
        return self.start(work)()

    def start(self, work: Callable[[LinqClient], Coroutine[Any, Any, T]]) -> Callable[[], T]:
        """Start `work(client)` and return a function that waits for its result, once: it is not kept here."""
        if self._is_stopping:
            raise InterruptedReadError
        futures = [asyncio.run_coroutine_threadsafe(self._run(work), self._loop)]

        def wait() -> T:
            try:
                return futures.pop().result()
            except CancelledError:
                raise InterruptedReadError from None

        return wait

    async def _run(self, work: Callable[[LinqClient], Coroutine[Any, Any, T]]) -> T:
        if self._is_stopping:  # since `start` looked: the tasks were cancelled before this one was among them
            raise InterruptedReadError
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            return await work(self._client)
        finally:
            self._tasks.discard(task)

    def interrupt(self) -> None:
        """End all requests: whoever waits gets InterruptedReadError. Safe from a signal handler."""
        self._is_stopping = True
        with suppress(RuntimeError):  # the loop has ended by itself in this very moment
            self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()

    def submit(self, read: ChatRead) -> None:
        """Have a chat read; its parts come from `next_part`, the last one marked."""
        self._loop.call_soon_threadsafe(self._chats.put_nowait, lambda: self._read(read))

    def recount(self, part: ChatPart, known: int) -> None:
        """Have Linq's count of a chat asked for again.

        Where it explains the `known` messages, or the chat was read whole, `part` comes back with the new
        listing. Else the chat is read whole.
        """
        self._loop.call_soon_threadsafe(self._chats.put_nowait, lambda: self._recount(part, known))

    def next_part(self) -> ChatPart:
        """Wait for the next part of any chat; raises InterruptedReadError."""
        return self.start(lambda _: self._take())()

    def left_over(self) -> list[ChatPart]:
        """What was read and not asked for, once the reader was left."""
        left = []
        while not self._parts.empty():
            part = self._parts.get_nowait()
            if isinstance(part, ChatPart) and not part.error:
                left.append(part)
        return left

    async def _take(self) -> ChatPart:
        part = await self._parts.get()
        if isinstance(part, Exception):
            raise part
        async with self._room:
            self._rows_ahead -= part.room
            self._room.notify_all()
        return part

    async def _hand_over(self, part: ChatPart, reserved: int = 0) -> None:
        """Put a part where `next_part` takes it; it takes the room that it needs, in place of what was reserved."""
        room = len(part.rows) + len(part.marked) if self.max_rows_ahead else 0
        async with self._room:
            self._rows_ahead += room - reserved
            self._room.notify_all()
        await self._parts.put(replace(part, room=room))

    async def _make_room(self, rows: int) -> int:
        """Wait until so many rows may be read ahead, and reserve room for them; return how many."""
        if self.max_rows_ahead is None:
            return 0
        most = self.max_rows_ahead
        async with self._room:
            await self._room.wait_for(lambda: not self._rows_ahead or self._rows_ahead + rows <= most)
            self._rows_ahead += rows
        return rows

    async def _work(self) -> None:
        while True:
            work = await self._chats.get()
            try:
                await work()
            except Exception as error:  # noqa: BLE001  # raised by next_part; else it would wait for ever
                await self._parts.put(error)

    async def _read(self, read: ChatRead, *, is_recounted: bool = False) -> None:
        reserved = await self._make_room(min(read.listing.message_count or PART_ROWS, PART_ROWS))
        try:
            read, marked = await self._read_marks(read)
            async with aclosing(self._walk(read, is_recounted=is_recounted)) as parts:
                async for part in parts:
                    await self._hand_over(replace(part, marked=marked), reserved)
                    marked, reserved = [], 0
                    reserved = 0 if part.is_last else await self._make_room(PART_ROWS)
        except LinqError as error:
            await self._hand_over(ChatPart(read, [], error=error), reserved)

    async def _read_marks(self, read: ChatRead) -> tuple[ChatRead, list[Any]]:
        """Read the marked messages by their instants; where one is not found so, the chat is to be read whole."""
        path, found = settings.chat_messages_path(read.chat_id), dict[str, Any]()
        for after, before in windows(read.marks):
            listed = await read_list(self._client, path, _params(after, before), "data")
            found.update((identity(row), row) for row in listed.rows)
        wanted = {str(mark.message_id) for mark in read.marks if mark.message_id is not None}
        if wanted <= found.keys():
            return read, list(found.values())
        return whole_instead(read), []

    async def _walk(self, read: ChatRead, *, is_recounted: bool) -> AsyncGenerator[ChatPart, None]:
        if not read.has_range:
            yield ChatPart(read, [])
            return
        params = _params(read.after, read.before)
        union: dict[str, Any] = {}
        earlier: Tally | None = None
        for number in range(1, MAX_PASSES + 1):
            walk = Walk(self._client, settings.chat_messages_path(read.chat_id), params, "data")
            rows: dict[str, Any] = {}
            first_page = walk.tally.ids
            sent, last_sent_page = 0, 0
            async for page in walk:
                pairs = zip(page.ids, page.rows, strict=True)
                rows.update((key, row) for key, row in pairs if first_page[key] > last_sent_page)
                if len(rows) >= PART_ROWS and (page.total_count or 0) > PART_ROWS + sent:
                    yield ChatPart(read, list(rows.values()), is_first=not sent, is_last=False)
                    sent, last_sent_page = sent + len(rows), page.number
                    rows = {}
            is_clean = walk.tally.is_clean(earlier)
            if is_clean or sent or number == MAX_PASSES:
                rows = rows if is_clean or sent else union | rows
                ids = first_page if is_clean or sent else rows
                yield ChatPart(read, list(rows.values()), not sent, True, is_clean, ids.keys(), is_recounted)
                return
            union |= rows
            earlier = walk.tally

    async def _recount(self, part: ChatPart, known: int) -> None:
        read = part.read
        try:
            listing = await self._client.get(settings.chat_path(read.chat_id), read=read_chat)
        except LinqError as error:
            await self._hand_over(ChatPart(read, [], error=error))
            return
        again = replace(read, listing=listing)
        if read.is_whole or again.expected_count == known:
            await self._hand_over(replace(part, read=again, is_recounted=True))
            return
        await self._read(whole_instead(again), is_recounted=True)


def _params(after: datetime | None, before: datetime | None) -> Params:
    params: Params = {"sort": "asc"}
    if after:
        params["after"] = to_query(after)
    if before:
        params["before"] = to_query(before)
    return params
