"""Whether what was read of a chat adds up with Linq's own count: pure decisions."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from linq_source import settings
from linq_source.plan import OVERLAP
from linq_source.reader import ChatPart


class Verdict(Enum):
    """What to do with a chat that was read."""

    SETTLED = "store it, and remember how far it was read"
    UNPROVEN = "store its rows, remember nothing: it is read again by the next sync"
    RECOUNT = "ask Linq for its count again"
    CONFIRM = "read it once more before believing that messages are gone"


@dataclass(frozen=True)
class Judgement:
    """A verdict, how many messages are known after the read, and which stored ones are gone."""

    verdict: Verdict
    known: int
    gone: frozenset[int]


def judge(
    part: ChatPart,
    stored: Mapping[int, datetime | None],
    rejected: Set[str],
    *,
    is_confirmed: bool,
    stored_is_all: bool = False,
) -> Judgement:
    """Compare a chat's list with its live stored messages (id -> sent_at) and its rejected ones (identities).

    `stored_is_all` says that `stored` holds every one that is not in the list, not just those that it can be
    compared with.
    """
    read = part.read
    if not read.has_range:
        return Judgement(Verdict.SETTLED, read.stored.listed_count if read.stored else 0, frozenset())
    gone = frozenset(
        message_id
        for message_id, sent_at in stored.items()
        if str(message_id) not in part.ids and _is_inside(part, sent_at)
    )
    if read.is_whole:
        known = len(part.ids)
    elif stored_is_all:
        earlier = sum(str(message_id) not in part.ids for message_id in stored)
        known = len(part.ids) + earlier - len(gone) + len(rejected - part.ids)
    else:
        new = sum(key not in rejected and not _is_stored(key, stored) for key in part.ids)
        known = (read.stored.listed_count if read.stored else 0) + new - len(gone)
    if not part.is_clean:
        return Judgement(Verdict.UNPROVEN, known, frozenset())
    # Under start_date or end_date the list is shorter than Linq's count by what the dates leave out.
    is_cut = read.before is not None or (read.is_whole and read.after is not None)
    is_cut |= read.is_resumed and read.stored is not None and read.stored.read_from is not None
    if gone and len(part.ids) > settings.PER_PAGE and not is_confirmed:
        # Where one message left and another came between two pages, the list seems whole and lacks one that is there.
        return Judgement(Verdict.CONFIRM, known, gone)
    if known == read.expected_count or read.listing.message_count is None or is_cut:
        return Judgement(Verdict.SETTLED, known, gone)
    if read.is_whole and known == read.listing.message_count:
        return Judgement(Verdict.SETTLED, known, gone)
    if not part.is_recounted:
        return Judgement(Verdict.RECOUNT, known, gone)
    if gone and not is_confirmed:
        return Judgement(Verdict.CONFIRM, known, gone)
    return Judgement(Verdict.SETTLED, known, gone)


def _is_inside(part: ChatPart, sent_at: datetime | None) -> bool:
    """Whether a message of this time must have been in the list, however `after` and `before` treat their ends."""
    after, before = part.read.after, part.read.before
    if sent_at is None:
        return after is None and before is None
    if after and sent_at < after.replace(microsecond=0) + OVERLAP:
        return False
    return not (before and sent_at >= before.replace(microsecond=0))


def _is_stored(key: str, stored: Mapping[int, datetime | None]) -> bool:
    return key.lstrip("-").isdigit() and int(key) in stored
