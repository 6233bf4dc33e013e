"""The reader's thread: whoever waits for it is told when it was stopped, whenever that was."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from linq_source.client import LinqClient
from linq_source.plan import ChatRead, Listing, Reason
from linq_source.reader import InterruptedReadError, Reader
from linq_source.runner import run_sync
from linq_source.simulator import Simulator
from linq_source.source import make_sync
from tests.support import IMPATIENT, TOKEN, Warehouse, assert_mirrors, small_world

Serve = Callable[..., Simulator]

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


@pytest.fixture
def reader(serve: Serve) -> Reader:
    """A reader of a small account."""
    base_url = serve(small_world(messages=20)).base_url
    return Reader(lambda: LinqClient(TOKEN, base_url=base_url, limits=IMPATIENT))


def waits(act: Callable[[], Any]) -> Any:
    """What `act` returns or raises, in a thread of its own that is given up after a while."""
    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(act).result(timeout=20)
    finally:
        pool.shutdown(wait=False)


def test_who_waits_for_a_chat_is_told_that_the_reader_was_stopped(reader: Reader) -> None:
    with reader:
        threading.Timer(0.1, reader.interrupt).start()
        with pytest.raises(InterruptedReadError):
            waits(reader.next_part)


def test_who_asks_after_the_reader_was_stopped_is_told_at_once(reader: Reader) -> None:
    with reader:
        reader.interrupt()
        with pytest.raises(InterruptedReadError):
            waits(reader.next_part)


def test_who_asks_in_the_very_moment_that_the_reader_is_stopped_does_not_wait_for_ever(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = asyncio.run_coroutine_threadsafe

    def stop_first(work: Any, loop: asyncio.AbstractEventLoop) -> Any:
        # The signal comes after the caller saw that nothing was stopped, and is dealt with before its request.
        reader.interrupt()
        done = threading.Event()
        loop.call_soon_threadsafe(done.set)
        assert done.wait(10)
        return schedule(work, loop)

    with reader:
        monkeypatch.setattr(asyncio, "run_coroutine_threadsafe", stop_first)
        with pytest.raises(InterruptedReadError):
            waits(reader.next_part)


def test_what_is_read_ahead_is_bounded_also_where_only_a_part_of_each_chat_is_read(serve: Serve) -> None:
    world = small_world(messages=6_000)
    linq = serve(world)
    reader = Reader(lambda: LinqClient(TOKEN, base_url=linq.base_url, limits=IMPATIENT))
    reader.max_rows_ahead = 1_500
    counts = {chat["id"]: chat["message_count"] for chat in world.listed()["chats"]}
    assert sum(counts.values()) > 5_000
    with reader:
        for chat_id, count in counts.items():
            reader.submit(ChatRead(Listing(chat_id, count, ""), Reason.RECENT, LONG_AGO, None, False, None))
        made = -1
        while made != len(linq.requests):
            made = len(linq.requests)
            time.sleep(0.5)
        ahead = sum(len(part.rows) for part in reader._parts._queue)  # type: ignore[attr-defined]
        parts = [waits(reader.next_part) for _ in counts]
        assert 0 < ahead <= 1_500
        assert sum(len(part.rows) for part in parts) == sum(counts.values())
        assert reader._rows_ahead == 0


def test_a_chat_whose_count_is_asked_for_again_leaves_the_room_as_it_was(serve: Serve, warehouse: Warehouse) -> None:
    world = small_world(messages=4_000)
    for chat in list(world.chats.values())[:4]:
        chat.message_count_offset = -1
    settings = {"limits": IMPATIENT, "integration_token": TOKEN, "base_url": serve(world).base_url}
    work = make_sync(**settings)
    try:
        result = waits(lambda: run_sync(work, warehouse.target(commit_every=1_000)))
    finally:
        work.stop()
    assert result.exit_code == 0
    assert work.reader._rows_ahead == 0
    assert result.summary.chats_done == result.summary.chats_to_read == 12
    assert_mirrors(warehouse, world)
