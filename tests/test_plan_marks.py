"""The plan of a chat whose messages events have marked: what of it is read, and when all of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from linq_source.plan import ChatRead, ChatSync, Listing, Mark, Policy, Reason, plan_one, windows

pytestmark = pytest.mark.without_dlt

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
NEWEST = NOW - 30 * DAY
LISTING = Listing(chat_id=5, message_count=1_000, listing_hash="same")
STORED = ChatSync(
    chat_id=5, newest_sent_at=NEWEST, read_from=None, message_count=1_000, listed_count=1_000, listing_hash="same",
    synced_at=NOW - HOUR, read_whole_at=NOW - HOUR,
)  # fmt: skip
YEAR_AGO = NOW - 365 * DAY


def planned(*marks: Mark, listing: Listing = LISTING, stored: ChatSync | None = STORED, **policy: Any) -> ChatRead:
    options = {"now": NOW, "lookback": 7 * DAY, "recheck": DAY} | policy
    read = plan_one(listing, stored, Policy(**options), marks)
    assert read is not None
    assert read.is_marked
    return read


def test_a_marked_message_of_a_chat_at_rest_is_read_alone() -> None:
    read = planned(Mark(7, YEAR_AGO))
    assert (read.reason, read.has_range, read.is_whole) == (Reason.MARKED, False, False)
    assert windows(read.marks) == [(YEAR_AGO - SECOND, YEAR_AGO + 2 * SECOND)]


def test_what_the_read_shows_anyway_costs_nothing_more() -> None:
    changed = Listing(5, 1_001, "other")
    read = planned(Mark(7, NEWEST), Mark(8, NOW), Mark(9, None), listing=changed)
    assert (read.reason, read.marks, read.has_range) == (Reason.CHANGED, (), True)
    read = planned(Mark(7, YEAR_AGO), Mark(8, NOW), listing=changed)
    assert read.marks == (Mark(7, YEAR_AGO),)
    assert planned(Mark(7, YEAR_AGO), stored=None).is_whole


def test_a_message_whose_instant_nobody_knows_needs_the_whole_chat() -> None:
    read = planned(Mark(7, None), Mark(8, YEAR_AGO))
    assert (read.reason, read.is_whole, read.marks) == (Reason.MARKED, True, ())


def test_where_the_whole_chat_is_as_cheap_it_is_read() -> None:
    marks = [Mark(number, YEAR_AGO + number * DAY) for number in range(10)]
    assert planned(*marks).is_whole
    assert not planned(*marks[:9]).is_whole
    small = Listing(5, 60, "same")
    assert planned(marks[0], listing=small).is_whole
    busy = Listing(5, 1_001, "other")
    assert not planned(*marks[:9], listing=busy).is_whole
    assert planned(*marks, listing=busy).is_whole


def test_marks_beyond_the_dates_are_served_without_a_request() -> None:
    read = planned(Mark(7, YEAR_AGO), start=NOW - 90 * DAY)
    assert (read.marks, read.has_range) == ((), False)
    read = planned(Mark(7, NOW), end=NOW - DAY)
    assert (read.marks, read.has_range) == ((), False)


def test_marks_near_each_other_are_asked_for_together() -> None:
    at = [YEAR_AGO, YEAR_AGO + HOUR, YEAR_AGO + 2 * HOUR, YEAR_AGO + 2 * DAY]
    assert windows(Mark(1, instant) for instant in reversed(at)) == [
        (YEAR_AGO - SECOND, YEAR_AGO + 2 * HOUR + 2 * SECOND),
        (YEAR_AGO + 2 * DAY - SECOND, YEAR_AGO + 2 * DAY + 2 * SECOND),
    ]
    assert windows([]) == []


@pytest.mark.parametrize("year", [1, 9999])
def test_a_message_of_the_first_or_last_second_there_is_can_be_asked_for(year: int) -> None:
    first = datetime.min.replace(tzinfo=UTC)
    last = datetime.max.replace(tzinfo=UTC)
    never = first if year == 1 else last
    ((after, before),) = windows([Mark(1, never), Mark(2, never)])
    assert after <= never.replace(microsecond=0) <= before
