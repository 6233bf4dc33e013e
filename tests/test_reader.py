"""The reader's thread: whoever waits for it is told when it was stopped, whenever that was."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from linq_source.client import LinqClient
from linq_source.reader import InterruptedReadError, Reader
from linq_source.simulator import Simulator
from tests.support import IMPATIENT, TOKEN, small_world

Serve = Callable[..., Simulator]


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
