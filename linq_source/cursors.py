"""Cursors: how far each chat is stored, as the rows of `chat_syncs` that the next sync believes."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from linq_source.changes import integers
from linq_source.context import Context
from linq_source.plan import ChatRead
from linq_source.reader import ChatPart
from linq_source.settle import Judgement
from linq_source.tables import CHAT_SYNCS
from linq_source.times import instants

_TOLD = ("newest_sent_at", "read_from", "message_count", "listed_count", "listing_hash", "redaction")


@dataclass
class Stream:
    """A large chat on its way: how far it was stored."""

    read: ChatRead
    count: int = 0
    newest: datetime | None = None


class Cursors:
    """Follows large chats part by part, and words the cursor of each chat."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._streams: dict[int, Stream] = {}
        self._ended: dict[int, Stream] = {}

    def follow(self, parts: list[ChatPart], messages: pa.Table) -> dict[int, datetime]:
        """Return the newest time read of each chat, and note how far large chats have come."""
        grouped = messages.group_by("chat_id").aggregate([("sent_at", "max")])
        pairs = zip(integers(grouped, "chat_id"), instants(grouped["sent_at_max"]), strict=True)
        # A phone with a wrong clock must not move a cursor past messages that are still to come.
        newest = {chat_id: min(sent_at, self._context.now) for chat_id, sent_at in pairs if sent_at}
        for part in parts:
            if not part.is_streamed:
                continue
            chat_id = part.read.chat_id
            stream = self._streams.setdefault(chat_id, Stream(part.read))
            stream.count += len(part.rows)
            stream.newest = _later(stream.newest, newest.get(chat_id))
            if stream.newest:
                newest[chat_id] = stream.newest
            if part.is_last:
                self._ended[chat_id] = self._streams.pop(chat_id)
        return newest

    def forget(self, chat_id: int) -> None:
        """Follow a large chat no more: it could not be read to its end."""
        self._streams.pop(chat_id, None)

    def ended(self, chat_id: int) -> Stream | None:
        """Return a large chat that has come to its end, once."""
        return self._ended.pop(chat_id, None)

    def unfinished(self) -> list[dict[str, Any]]:
        """Return the cursors of large chats that are still being read, so that the next sync can go on there."""
        return [
            self.of_stream(stream)
            for stream in self._streams.values()
            if stream.newest and (stream.read.stored is None or not stream.read.is_whole)
        ]

    def of_stream(self, stream: Stream) -> dict[str, Any]:
        """Return the cursor of a large chat of which more is to come."""
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
            "redaction": context.options.redaction,
        }

    def of_read(self, read: ChatRead, judgement: Judgement, newest: datetime | None) -> dict[str, Any]:
        """Return the cursor of a chat that was read and settled, and showed messages up to `newest`."""
        before, context = read.stored, self._context
        count = read.listing.message_count
        is_cut = read.before is not None
        return {
            "chat_id": read.chat_id,
            "newest_sent_at": _newest_of(read, newest),
            "read_from": context.options.start_date if read.is_whole else (before.read_from if before else None),
            "message_count": judgement.known if count is None or is_cut else count,
            "listed_count": judgement.known,
            "listing_hash": None if is_cut else read.listing.listing_hash,
            "synced_at": context.now,
            "read_whole_at": context.now if read.is_whole or not before else before.read_whole_at,
            "redaction": context.options.redaction,
        }

    def says_something_new(self, read: ChatRead, row: dict[str, Any]) -> bool:
        """Whether a cursor differs from the stored one, or tells that a recheck or an event was served."""
        before = read.stored
        is_same = before is not None and all(getattr(before, name) == row[name] for name in _TOLD)
        return not is_same or read.is_marked or (read.is_whole and self._context.options.recheck_hours > 0)


def cursor_table(rows: list[dict[str, Any]]) -> pa.Table:
    """Return cursors as rows of `chat_syncs`."""
    return pa.Table.from_pylist(rows, schema=CHAT_SYNCS.schema)


def _newest_of(read: ChatRead, newest: datetime | None) -> datetime | None:
    """Return how far a chat is stored without a gap, after a read that showed messages up to `newest`."""
    before = read.stored.newest_sent_at if read.stored else None
    if not read.has_range:
        return before
    return newest if read.is_whole else _later(before, newest)


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((each for each in (one, other) if each), default=None)
