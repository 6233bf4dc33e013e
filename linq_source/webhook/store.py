"""The journal's file: its tables, and the SQL that writes and reads them. One writer; any number of readers."""

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from itertools import chain
from pathlib import Path
from typing import TypeAlias

from linq_source.redact import PREFIX
from linq_source.webhook.event import Event

FILE_NAME = "journal.sqlite"
MAX_REJECTS = 10_000

_STATEMENT_ROWS = 100
"""Eight values each: SQLite before 3.32 takes 999 in a statement."""

Connect: TypeAlias = "Callable[[str], sqlite3.Connection]"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_SCHEMA = """
create table if not exists events (
    seq integer primary key autoincrement,
    event_id text not null unique,
    event_type text not null,
    api_version text,
    envelope text not null,
    created_at integer,
    received_at integer not null,
    fingerprint text not null,
    data text
);
create table if not exists conflicts (
    event_id text not null,
    fingerprint text not null,
    received_at integer not null,
    body blob not null,
    primary key (event_id, fingerprint)
);
create table if not exists rejects (
    seq integer primary key autoincrement,
    received_at integer not null,
    reason text not null,
    body blob not null
);
create table if not exists files (
    first_seq integer primary key,
    last_seq integer not null,
    name text not null unique,
    written_at integer
);
create table if not exists instance (id text not null);
insert into instance select lower(hex(randomblob(6))) where not exists (select * from instance);
"""


class Outcome(Enum):
    """What became of something received."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    REJECTED = "rejected"
    REFUSED = "refused"
    """Not durable: the sender must send it again."""


@dataclass(frozen=True, slots=True)
class Received:
    """A signed body, and the event in it or the reason why it holds none."""

    body: bytes
    received_at: datetime
    event: Event | None
    reason: str = ""


def to_micros(instant: datetime) -> int:
    """Return microseconds since 1970."""
    return (instant - _EPOCH) // timedelta(microseconds=1)


def create_private(path: Path) -> None:
    """Make `path` an empty file that only its owner reads, in a folder of which the same holds; durably."""
    make_private_folder(path.parent)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    sync_folder(path.parent)


def make_private_folder(folder: Path) -> None:
    """Make `folder`, and those above that are missing, readable to their owner alone; durably."""
    if folder.is_dir():
        return
    make_private_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make what was created in or renamed into `folder` survive a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def connect(path: str) -> sqlite3.Connection:
    """Return a connection that leaves transactions to us and may be used in any thread."""
    return sqlite3.connect(path, timeout=2.0, isolation_level=None, check_same_thread=False)


def open_for_writing(path: Path, connect: Connect = connect) -> sqlite3.Connection:
    """Return the connection of the one writer, with all that earlier ones wrote moved out of the log.

    After a failed fsync the log may hold what never reached the disk although it can still be read. Written anew
    into the database, and synced there, it is durable again before anything is called a duplicate.
    """
    create_private(path)
    connection = connect(str(path))
    try:
        connection.execute("pragma journal_mode=wal")
        connection.execute("pragma synchronous=full")
        connection.execute("pragma fullfsync=on")
        connection.executescript(f"begin immediate; {_SCHEMA} commit;")
        _empty_log(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _empty_log(connection: sqlite3.Connection) -> None:
    if connection.execute("pragma wal_checkpoint(truncate)").fetchone()[0]:
        raise sqlite3.OperationalError("another connection is reading it")


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Return a connection that cannot change anything."""
    connection = connect(str(path))
    connection.execute("pragma query_only=on")
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit, durably, what is done in the block; or nothing of it."""
    connection.execute("begin immediate")
    try:
        yield
        connection.execute("commit")
    except BaseException:
        if connection.in_transaction:
            connection.execute("rollback")
        raise


def write(connection: sqlite3.Connection, received: Sequence[Received]) -> list[Outcome]:
    """Write all of `received` in one durable transaction."""
    with transaction(connection):
        new = _insert(connection, received)
        outcomes = []
        for each in received:
            if each.event and each.event.event_id in new:
                new.remove(each.event.event_id)  # The same again in one batch is a duplicate of this.
                outcomes.append(Outcome.STORED)
            else:
                outcomes.append(_settle(connection, each))
        if Outcome.REJECTED in outcomes:
            connection.execute("delete from rejects where seq <= (select max(seq) from rejects) - ?", [MAX_REJECTS])
    return outcomes


def _insert(connection: sqlite3.Connection, received: Sequence[Received]) -> set[str]:
    """Write the events that are not known yet; return their ids.

    Many in one statement: Python lets another thread go first at every one, which took longer than the writing.
    """
    rows = [
        (
            event.event_id, event.event_type, event.api_version, event.envelope,
            event.created_at and to_micros(event.created_at), to_micros(each.received_at),
            event.fingerprint, event.data,
        )
        for each in received if (event := each.event)
    ]  # fmt: skip
    new: set[str] = set()
    for start in range(0, len(rows), _STATEMENT_ROWS):
        some = rows[start : start + _STATEMENT_ROWS]
        ids = list(dict.fromkeys(row[0] for row in some))
        marks = ", ".join("?" * len(ids))
        known = connection.execute(f"select event_id from events where event_id in ({marks})", ids).fetchall()  # noqa: S608
        new.update(set(ids) - {event_id for (event_id,) in known})
        values = ", ".join(["(?, ?, ?, ?, ?, ?, ?, ?)"] * len(some))
        columns = "event_id, event_type, api_version, envelope, created_at, received_at, fingerprint, data"
        connection.execute(
            f"insert into events ({columns}) values {values} on conflict (event_id) do nothing",  # noqa: S608
            list(chain.from_iterable(some)),
        )
    return new


def _settle(connection: sqlite3.Connection, received: Received) -> Outcome:
    """Return what becomes of what is no new event, and keep it where it is not known."""
    at, event = to_micros(received.received_at), received.event
    if event is None:
        row = (at, received.reason, received.body)
        connection.execute("insert into rejects (received_at, reason, body) values (?, ?, ?)", row)
        return Outcome.REJECTED
    known = connection.execute("select fingerprint from events where event_id = ?", [event.event_id]).fetchone()
    # With what forget.py has changed nothing can be compared, and its body is not to come back as a conflict.
    if known and (known[0] == event.fingerprint or known[0].startswith(PREFIX)):
        return Outcome.DUPLICATE
    connection.execute(
        "insert or ignore into conflicts values (?, ?, ?, ?)", (event.event_id, event.fingerprint, at, received.body)
    )
    return Outcome.CONFLICT
