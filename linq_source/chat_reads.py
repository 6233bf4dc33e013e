"""Messages, chat by chat: what was read is judged, compared with what is stored, and only the rest is yielded."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from linq_source.changes import changed_rows, live, missing_rows, with_value
from linq_source.context import Context
from linq_source.errors import ForbiddenError, NotFoundError, UnavailableError
from linq_source.pages import identity
from linq_source.plan import ChatRead, Reason
from linq_source.reader import ChatPart
from linq_source.rows import CHILDREN, Batch, integers
from linq_source.settle import Judgement, Verdict, judge
from linq_source.tables import CHAT_SYNCS, MESSAGES, REJECTED_ROWS

BATCH_ROWS = 10_000
"""Rows of messages in one batch: fewer cost more per row, more cost memory."""

MAX_FAILED_CHATS = 3
"""Chats that Linq may fail to answer for before the sync gives up; one broken chat must not stop the rest."""


@dataclass
class _Stream:
    """A large chat on its way: how far it was stored."""

    read: ChatRead
    count: int = 0
    newest: datetime | None = None


class ChatReads:
    """Reads the planned chats and yields what changed in messages, reactions, attachments and cursors."""

    def __init__(self, context: Context, *, remembers: bool) -> None:
        self._context = context
        self._remembers = remembers
        self._is_closed = False
        self._pending: list[ChatPart] = []
        self._outstanding = 0
        self._failed = 0
        self._streams: dict[int, _Stream] = {}
        self._confirming: set[int] = set()
        self._held: list[pa.Table] = []
        self._held_cursors: list[dict[str, Any]] = []
        self._rejected: dict[int, set[str]] | None = None

    def batches(self, reads: list[ChatRead]) -> Iterator[Batch]:
        """Yield batches until every chat is read; deletions come last, all together or not at all."""
        self._context.summary.chats_to_read = len(reads)
        self._context.summary.reasons.update(read.reason.value for read in reads)
        for read in reads:
            self._submit(read)
        while self._outstanding:
            part = self._context.reader.next_part()
            self._outstanding -= part.is_last
            if part.error:
                self._skip_or_raise(part)
            else:
                self._pending.append(part)
                self._context.summary.messages_read += len(part.rows)
            self._context.summary.chats_done += part.is_last
            self._context.on_progress()
            if sum(len(part.rows) for part in self._pending) >= BATCH_ROWS or not self._outstanding:
                yield from self.flush()
        yield from self._deletions()

    def _submit(self, read: ChatRead) -> None:
        self._outstanding += 1
        self._context.reader.submit(read)

    def _skip_or_raise(self, part: ChatPart) -> None:
        error, chat_id = part.error, part.read.chat_id
        assert error is not None
        self._streams.pop(chat_id, None)
        if isinstance(error, NotFoundError | ForbiddenError):
            self._context.skip(f"chat {chat_id}: Linq answered {error.status}; the next sync tries again")
            return
        self._failed += 1
        if not isinstance(error, UnavailableError) or self._failed > MAX_FAILED_CHATS:
            raise error
        self._context.summary.failure = error

    def flush(self) -> Iterator[Batch]:
        """Yield what is complete of the parts read so far."""
        parts, self._pending = self._pending, []
        if not parts:
            return
        stored = self._stored(parts)
        live_times = _by_chat(live(stored))
        cursors: list[tuple[ChatPart, Judgement]] = []
        kept: list[ChatPart] = []
        for part in parts:
            if not part.is_last:
                kept.append(part)
                continue
            judgement = self._judge(part, live_times.get(part.read.chat_id, {}))
            if not self._try_again(part, judgement):
                kept.append(part)
                cursors.append((part, judgement))
        batch = self._shape(kept)
        newest = self._newest(kept, batch[MESSAGES.name])
        yield self._changes(batch, stored)
        rows = [
            self._cursor(part, judgement, newest, stored)
            for part, judgement in cursors
            if judgement.verdict is Verdict.SETTLED
        ]
        if self._remembers:
            yield {CHAT_SYNCS.name: _cursor_table([row for row in rows if row])}

    def close(self) -> Iterator[Batch]:
        """Yield what is complete although the sync ends early; what would need another request is left out."""
        self._is_closed = True
        yield from self.flush()
        yield from self.partial_cursors()

    def partial_cursors(self) -> Iterator[Batch]:
        """Yield how far large chats were stored that are still being read for the first time."""
        rows = [
            {
                "chat_id": stream.read.chat_id,
                "newest_sent_at": stream.newest,
                "read_from": self._context.options.start_date,
                "message_count": stream.count,
                "listed_count": stream.count,
                "listing_hash": None,
                "synced_at": self._context.now,
                "read_whole_at": self._context.now,
            }
            for stream in self._streams.values()
            if stream.read.is_whole and stream.read.stored is None and stream.newest
        ]
        if rows and self._remembers:
            yield {CHAT_SYNCS.name: _cursor_table(rows)}

    def _judge(self, part: ChatPart, live_times: Mapping[int, datetime | None]) -> Judgement:
        chat_id = part.read.chat_id
        if part.is_streamed:
            found = self._context.memory.rows_of(MESSAGES, "chat_id", [chat_id], "deleted_at is null")
            live_times = _by_chat(found).get(chat_id, {})
        is_confirmed = chat_id in self._confirming or part.is_streamed
        return judge(part, live_times, self._known_rejects(chat_id), is_confirmed=is_confirmed)

    def _try_again(self, part: ChatPart, judgement: Judgement) -> bool:
        """Ask again where the count does not add up; the part is then not stored yet."""
        chat_id = part.read.chat_id
        if judgement.verdict is Verdict.UNPROVEN:
            self._context.skip(f"chat {chat_id}: kept changing while it was read; the next sync reads it again")
        asks = judgement.verdict is Verdict.CONFIRM or (judgement.verdict is Verdict.RECOUNT and not part.is_streamed)
        if not asks or self._is_closed:
            return asks
        if judgement.verdict is Verdict.RECOUNT:
            self._outstanding += 1
            self._context.reader.recount(part, judgement.known)
        else:
            self._confirming.add(chat_id)
            self._submit(part.read)
        return True

    def _shape(self, parts: list[ChatPart]) -> Batch:
        rows = [row for part in parts for row in part.rows]
        chat_ids = [part.read.chat_id for part in parts for _ in part.rows]
        return self._context.shaper.messages(rows, chat_ids, self._context.our_numbers)

    def _stored(self, parts: list[ChatPart]) -> pa.Table:
        """Return the stored messages that the parts can be compared with."""
        memory = self._context.memory
        found = [MESSAGES.schema.empty_table()]
        complete = [part.read for part in parts if not part.is_streamed]
        whole = [read.chat_id for read in complete if not read.after]
        found.append(memory.rows_of(MESSAGES, "chat_id", whole))
        if windows := [read for read in complete if read.after]:
            since = min(read.after for read in windows if read.after)
            clause = f"(sent_at >= '{since:%Y-%m-%d %H:%M:%S}+00:00' or sent_at is null)"
            found.append(memory.rows_of(MESSAGES, "chat_id", [read.chat_id for read in windows], clause))
        ids = [int(key) for part in parts if part.is_streamed for row in part.rows if _is_id(key := identity(row))]
        found.append(memory.rows_of(MESSAGES, "id", ids))
        return pa.concat_tables(found, promote_options="default")

    def _changes(self, batch: Batch, stored: pa.Table) -> Batch:
        ids = integers(batch[MESSAGES.name], "id")
        changes = {MESSAGES.name: changed_rows(batch[MESSAGES.name], stored, MESSAGES)}
        for table, parent in CHILDREN:
            old = self._context.memory.rows_of(table, parent, ids)
            removed = with_value(missing_rows(batch[table.name], old, table.key), "is_removed", value=True)
            changed = changed_rows(batch[table.name], old, table)
            changes[table.name] = pa.concat_tables([changed, removed], promote_options="default")
        return changes

    def _newest(self, parts: list[ChatPart], messages: pa.Table) -> dict[int, datetime]:
        """Return the newest time read of each chat, and note how far large chats have come."""
        grouped = messages.group_by("chat_id").aggregate([("sent_at", "max")])
        latest: list[Any] = grouped["sent_at_max"].to_pylist()
        pairs = zip(integers(grouped, "chat_id"), latest, strict=True)
        # A phone with a wrong clock must not move a cursor past messages that are still to come.
        newest = {chat_id: min(sent_at, self._context.now) for chat_id, sent_at in pairs if sent_at}
        for part in parts:
            if not part.is_streamed:
                continue
            chat_id = part.read.chat_id
            stream = self._streams.setdefault(chat_id, _Stream(part.read))
            stream.count += len(part.rows)
            stream.newest = _later(stream.newest, newest.get(chat_id))
            if stream.newest:
                newest[chat_id] = stream.newest
            if part.is_last:
                del self._streams[chat_id]
        return newest

    def _cursor(
        self, part: ChatPart, judgement: Judgement, newest: dict[int, datetime], stored: pa.Table
    ) -> dict[str, Any] | None:
        """Return the chat's row of `chat_syncs`, or None where it would say nothing new (or waits for deletions)."""
        read, context = part.read, self._context
        before = read.stored
        context.summary.chats_read += 1
        count = read.listing.message_count
        is_cut = read.before is not None
        row = {
            "chat_id": read.chat_id,
            "newest_sent_at": newest.get(read.chat_id)
            if read.is_whole
            else _later(before.newest_sent_at if before else None, newest.get(read.chat_id)),
            "read_from": context.options.start_date if read.is_whole else (before.read_from if before else None),
            "message_count": judgement.known if count is None or is_cut else count,
            "listed_count": judgement.known,
            "listing_hash": None if is_cut else read.listing.listing_hash,
            "synced_at": context.now,
            "read_whole_at": context.now if read.is_whole or not before else before.read_whole_at,
        }
        if judgement.gone:
            self._hold(judgement.gone, row, stored, is_streamed=part.is_streamed)
            return None
        told = ("newest_sent_at", "read_from", "message_count", "listed_count", "listing_hash")
        is_same = before is not None and all(getattr(before, name) == row[name] for name in told)
        must_tell = read.reason is Reason.MARKED or (read.is_whole and context.options.recheck_hours > 0)
        return None if is_same and not must_tell else row

    def _hold(self, gone: frozenset[int], cursor: dict[str, Any], stored: pa.Table, *, is_streamed: bool) -> None:
        ids = pa.array(sorted(gone), type=pa.int64())
        if is_streamed:
            stored = self._context.memory.rows_of(MESSAGES, "id", sorted(gone))
        self._held.append(stored.filter(pc.is_in(stored["id"], value_set=ids)))
        self._held_cursors.append(cursor)

    def _deletions(self) -> Iterator[Batch]:
        if not self._held:
            return
        gone = pa.concat_tables(self._held, promote_options="default")
        if self._context.may_delete(MESSAGES, gone.num_rows):
            yield {MESSAGES.name: with_value(gone, "deleted_at", self._context.now)}
            for table, parent in CHILDREN:
                left = self._context.memory.rows_of(table, parent, integers(gone, "id"))
                yield {table.name: with_value(left, "is_removed", value=True)}
            if self._remembers:
                yield {CHAT_SYNCS.name: _cursor_table(self._held_cursors)}

    def _known_rejects(self, chat_id: int) -> set[str]:
        """Return the identities of messages of a chat that were rejected before."""
        if self._rejected is None:
            self._rejected = {}
            for row in self._context.memory.rows(REJECTED_ROWS).to_pylist():
                if row["table_name"] == MESSAGES.name and row["chat_id"] is not None:
                    self._rejected.setdefault(row["chat_id"], set()).add(identity(orjson.loads(row["row_json"])))
        return self._rejected.get(chat_id, set())


def _by_chat(messages: pa.Table) -> dict[int, dict[int, datetime | None]]:
    found: dict[int, dict[int, datetime | None]] = {}
    columns = (messages[name].to_pylist() for name in ("chat_id", "id", "sent_at"))
    for chat_id, message_id, sent_at in zip(*columns, strict=True):
        found.setdefault(chat_id, {})[message_id] = sent_at
    return found


def _cursor_table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=CHAT_SYNCS.schema)


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((each for each in (one, other) if each), default=None)


def _is_id(key: str) -> bool:
    return key.lstrip("-").isdigit() and -(2**63) <= int(key) < 2**63
