"""The roller: turns ranges of the journal into Parquet files that never change."""

import io
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from linq_source.times import TIMESTAMP, AnyField
from linq_source.webhook.journal import Journal, JournalClosedError
from linq_source.webhook.store import open_for_reading, to_micros
from linq_source.webhook.targets import Target

_FIELDS: list[AnyField] = [
    pa.field("event_id", pa.string(), nullable=False),
    pa.field("event_type", pa.string(), nullable=False),
    pa.field("api_version", pa.string()),
    pa.field("envelope", pa.string(), nullable=False),
    pa.field("created_at", TIMESTAMP),
    pa.field("received_at", TIMESTAMP, nullable=False),
    pa.field("data", pa.string()),
    pa.field("fingerprint", pa.string(), nullable=False),
    pa.field("receiver", pa.string(), nullable=False),
    pa.field("seq", pa.int64(), nullable=False),
]
SCHEMA = pa.schema(_FIELDS, metadata={"linq_webhook_events": "1"})
"""One schema for every file and for ever: a reader of many files takes the first one's. `data` is JSON text."""

_COUNTED: Any = ["created_at", "received_at", "seq"]
"""Columns whose least and greatest values stand in a file's footer: none that holds a text, which may be personal."""

MAX_ROWS = 20_000
MAX_BYTES = 64 * 1024 * 1024
RETENTION = timedelta(days=30)
"""The journal knows an event so long after it was received, to tell a duplicate; readers dedupe by event_id.

It keeps what came with the id of another event, and what was no event, as long.
"""

_DAY_MICROS = 86_400_000_000
_PLAN_ROWS = 200_000
_PRUNE_ROWS = 10_000
_LAST_WRITTEN = "select last_seq from files where written_at is not null order by first_seq desc limit 1"
_MAX_PAUSE_SECONDS = 60.0

log = logging.getLogger("linq_source.webhook")


@dataclass(frozen=True, slots=True)
class Range:
    """Rows of the journal that belong into one file, both ends included."""

    first_seq: int
    last_seq: int
    name: str


@dataclass
class RollCounters:
    """What a roller has done."""

    files: int = 0
    rows: int = 0
    failures: int = 0
    unrolled: int = 0
    """Events that no file holds yet, as of the last look."""


def split(
    rows: Iterator[tuple[int, int, int]], *, receiver: str, max_rows: int = MAX_ROWS, max_bytes: int = MAX_BYTES
) -> Iterator[Range]:
    """Cut `rows` (seq, day since 1970, bytes) into ranges of one day each, of bounded size."""
    first, last, day, count, size = 0, 0, -1, 0, 0
    for seq, row_day, row_size in rows:
        if count and (row_day != day or count >= max_rows or size + row_size > max_bytes):
            yield Range(first, last, file_name(receiver, day, first, last))
            count, size = 0, 0
        if not count:
            first, day = seq, row_day
        last, count, size = seq, count + 1, size + row_size
    if count:
        yield Range(first, last, file_name(receiver, day, first, last))


def file_name(receiver: str, day: int, first_seq: int, last_seq: int) -> str:
    """Return `received_date=2025-05-21/<receiver>-<first>-<last>.parquet`: sequence numbers, no clock, no chance."""
    date = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)).date()
    return f"received_date={date}/{receiver}-{first_seq:012d}-{last_seq:012d}.parquet"


def to_parquet(rows: list[tuple[Any, ...]]) -> bytes:
    """Return a Parquet file of rows in the order of SCHEMA, times as microseconds; equal rows, equal bytes."""
    columns = zip(*rows, strict=True) if rows else [()] * len(SCHEMA)
    arrays = [
        pa.array(values, type=pa.int64()).cast(each.type)
        if each.type == TIMESTAMP
        else pa.array(values, type=each.type)
        for each, values in zip(SCHEMA, columns, strict=True)
    ]
    return as_parquet(pa.table(arrays, schema=SCHEMA))


def as_parquet(table: pa.Table) -> bytes:
    """Return a Parquet file of a table of SCHEMA."""
    file = io.BytesIO()
    pq.write_table(
        table, file, compression="zstd", compression_level=3, write_statistics=_COUNTED, write_page_checksum=True
    )
    return file.getvalue()


class Roller:
    """Writes what the journal holds and no file has yet, every `flush_seconds` or as soon as `flush_events` wait.

    A range is fixed in the journal before its file is written, and marked there after the file is durable: killed
    in between, the next roller writes the same bytes to the same name.
    """

    def __init__(
        self,
        journal: Journal,
        target: Target,
        *,
        flush_seconds: float = 60.0,
        flush_events: int = 10_000,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.counters = RollCounters()
        self._journal = journal
        self._target = target
        self._flush_seconds = flush_seconds
        self._flush_events = flush_events
        self._clock = clock
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._reader: sqlite3.Connection | None = None

    def roll(self) -> int:
        """Write all files that are due now and return how many; raises what the target or the journal raises."""
        try:
            return self._roll()
        finally:
            self._close_reader()

    def _roll(self) -> int:
        ranges = self._journal.call(self._plan)
        for each in ranges:
            rows = self._rows(each)
            self._target.put(each.name, to_parquet(rows))
            self._journal.call(lambda connection, each=each: self._mark(connection, each))  # type: ignore[misc]
            self.counters.files += 1
            self.counters.rows += len(rows)
        self._journal.call(self._prune)
        return len(ranges)

    def start(self) -> None:
        """Roll in a thread until `stop`."""
        self._thread = threading.Thread(target=self._run, name="roller", daemon=True)
        self._thread.start()

    def stop(self, *, timeout_seconds: float) -> bool:
        """Roll once more, in at most `timeout_seconds`; False when that was too short. The journal keeps the rest."""
        self._stopping.set()
        if self._thread:
            self._thread.join(timeout_seconds)
            return not self._thread.is_alive()
        return True

    def _run(self) -> None:
        rolled_at, pause = time.monotonic(), 0.0
        while True:
            is_last = self._stopping.wait(min(0.2, self._flush_seconds))
            waited = time.monotonic() - rolled_at
            if not is_last and (waited < pause or not self._is_due(waited)):
                continue
            try:
                self._roll()
                pause = 0.0
            except Exception as error:  # noqa: BLE001  # a target may fail in any way; the journal keeps the events
                self.counters.failures += 1
                pause = min(max(1.0, pause * 2), _MAX_PAUSE_SECONDS)
                log.warning("Parquet files cannot be written now (%s); the journal keeps the events", _name_of(error))
            rolled_at = time.monotonic()
            if is_last:
                self._close_reader()
                return

    def _is_due(self, waited_seconds: float) -> bool:
        self.counters.unrolled = self._unrolled()
        return waited_seconds >= self._flush_seconds or self.counters.unrolled >= self._flush_events

    def _unrolled(self) -> int:
        try:
            (count,) = self._read(
                f"select max(0, coalesce((select max(seq) from events), 0) - coalesce(({_LAST_WRITTEN}), 0))",  # noqa: S608
                (),
            )[0]
        except sqlite3.Error:
            self._close_reader()
            return 0
        return int(count)

    def _plan(self, connection: sqlite3.Connection) -> list[Range]:
        new = connection.execute(
            "select seq, received_at / ?, coalesce(length(data), 0) from events"
            " where seq > coalesce((select last_seq from files order by first_seq desc limit 1), 0)"
            " order by seq limit ?",
            [_DAY_MICROS, _PLAN_ROWS],
        )
        for each in list(split(iter(new), receiver=self._journal.instance)):
            row = (each.first_seq, each.last_seq, each.name)
            connection.execute("insert into files (first_seq, last_seq, name) values (?, ?, ?)", row)
        due = "select first_seq, last_seq, name from files where written_at is null order by first_seq"
        return [Range(*row) for row in connection.execute(due)]

    def _rows(self, wanted: Range) -> list[tuple[Any, ...]]:
        return self._read(
            "select event_id, event_type, api_version, envelope, created_at, received_at, data, fingerprint, ?, seq"
            " from events where seq between ? and ? order by seq",
            (self._journal.instance, wanted.first_seq, wanted.last_seq),
        )

    def _mark(self, connection: sqlite3.Connection, written: Range) -> None:
        now = to_micros(self._clock())
        connection.execute("update files set written_at = ? where first_seq = ?", (now, written.first_seq))

    def _prune(self, connection: sqlite3.Connection) -> None:
        oldest = to_micros(self._clock() - RETENTION)
        connection.execute(
            f"delete from events where seq <= ({_LAST_WRITTEN}) and received_at < ?"  # noqa: S608
            " and seq in (select seq from events order by seq limit ?)",
            (oldest, _PRUNE_ROWS),
        )
        # Nothing else keeps these. A conflict is of use as long as there is an event to compare it with.
        connection.execute(
            "delete from conflicts where received_at < ?"
            " and not exists (select 1 from events where events.event_id = conflicts.event_id)",
            [oldest],
        )
        connection.execute("delete from rejects where received_at < ?", [oldest])
        # The last one tells where the next begins.
        connection.execute(
            "delete from files where written_at < ? and first_seq < (select max(first_seq) from files)", [oldest]
        )

    def _read(self, sql: str, parameters: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        if self._reader is None:
            self._reader = open_for_reading(self._journal.path)
        return self._reader.execute(sql, parameters).fetchall()

    def _close_reader(self) -> None:
        if self._reader:
            self._reader.close()
            self._reader = None


def _name_of(error: Exception) -> str:
    if isinstance(error, JournalClosedError):
        return str(error)
    return error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
