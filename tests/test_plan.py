"""The plan: which chats are read, and from when, at every boundary."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linq_source.plan import OVERLAP, ChatRead, ChatSync, Listing, Policy, Reason, earlier, plan, plan_one
from linq_source.times import to_query

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
POLICY = Policy(now=NOW, lookback=7 * DAY, recheck=24 * HOUR)
LISTING = Listing(chat_id=5, message_count=10, listing_hash="same")
OLD = NOW - 30 * DAY
STORED = ChatSync(
    chat_id=5, newest_sent_at=OLD, read_from=None, message_count=10, listed_count=10, listing_hash="same",
    synced_at=NOW - HOUR, read_whole_at=NOW - HOUR,
)  # fmt: skip


def planned(stored: ChatSync | None = STORED, listing: Listing = LISTING, **policy: Any) -> ChatRead | None:
    return plan_one(listing, stored, replace(POLICY, **policy))


def read(stored: ChatSync | None = STORED, listing: Listing = LISTING, **policy: Any) -> ChatRead:
    found = planned(stored, listing, **policy)
    assert found is not None
    return found


def test_a_chat_that_is_not_stored_is_read_whole() -> None:
    found = read(None)
    assert (found.reason, found.is_whole, found.after, found.before) == (Reason.NEW, True, None, None)
    assert (found.chat_id, found.expected_count, found.is_resumed) == (5, 10, False)


def test_a_chat_of_which_nothing_changed_is_not_read() -> None:
    assert planned() is None


@pytest.mark.parametrize(
    "listing", [replace(LISTING, listing_hash="other"), Listing(5, 11, "other"), Listing(5, None, "x")]
)
def test_another_listing_is_read_from_the_second_before_the_newest_message(listing: Listing) -> None:
    stored = replace(STORED, newest_sent_at=OLD + timedelta(microseconds=999_999))
    found = read(stored, listing)
    assert (found.reason, found.is_whole, found.after) == (Reason.CHANGED, False, OLD - SECOND)


@pytest.mark.parametrize(
    ("age", "reason"),
    [(7 * DAY + SECOND, None), (7 * DAY, Reason.RECENT), (DAY, Reason.RECENT), (-DAY, Reason.RECENT)],
)
def test_recent_messages_are_read_again_over_the_whole_lookback(age: timedelta, reason: Reason | None) -> None:
    found = planned(replace(STORED, newest_sent_at=NOW - age))
    assert (found and found.reason) == reason
    assert found is None or found.after == NOW - 7 * DAY - SECOND


def test_without_lookback_nothing_is_recent() -> None:
    stored = replace(STORED, newest_sent_at=NOW)
    assert planned(stored, lookback=timedelta(0)) is None
    changed = read(stored, replace(LISTING, listing_hash="other"), lookback=timedelta(0))
    assert changed.after == NOW - SECOND


@pytest.mark.parametrize(
    ("read_whole_at", "recheck", "is_due"),
    [
        (NOW - 24 * HOUR, 24 * HOUR, True), (NOW - 24 * HOUR + SECOND, 24 * HOUR, False), (None, 24 * HOUR, True),
        (NOW, timedelta(0), True), (NOW + HOUR, timedelta(0), False), (NOW + HOUR, 24 * HOUR, False),
        (NOW - 100_000 * HOUR, 100_000 * HOUR, True),
    ],
)  # fmt: skip
def test_a_chat_is_read_whole_when_its_recheck_is_due(
    read_whole_at: datetime | None, recheck: timedelta, is_due: bool
) -> None:
    stored = replace(STORED, read_whole_at=read_whole_at)
    for each, reason in ((stored, Reason.RECHECK), (replace(stored, newest_sent_at=None), Reason.CHANGED)):
        found = planned(each, recheck=recheck)
        assert (found is not None) == is_due
        assert found is None or (found.is_whole, found.after, found.reason) == (True, None, reason)


def test_a_chat_without_messages_is_read_only_when_its_listing_tells_of_some() -> None:
    empty = replace(STORED, newest_sent_at=None, message_count=0, listed_count=0)
    assert planned(empty) is None
    found = read(empty, Listing(5, 1, "other"))
    assert (found.is_whole, found.after, found.expected_count) == (True, None, 1)


def test_a_chat_that_was_stored_in_part_goes_on_where_it_stopped_even_when_a_recheck_is_due() -> None:
    part = replace(STORED, listing_hash=None, message_count=4, listed_count=4, read_whole_at=NOW - 99 * DAY)
    found = read(part)
    assert (found.is_whole, found.is_resumed, found.after) == (False, True, OLD - SECOND)
    assert found.expected_count == 10, "what Linq counts, since nothing is known to differ"
    assert read(replace(part, newest_sent_at=None)).is_whole


def test_a_full_refresh_reads_everything_whole() -> None:
    found = read(replace(STORED, newest_sent_at=NOW), is_full_refresh=True)
    assert (found.reason, found.is_whole, found.after) == (Reason.NEW, True, None)


def test_the_dates_limit_every_read() -> None:
    start, end = NOW - 10 * DAY, NOW - DAY
    new = read(None, start=start, end=end)
    assert (new.after, new.before, new.is_whole) == (start - SECOND, end, True)
    recent = read(replace(STORED, newest_sent_at=NOW - 2 * DAY, read_from=start), start=start, end=end)
    assert (recent.after, recent.before, recent.is_whole) == (NOW - 7 * DAY - SECOND, end, False)


@pytest.mark.parametrize(
    ("read_from", "start", "reason"),
    [
        (None, None, None), (None, OLD, None), (OLD, OLD, None), (OLD, OLD + SECOND, None),
        (OLD, OLD - SECOND, Reason.NEW), (OLD, None, Reason.NEW),
    ],
)  # fmt: skip
def test_only_a_start_before_the_one_read_from_reads_a_chat_again(
    read_from: datetime | None, start: datetime | None, reason: Reason | None
) -> None:
    found = planned(replace(STORED, read_from=read_from), start=start)
    assert (found and found.reason) == reason
    assert found is None or found.is_whole


@pytest.mark.parametrize("gap", [0, 1, 2])
def test_a_read_that_would_begin_at_the_start_date_is_a_whole_one(gap: int) -> None:
    start = OLD - gap * SECOND
    found = read(replace(STORED, read_from=start), replace(LISTING, listing_hash="other"), start=start)
    assert found.is_whole == (gap < 2)
    assert found.after == (start if found.is_whole else OLD) - SECOND


@pytest.mark.parametrize(
    ("counted", "listed", "now_counted", "expected"),
    [(10, 10, 12, 12), (10, 8, 12, 10), (10, 13, 12, 15), (None, 8, 12, 12), (10, 8, None, None), (0, 0, 0, 0)],
)
def test_a_difference_that_an_earlier_read_met_is_expected_to_last(
    counted: int | None, listed: int, now_counted: int | None, expected: int | None
) -> None:
    stored = replace(STORED, message_count=counted, listed_count=listed)
    assert read(stored, Listing(5, now_counted, "other")).expected_count == expected


@pytest.mark.parametrize(
    "newest",
    [
        datetime.min.replace(tzinfo=UTC), datetime(1, 1, 1, 0, 0, 0, 999_999, UTC),
        datetime(1, 1, 1, 0, 0, 1, 0, UTC),
        datetime(999, 1, 1, tzinfo=UTC), datetime.max.replace(tzinfo=UTC),
    ],
    ids=str,
)  # fmt: skip
def test_times_at_the_ends_of_the_calendar_stop_nothing(newest: datetime) -> None:
    found = read(replace(STORED, newest_sent_at=newest), replace(LISTING, listing_hash="other"))
    assert found.after is not None
    assert found.after <= newest
    assert len(to_query(found.after)) == 20
    whole = read(None, start=newest, end=datetime.max.replace(tzinfo=UTC))
    assert whole.after is not None
    assert whole.after <= newest


def test_chats_are_planned_in_the_order_listed_each_by_its_own_row() -> None:
    listings = [Listing(9, 1, "a"), LISTING, Listing(3, 1, "c"), Listing(7, 2, "d")]
    stored = {5: STORED, 7: replace(STORED, chat_id=7, listing_hash="old"), 11: replace(STORED, chat_id=11)}
    assert [(found.chat_id, found.is_whole) for found in plan(listings, stored, POLICY)] == [
        (9, True), (3, True), (7, False),
    ]  # fmt: skip
    assert plan([], stored, POLICY) == []


TIMES = st.none() | st.datetimes(timezones=st.just(UTC))
HASHES = st.sampled_from([None, "same", "old"])


@settings(derandomize=True, database=None, max_examples=500)
@given(
    newest=TIMES, read_from=TIMES, read_whole_at=TIMES, start=TIMES, end=TIMES, listing_hash=HASHES,
    counts=st.tuples(st.none() | st.integers(0, 20), st.integers(0, 20), st.none() | st.integers(0, 20)),
    lookback=st.timedeltas(timedelta(0), 100_000 * DAY), recheck=st.timedeltas(timedelta(0), 100_000 * HOUR),
)  # fmt: skip
def test_whatever_is_stored_no_message_since_the_cursor_is_left_out(
    newest: datetime | None,
    read_from: datetime | None,
    read_whole_at: datetime | None,
    start: datetime | None,
    end: datetime | None,
    listing_hash: str | None,
    counts: tuple[int | None, int, int | None],
    lookback: timedelta,
    recheck: timedelta,
) -> None:
    stored = ChatSync(5, newest, read_from, counts[0], counts[1], listing_hash, NOW, read_whole_at)
    found = plan_one(Listing(5, counts[2], "same"), stored, Policy(NOW, lookback, recheck, start, end))
    if found is None:
        assert listing_hash == "same", "a chat whose listing changed is always read"
        return
    assert found.before == end
    if found.is_whole:
        assert found.after == (earlier(start) if start else None)
    else:
        assert newest is not None
        assert found.after is not None
        assert found.after <= max(newest, earlier(newest) + OVERLAP) - OVERLAP
        assert start is None or found.after > start
