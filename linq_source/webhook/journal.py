"""The journal: takes what was received into SQLite, many at a time, and answers when it is durable."""

import sqlite3
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias, TypeVar

from filelock import FileLock, Timeout

from linq_source.errors import ConfigurationError, DestinationError, LockedError
from linq_source.paths import is_refused
from linq_source.webhook import store
from linq_source.webhook.store import Connect, Outcome, Received

T = TypeVar("T")

Answer: TypeAlias = "Callable[[Outcome], None]"
Deliver: TypeAlias = "Callable[[Callable[[], None]], object]"

LOCK_NAME = "journal.lock"

MAX_BATCH = 512
REOPEN_SECONDS = 0.5
"""After a failure everything is refused so long before the file is tried again."""


class JournalClosedError(Exception):
    """The journal cannot do this now: it was closed, or its file cannot be written."""


@dataclass
class JournalCounters:
    """What a journal has done since it was opened."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    commits: int = 0
    failures: int = 0
    last_failure: str = ""


class Journal:
    """A folder with one SQLite file, written by one thread of this process and no other.

    Used as a context manager, or by `open` and `close`. What is submitted is written in groups, each in one
    transaction that SQLite syncs to the disk (WAL, `synchronous=FULL`), and answered after that. Where it cannot be
    written (disk full, an error of the disk) each of the group is answered REFUSED, and the file is opened anew.

    `max_events` and `max_bytes` bound what waits. `deliver` is called in the writing thread, once for a group,
    with a function that gives the answers. `gather` is called in the submitting thread with one that wakes the
    writer, and may put that off for a moment in which more is submitted: a group of one costs as much as one of many.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_events: int = 2048,
        max_bytes: int = 32 * 1024 * 1024,
        connect: Connect = store.connect,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = folder / store.FILE_NAME
        self.counters = JournalCounters()
        self.instance = ""
        self.deliver: Deliver = lambda answers: answers()
        self.gather: Deliver = lambda wake: wake()
        self._is_gathering = False
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._connect = connect
        self._clock = clock
        self._lock = FileLock(folder / LOCK_NAME, mode=0o600, thread_local=False)
        self._connection: sqlite3.Connection | None = None
        self._reopen_at = 0.0
        self._changed = threading.Condition()
        self._waiting: deque[tuple[Received, Answer]] = deque()
        self._waiting_bytes = 0
        self._tasks: deque[tuple[Callable[[sqlite3.Connection], Any], Future[Any]]] = deque()
        self._is_open = False
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def waiting(self) -> int:
        """How many events wait to be written."""
        return len(self._waiting)

    def open(self) -> None:
        """Take the folder, recover what an earlier process left, and start to write.

        Raises LockedError when another receiver has the folder, DestinationError when it cannot be written.
        """
        folder = self.path.parent
        try:
            store.make_private_folder(folder)
            self._lock.acquire(timeout=0)
        except Timeout:
            raise LockedError(
                f"Another receiver is at work in {folder}: give each a --journal of its own; they may share "
                "a --directory."
            ) from None
        except OSError as error:
            kind = ConfigurationError if is_refused(error) else DestinationError
            raise kind(
                f"The journal's folder {folder} cannot be made or written ({error.strerror}): name another with "
                "--journal or --directory."
            ) from None
        try:
            self._connection = store.open_for_writing(self.path, self._connect)
            self.instance = self._connection.execute("select id from instance").fetchone()[0]
        except (sqlite3.Error, OSError) as error:
            self._lock.release()
            raise DestinationError(f"The journal {self.path} cannot be opened: {_reason(error)}.") from None
        self._is_open = True
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def submit(self, received: Received, answer: Answer) -> bool:
        """Have `received` written, and `answer` called with what became of it; False when too much waits."""
        with self._changed:
            size = len(received.body)
            is_full = len(self._waiting) >= self._max_events or self._waiting_bytes + size > self._max_bytes
            if is_full or not self._is_open:
                self.counters.outcomes[Outcome.REFUSED] += 1
                return False
            self._waiting.append((received, answer))
            self._waiting_bytes += size
            is_first, self._is_gathering = not self._is_gathering, True
        if is_first:
            self.gather(self._wake)
        return True

    def _wake(self) -> None:
        with self._changed:
            self._is_gathering = False
            self._changed.notify()

    def call(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return `work(connection)`, run by the writing thread in one durable transaction.

        Raises JournalClosedError where that cannot be done now.
        """
        future: Future[T] = Future()
        with self._changed:
            if not self._is_open:
                raise JournalClosedError("The journal is closed")
            self._tasks.append((work, future))
            self._changed.notify()
        return future.result()

    def close(self) -> None:
        """Write what waits, then let go of the folder."""
        with self._changed:
            self._is_open = False
            self._changed.notify()
        if self._thread:
            self._thread.join()
            self._thread = None
        self._drop_connection()
        self._lock.release()

    def _run(self) -> None:
        while True:
            with self._changed:
                while self._is_open and not self._waiting and not self._tasks:
                    self._changed.wait()
                if not self._waiting and not self._tasks:
                    return
                batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_BATCH))]
                self._waiting_bytes -= sum(len(received.body) for received, _ in batch)
                task = self._tasks.popleft() if self._tasks else None
            if batch:
                self._write(batch)
            if task:
                self._work(*task)

    def _write(self, batch: Sequence[tuple[Received, Answer]]) -> None:
        received = [each for each, _ in batch]
        try:
            outcomes = store.write(self._writer(), received)
            self.counters.commits += 1
        except Exception as error:  # noqa: BLE001  # whatever it is, no one may be told "stored", and we go on
            self._fail(error)
            outcomes = [Outcome.REFUSED] * len(batch)
        self.counters.outcomes.update(outcomes)

        def give_answers() -> None:
            for (_, answer), outcome in zip(batch, outcomes, strict=True):
                answer(outcome)

        with suppress(RuntimeError):  # an event loop that has ended; no one is left to be answered
            self.deliver(give_answers)

    def _work(self, work: Callable[[sqlite3.Connection], T], future: Future[T]) -> None:
        try:
            connection = self._writer()
            with store.transaction(connection):
                result = work(connection)
        except Exception as error:  # noqa: BLE001  # told to the caller
            self._fail(error)
            future.set_exception(JournalClosedError(f"The journal cannot be written: {_reason(error)}"))
        else:
            future.set_result(result)

    def _writer(self) -> sqlite3.Connection:
        if self._connection is None:
            if self._clock() < self._reopen_at:
                raise JournalClosedError(self.counters.last_failure)
            self._connection = store.open_for_writing(self.path, self._connect)
        return self._connection

    def _fail(self, error: Exception) -> None:
        if isinstance(error, JournalClosedError):
            return
        self.counters.failures += 1
        self.counters.last_failure = _reason(error)
        self._drop_connection()
        self._reopen_at = self._clock() + REOPEN_SECONDS

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        try:
            if connection:
                connection.close()
        except sqlite3.Error as error:
            self.counters.last_failure = _reason(error)


def _reason(error: Exception) -> str:
    """Return why in SQLite's or the system's words, which hold no data."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error) if isinstance(error, sqlite3.OperationalError | sqlite3.DatabaseError) else type(error).__name__
