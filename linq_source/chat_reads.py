"""Messages, chat by chat: what was read is judged, compared with what is stored, and only the rest is yielded."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from linq_source.changes import changed_rows, integers, live, missing_rows, with_value
from linq_source.context import Context
from linq_source.cursors import Cursors, cursor_table
from linq_source.errors import ForbiddenError, NotFoundError, UnavailableError
from linq_source.pages import identity
from linq_source.plan import ChatRead
from linq_source.reader import ChatPart
from linq_source.rows import CHILDREN, Batch
from linq_source.settle import Judgement, Verdict, judge
from linq_source.tables import CHAT_SYNCS, MESSAGES, Table
from linq_source.times import instants

BATCH_ROWS = 10_000
"""Rows of messages in one batch: fewer cost more per row, more cost memory."""

MAX_FAILED_CHATS = 3
"""Chats that Linq may fail to answer for before the sync gives up; one broken chat must not stop the rest."""


class ChatReads:
    """Reads the planned chats and yields what changed in messages, reactions, attachments and cursors."""

    def __init__(self, context: Context, *, remembers: bool, batch_rows: int | None = None) -> None:
        self._context = context
        self._batch_rows = min(batch_rows or BATCH_ROWS, BATCH_ROWS)
        self._remembers = remembers
        self._is_closed = False
        self._pending: list[ChatPart] = []
        self._pending_rows = 0
        self._outstanding = 0
        self._failed = 0
        self._cursors = Cursors(context)
        self._confirming: set[int] = set()
        self._held: list[pa.Table] = []
        self._held_cursors: list[dict[str, Any]] = []
        self._doubtful: set[int] = set()
        """Messages of which a killed load left something, but no row."""
        self._returned: set[int] = set()
        self._begins_empty = False
        """Whether nothing was stored of any chat when the sync began."""
        self._yielded: set[int] = set()
        """Chats of which something was yielded."""

    @property
    def is_done(self) -> bool:
        """Whether every chat was read; only deletions may be left to yield."""
        return not self._outstanding

    def batches(self, reads: list[ChatRead]) -> Iterator[Batch]:
        """Yield batches until every chat is read; deletions come last, all together or not at all."""
        self._context.summary.chats_to_read = len(reads)
        if reads:
            memory = self._context.memory
            self._begins_empty = all(
                memory.is_empty(table) for table in (MESSAGES, *(table for table, _ in CHILDREN))
            )
            self._doubtful = {id_ for table, key in CHILDREN for id_ in integers(self._left(table, key), key)}
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
            self._pending_rows += len(part.rows)
            if self._pending_rows >= self._batch_rows or not self._outstanding:
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
            self._cursors.forget(chat_id)
            self._context.skip(f"chat {chat_id}: Linq answered {error.status}; the next sync tries again")
            return
        self._failed += 1
        if not isinstance(error, UnavailableError) or self._failed > MAX_FAILED_CHATS:
            raise error
        self._context.summary.failure = error

    def flush(self) -> Iterator[Batch]:
        """Yield what is complete of the parts read so far."""
        parts, self._pending, self._pending_rows = self._pending, [], 0
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
        self._returned |= (_departed(stored) | self._doubtful) & set(integers(batch[MESSAGES.name], "id"))
        self._note_whole(cursors)
        newest = self._cursors.follow(kept, batch[MESSAGES.name])
        rows: list[dict[str, Any] | None] = []
        for part, judgement in cursors:
            stream = self._cursors.ended(part.read.chat_id)
            if judgement.verdict is Verdict.SETTLED:
                rows.append(self._cursor(part, judgement, newest, stored))
            elif judgement.verdict is Verdict.RECOUNT and stream and stream.newest:
                # It changed while it was read: the next sync goes on at its end.
                rows.append(self._cursors.of_stream(stream))
        changes = self._changes(batch, stored)
        self._yielded.update(part.read.chat_id for part in kept)
        if self._remembers:
            changes[CHAT_SYNCS.name] = cursor_table([row for row in rows if row])
        yield changes

    def close(self) -> Iterator[Batch]:
        """Yield what is complete although the sync ends early; what would need another request is left out."""
        self._is_closed = True
        self._pending += self._context.reader.left_over()
        yield from self.flush()
        yield from self.partial_cursors()

    def partial_cursors(self) -> Iterator[Batch]:
        """Yield how far large chats are stored that are still being read, so that the next sync can go on there."""
        rows = self._cursors.unfinished()
        if rows and self._remembers:
            yield {CHAT_SYNCS.name: cursor_table(rows)}

    def _judge(self, part: ChatPart, live_times: Mapping[int, datetime | None]) -> Judgement:
        chat_id = part.read.chat_id
        stored_is_all = part.is_streamed or part.read.is_resumed
        if stored_is_all:
            live_times = self._context.memory.unlisted_times(chat_id, part.ids)
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
        self._context.summary.chats_done -= 1
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
        parts = [part for part in parts if self._may_be_stored(part.read.chat_id)]
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

    def _may_be_stored(self, chat_id: int) -> bool:
        # In a first sync nothing is, and to ask for it in vain would take a fifth of the time.
        return not self._begins_empty or chat_id in self._yielded

    def _changes(self, batch: Batch, stored: pa.Table) -> Batch:
        messages = batch[MESSAGES.name]
        pairs = zip(integers(messages, "id"), integers(messages, "chat_id"), strict=True)
        ids = [message_id for message_id, chat_id in pairs if self._may_be_stored(chat_id)]
        changes = {MESSAGES.name: changed_rows(batch[MESSAGES.name], stored, MESSAGES)}
        for table, parent in CHILDREN:
            old = self._context.memory.rows_of(table, parent, ids)
            removed = with_value(missing_rows(batch[table.name], old, table.key), "is_removed", value=True)
            changed = changed_rows(batch[table.name], old, table)
            changes[table.name] = pa.concat_tables([changed, removed], promote_options="default")
        return changes

    def _cursor(
        self, part: ChatPart, judgement: Judgement, newest: dict[int, datetime], stored: pa.Table
    ) -> dict[str, Any] | None:
        """Return the chat's row of `chat_syncs`, or None where it would say nothing new (or waits for deletions)."""
        read = part.read
        self._context.summary.chats_read += 1
        row = self._cursors.of_read(read, judgement, newest.get(read.chat_id))
        if judgement.gone:
            self._hold(judgement.gone, row, stored, is_streamed=part.is_streamed)
            return None
        return row if self._cursors.says_something_new(read, row) else None

    def _hold(self, gone: frozenset[int], cursor: dict[str, Any], stored: pa.Table, *, is_streamed: bool) -> None:
        ids = pa.array(sorted(gone), type=pa.int64())
        if is_streamed:
            stored = self._context.memory.rows_of(MESSAGES, "id", sorted(gone))
        self._held.append(stored.filter(pc.is_in(stored["id"], value_set=ids)))
        self._held_cursors.append(cursor)

    def _left_behind(self) -> Iterator[Batch]:
        """Yield the removal of what a killed load left of messages that are gone."""
        for table, parent in CHILDREN:
            left = self._left(table, parent)
            is_gone = [message_id not in self._returned for message_id in left[parent].to_pylist()]
            left = left.filter(pa.array(is_gone, type=pa.bool_()))
            yield {table.name: with_value(left, "is_removed", value=True)}

    def _left(self, table: Table, parent: str) -> pa.Table:
        # What has no message yet may be another shard's, in the midst of its load.
        sees_all = self._remembers and not self._context.options.shard
        return self._context.memory.left_behind(table, parent, with_orphans=sees_all)

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
                changes[CHAT_SYNCS.name] = cursor_table(self._held_cursors)
            yield changes


def _all_rows(part: ChatPart) -> list[Any]:
    """Return the rows of a part, then the marked ones that are not among them."""
    return part.rows + [row for row in part.marked if identity(row) not in part.ids] if part.marked else part.rows


def _departed(messages: pa.Table) -> set[int]:
    return set(integers(messages, "id")) - set(integers(live(messages), "id"))


def _by_chat(messages: pa.Table) -> dict[int, dict[int, datetime | None]]:
    found: dict[int, dict[int, datetime | None]] = {}
    columns = (integers(messages, "chat_id"), integers(messages, "id"), instants(messages["sent_at"]))
    for chat_id, message_id, sent_at in zip(*columns, strict=True):
        found.setdefault(chat_id, {})[message_id] = sent_at
    return found


def _is_id(key: str) -> bool:
    return key.lstrip("-").isdigit() and -(2**63) <= int(key) < 2**63
