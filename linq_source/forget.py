"""Takes one person out of a DuckDB file and of what receivers keep, and has syncs and loaders leave them out.

    the note that they are forgotten -> journals -> Parquet files -> tables -> the file itself, written anew

A run that is killed is simply run again: until the tables, which come last, it finds all that it found before, and
what events alone showed it has noted.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from linq_source import settings
from linq_source.database import empty_staging, held_database, lock_path, opened_for_reading, write_anew
from linq_source.errors import ConfigurationError
from linq_source.forget_find import Found, Ids, Person, ToldEvent, find_person, find_theirs, present_in, rows_of
from linq_source.forgotten import CHAT, CONTACT, FORGOTTEN, GROUP, MESSAGE, PERSON, Forgotten
from linq_source.process import fresh_folder, locked
from linq_source.webhook.event_rows import GONE, kept_of, keyed
from linq_source.webhook.forget_events import (
    events_in_files,
    events_in_journal,
    forget_in_files,
    forget_in_journal,
    journal_held,
)

_THEIRS: dict[str, str] = {
    "chats": "id in (select id from gone_chats)",
    "chat_phone_numbers": "chat_id in (select id from gone_chats)",
    "chat_handles": "chat_id in (select id from gone_chats) or id in (select id from gone_handles)",
    "chat_syncs": "chat_id in (select id from gone_chats) or chat_id in (select id from gone_groups)",
    "messages": "id in (select id from gone_messages)",
    "message_reactions": "chat_message_id in (select id from gone_messages) or id in (select id from gone_reactions)",
    "message_attachments": "message_id in (select id from gone_messages)",
    "contacts": "id in (select id from gone_contacts)",
    "rejected_rows": "chat_id in (select id from gone_chats) or row_hash in (select id from gone_rejects)",
    "webhook_events": "event_id in (select id from gone_events)",
    "calls": "event_id in (select id from gone_events) or id in (select id from gone_calls)",
    "message_reads": "event_id in (select id from gone_events) or chat_id in (select id from gone_chats)",
    "typing_indicators": "event_id in (select id from gone_events) or chat_id in (select id from gone_chats)",
    "participant_changes": "event_id in (select id from gone_events) or chat_id in (select id from gone_chats) "
    "or event_id in (select id from gone_changes)",
}
"""Of each table, the rows that go. A group's cursor goes so that the group is read whole once more."""

_OF_EVENTS = {"message_reads", "typing_indicators", "participant_changes"}


@dataclass
class Removed:
    """What was removed, or with `is_dry` would be, in counts."""

    is_dry: bool
    tables: Counter[str] = field(default_factory=Counter)
    journal: Counter[str] = field(default_factory=Counter)
    files: Counter[str] = field(default_factory=Counter)
    skipped: list[str] = field(default_factory=list)
    other_identifiers: int = 0
    """Numbers and addresses of their contacts that were not named, so that what has these stays."""
    unclear_chats: int = 0
    """Chats that only events tell of, and that may be groups, so that those of their events stay that name nobody."""

    @property
    def exit_code(self) -> int:
        """3 where something could not be looked into, else 0."""
        return 3 if self.skipped else 0

    def as_json(self) -> dict[str, Any]:
        """The counts as a JSON object."""
        counts = {name: dict(sorted(getattr(self, name).items())) for name in ("tables", "journal", "files")}
        rest = {"other_identifiers": self.other_identifiers, "unclear_chats": self.unclear_chats}
        return {"dry_run": self.is_dry, **counts, **rest, "skipped": self.skipped, "exit_code": self.exit_code}


def forget(
    database: Path,
    *,
    identifiers: Iterable[str] = (),
    contact_id: int | None = None,
    events: str | None = None,
    journals: Iterable[Path] = (),
    redact_key: str | None = None,
    is_dry: bool = False,
) -> Removed:
    """Remove whoever has one of the `identifiers`, or is the contact; return what was removed.

    Takes the lock of syncs, and of each journal that of its receiver.
    """
    removed, journals = Removed(is_dry), list(journals)
    with ExitStack() as held:
        held.enter_context(locked(lock_path(database)))
        for folder in journals:
            held.enter_context(journal_held(folder))
        if not is_dry:
            # What a killed run has left in its folder holds rows; to make another one removes it.
            held.enter_context(fresh_folder(lock_path(database)))
        opened = opened_for_reading(database) if is_dry else held_database(database)
        with opened, _connected(database, read_only=is_dry) as tables:
            who = find_person(tables, identifiers, contact_id, redact_key)
            removed.other_identifiers = who.other_identifiers
            found = find_theirs(tables, who, _events(journals, events))
            removed.unclear_chats = found.unclear_chats
            if not is_dry:
                _note(tables, who, found)
            for folder in journals:
                removed.journal += forget_in_journal(folder, who.forgotten, is_dry=is_dry)
            if events is not None:
                removed.files, removed.skipped = forget_in_files(events, who.forgotten, is_dry=is_dry)
            removed.tables = _remove(tables, who.forgotten, found.ids, is_dry=is_dry)
        if not is_dry:
            write_anew(database)
    return removed


def _events(journals: Iterable[Path], events: str | None) -> Iterator[ToldEvent]:
    for folder in journals:
        yield from events_in_journal(folder)
    if events is not None:
        yield from events_in_files(events)


def _note(tables: duckdb.DuckDBPyConnection, who: Person, found: Found) -> None:
    """Store, before anything goes, whom syncs and loaders are to leave out."""
    columns = ", ".join(f'"{name}" {kind}' for name, kind in zip(FORGOTTEN.schema.names, _SQL_TYPES, strict=True))
    tables.execute(f'create table if not exists "{FORGOTTEN.name}" ({columns})')
    known = {(row["kind"], row["value"]) for row in rows_of(tables, FORGOTTEN.name, "kind", "value")}
    noted: list[tuple[str, str, str | None]] = [
        (PERSON, digest, who.key_name) for digest in sorted(who.forgotten.digests)
    ]
    sets = {CHAT: found.ids["gone_chats"], CONTACT: found.ids["gone_contacts"]}
    sets |= {MESSAGE: who.forgotten.messages, GROUP: found.groups}
    noted += [(kind, str(each), None) for kind, values in sets.items() for each in sorted(values)]
    now = datetime.now(UTC)
    tables.execute("begin")  # Each row by itself would wait for the disk.
    for kind, value, key in noted:
        if (kind, value) not in known:
            tables.execute(f'insert into "{FORGOTTEN.name}" values (?, ?, ?, ?)', [kind, value, key, now])
    tables.execute("commit")


def _remove(tables: duckdb.DuckDBPyConnection, forgotten: Forgotten, ids: Ids, *, is_dry: bool) -> Counter[str]:
    """Remove the rows of all tables in one transaction; return how many of each."""
    counts, present = Counter[str](), present_in(tables)
    gone_events: set[str] = set()
    changed: dict[str, tuple[str, str, str | None]] = {}
    columns = ("event_id", "event_type", "chat_id", "message_id", "data", "fingerprint")
    for row in rows_of(tables, "webhook_events", *columns):
        is_theirs = row["chat_id"] in ids["gone_chats"] or row["message_id"] in ids["gone_messages"]
        kept = GONE if is_theirs else kept_of(forgotten, row["event_type"], row["data"])
        if kept is GONE:
            gone_events.add(row["event_id"])
        elif kept != row["data"]:
            changed[row["event_id"]] = (*keyed(forgotten, row["event_id"], row["fingerprint"]), kept)
    tables.execute("begin")
    try:
        for name, keys in (ids | {"gone_events": gone_events}).items():
            kind = "varchar" if name in ("gone_rejects", "gone_calls", "gone_changes", "gone_events") else "bigint"
            tables.execute(f"create or replace temp table {name} as select unnest(?::{kind}[]) as id", [list(keys)])
        for table in sorted(present & _THEIRS.keys()):
            [(count,)] = tables.execute(f'select count(*) from "{table}" where {_THEIRS[table]}').fetchall()
            counts.update({table: count} if count else {})
            if not is_dry:
                tables.execute(f'delete from "{table}" where {_THEIRS[table]}')
        counts["webhook_events changed"] += len(changed)
        if not is_dry:
            _rewrite_events(tables, changed)
            if "chats" in present:
                # A group may be named after the people in it.
                tables.execute("update chats set display_name = null where id in (select id from gone_groups)")
            empty_staging(tables)
        tables.execute("commit")
    except BaseException:
        tables.execute("rollback")
        raise
    return +counts


def _rewrite_events(tables: duckdb.DuckDBPyConnection, changed: Mapping[str, tuple[str, str, str | None]]) -> None:
    for event_id, (new_id, fingerprint, data) in changed.items():
        told = [new_id, fingerprint, data, event_id]
        tables.execute("update webhook_events set event_id = ?, fingerprint = ?, data = ? where event_id = ?", told)
        for table in sorted(present_in(tables) & _OF_EVENTS) if new_id != event_id else ():
            tables.execute(f'update "{table}" set event_id = ? where event_id = ?', [new_id, event_id])


@contextmanager
def _connected(database: Path, *, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(database), read_only=read_only) as connection:
        try:
            connection.execute(f"set schema '{settings.DATASET_NAME}'")
        except duckdb.Error:
            raise ConfigurationError(
                f"The database {database} holds no {settings.DATASET_NAME}: name another one."
            ) from None
        yield connection


_SQL_TYPES = ("varchar", "varchar", "varchar", "timestamptz")
