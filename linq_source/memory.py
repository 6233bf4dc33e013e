"""What earlier syncs stored, read back from the destination itself: the only memory a sync has.

Rows of tables are compared by their values, so they are taken as they are. Cursors are believed only when the
load that wrote them was completed.
"""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence, Set
from dataclasses import fields
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar

import pyarrow as pa
from dlt.common.destination.exceptions import DestinationUndefinedEntity
from dlt.destinations.sql_client import SqlClientBase

from linq_source.analytics.views import VERSION_VIEW, are_current, can_be_made, present_names
from linq_source.changes import integers, texts
from linq_source.event_tables import CALLS, EVENT_FILES, MARKING_EVENTS, WEBHOOK_EVENTS
from linq_source.plan import ChatSync, Mark
from linq_source.readback import QUOTE_JSON, as_type, conform, to_arrow, unquoted
from linq_source.sql_text import literal
from linq_source.tables import CHAT_SYNCS, LIST_SYNCS, MESSAGES, REJECTED_ROWS, Departure, Table
from linq_source.times import TIMESTAMP, instants

OpenClient = Callable[[], SqlClientBase[Any]]

Key = TypeVar("Key", int, str)

_KEYS_PER_QUERY = 5_000


class Memory:
    """Reads what is stored, while it is entered. On a first run, when no table exists yet, everything is empty."""

    def __init__(
        self,
        open_client: OpenClient,
        json_columns: Mapping[str, Set[str]] | None = None,
        column_types: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        """`json_columns` names, for each table, the columns that hold JSON; destinations give them back as texts.

        `column_types` are dlt's types of the columns by table, for destinations that give back others.
        """
        self._open_client = open_client
        self._json_columns = json_columns or {}
        self._column_types = column_types or {}
        self._client: SqlClientBase[Any] | None = None
        self._empty: set[str] = set()

    def __enter__(self) -> Self:
        self._client = self._open_client().__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        client, self._client = self._client, None
        if client:
            client.close_connection()

    def chat_syncs(self) -> dict[int, ChatSync]:
        """The cursor of each chat, of completed loads only."""
        found = self._believed(CHAT_SYNCS)
        # By columns, which takes a tenth of the time: an account of 100,000 chats has as many cursors.
        columns: list[list[Any]] = [
            instants(column) if column.type == TIMESTAMP else column.to_pylist()
            for column in (found[each.name] for each in fields(ChatSync))
        ]
        return {cursor.chat_id: cursor for cursor in map(ChatSync, *columns)}

    def list_synced_at(self, list_name: str) -> datetime | None:
        """When a list without a filter was last read whole."""
        rows = {row["list_name"]: row["synced_at"] for row in self._believed(LIST_SYNCS).to_pylist()}
        return rows.get(list_name)

    def rows(self, table: Table, where: str = "") -> pa.Table:
        """Stored rows of a table, in its own schema followed by the columns that Linq added later."""
        found = self._query(f"select * from {{{table.name}}}" + (f" where {where}" if where else ""), table)
        return table.schema.empty_table() if found is None else self._conform(found, table)

    def rows_of(self, table: Table, column: str, keys: Sequence[int], where: str = "") -> pa.Table:
        """Stored rows whose `column` is one of `keys`."""
        if table.name in self._empty or not keys:
            return table.schema.empty_table()
        parts = [
            self.rows(table, f"{column} in ({', '.join(map(str, part))})" + (f" and {where}" if where else ""))
            for part in _parts(keys)
        ]
        return pa.concat_tables(parts, promote_options="default")

    def unlisted_times(self, chat_id: int, listed: Container[str]) -> dict[int, datetime | None]:
        """The ids of a chat's messages that Linq still listed when they were stored, but for those `listed` now.

        Each with its time. A chat may have millions, of which all but a few are listed.
        """
        sql = f"select id, sent_at from {{{MESSAGES.name}}} where chat_id = {int(chat_id)} and deleted_at is null"
        found = self._query(sql, MESSAGES)
        if found is None:
            return {}
        is_unlisted = [str(message_id) not in listed for message_id in integers(found, "id")]
        found = found.filter(pa.array(is_unlisted, type=pa.bool_()))
        times = instants(as_type(found.column("sent_at"), TIMESTAMP))
        return dict(zip(integers(found, "id"), times, strict=True))

    def live_count(self, table: Table) -> int:
        """How many rows Linq still listed when they were stored."""
        where = " where deleted_at is null" if table.departure is Departure.MARKED else ""
        found = self._query(f"select count(*) as n from {{{table.name}}}{where}", table)
        return 0 if found is None else int(found.column(0)[0].as_py())

    def live_ids(self, table: Table) -> set[int]:
        """The ids of the rows that Linq still listed when they were stored."""
        found = self._query(f"select id from {{{table.name}}} where deleted_at is null", table)
        return set() if found is None else set(integers(found, "id"))

    def counts(self, table: Table, column: str) -> dict[Any, int]:
        """How many rows that Linq still listed there are for each value of a column."""
        where = " where deleted_at is null" if table.departure is Departure.MARKED else ""
        found = self._query(f"select {column}, count(*) from {{{table.name}}}{where} group by {column}", table)
        return {} if found is None else dict(zip(*(each.to_pylist() for each in found.columns), strict=True))

    def rejected_messages(self) -> dict[int, int]:
        """How many messages of each chat were set aside."""
        where = f"table_name = '{MESSAGES.name}'"
        sql = f"select chat_id, count(*) from {{{REJECTED_ROWS.name}}} where {where} group by chat_id"
        found = self._query(sql, REJECTED_ROWS)
        return {} if found is None else dict(zip(*(each.to_pylist() for each in found.columns), strict=True))

    def duplicated_keys(self, table: Table) -> list[Any]:
        """The keys of a table that stand there more than once; the key is one column."""
        key = table.key[0]
        found = self._query(f"select {key} from {{{table.name}}} group by {key} having count(*) > 1", table)
        return [] if found is None else found.column(0).to_pylist()

    def left_behind(self, table: Table, parent: str, *, with_orphans: bool) -> pa.Table:
        """Rows of messages that are marked as deleted, or have no row: a load was killed between the tables."""
        if not self.is_stored(MESSAGES):
            return table.schema.empty_table()
        sql = (
            f"select t.* from {{{table.name}}} t left join {{{MESSAGES.name}}} m on m.id = t.{parent} "
            "where m.deleted_at is not null" + (" or m.id is null" if with_orphans else "")
        )
        found = self._query(sql, table)
        return table.schema.empty_table() if found is None else self._conform(found, table)

    def has_current_views(self) -> bool:
        """Whether all views that can be made of the stored tables stand there, as this version makes them."""
        assert self._client, "Memory is read only while it is entered"
        if not can_be_made(self._client.capabilities.sqlglot_dialect):
            return True
        name = self._client.make_qualified_table_name(VERSION_VIEW)
        try:
            [(found,)] = self._client.execute_sql(f"select version from {name}") or [("",)]
        except DestinationUndefinedEntity:
            return False
        return are_current(str(found), present_names(self._client))

    def is_empty(self, table: Table) -> bool:
        """Whether the table holds no row, or does not exist."""
        # No LIMIT, which SQL Server lacks, and no WHERE without a FROM, which BigQuery refuses.
        sql = f"select case when exists (select 1 from {{{table.name}}}) then 1 else 0 end as has_rows"
        found = self._query(sql, table)
        return found is None or not found.column(0)[0].as_py()

    def is_stored(self, table: Table) -> bool:
        """Whether the table exists."""
        return self._query(f"select * from {{{table.name}}} where 1 = 0", table) is not None

    def marks(self) -> dict[int, list[Mark]]:
        """What events told of messages since their chats were last read, by chat.

        An event counts as read once its chat was read by a sync that began after the event was committed here:
        that sync knew of it. The clock of whoever received it does not come into it.
        """
        is_marking = " or ".join(f"e.event_type like '{pattern}'" for pattern in MARKING_EVENTS)
        sql = (
            "select distinct e.chat_id, e.message_id, "
            "coalesce(m.sent_at, max(e.message_sent_at) over (partition by e.message_id)) as sent_at, "
            "m.id is not null as is_stored "
            f"from {{{WEBHOOK_EVENTS.name}}} e "
            "join {_dlt_loads} el on el.load_id = e._dlt_load_id and el.status = 0 "
            f"left join (select c.chat_id, c.synced_at from {{{CHAT_SYNCS.name}}} c "
            "join {_dlt_loads} l on l.load_id = c._dlt_load_id where l.status = 0) s on s.chat_id = e.chat_id "
            f"left join {{{MESSAGES.name}}} m on m.id = e.message_id "
            f"where e.chat_id is not null and ({is_marking}) "
            "and (s.synced_at is null or el.inserted_at >= s.synced_at)"
        )
        found = self._query(sql, WEBHOOK_EVENTS)
        marks: dict[int, list[Mark]] = {}
        if found is not None:
            times, stored = as_type(found["sent_at"], TIMESTAMP), as_type(found["is_stored"], pa.bool_())
            columns = (found["chat_id"], found["message_id"], times, stored)
            for chat_id, *mark in zip(*(column.to_pylist() for column in columns), strict=True):
                marks.setdefault(chat_id, []).append(Mark(*mark))
        return marks

    def contacts_told_at(self) -> datetime | None:
        """When the newest event about a contact was committed."""
        sql = (
            f"select max(l.inserted_at) as newest from {{{WEBHOOK_EVENTS.name}}} e "
            "join {_dlt_loads} l on l.load_id = e._dlt_load_id and l.status = 0 where e.event_type like 'contact.%'"
        )
        found = self._query(sql, WEBHOOK_EVENTS)
        newest: list[Any] = [] if found is None else as_type(found["newest"], TIMESTAMP).to_pylist()
        return newest[0] if newest else None

    def fingerprints(self, event_ids: Sequence[str]) -> dict[str, str]:
        """The fingerprints of those events that completed loads have stored, by id."""
        known: dict[str, str] = {}
        for part in _parts([] if WEBHOOK_EVENTS.name in self._empty else event_ids):
            sql = (
                f"select e.event_id, e.fingerprint from {{{WEBHOOK_EVENTS.name}}} e "
                f"join {{_dlt_loads}} l on l.load_id = e._dlt_load_id and l.status = 0 "
                f"where e.event_id in ({self._quoted(part)})"
            )
            if (found := self._query(sql, WEBHOOK_EVENTS)) is not None:
                known.update(zip(*(column.to_pylist() for column in found.columns), strict=True))
        return known

    def calls(self, call_ids: Sequence[str]) -> list[dict[str, Any]]:
        """The stored rows of some calls."""
        return self.rows(CALLS, f"id in ({self._quoted(call_ids)})").to_pylist() if call_ids else []

    def loaded_files(self) -> set[str]:
        """The names of the files of events that completed loads have loaded."""
        return set(texts(self._believed(EVENT_FILES), "file_name"))

    def _believed(self, table: Table) -> pa.Table:
        """Return the rows that completed loads have written."""
        sql = (
            f"select t.* from {{{table.name}}} t "
            f"join {{_dlt_loads}} l on l.load_id = t._dlt_load_id where l.status = 0"
        )
        found = self._query(sql, table)
        return table.schema.empty_table() if found is None else self._conform(found, table)

    def _conform(self, found: pa.Table, table: Table) -> pa.Table:
        name = table.name
        conformed = conform(found, table, self._json_columns.get(name, frozenset()), self._column_types.get(name, {}))
        dialect = self._client.capabilities.sqlglot_dialect if self._client else None
        return unquoted(conformed) if dialect in QUOTE_JSON else conformed

    def _query(self, sql: str, table: Table) -> pa.Table | None:
        if table.name in self._empty:
            return None
        assert self._client, "Memory is read only while it is entered"
        in_query = (table.name, MESSAGES.name, CHAT_SYNCS.name, "_dlt_loads")
        names = {name: self._client.make_qualified_table_name(name) for name in in_query}
        try:
            with self._client.execute_query(self._escaped(sql.format(**names))) as cursor:
                native: Any = cursor.native_cursor
                # dlt 1.31 calls a method that DuckDB 1.5 has renamed, which warns.
                return native.to_arrow_table() if hasattr(native, "to_arrow_table") else to_arrow(cursor)
        except DestinationUndefinedEntity:
            self._empty.add(table.name)
            return None

    def _quoted(self, texts: Sequence[str]) -> str:
        """Return texts as literals of the destination, for a query in which `{name}` still stands for a table."""
        dialect = self._client.capabilities.sqlglot_dialect if self._client else None
        return ", ".join(literal(text, dialect) for text in texts).replace("{", "{{").replace("}", "}}")

    def _escaped(self, sql: str) -> str:
        # In SQLAlchemy's texts a :name would stand for a value.
        return sql.replace(":", "\\:") if hasattr(self._client, "engine") else sql


def _parts(keys: Sequence[Key]) -> Iterable[Sequence[Key]]:
    for start in range(0, len(keys), _KEYS_PER_QUERY):
        yield keys[start : start + _KEYS_PER_QUERY]
