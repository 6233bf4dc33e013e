"""Finds one person in tables and events: who is meant, and the keys of all that is theirs. Changes nothing."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import duckdb

from linq_source.errors import ConfigurationError
from linq_source.event_tables import ALL_TABLES
from linq_source.forgotten import CHAT, CONTACT, FORGOTTEN, GROUP, MESSAGE, Forgotten, first_key, name_of_key, recall
from linq_source.redact import IDENTIFIERS, KEY_SETTING, key_of, label_of, normal
from linq_source.sql_text import is_one_of
from linq_source.strict_json import BrokenBodyError, decode
from linq_source.webhook.told_chats import ToldChats

Ids = dict[str, set[Any]]
ToldEvent: TypeAlias = "tuple[str, str | None]"
"""An event's type and data."""

_EVENTS_AT_ONCE = 10_000


@dataclass(frozen=True)
class Person:
    """Who is to be forgotten, and how FORGOTTEN names the key of their digests."""

    forgotten: Forgotten
    key_name: str
    other_identifiers: int
    """Numbers and addresses of their contacts that were not named."""
    groups: set[int]
    """Chats that earlier runs took for groups, from events of which they removed some."""


@dataclass(frozen=True)
class Found:
    """What is theirs, by the names of the sets in forget.py, and what is to be noted or said beside it."""

    ids: Ids
    groups: set[int]
    """Chats that could be taken for theirs, did not an event that may go show them to be groups."""
    unclear_chats: int
    """Chats that only events tell of, and that may be groups."""


def find_person(
    tables: duckdb.DuckDBPyConnection,
    identifiers: Iterable[str],
    contact_id: int | None,
    redact_key: str | None,
) -> Person:
    """Return who is meant: what was named, and of a contact its number and address."""
    earlier = rows_of(tables, FORGOTTEN.name, *FORGOTTEN.schema.names)
    recall(earlier, redact_key)  # which raises where the key is another
    _check_key(tables, redact_key)
    name, key = name_of_key(earlier, redact_key)
    forgotten = Forgotten([key], first_key(earlier, redact_key))
    # What an earlier run has noted, and was perhaps killed before it removed.
    forgotten.chats, forgotten.messages = _noted(earlier, CHAT), _noted(earlier, MESSAGE)
    for identifier in identifiers:
        forgotten.add(identifier)
    contacts = rows_of(tables, "contacts", "id", "phone_number", "email")
    if contact_id is not None:
        forgotten.contacts.add(contact_id)
        known = [row for row in contacts if row["id"] == contact_id]
        noted = any(row["kind"] == CONTACT and row["value"] == str(contact_id) for row in earlier)
        if not known and not noted:
            raise ConfigurationError(f"--contact-id: there is no contact {contact_id} in the tables.")
        for value in (row[column] for row in known for column in ("phone_number", "email") if row[column]):
            forgotten.add(value)
    if any(forgotten.knows(row["phone_number"]) for row in rows_of(tables, "phone_numbers", "phone_number")):
        raise ConfigurationError("This is one of the organisation's own numbers, which is in every one of its chats.")
    theirs = [row for row in contacts if any(map(forgotten.knows, (row["phone_number"], row["email"])))]
    forgotten.contacts |= {row["id"] for row in theirs}
    values = {row[column] for row in theirs for column in ("phone_number", "email") if row[column]}
    return Person(forgotten, name, sum(not forgotten.knows(value) for value in values), _noted(earlier, GROUP))


def _noted(rows: Iterable[Mapping[str, Any]], kind: str) -> set[int]:
    return {int(row["value"]) for row in rows if row["kind"] == kind}


def _check_key(tables: duckdb.DuckDBPyConnection, redact_key: str | None) -> None:
    """Raise ConfigurationError where numbers stand as pseudonyms that another key has made: nobody would be found."""
    labels = {row.get("redaction") for row in rows_of(tables, "chat_syncs", "*")}
    keys = {label.partition(f"{IDENTIFIERS}:")[2] for label in labels if label and IDENTIFIERS in label}
    if keys and label_of(key_of(redact_key)) not in keys:
        raise ConfigurationError(
            f"These tables are redacted: set {KEY_SETTING} to the key that they were redacted with, by which people "
            "are found in them."
        )


def find_theirs(tables: duckdb.DuckDBPyConnection, who: Person, events: Iterable[ToldEvent]) -> Found:
    """Return what is theirs by the tables and by events, of which these are all that the tables do not hold."""
    forgotten = who.forgotten
    knows = forgotten.knows
    told = _told(tables, who, events)
    listed = rows_of(tables, "chats", "id", "is_group", "display_name")
    groups = {row["id"] for row in listed if row["is_group"]}
    handles = rows_of(tables, "chat_handles", "id", "chat_id", "phone_number")
    handles = [row for row in handles if knows(row["phone_number"])]
    handle_ids, chats = {row["id"] for row in handles}, {row["chat_id"] for row in handles}
    senders = rows_of(tables, "messages", "distinct sent_from")
    theirs = is_one_of("sent_from", [row["sent_from"] for row in senders if knows(row["sent_from"])])
    sent = rows_of(tables, "messages", "id", "chat_id", where=theirs)
    sent += rows_of(tables, "messages", "id", "chat_id", where=is_one_of("chat_handle_id", handle_ids))
    chats |= {row["chat_id"] for row in sent}
    # A chat that is named like a number is one with that number; one that Linq no longer lists has no handles left.
    chats |= {row["id"] for row in listed if knows(row["display_name"])} - groups
    alone = {row["id"] for row in listed if row["is_group"] is False}
    others = groups | _with_others(tables, forgotten, told.theirs(alone=alone))
    forgotten.chats |= chats | told.theirs(others=others, alone=alone)
    forgotten.chats -= groups
    forgotten.messages |= {row["id"] for row in sent if row["chat_id"] in groups}
    forgotten.messages |= {number for number, chat_id in told.messages.items() if chat_id not in forgotten.chats}
    in_chats = rows_of(tables, "messages", "id", where=is_one_of("chat_id", forgotten.chats))
    ids: Ids = {
        "gone_chats": forgotten.chats,
        "gone_groups": (chats | set(told.messages.values())) & groups,
        "gone_handles": handle_ids,
        "gone_messages": {row["id"] for row in in_chats} | forgotten.messages,
        "gone_contacts": forgotten.contacts,
    }
    unclear = told.left_open(others=others, alone=alone) - forgotten.chats
    return Found(ids | _find_rows(tables, forgotten), told.contested(alone=alone) - groups, len(unclear))


def _find_rows(tables: duckdb.DuckDBPyConnection, forgotten: Forgotten) -> Ids:
    """Return the keys of rows that tell of them whatever chat they are about."""
    knows = forgotten.knows
    reactions = rows_of(tables, "message_reactions", "id", "from_phone")
    rejects = rows_of(tables, "rejected_rows", "row_hash", "row_json")
    calls = rows_of(tables, "calls", "id", "from_phone", "to_phone", "forwarded_from", "answered_by")
    changes = rows_of(tables, "participant_changes", "event_id", "identifier")
    return {
        "gone_reactions": {row["id"] for row in reactions if knows(row["from_phone"])},
        "gone_rejects": {row["row_hash"] for row in rejects if _tells_of(row["row_json"], forgotten)},
        "gone_calls": {row["id"] for row in calls if any(map(knows, list(row.values())[1:]))},
        "gone_changes": {row["event_id"] for row in changes if knows(row["identifier"])},
    }


def _told(tables: duckdb.DuckDBPyConnection, who: Person, events: Iterable[ToldEvent]) -> ToldChats:
    """Return what all events tell of chats: those in the tables, and those that are given."""
    told = ToldChats(who.forgotten, _ours(tables))
    told.others |= who.groups
    if "webhook_events" in present_in(tables):
        stored = tables.execute("select event_type, data from webhook_events")
        while some := stored.fetchmany(_EVENTS_AT_ONCE):
            for event_type, data in some:
                told.add(event_type, data)
    for event_type, data in events:
        told.add(event_type, data)
    return told


def _with_others(tables: duckdb.DuckDBPyConnection, forgotten: Forgotten, chats: set[int]) -> set[int]:
    """Return those of some chats in which the tables know somebody else."""
    where, ours = is_one_of("chat_id", chats), set(map(normal, _ours(tables)))
    known = rows_of(tables, "chat_handles", "chat_id", "phone_number as who", where=where)
    where = f"{where} and direction = 'inbound'"
    known += rows_of(tables, "messages", "distinct chat_id", "sent_from as who", where=where)
    named = ((row["chat_id"], row["who"]) for row in known if row["who"])
    return {chat_id for chat_id, who in named if not forgotten.knows(who) and normal(who) not in ours}


def _ours(tables: duckdb.DuckDBPyConnection) -> list[str]:
    """Return the organisation's own numbers."""
    return [row["phone_number"] for row in rows_of(tables, "phone_numbers", "phone_number") if row["phone_number"]]


def present_in(tables: duckdb.DuckDBPyConnection) -> set[str]:
    """Return which of our tables there are."""
    sql = "select table_name from duckdb_tables() where schema_name = current_schema()"
    return {name for (name,) in tables.execute(sql).fetchall()} & {*ALL_TABLES, FORGOTTEN.name}


def rows_of(
    tables: duckdb.DuckDBPyConnection, table: str, *columns: str, where: str = "true"
) -> list[dict[str, Any]]:
    """Return rows of a table, which may be missing."""
    if table not in present_in(tables):
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
