"""Which chats to read, and from when: a pure decision from what is stored and what Linq lists."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum

OVERLAP = timedelta(seconds=1)
"""The second of a cursor is always read again: `after` may be exclusive, and times are cut to seconds."""

_DAWN = datetime.min.replace(tzinfo=UTC) + OVERLAP


@dataclass(frozen=True)
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


class Reason(Enum):
    """Why a chat is read: never read so far; another listing or count; messages younger than `lookback_days`;
    not read whole for `recheck_hours`; an event told of a change."""

    NEW = "new"
    CHANGED = "changed"
    RECENT = "recent"
    RECHECK = "due for a recheck"
    MARKED = "marked by events"


@dataclass(frozen=True)
class Listing:
    """What a listing says of a chat."""

    chat_id: int
    message_count: int | None
    listing_hash: str


@dataclass(frozen=True)
class Policy:
    """How eagerly chats are read."""

    now: datetime
    lookback: timedelta
    recheck: timedelta
    start: datetime | None = None
    end: datetime | None = None
    is_full_refresh: bool = False


@dataclass(frozen=True)
class ChatRead:
    """One chat to read: messages sent after `after` (None: all) and before `before` (None: all)."""

    listing: Listing
    reason: Reason
    after: datetime | None
    before: datetime | None
    is_whole: bool
    """Whether this read shows every message of the chat that the policy wants."""
    stored: ChatSync | None

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


def plan(listings: Iterable[Listing], stored: Mapping[int, ChatSync], policy: Policy) -> list[ChatRead]:
    """Return the chats to read, in the order listed."""
    reads = (plan_one(listing, stored.get(listing.chat_id), policy) for listing in listings)
    return [read for read in reads if read]


def plan_one(listing: Listing, stored: ChatSync | None, policy: Policy) -> ChatRead | None:
    """Return how to read one chat, or None where nothing says that it could have changed."""
    if stored is None or policy.is_full_refresh or _reaches_further_back(policy.start, stored):
        return whole(listing, stored, policy, Reason.NEW)
    if stored.newest_sent_at is None:
        unchanged = stored.listing_hash == listing.listing_hash and not _is_due(stored, policy)
        return None if unchanged else whole(listing, stored, policy, Reason.CHANGED)
    if stored.listing_hash is not None and _is_due(stored, policy):
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


def whole(listing: Listing, stored: ChatSync | None, policy: Policy, reason: Reason) -> ChatRead:
    """Return the read of a whole chat, as far as the policy's dates allow."""
    after = earlier(policy.start) if policy.start else None
    return ChatRead(listing, reason, after, policy.end, is_whole=True, stored=stored)


def earlier(instant: datetime) -> datetime:
    """Return `instant` less the overlap; before the year 1, which some systems write for "never", is no time."""
    return max(instant, _DAWN) - OVERLAP


def _is_due(stored: ChatSync, policy: Policy) -> bool:
    return stored.read_whole_at is None or policy.now - stored.read_whole_at >= policy.recheck


def _reaches_further_back(start: datetime | None, stored: ChatSync) -> bool:
    return stored.read_from is not None and (start is None or start < stored.read_from)
