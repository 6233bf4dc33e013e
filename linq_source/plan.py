"""Which chats to read, and from when: a pure decision from what is stored and what Linq lists."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum

from linq_source import settings
from linq_source.errors import ConfigurationError

OVERLAP = timedelta(seconds=1)
"""The second of a cursor is always read again: `after` may be exclusive, and times are cut to seconds."""

_NEAR = timedelta(hours=1)
"""Marked messages at most so far apart are asked for together."""

_MANY = 10_000
"""What a chat is taken to hold that Linq does not count."""

_DAWN = datetime.min.replace(tzinfo=UTC) + OVERLAP
_DUSK = datetime.max.replace(microsecond=0, tzinfo=UTC) - 2 * OVERLAP
"""Times before the first and after the second, which some systems write for "never", leave no room beside them."""


@dataclass(frozen=True, slots=True)
class ChatSync:
    """A row of `chat_syncs`: how far a chat was read."""

    chat_id: int
    newest_sent_at: datetime | None
    read_from: datetime | None
    message_count: int | None
    listed_count: int
    listing_hash: str | None
    synced_at: datetime
    read_whole_at: datetime | None
    redaction: str | None = None


class Reason(Enum):
    """Why a chat is read: never read so far; stored redacted otherwise; another listing or count; messages younger
    than `lookback_days`; not read whole for `recheck_hours`; an event told of a change."""

    NEW = "new"
    REDACTION = "stored redacted otherwise"
    CHANGED = "changed"
    RECENT = "recent"
    RECHECK = "due for a recheck"
    MARKED = "marked by events"


@dataclass(frozen=True, slots=True)
class Listing:
    """What a listing says of a chat."""

    chat_id: int
    message_count: int | None
    listing_hash: str


@dataclass(frozen=True)
class Mark:
    """A message of which an event told something that no sync has read since."""

    message_id: int | None
    sent_at: datetime | None
    """When the message was sent; None where neither the event nor what is stored tells."""
    is_stored: bool = False
    """Whether the message is stored; one that is stored without a time was never handed over."""


@dataclass(frozen=True)
class Policy:
    """How eagerly chats are read."""

    now: datetime
    lookback: timedelta
    recheck: timedelta
    start: datetime | None = None
    end: datetime | None = None
    is_full_refresh: bool = False
    redaction: str | None = None
    """How rows are redacted now; a chat that is stored otherwise is read whole."""


@dataclass(frozen=True, slots=True)
class ChatRead:
    """One chat to read: messages sent after `after` (None: all) and before `before` (None: all)."""

    listing: Listing
    reason: Reason
    after: datetime | None
    before: datetime | None
    is_whole: bool
    """Whether this read shows every message of the chat that the policy wants."""
    stored: ChatSync | None
    has_range: bool = True
    """False where nothing but the marked messages is read."""
    is_marked: bool = False
    """Whether events told of changes that this read serves."""
    marks: tuple[Mark, ...] = ()
    """The marked messages outside the range, each read by its own instant."""

    @property
    def chat_id(self) -> int:
        """The chat."""
        return self.listing.chat_id

    @property
    def is_resumed(self) -> bool:
        """Whether this goes on inside the chat, where an earlier sync had to stop."""
        return not self.is_whole and self.stored is not None and self.stored.listing_hash is None

    @property
    def expected_count(self) -> int | None:
        """How many messages must be known after this read, as far as Linq's count tells.

        A difference between Linq's count and its own list that an earlier read met is expected to last.
        """
        if self.listing.message_count is None:
            return None
        if self.stored is None or self.stored.message_count is None:
            return self.listing.message_count
        return self.listing.message_count + self.stored.listed_count - self.stored.message_count


def plan(
    listings: Iterable[Listing],
    stored: Mapping[int, ChatSync],
    policy: Policy,
    marks: Mapping[int, Sequence[Mark]] | None = None,
) -> list[ChatRead]:
    """Return the chats to read, in the order listed."""
    marks = marks or {}
    reads = (
        plan_one(listing, stored.get(listing.chat_id), policy, marks.get(listing.chat_id, ())) for listing in listings
    )
    return [read for read in reads if read]


def last_redaction(cursors: Mapping[int, ChatSync]) -> str | None:
    """Return how the chat that was read last is redacted; None for not at all, and where there is none."""
    newest = max(cursors.values(), key=lambda cursor: cursor.synced_at, default=None)
    return newest.redaction if newest else None


def check_redaction(cursors: Mapping[int, ChatSync], redaction: str | None, *, is_meant: bool = False) -> None:
    """Raise ConfigurationError where less would be redacted than before, or with another key, and nobody says so.

    A setting that was forgotten on one machine would otherwise bring back in clear all that was redacted.
    """
    before = last_redaction(cursors)
    if is_meant or set((before or "").split(",")) - {""} <= set((redaction or "").split(",")):
        return
    raise ConfigurationError(
        f"These tables are redacted ({before}), and now would be otherwise ({redaction or 'not at all'}): set "
        "SOURCES__LINQ__REDACT and SOURCES__LINQ__REDACT_KEY as they were, or say with --full-refresh that all is "
        "to be written anew."
    )


def plan_one(
    listing: Listing, stored: ChatSync | None, policy: Policy, marks: Sequence[Mark] = ()
) -> ChatRead | None:
    """Return how to read one chat, or None where nothing says that it could have changed."""
    read = _plan_unmarked(listing, stored, policy)
    return _serve_marks(read, listing, stored, policy, marks) if marks else read


def _plan_unmarked(listing: Listing, stored: ChatSync | None, policy: Policy) -> ChatRead | None:
    if stored is None or policy.is_full_refresh or _reaches_further_back(policy.start, stored):
        return whole(listing, stored, policy, Reason.NEW)
    if stored.redaction != policy.redaction:
        return whole(listing, stored, policy, Reason.REDACTION)
    if stored.newest_sent_at is None:
        unchanged = stored.listing_hash == listing.listing_hash and not _is_due(stored, policy)
        return None if unchanged else whole(listing, stored, policy, Reason.CHANGED)
    # A large chat that was left half read goes on where it was left; under end_date every chat looks so.
    if _is_due(stored, policy) and (stored.listing_hash is not None or policy.end):
        return whole(listing, stored, policy, Reason.RECHECK)
    horizon = policy.now - policy.lookback
    if stored.listing_hash != listing.listing_hash:
        reason = Reason.CHANGED
    elif stored.newest_sent_at >= horizon and policy.lookback:
        reason = Reason.RECENT
    else:
        return None
    after = earlier(min(stored.newest_sent_at.replace(microsecond=0), horizon))
    if policy.start and after <= policy.start:
        return whole(listing, stored, policy, reason)
    return ChatRead(listing, reason, after, policy.end, is_whole=False, stored=stored)


def _serve_marks(
    read: ChatRead | None, listing: Listing, stored: ChatSync | None, policy: Policy, marks: Sequence[Mark]
) -> ChatRead:
    """Return `read`, widened until it serves every mark that lies within the policy's dates."""
    if read and read.is_whole:
        return replace(read, is_marked=True)
    # Where the chat is read anyway, a message that is not stored is new, or the count will not add up.
    if any(mark.sent_at is None and (mark.is_stored or not read) for mark in marks):
        reason = read.reason if read else Reason.MARKED
        return replace(whole(listing, stored, policy, reason), is_marked=True)
    left = tuple(
        mark for mark in marks if mark.sent_at and not _shows(read, mark.sent_at) and _is_wanted(mark.sent_at, policy)
    )
    pages = -(-(listing.message_count or _MANY) // settings.PER_PAGE)
    if left and len(windows(left)) + (read is not None) >= pages:
        # No dearer, and it shows everything.
        return replace(whole(listing, stored, policy, read.reason if read else Reason.MARKED), is_marked=True)
    if read:
        return replace(read, is_marked=True, marks=left)
    return ChatRead(
        listing, Reason.MARKED, None, None, is_whole=False, stored=stored, has_range=False, is_marked=True, marks=left
    )


def _shows(read: ChatRead | None, sent_at: datetime) -> bool:
    return read is not None and read.after is not None and sent_at >= read.after + OVERLAP


def _is_wanted(sent_at: datetime, policy: Policy) -> bool:
    return not (policy.start and sent_at < policy.start) and not (policy.end and sent_at >= policy.end)


def whole(listing: Listing, stored: ChatSync | None, policy: Policy, reason: Reason) -> ChatRead:
    """Return the read of a whole chat, as far as the policy's dates allow."""
    after = earlier(policy.start) if policy.start else None
    return ChatRead(listing, reason, after, policy.end, is_whole=True, stored=stored)


def whole_instead(read: ChatRead) -> ChatRead:
    """Return a read of all that was ever wanted of a chat, in place of a read of its marked messages."""
    start = read.stored.read_from if read.stored else None
    after = earlier(start) if start else None
    return replace(read, is_whole=True, has_range=True, after=after, marks=())


def windows(marks: Iterable[Mark]) -> list[tuple[datetime, datetime]]:
    """Return from when until when to ask for the marked messages, those near each other in one request."""
    found: list[tuple[datetime, datetime]] = []
    for instant in sorted(mark.sent_at for mark in marks if mark.sent_at):
        second = instant.replace(microsecond=0)
        first = found.pop()[0] if found and second - found[-1][1] <= _NEAR else earlier(second)
        found.append((first, min(second, _DUSK) + 2 * OVERLAP))
    return found


def earlier(instant: datetime) -> datetime:
    """Return `instant` less the overlap; before the year 1 is no time."""
    return max(instant, _DAWN) - OVERLAP


def _is_due(stored: ChatSync, policy: Policy) -> bool:
    return stored.read_whole_at is None or policy.now - stored.read_whole_at >= policy.recheck


def _reaches_further_back(start: datetime | None, stored: ChatSync) -> bool:
    return stored.read_from is not None and (start is None or start < stored.read_from)
