"""Sync: one sync from its first request to its last row, as a stream of batches to write.

    numbers -> subscriptions, contacts, listings of chats -> plan -> messages, chat by chat -> deletions

It asks the Reader for what Linq has and the Memory for what is stored, and yields what differs. Which part of
that is committed when is its caller's business: `next_slice` ends after a number of messages.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Set
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from linq_source import listing
from linq_source.chat_reads import ChatReads
from linq_source.client import LinqClient
from linq_source.context import Context, Options, Summary
from linq_source.errors import AuthenticationError, ForbiddenError, LinqError, UnavailableError
from linq_source.extras import ExtraColumns
from linq_source.forgotten import FORGOTTEN
from linq_source.memory import Memory
from linq_source.mirrors import ChatLists, ReadList, mirror, read_phone_numbers
from linq_source.pages import Listed
from linq_source.plan import ChatSync, check_redaction, last_redaction, plan
from linq_source.reader import InterruptedReadError, Reader
from linq_source.rejects import Rejects
from linq_source.rows import Batch, Shaper
from linq_source.tables import (
    CHAT_HANDLES,
    CHAT_PHONE_NUMBERS,
    CHAT_SYNCS,
    CHATS,
    CONTACTS,
    LIST_SYNCS,
    MESSAGE_ATTACHMENTS,
    MESSAGE_REACTIONS,
    MESSAGES,
    PHONE_NUMBERS,
    REJECTED_ROWS,
    TABLES,
    WEBHOOK_SUBSCRIPTIONS,
    Table,
)

CHAT_TABLES = frozenset(table.name for table in (CHATS, CHAT_PHONE_NUMBERS, CHAT_HANDLES))
READ_TABLES = frozenset(table.name for table in (MESSAGES, MESSAGE_REACTIONS, MESSAGE_ATTACHMENTS))

SHARED_TABLES = frozenset(table.name for table in (PHONE_NUMBERS, CONTACTS, WEBHOOK_SUBSCRIPTIONS, LIST_SYNCS))
"""Tables whose rows belong to no chat: of several shards the first alone keeps them."""


class Sync:
    """One sync. Building it makes no request."""

    def __init__(
        self, make_client: Callable[[], LinqClient], options: Options, *, now: datetime | None = None
    ) -> None:
        self.reader = Reader(make_client)
        self.options = options
        self._now = now
        self.summary = Summary()
        self.is_finished = False
        self.is_stopped = False
        self.needs_views = False
        """Whether the views are to be created when all is loaded."""
        self.on_progress: Callable[[Summary], None] = lambda _: None
        self._is_open = False
        self._slice_rows: int | None = None
        self._chat_reads: ChatReads | None = None
        self._stream: Generator[Batch, None, None] | None = None

    def stop(self) -> None:
        """Have the sync end at the next safe point, with what is complete. Safe from a signal handler."""
        self.is_stopped = True
        if self._is_open:
            self.reader.interrupt()

    def close(self) -> None:
        """End all requests, if any are still made; what was not yielded is left out."""
        if self._stream is not None:
            self._stream.close()

    def next_slice(
        self, memory: Memory, selected: Set[str], extras: ExtraColumns, *, commit_every: int | None = None
    ) -> Iterator[Batch]:
        """Yield batches until it is time to commit them, or all; then `is_finished`.

        At no time are more than `commit_every` messages read and not committed: two fifths of them make a slice,
        a quarter may be read ahead while it is written, and the rest is for chats that do not end there.
        """
        if not self._is_first:
            selected = selected - SHARED_TABLES
        with memory:
            yield from self._slice(memory, selected, extras, commit_every)

    def _slice(
        self, memory: Memory, selected: Set[str], extras: ExtraColumns, commit_every: int | None
    ) -> Iterator[Batch]:
        if self._stream is None:
            # Not before the first slice begins: what was known of events by then is what it serves.
            now = self._now or datetime.now(UTC)
            shaper = Shaper(now=now, extras=extras)
            self._context = Context(
                self.options,
                now,
                self.reader,
                memory,
                shaper,
                Rejects(shaper.misfits),
                self.summary,
                lambda: self.on_progress(self.summary),
            )
            if commit_every:
                self.reader.max_rows_ahead = max(1, commit_every // 4)
                self._slice_rows = max(1, commit_every * 2 // 5)
            self._stream = self._batches(self._context, selected)
            missing = self._missing_tables(memory, selected)
            self.needs_views = self._is_first and (bool(missing) or not memory.has_current_views())
            yield missing
        self._context.memory = memory
        before = self.summary.messages_read
        for batch in self._stream:
            yield self._counted(batch)
            if REJECTED_ROWS.name in selected:
                yield self._counted(self._rejects())
            is_full = self.summary.messages_read - before >= (self._slice_rows or float("inf"))
            if is_full and self._chat_reads and not self._chat_reads.is_done:
                yield from map(self._counted, self._chat_reads.partial_cursors())
                return
        self.is_finished = True

    @property
    def _is_first(self) -> bool:
        return self.options.shard is None or self.options.shard.is_first

    def _missing_tables(self, memory: Memory, selected: Set[str]) -> Batch:
        """Return the tables that do not exist yet, empty, so that even an empty account has every table."""
        wanted = [table for table in TABLES.values() if table.name in selected]
        return {table.name: table.schema.empty_table() for table in wanted if not memory.is_stored(table)}

    def _counted(self, batch: Batch) -> Batch:
        """Count what a batch writes, and leave out tables that it writes nothing to: an idle sync loads nothing."""
        batch = {name: table for name, table in batch.items() if table.num_rows}
        for name, table in batch.items():
            self.summary.rows[name] += table.num_rows
        self.on_progress(self.summary)
        return batch

    def _rejects(self) -> Batch:
        misfits = self._context.shaper.misfits
        self.summary.rejected, self.summary.unread_times = misfits.count, misfits.unread_times
        return {REJECTED_ROWS.name: self._context.rejects.changes(self._context.memory)}

    def _batches(self, context: Context, selected: Set[str]) -> Generator[Batch, None, None]:
        try:
            with self.reader:
                self._is_open = True
                if not self.is_stopped:
                    yield from self._read_all(context, selected)
        except InterruptedReadError:
            pass
        except LinqError as error:
            self.summary.failure = error
        finally:
            self._is_open = False
        if self._chat_reads and (self.summary.failure or self.is_stopped):
            yield from self._chat_reads.close()

    def _read_all(self, context: Context, selected: Set[str]) -> Iterator[Batch]:
        cursors = context.memory.chat_syncs()
        self.options.gate.remember(context.memory.rows(FORGOTTEN).to_pylist())
        check_redaction(cursors, self.options.redaction, is_meant=self.options.is_full_refresh)
        try:
            numbers = read_phone_numbers(context)
        except ForbiddenError as error:
            raise AuthenticationError(
                "Linq refuses this token the organisation's phone numbers (403): ask your Linq representative "
                "what the token in SOURCES__LINQ__INTEGRATION_TOKEN may read."
            ) from error
        needs_chats = bool(selected & (CHAT_TABLES | READ_TABLES))
        chat_lists = ChatLists(context, numbers) if needs_chats else None
        if chat_lists and context.is_doubtful:
            chat_lists.check_account()
        lists = {
            table: (context.reader.start(read), read)
            for table, read in (
                (WEBHOOK_SUBSCRIPTIONS, listing.webhook_subscriptions),
                (CONTACTS, listing.contacts),
            )
            if table.name in selected and (table is not CONTACTS or self._contacts_are_due(context, cursors))
        }
        if PHONE_NUMBERS.name in selected:
            yield from mirror(context, PHONE_NUMBERS, numbers, listing.phone_numbers)
        for table, (wait, read) in lists.items():
            yield from self._mirror(context, table, wait, read)
        if chat_lists:
            listings = yield from chat_lists.batches()
            if selected & READ_TABLES:
                # A cursor speaks for messages, reactions and attachments: with some of them left out it would lie.
                remembers = selected >= READ_TABLES | {CHAT_SYNCS.name}
                memory, policy = context.memory, self.options.policy(context.now)
                stored, marks = (cursors, memory.marks()) if remembers else ({}, {})
                reads = plan(listings, stored, policy, marks)
                self._chat_reads = ChatReads(context, remembers=remembers, batch_rows=self._slice_rows)
                yield from self._chat_reads.batches(reads)

    def _mirror(self, context: Context, table: Table, wait: Callable[[], Listed], read: ReadList) -> Iterator[Batch]:
        """Yield what brings contacts or subscriptions to equal their list."""
        try:
            listed = wait()
        except (ForbiddenError, UnavailableError) as error:
            # Nothing else needs the subscriptions, and where there are none Linq may list them as null.
            if table is not WEBHOOK_SUBSCRIPTIONS:
                raise
            context.skip(f"{table.name}: {str(error).rstrip('.')}")
            return
        is_settled = yield from mirror(context, table, listed, read)
        if table is CONTACTS and self.options.contacts_hours and is_settled:
            row = {"list_name": CONTACTS.name, "synced_at": context.now}
            yield {LIST_SYNCS.name: pa.Table.from_pylist([row], schema=LIST_SYNCS.schema)}

    def _contacts_are_due(self, context: Context, cursors: Mapping[int, ChatSync]) -> bool:
        is_wanted = self.options.is_full_refresh or self.options.allows_mass_delete
        is_wanted |= last_redaction(cursors) != self.options.redaction
        hours = 0 if is_wanted else self.options.contacts_hours
        last = context.memory.list_synced_at(CONTACTS.name) if hours else None
        if last is None or context.now - last >= timedelta(hours=hours):
            return True
        told = context.memory.contacts_told_at()
        return told is not None and told >= last
