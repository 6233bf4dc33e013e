"""Finds what tables hold of one person: who is meant, and the keys of all that is theirs. Changes nothing."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import duckdb

from linq_source.errors import ConfigurationError
from linq_source.event_tables import ALL_TABLES
from linq_source.forgotten import CONTACT, FORGOTTEN, Forgotten, first_key, name_of_key, recall
from linq_source.redact import IDENTIFIERS, KEY_SETTING, key_of, label_of
from linq_source.sql_text import is_one_of
from linq_source.strict_json import BrokenBodyError, decode

Ids = dict[str, set[Any]]


@dataclass(frozen=True)
class Person:
    """Who is to be forgotten, and how FORGOTTEN names the key of their digests."""

    forgotten: Forgotten
    key_name: str
    other_identifiers: int
    """Numbers and addresses of their contacts that were not named."""


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
    return Person(forgotten, name, sum(not forgotten.knows(value) for value in values))


def _check_key(tables: duckdb.DuckDBPyConnection, redact_key: str | None) -> None:
    """Raise ConfigurationError where numbers stand as pseudonyms that another key has made: nobody would be found."""
    labels = {row.get("redaction") for row in rows_of(tables, "chat_syncs", "*")}
    keys = {label.partition(f"{IDENTIFIERS}:")[2] for label in labels if label and IDENTIFIERS in label}
    if keys and label_of(key_of(redact_key)) not in keys:
        raise ConfigurationError(
            f"These tables are redacted: set {KEY_SETTING} to the key that they were redacted with, by which people "
            "are found in them."
        )


def find_theirs(tables: duckdb.DuckDBPyConnection, forgotten: Forgotten) -> Ids:
    """Return the keys of all that is theirs, by the name of the set in _THEIRS."""
    knows = forgotten.knows
    listed = rows_of(tables, "chats", "id", "is_group", "display_name")
    groups = {row["id"] for row in listed if row["is_group"]}
    handles = [
        row for row in rows_of(tables, "chat_handles", "id", "chat_id", "phone_number") if knows(row["phone_number"])
    ]
    handle_ids, chats = {row["id"] for row in handles}, {row["chat_id"] for row in handles}
    senders = [
        row["sent_from"] for row in rows_of(tables, "messages", "distinct sent_from") if knows(row["sent_from"])
    ]
    sent = rows_of(tables, "messages", "id", "chat_id", where=is_one_of("sent_from", senders))
    sent += rows_of(tables, "messages", "id", "chat_id", where=is_one_of("chat_handle_id", handle_ids))
    chats |= {row["chat_id"] for row in sent}
    # A chat that is named like a number is one with that number; one that Linq no longer lists has no handles left.
    chats |= {row["id"] for row in listed if knows(row["display_name"])} - groups
    forgotten.chats |= chats - groups
    in_chats = rows_of(tables, "messages", "id", where=is_one_of("chat_id", forgotten.chats))
    in_groups = {row["id"] for row in sent if row["chat_id"] in groups}
    forgotten.messages |= in_groups
    reactions = rows_of(tables, "message_reactions", "id", "from_phone")
    rejects = rows_of(tables, "rejected_rows", "row_hash", "row_json")
    calls = rows_of(tables, "calls", "id", "from_phone", "to_phone", "forwarded_from", "answered_by")
    changes = rows_of(tables, "participant_changes", "event_id", "identifier")
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
