"""`rejected_rows` as a mirror: rows that fit no column come, and those that have healed or vanished go."""

from collections.abc import Callable, Iterable
from typing import Any

import pyarrow as pa

from linq_source.changes import with_value
from linq_source.memory import Memory
from linq_source.pages import identity
from linq_source.rows import Misfits
from linq_source.strict_json import decode
from linq_source.tables import CHATS, MESSAGES, REJECTED_ROWS, Table


class Rejects:
    """What earlier syncs rejected, read once, and what this sync changes in it."""

    def __init__(self, misfits: Misfits) -> None:
        self._misfits = misfits
        self._stored: pa.Table | None = None
        self._present: set[str] = set()
        self._messages: dict[int, set[str]] = {}
        self._read_whole: set[tuple[str, int | None]] = set()
        self._answers_for: Callable[[str], bool] | None = None

    def note_whole(self, tables: Iterable[Table], chat_ids: Iterable[int | None] = (None,)) -> None:
        """Note that lists (or these chats' part of them) were read whole: what was rejected there came again or left.

        Their rows must have been shaped before.
        """
        chat_ids = list(chat_ids)
        self._read_whole.update((table.name, chat_id) for table in tables for chat_id in chat_ids)

    def note_chats(self, answers_for: Callable[[str], bool]) -> None:
        """Note that all chats were listed; `answers_for` tells by a chat's identity whether that is said of its row.

        Their rows must have been shaped before.
        """
        self._answers_for = answers_for

    def changes(self, memory: Memory) -> pa.Table:
        """Return what to write to `rejected_rows` since the last call."""
        fresh = self._misfits.take()
        whole, self._read_whole = self._read_whole, set()
        answers_for, self._answers_for = self._answers_for, None
        if not fresh.num_rows and not whole and not answers_for:
            return fresh
        stored = self._load(memory)
        fresh = fresh.filter(pa.array([digest not in self._present for digest in _hashes(fresh)], type=pa.bool_()))
        chats = _chats_of(stored, answers_for) if answers_for else set()
        columns = (_hashes(stored), stored["table_name"].to_pylist(), stored["chat_id"].to_pylist())
        has_left = [
            ((name, chat_id) in whole or digest in chats)
            and digest in self._present
            and digest not in self._misfits.hashes
            for digest, name, chat_id in zip(*columns, strict=True)
        ]
        left = with_value(stored.filter(pa.array(has_left, type=pa.bool_())), "is_removed", value=True)
        self._present.update(_hashes(fresh))
        self._present.difference_update(_hashes(left))
        return pa.concat_tables([fresh, left], promote_options="default")

    def messages_of(self, memory: Memory, chat_id: int) -> set[str]:
        """Return the identities of messages of a chat that earlier syncs rejected."""
        self._load(memory)
        return self._messages.get(chat_id, set())

    def _load(self, memory: Memory) -> pa.Table:
        if self._stored is None:
            self._stored = memory.rows(REJECTED_ROWS)
            for row in self._stored.to_pylist():
                self._present.add(row["row_hash"])
                if row["table_name"] == MESSAGES.name and row["chat_id"] is not None:
                    self._messages.setdefault(row["chat_id"], set()).add(_identity(row))
        return self._stored


def rejected_identities(memory: Memory, table: Table) -> set[str]:
    """Return the identities of the rows of a table that earlier syncs rejected."""
    return {_identity(row) for row in memory.rows(REJECTED_ROWS, f"table_name = '{table.name}'").to_pylist()}


def _chats_of(stored: pa.Table, are_wanted: Callable[[str], bool]) -> set[str]:
    """Return the hashes of the rejected rows of chats whose identity is wanted."""
    is_chat = pa.array([name == CHATS.name for name in stored["table_name"].to_pylist()], type=pa.bool_())
    return {row["row_hash"] for row in stored.filter(is_chat).to_pylist() if are_wanted(_identity(row))}


def _identity(row: dict[str, Any]) -> str:
    return identity(decode(row["row_json"].encode()))


def _hashes(rows: pa.Table) -> list[str]:
    values: list[Any] = rows["row_hash"].to_pylist()
    return values
