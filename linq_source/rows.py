"""From the rows of a page to Arrow tables: pure functions. A row that does not fit is set aside, not lost."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence, Set
from contextlib import suppress
from datetime import datetime
from operator import itemgetter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from linq_source.changes import integers
from linq_source.extras import ExtraColumns
from linq_source.forgotten import MARK, is_forgotten
from linq_source.tables import (
    CHAT_HANDLES,
    CHAT_PHONE_NUMBERS,
    CHATS,
    MESSAGE_ATTACHMENTS,
    MESSAGE_REACTIONS,
    MESSAGES,
    REJECTED_ROWS,
    TEXT,
    Column,
    Table,
)
from linq_source.values import to_column, to_json

CHILDREN = ((MESSAGE_REACTIONS, "chat_message_id"), (MESSAGE_ATTACHMENTS, "message_id"))
"""The tables of what a message holds, each with the column that names the message."""

FORGOTTEN_REASON = "forgotten"
"""Stands in `rejected_rows` for a message of somebody who was forgotten: its id, and nothing else."""

Batch = dict[str, pa.Table]
"""Rows to write, by table name."""


class Misfits:
    """What was set aside while rows were shaped."""

    def __init__(self, now: datetime) -> None:
        self.hashes: set[str] = set()
        self.unread_times = 0
        self._forgotten: set[str] = set()
        self._now = now
        self._fresh: list[dict[str, Any]] = []

    def add(self, table: Table, row: Any, reason: str, chat_id: int | None) -> None:
        """Set one row aside, once however often it comes."""
        text = to_json(row) or "null"
        digest = hashlib.sha256(f"{table.name}\n{chat_id}\n{text}".encode()).hexdigest()
        if digest not in self.hashes:
            self.hashes.add(digest)
            self._forgotten |= {digest} if reason == FORGOTTEN_REASON else set()
            values = (digest, table.name, chat_id, reason, text, self._now, None)
            self._fresh.append(dict(zip(REJECTED_ROWS.schema.names, values, strict=True)))

    @property
    def count(self) -> int:
        """How many were set aside because they fit no column."""
        return len(self.hashes - self._forgotten)

    def take(self) -> pa.Table:
        """Return the rows set aside since the last call, as rows of `rejected_rows`."""
        fresh, self._fresh = self._fresh, []
        return pa.Table.from_pylist(fresh, schema=REJECTED_ROWS.schema)


class Shaper:
    """Shapes rows into tables. Holds what a sync's rows have in common: its clock and the unknown fields seen."""

    def __init__(self, *, now: datetime, extras: ExtraColumns | None = None) -> None:
        self.misfits = Misfits(now)
        self._extras = extras or ExtraColumns()

    def shape(
        self,
        table: Table,
        rows: Sequence[Any],
        *,
        added: dict[str, Sequence[Any]] | None = None,
        chat_ids: Sequence[int] | None = None,
        nested: frozenset[str] = frozenset(),
    ) -> tuple[pa.Table, list[int]]:
        """Return the rows that fit as an Arrow table, and their positions in `rows`.

        `added` holds the columns that are not in the rows themselves, one value per row; `chat_ids` the chats
        that they came with, one per row. `nested` names the fields that have a table of their own.
        """
        added = added or {}
        bad: dict[int, str] = {}
        if set(map(type, rows)) - {dict}:
            bad = {i: "not an object" for i, row in enumerate(rows) if not isinstance(row, dict)}
        objects: list[dict[str, Any]] = [{} if i in bad else row for i, row in enumerate(rows)] if bad else list(rows)
        names = set().union(*objects)
        if MARK in names:
            bad |= {i: FORGOTTEN_REASON for i, row in enumerate(rows) if is_forgotten(row)}
            objects = [{} if i in bad else row for i, row in enumerate(objects)]
        fields, arrays = [], []
        read = _read({column.source.partition(".")[0] for column in table.columns if column.source}, objects)
        for column in table.columns:
            values = _values(column, read, bad) if column.source else added.get(column.name)
            values = [None] * len(rows) if values is None else values
            converted = to_column(values, column.type, is_json=column.is_json)
            self.misfits.unread_times += converted.unread_times
            for index, reason in converted.misfits.items():
                bad.setdefault(index, f"{column.source or column.name}: {reason}")
            if column.name in table.key:
                nulls: list[Any] = pc.indices_nonzero(pc.is_null(converted.array)).to_pylist()
                for position in nulls:
                    bad.setdefault(position, f"{column.source or column.name}: missing")
            fields.append(table.field(column))
            arrays.append(converted.array)
        for extra_field, array in self._extras.columns(table, _unknown(table, objects, names, nested)):
            fields.append(extra_field)
            arrays.append(array)
        for index in sorted(bad):
            chat_id = None if chat_ids is None else chat_ids[index]
            # A forgotten message counts among its chat's, as those do that fit no column.
            if bad[index] != FORGOTTEN_REASON or table is MESSAGES:
                row = rows[index] | {MARK: True} if bad[index] == FORGOTTEN_REASON else rows[index]
                self.misfits.add(table, row, bad[index], chat_id)
        kept = [index for index in range(len(rows)) if index not in bad]
        if bad:
            arrays = [array.take(pa.array(kept, type=pa.int64())) for array in arrays]
        return pa.Table.from_arrays(arrays, schema=pa.schema(fields)), kept

    def chats(self, listed: Iterable[tuple[str, Sequence[Any]]]) -> Batch:
        """Shape listings of chats, each with the number it was made for: each chat once, and its sets.

        Where a chat was listed twice, the later listing is taken.
        """
        rows: list[Any] = []
        numbers: list[str] = []
        for phone_number, listing in listed:
            rows += listing
            numbers += [phone_number] * len(listing)
        table, kept = self.shape(CHATS, rows, nested=frozenset({"chat_handles"}))
        ids = integers(table, "id")
        under = dict.fromkeys((chat_id, numbers[index]) for chat_id, index in zip(ids, kept, strict=True))
        latest = {chat_id: position for position, chat_id in enumerate(ids)}
        chats = [rows[kept[position]] for position in latest.values()]
        ids = list(latest)
        handles, of_chat = self._children(CHAT_HANDLES, "chat_handles", chats, ids, ids)
        owners = [ids[index] for index in of_chat]
        shaped, _ = self.shape(CHAT_HANDLES, handles, added={"chat_id": owners}, chat_ids=owners)
        numbers_of_chats = {
            "chat_id": [chat_id for chat_id, _ in under],
            "phone_number": [number for _, number in under],
            "is_removed": [None] * len(under),
        }
        return {
            CHATS.name: table.take(pa.array(list(latest.values()), type=pa.int64())),
            CHAT_HANDLES.name: once(shaped, CHAT_HANDLES.key),
            CHAT_PHONE_NUMBERS.name: pa.Table.from_pydict(numbers_of_chats, schema=CHAT_PHONE_NUMBERS.schema),
        }

    def messages(self, rows: Sequence[Any], chat_ids: Sequence[int], our_numbers: Iterable[str]) -> Batch:
        """Shape messages with their reactions and attachments; `our_numbers` decide the direction."""
        nested = frozenset({"reactions", "attachments"})
        messages, kept = self.shape(MESSAGES, rows, added={"chat_id": chat_ids}, chat_ids=chat_ids, nested=nested)
        outbound = pc.is_in(messages["sent_from"], value_set=pa.array(spellings(our_numbers), type=TEXT))
        position = messages.schema.get_field_index("direction")
        messages = messages.set_column(
            position, messages.schema.field(position), pc.if_else(outbound, "outbound", "inbound")
        )
        ids = integers(messages, "id")
        parents = [rows[index] for index in kept]
        chats_of_parents = [chat_ids[index] for index in kept]
        batch = {MESSAGES.name: messages}
        for table, parent_key in CHILDREN:
            key = table.name.removeprefix("message_")
            children, of_parent = self._children(table, key, parents, ids, chats_of_parents)
            shaped, _ = self.shape(
                table,
                children,
                added={parent_key: [ids[index] for index in of_parent]},
                chat_ids=[chats_of_parents[index] for index in of_parent],
            )
            batch[table.name] = once(shaped, table.key)
        return batch

    def _children(
        self, table: Table, key: str, parents: Sequence[Any], parent_ids: Sequence[int], chat_ids: Sequence[int]
    ) -> tuple[list[Any], list[int]]:
        """Return all children of `parents`, and for each the position of its parent."""
        children: list[Any] = []
        positions: list[int] = []
        for position, found in enumerate([parent.get(key) for parent in parents]):
            if not found and isinstance(found, list):  # as nearly all are
                continue
            if isinstance(found, list):
                children += found
                positions += [position] * len(found)
            elif found is not None:
                row = {"of": parent_ids[position], key: found}
                self.misfits.add(table, row, f"{key}: not a list", chat_ids[position])
        return children, positions


def once(table: pa.Table, key: tuple[str, ...]) -> pa.Table:
    """Return each row once by its key: the first where a key comes twice."""
    keys = list(zip(*(table[name].to_pylist() for name in key), strict=True))
    if len(set(keys)) == len(keys):
        return table
    first: dict[tuple[Any, ...], int] = {}
    for index, each in enumerate(keys):
        first.setdefault(each, index)
    return table.take(pa.array(list(first.values()), type=pa.int64()))


def spellings(numbers: Iterable[str]) -> list[str]:
    """Return each number as the API may write it: with and without + and the US country code it assumes."""
    found: set[str] = set()
    for number in numbers:
        digits = number.lstrip("+")
        found |= {number, digits, f"+{digits}"}
        if len(digits) == 11 and digits.startswith("1"):
            found.add(digits[1:])
    return sorted(found)


_PARENT_IDS = frozenset({"chat_id", "chat_message_id", "message_id"})


def _read(names: Set[str], rows: list[dict[str, Any]]) -> Mapping[str, Sequence[Any]]:
    """Return some fields of all rows, by name; None where a row lacks one."""
    if rows and len(names) > 1:
        # Row by row, since each is far from the cache: it was made by another thread.
        with suppress(KeyError):
            return dict(zip(names, zip(*map(itemgetter(*names), rows), strict=True), strict=True))
    return {name: [row.get(name) for row in rows] for name in names}


def _values(column: Column, read: Mapping[str, Sequence[Any]], bad: dict[int, str]) -> Sequence[Any]:
    parent, _, child = column.source.partition(".")
    if not child:
        return read[parent]
    values = []
    for index, found in enumerate(read[parent]):
        if found is not None and not isinstance(found, dict):
            bad.setdefault(index, f"{parent}: not an object")
        values.append(found.get(child) if isinstance(found, dict) else None)
    return values


def _unknown(
    table: Table, rows: list[dict[str, Any]], names: Set[str], nested: frozenset[str]
) -> dict[str, list[Any]]:
    """Return the fields that no column of `table` reads, flattened where their object has columns of its own.

    `names` are those of all fields of all rows.
    """
    sources = {column.source for column in table.columns if column.source}
    parents = {source.partition(".")[0] for source in sources if "." in source}
    # A child may name its parent, which has a column that we fill; anywhere else such a field is news.
    known = sources | parents | nested | (_PARENT_IDS & {column.name for column in table.columns})
    found: dict[str, list[Any]] = {name: [row.get(name) for row in rows] for name in names - known}
    for parent in parents:
        for index, row in enumerate(rows):
            if isinstance(inner := row.get(parent), dict):
                for key in inner:
                    if f"{parent}.{key}" not in sources:
                        found.setdefault(f"{parent}__{key}", [None] * len(rows))[index] = inner[key]
    return dict(sorted(found.items()))
