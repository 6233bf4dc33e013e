"""Takes one person out of a DuckDB file and of what receivers keep, and has syncs and loaders leave them out.

    the note that they are forgotten -> journals -> Parquet files -> tables -> the file itself, written anew

A run that is killed is simply run again: until the tables, which come last, it finds all that it found before.
"""

import json
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
from linq_source.event_tables import ALL_TABLES
from linq_source.forgotten import CHAT, CONTACT, FORGOTTEN, MESSAGE, PERSON, Forgotten, first_key, name_of_key, recall
from linq_source.process import fresh_folder, locked
from linq_source.redact import IDENTIFIERS, KEY_SETTING, key_of, label_of
from linq_source.sql_text import is_one_of
from linq_source.strict_json import BrokenBodyError, decode
from linq_source.webhook.event_rows import GONE, kept_of, keyed
from linq_source.webhook.forget_events import forget_in_files, forget_in_journal, journal_held

Ids = dict[str, set[Any]]

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

    @property
    def exit_code(self) -> int:
        """3 where something could not be looked into, else 0."""
        return 3 if self.skipped else 0

    def as_json(self) -> dict[str, Any]:
        """The counts as a JSON object."""
        counts = {name: dict(sorted(getattr(self, name).items())) for name in ("tables", "journal", "files")}
        rest = {"other_identifiers": self.other_identifiers, "skipped": self.skipped, "exit_code": self.exit_code}
        return {"dry_run": self.is_dry, **counts, **rest}


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
            who = _person(tables, identifiers, contact_id, redact_key, removed)
            ids = _find(tables, who.forgotten)
            if not is_dry:
                _note(tables, who, ids)
            for folder in journals:
                removed.journal += forget_in_journal(folder, who.forgotten, is_dry=is_dry)
            if events is not None:
                removed.files, removed.skipped = forget_in_files(events, who.forgotten, is_dry=is_dry)
            removed.tables = _remove(tables, who.forgotten, ids, is_dry=is_dry)
        if not is_dry:
            write_anew(database)
    return removed


@dataclass(frozen=True)
class _Person:
    forgotten: Forgotten
    key_name: str


def _person(
    tables: duckdb.DuckDBPyConnection,
    identifiers: Iterable[str],
    contact_id: int | None,
    redact_key: str | None,
    removed: Removed,
) -> _Person:
    """Return who is meant: what was named, and of a contact its number and address."""
    earlier = _rows(tables, FORGOTTEN.name, *FORGOTTEN.schema.names)
    recall(earlier, redact_key)  # which raises where the key is another
    _check_key(tables, redact_key)
    name, key = name_of_key(earlier, redact_key)
    forgotten = Forgotten([key], first_key(earlier, redact_key))
    for identifier in identifiers:
        forgotten.add(identifier)
    contacts = _rows(tables, "contacts", "id", "phone_number", "email")
    if contact_id is not None:
        forgotten.contacts.add(contact_id)
        known = [row for row in contacts if row["id"] == contact_id]
        noted = any(row["kind"] == CONTACT and row["value"] == str(contact_id) for row in earlier)
        if not known and not noted:
            raise ConfigurationError(f"--contact-id: there is no contact {contact_id} in the tables.")
        for value in (row[column] for row in known for column in ("phone_number", "email") if row[column]):
            forgotten.add(value)
    if any(forgotten.knows(row["phone_number"]) for row in _rows(tables, "phone_numbers", "phone_number")):
        raise ConfigurationError("This is one of the organisation's own numbers, which is in every one of its chats.")
    theirs = [row for row in contacts if any(map(forgotten.knows, (row["phone_number"], row["email"])))]
    forgotten.contacts |= {row["id"] for row in theirs}
    values = {row[column] for row in theirs for column in ("phone_number", "email") if row[column]}
    removed.other_identifiers = sum(not forgotten.knows(value) for value in values)
    return _Person(forgotten, name)


def _check_key(tables: duckdb.DuckDBPyConnection, redact_key: str | None) -> None:
    """Raise ConfigurationError where numbers stand as pseudonyms that another key has made: nobody would be found."""
    labels = {row.get("redaction") for row in _rows(tables, "chat_syncs", "*")}
    keys = {label.partition(f"{IDENTIFIERS}:")[2] for label in labels if label and IDENTIFIERS in label}
    if keys and label_of(key_of(redact_key)) not in keys:
        raise ConfigurationError(
            f"These tables are redacted: set {KEY_SETTING} to the key that they were redacted with, by which people "
            "are found in them."
        )


def _find(tables: duckdb.DuckDBPyConnection, forgotten: Forgotten) -> Ids:
    """Return the keys of all that is theirs, by the name of the set in _THEIRS."""
    knows = forgotten.knows
    listed = _rows(tables, "chats", "id", "is_group", "display_name")
    groups = {row["id"] for row in listed if row["is_group"]}
    handles = [
        row for row in _rows(tables, "chat_handles", "id", "chat_id", "phone_number") if knows(row["phone_number"])
    ]
    handle_ids, chats = {row["id"] for row in handles}, {row["chat_id"] for row in handles}
    senders = [row["sent_from"] for row in _rows(tables, "messages", "distinct sent_from") if knows(row["sent_from"])]
    sent = _rows(tables, "messages", "id", "chat_id", where=is_one_of("sent_from", senders))
    sent += _rows(tables, "messages", "id", "chat_id", where=is_one_of("chat_handle_id", handle_ids))
    chats |= {row["chat_id"] for row in sent}
    # A chat that is named like a number is one with that number; one that Linq no longer lists has no handles left.
    chats |= {row["id"] for row in listed if knows(row["display_name"])} - groups
    forgotten.chats |= chats - groups
    in_chats = _rows(tables, "messages", "id", where=is_one_of("chat_id", forgotten.chats))
    in_groups = {row["id"] for row in sent if row["chat_id"] in groups}
    forgotten.messages |= in_groups
    reactions = _rows(tables, "message_reactions", "id", "from_phone")
    rejects = _rows(tables, "rejected_rows", "row_hash", "row_json")
    calls = _rows(tables, "calls", "id", "from_phone", "to_phone", "forwarded_from", "answered_by")
    changes = _rows(tables, "participant_changes", "event_id", "identifier")
    return {
        "gone_chats": forgotten.chats,
        "gone_groups": chats & groups,
        "gone_handles": handle_ids,
        "gone_messages": {row["id"] for row in in_chats} | in_groups,
        "gone_reactions": {row["id"] for row in reactions if knows(row["from_phone"])},
        "gone_contacts": forgotten.contacts,
        "gone_rejects": {row["row_hash"] for row in rejects if _tells_of(row["row_json"], forgotten)},
        "gone_calls": {row["id"] for row in calls if any(map(knows, list(row.values())[1:]))},
        "gone_changes": {row["event_id"] for row in changes if knows(row["identifier"])},
    }


def _note(tables: duckdb.DuckDBPyConnection, who: _Person, ids: Ids) -> None:
    """Store, before anything goes, whom syncs and loaders are to leave out."""
    columns = ", ".join(f'"{name}" {kind}' for name, kind in zip(FORGOTTEN.schema.names, _SQL_TYPES, strict=True))
    tables.execute(f'create table if not exists "{FORGOTTEN.name}" ({columns})')
    known = {(row["kind"], row["value"]) for row in _rows(tables, FORGOTTEN.name, "kind", "value")}
    noted: list[tuple[str, str, str | None]] = [
        (PERSON, digest, who.key_name) for digest in sorted(who.forgotten.digests)
    ]
    noted += [(CHAT, str(each), None) for each in sorted(ids["gone_chats"])]
    noted += [(CONTACT, str(each), None) for each in sorted(ids["gone_contacts"])]
    noted += [(MESSAGE, str(each), None) for each in sorted(who.forgotten.messages)]
    now = datetime.now(UTC)
    for kind, value, key in noted:
        if (kind, value) not in known:
            tables.execute(f'insert into "{FORGOTTEN.name}" values (?, ?, ?, ?)', [kind, value, key, now])


def _remove(tables: duckdb.DuckDBPyConnection, forgotten: Forgotten, ids: Ids, *, is_dry: bool) -> Counter[str]:
    """Remove the rows of all tables in one transaction; return how many of each."""
    counts, present = Counter[str](), _present(tables)
    gone_events: set[str] = set()
    changed: dict[str, tuple[str, str, str | None]] = {}
    columns = ("event_id", "event_type", "chat_id", "message_id", "data", "fingerprint")
    for row in _rows(tables, "webhook_events", *columns):
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
        for table in sorted(_present(tables) & _OF_EVENTS) if new_id != event_id else ():
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


def _present(tables: duckdb.DuckDBPyConnection) -> set[str]:
    sql = "select table_name from duckdb_tables() where schema_name = current_schema()"
    return {name for (name,) in tables.execute(sql).fetchall()} & {*ALL_TABLES, FORGOTTEN.name}


def _rows(tables: duckdb.DuckDBPyConnection, table: str, *columns: str, where: str = "true") -> list[dict[str, Any]]:
    if table not in _present(tables):
        return []
    found: list[dict[str, Any]] = (
        tables.sql(f'select {", ".join(columns)} from "{table}" where {where}').to_arrow_table().to_pylist()
    )
    return found


def _tells_of(text: str, forgotten: Forgotten) -> bool:
    try:
        return forgotten.is_in(decode(text.encode()))
    except BrokenBodyError:
        return forgotten.is_in(json.dumps(text))


_SQL_TYPES = ("varchar", "varchar", "varchar", "timestamptz")
