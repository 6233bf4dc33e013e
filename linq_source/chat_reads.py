"""Messages, chat by chat: what was read is judged, compared with what is stored, and only the rest is yielded."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from linq_source.changes import changed_rows, integers, live, missing_rows, with_value
from linq_source.context import Context
from linq_source.errors import ForbiddenError, NotFoundError, UnavailableError
from linq_source.pages import identity
from linq_source.plan import ChatRead
from linq_source.reader import ChatPart
from linq_source.rows import CHILDREN, Batch
from linq_source.settle import Judgement, Verdict, judge
from linq_source.tables import CHAT_SYNCS, MESSAGES

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

    def __init__(self, context: Context, *, remembers: bool, batch_rows: int | None = None) -> None:
        self._context = context
        self._batch_rows = min(batch_rows or BATCH_ROWS, BATCH_ROWS)
        self._remembers = remembers
        self._is_closed = False
        self._pending: list[ChatPart] = []
        self._outstanding = 0
        self._failed = 0
        self._streams: dict[int, _Stream] = {}
        self._ended: dict[int, _Stream] = {}
        self._confirming: set[int] = set()
        self._held: list[pa.Table] = []
        self._held_cursors: list[dict[str, Any]] = []
        self._returned: set[int] = set()

    @property
    def is_done(self) -> bool:
        """Whether every chat was read; only deletions may be left to yield."""
        return not self._outstanding

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
                self._context.summary.messages_read += len(part.rows) + len(part.marked)
            self._context.summary.chats_done += part.is_last
            self._context.on_progress()
            if sum(len(part.rows) for part in self._pending) >= self._batch_rows or not self._outstanding:
                yield from self.flush()
        yield from self._deletions()
        if reads:
            yield from self._left_behind()

    def _submit(self, read: ChatRead) -> None:
        self._outstanding += 1
        self._context.reader.submit(read)

    def _skip_or_raise(self, part: ChatPart) -> None:
        error, chat_id = part.error, part.read.chat_id
        assert error is not None
        if isinstance(error, NotFoundError | ForbiddenError):
            self._streams.pop(chat_id, None)
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
        self._returned |= _departed(stored) & set(integers(batch[MESSAGES.name], "id"))
        self._note_whole(cursors)
        newest = self._newest(kept, batch[MESSAGES.name])
        rows: list[dict[str, Any] | None] = []
        for part, judgement in cursors:
            stream = self._ended.pop(part.read.chat_id, None)
            if judgement.verdict is Verdict.SETTLED:
                rows.append(self._cursor(part, judgement, newest, stored))
            elif judgement.verdict is Verdict.RECOUNT and stream and stream.newest:
                # It grew while it was read: the next sync goes on at its end.
                rows.append(self._partial_cursor(stream))
        changes = self._changes(batch, stored)
        if self._remembers:
            changes[CHAT_SYNCS.name] = _cursor_table([row for row in rows if row])
        yield changes

    def close(self) -> Iterator[Batch]:
        """Yield what is complete although the sync ends early; what would need another request is left out."""
        self._is_closed = True
        self._pending += self._context.reader.left_over()
        yield from self.flush()
        yield from self.partial_cursors()

    def partial_cursors(self) -> Iterator[Batch]:
        """Yield how far large chats are stored that are still being read, so that the next sync can go on there."""
        rows = [
            self._partial_cursor(stream)
            for stream in self._streams.values()
            if stream.newest and (stream.read.stored is None or not stream.read.is_whole)
        ]
        if rows and self._remembers:
            yield {CHAT_SYNCS.name: _cursor_table(rows)}

    def _partial_cursor(self, stream: _Stream) -> dict[str, Any]:
        before, context = None if stream.read.is_whole else stream.read.stored, self._context
        counted = before.message_count if before else 0
        return {
            "chat_id": stream.read.chat_id,
            "newest_sent_at": _later(stream.newest, before.newest_sent_at if before else None),
            "read_from": before.read_from if before else context.options.start_date,
            "message_count": None if counted is None else stream.count + counted,
            "listed_count": stream.count + (before.listed_count if before else 0),
            "listing_hash": None,
            "synced_at": context.now,
            "read_whole_at": before.read_whole_at if before else context.now,
        }

    def _judge(self, part: ChatPart, live_times: Mapping[int, datetime | None]) -> Judgement:
        chat_id = part.read.chat_id
        stored_is_all = part.is_streamed or part.read.is_resumed
        if stored_is_all:
            live_times = self._context.memory.live_times(chat_id)
        is_confirmed = chat_id in self._confirming or part.is_streamed
        rejected = self._context.rejects.messages_of(self._context.memory, chat_id)
        return judge(part, live_times, rejected, is_confirmed=is_confirmed, stored_is_all=stored_is_all)

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

    def _note_whole(self, read: list[tuple[ChatPart, Judgement]]) -> None:
        whole = [
            part.read.chat_id
            for part, judgement in read
            if judgement.verdict is Verdict.SETTLED and part.read.is_whole and not part.read.before
        ]
        self._context.rejects.note_whole((MESSAGES, *(table for table, _ in CHILDREN)), whole)

    def _shape(self, parts: list[ChatPart]) -> Batch:
        rows = [row for part in parts for row in _all_rows(part)]
        chat_ids = [part.read.chat_id for part in parts for _ in _all_rows(part)]
        return self._context.shaper.messages(rows, chat_ids, self._context.our_numbers)

    def _stored(self, parts: list[ChatPart]) -> pa.Table:
        """Return the stored messages that the parts can be compared with."""
        memory = self._context.memory
        found = [MESSAGES.schema.empty_table()]
        complete = [part.read for part in parts if not part.is_streamed and part.read.has_range]
        whole = [read.chat_id for read in complete if not read.after]
        found.append(memory.rows_of(MESSAGES, "chat_id", whole))
        if windows := [read for read in complete if read.after]:
            since = min(read.after for read in windows if read.after)
            clause = f"(sent_at >= '{since:%Y-%m-%d %H:%M:%S}+00:00' or sent_at is null)"
            found.append(memory.rows_of(MESSAGES, "chat_id", [read.chat_id for read in windows], clause))
        alone = [row for part in parts for row in (_all_rows(part) if part.is_streamed else part.marked)]
        known = {message_id for table in found for message_id in integers(table, "id")}
        ids = {int(key) for row in alone if _is_id(key := identity(row))} - known
        found.append(memory.rows_of(MESSAGES, "id", sorted(ids)))
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
                self._ended[chat_id] = self._streams.pop(chat_id)
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
            "newest_sent_at": _newest_of(read, newest.get(read.chat_id)),
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
        must_tell = read.is_marked or (read.is_whole and context.options.recheck_hours > 0)
        return None if is_same and not must_tell else row

    def _hold(self, gone: frozenset[int], cursor: dict[str, Any], stored: pa.Table, *, is_streamed: bool) -> None:
        ids = pa.array(sorted(gone), type=pa.int64())
        if is_streamed:
            stored = self._context.memory.rows_of(MESSAGES, "id", sorted(gone))
        self._held.append(stored.filter(pc.is_in(stored["id"], value_set=ids)))
        self._held_cursors.append(cursor)

    def _left_behind(self) -> Iterator[Batch]:
        """Yield the removal of what a killed load left of messages that it had marked as deleted."""
        for table, parent in CHILDREN:
            left = self._context.memory.left_behind(table, parent)
            is_gone = [message_id not in self._returned for message_id in left[parent].to_pylist()]
            left = left.filter(pa.array(is_gone, type=pa.bool_()))
            yield {table.name: with_value(left, "is_removed", value=True)}

    def _deletions(self) -> Iterator[Batch]:
        if not self._held:
            return
        gone = pa.concat_tables(self._held, promote_options="default")
        if self._context.may_delete(MESSAGES, gone.num_rows):
            changes = {MESSAGES.name: with_value(gone, "deleted_at", self._context.now)}
            for table, parent in CHILDREN:
                left = self._context.memory.rows_of(table, parent, integers(gone, "id"))
                changes[table.name] = with_value(left, "is_removed", value=True)
            if self._remembers:
                changes[CHAT_SYNCS.name] = _cursor_table(self._held_cursors)
            yield changes


def _all_rows(part: ChatPart) -> list[Any]:
    """Return the rows of a part, then the marked ones that are not among them."""
    return part.rows + [row for row in part.marked if identity(row) not in part.ids] if part.marked else part.rows


def _newest_of(read: ChatRead, newest: datetime | None) -> datetime | None:
    """Return how far a chat is stored without a gap, after a read that showed messages up to `newest`."""
    before = read.stored.newest_sent_at if read.stored else None
    if not read.has_range:
        return before
    return newest if read.is_whole else _later(before, newest)


def _departed(messages: pa.Table) -> set[int]:
    return set(integers(messages, "id")) - set(integers(live(messages), "id"))


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
