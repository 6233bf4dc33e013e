"""Whether a chat adds up: what is stored, asked for again, or believed to be gone."""

import random
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linq_source.pages import identity
from linq_source.plan import ChatRead, ChatSync, Listing, Reason
from linq_source.reader import ChatPart
from linq_source.settle import Judgement, Verdict, judge

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOON = datetime(2026, 2, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
Times = Mapping[int, datetime | None]


def synced(counted: int | None = 10, listed: int = 10, **fields: Any) -> ChatSync:
    """What the last sync knew of a chat: Linq's count and ours."""
    known: dict[str, Any] = {"newest_sent_at": NOON, "read_from": None, "listing_hash": "old"} | fields
    return ChatSync(
        chat_id=5, message_count=counted, listed_count=listed, synced_at=NOW, read_whole_at=NOW, **known
    )  # fmt: skip


def judged(
    listed: Iterable[int | str],
    stored: Times,
    *,
    count: int | None,
    after: datetime | None = None,
    before: datetime | None = None,
    sync: ChatSync | None = None,
    is_whole: bool | None = None,
    is_clean: bool = True,
    is_recounted: bool = False,
    is_confirmed: bool = False,
    rejected: Iterable[str] = (),
) -> Judgement:
    """Judge a read that listed these ids, beside these stored ones, where Linq counts `count` messages."""
    whole = after is None if is_whole is None else is_whole
    read = ChatRead(Listing(5, count, "new"), Reason.CHANGED, after, before, is_whole=whole, stored=sync)
    part = ChatPart(read, [], is_clean=is_clean, ids=frozenset(map(str, listed)), is_recounted=is_recounted)
    return judge(part, stored, set(rejected), is_confirmed=is_confirmed)


def at(*ids: int, sent_at: datetime | None = NOON) -> Times:
    return dict.fromkeys(ids, sent_at)


def test_a_whole_chat_whose_list_has_as_many_messages_as_linq_counts_is_settled() -> None:
    assert judged([1, 2, 3], {}, count=3) == Judgement(Verdict.SETTLED, 3, frozenset())
    assert judged([], {}, count=0) == Judgement(Verdict.SETTLED, 0, frozenset())


def test_what_a_whole_list_no_longer_holds_is_gone() -> None:
    assert judged([1, 3], at(1, 2, 3), count=2) == Judgement(Verdict.SETTLED, 2, frozenset({2}))
    assert judged([], at(1, 2, sent_at=None), count=0).gone == {1, 2}


def test_nothing_is_gone_that_an_unproven_list_lacks() -> None:
    for after in (None, NOON - SECOND):
        found = judged([1], at(1, 2, 3), count=1, after=after, sync=synced(), is_clean=False, is_confirmed=True)
        assert (found.verdict, found.gone) == (Verdict.UNPROVEN, frozenset())


def test_a_count_that_does_not_add_up_is_asked_for_again_then_confirmed_and_then_remembered() -> None:
    for listed, stored in (([1, 2], at(1, 2)), ([1, 2, 3, 4], at(1))):
        assert judged(listed, stored, count=3).verdict is Verdict.RECOUNT
        assert judged(listed, stored, count=3, is_recounted=True) == Judgement(
            Verdict.SETTLED, len(listed), frozenset()
        )
    assert judged([1, 2], at(1, 2, 3), count=3).verdict is Verdict.RECOUNT
    assert judged([1, 2], at(1, 2, 3), count=3, is_recounted=True).verdict is Verdict.CONFIRM
    settled = judged([1, 2], at(1, 2, 3), count=3, is_recounted=True, is_confirmed=True)
    assert settled == Judgement(Verdict.SETTLED, 2, frozenset({3}))


def test_a_difference_that_was_met_before_is_not_chased_again() -> None:
    assert judged([1, 2, 3], at(1, 2, 3), count=5, sync=synced(counted=5, listed=3)).verdict is Verdict.SETTLED
    assert judged([1, 2, 3, 4], at(1, 2, 3), count=6, sync=synced(counted=5, listed=3)).verdict is Verdict.SETTLED
    healed = judged([1, 2, 3, 4, 5], at(1, 2, 3), count=5, sync=synced(counted=5, listed=3))
    assert healed.verdict is Verdict.SETTLED, "or it went away by itself"
    assert judged([1, 2, 3, 4], at(1, 2, 3), count=5, sync=synced(counted=5, listed=3)).verdict is Verdict.RECOUNT


def test_a_later_part_of_a_chat_is_counted_on_top_of_what_is_stored() -> None:
    after = NOON - SECOND
    assert judged([9, 10, 11, 12], at(9, 10), count=12, after=after, sync=synced()).known == 12
    assert judged([10], at(10), count=10, after=after, sync=synced()) == Judgement(Verdict.SETTLED, 10, frozenset())
    late = judged([10], at(10), count=11, after=after, sync=synced())
    assert (late.verdict, late.known) == (Verdict.RECOUNT, 10), "an older message arrived where nobody looks"
    deleted = judged([9], at(9, 10), count=9, after=after, sync=synced())
    assert deleted == Judgement(Verdict.SETTLED, 9, frozenset({10}))
    both = judged([9, 11], at(9, 10), count=10, after=after, sync=synced())
    assert both == Judgement(Verdict.SETTLED, 10, frozenset({10}))


def test_a_chat_that_is_read_on_from_where_it_was_left_is_not_counted_under_a_start_date() -> None:
    for read_from, verdict in ((NOON, Verdict.SETTLED), (None, Verdict.RECOUNT)):
        left = synced(listing_hash=None, read_from=read_from)
        assert judged([1], at(1), count=99, after=NOON - SECOND, sync=left).verdict is verdict


def test_what_a_list_of_several_pages_lacks_is_gone_only_when_it_lacks_it_again() -> None:
    pages = range(2, 103)
    assert judged(pages, at(1, 2), count=101).verdict is Verdict.CONFIRM
    assert judged(pages, at(1, 2), count=101, is_confirmed=True) == Judgement(Verdict.SETTLED, 101, frozenset({1}))
    assert judged(pages, at(2), count=101).verdict is Verdict.SETTLED, "nothing is gone"
    assert judged(range(2, 102), at(1, 2), count=100).verdict is Verdict.SETTLED, "of one page"


def test_a_message_that_was_rejected_before_is_no_new_one() -> None:
    rows = [{"id": 10}, {"id": 2**70}, {"id": "x"}, {"text": "no id"}, 7]
    keys = [identity(row) for row in rows]
    after = NOON - SECOND
    assert judged(keys, at(10), count=14, after=after, sync=synced()).known == 14
    assert judged(keys, at(10), count=10, after=after, sync=synced(), rejected=keys[1:]).known == 10


@pytest.mark.parametrize(
    "row_id", ["--5", "²", "9" * 4_000, "-", "", "1e5", " 5", "\u0665", "\ud83d", 2**70, -(2**70), -5]
)
def test_no_id_however_odd_stops_the_judgement(row_id: Any) -> None:
    found = judged([identity({"id": row_id})], at(7), count=11, after=NOON + 9 * SECOND, sync=synced())
    assert found == Judgement(Verdict.SETTLED, 11, frozenset())


def test_an_id_written_as_text_is_the_message_stored_as_a_number() -> None:
    keys = [identity({"id": text}) for text in ("7", "008", " 9 ", "-1")]
    assert judged(keys, at(7, 8, 9, -1), count=4) == Judgement(Verdict.SETTLED, 4, frozenset())


@pytest.mark.parametrize(
    ("sent_at", "is_gone"),
    [
        (NOON - SECOND, False), (NOON, False), (NOON + SECOND - timedelta(microseconds=1), False),
        (NOON + SECOND, True),
        (NOON + 2 * SECOND, True), (NOW + timedelta(days=9), True), (None, False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("micros", [0, 1, 999_999])
def test_only_a_message_that_must_have_been_listed_can_be_gone(
    sent_at: datetime | None, is_gone: bool, micros: int
) -> None:
    after = NOON + timedelta(microseconds=micros)
    assert bool(judged([], at(1, sent_at=sent_at), count=9, after=after, sync=synced()).gone) == is_gone
    cut = judged([], at(1, sent_at=sent_at), count=9, after=after, is_whole=True)
    assert bool(cut.gone) == is_gone, "as far as a start date goes"


@pytest.mark.parametrize(
    ("sent_at", "is_gone"),
    [
        (NOON - SECOND, True),
        (NOON - timedelta(microseconds=1), True),
        (NOON, False),
        (NOON + SECOND, False),
        (None, False),
    ],
)
def test_nothing_is_gone_beyond_the_end_date(sent_at: datetime | None, is_gone: bool) -> None:
    before = NOON + timedelta(microseconds=500)
    assert bool(judged([], at(1, sent_at=sent_at), count=9, before=before).gone) == is_gone


def test_where_dates_cut_the_list_or_linq_counts_nothing_no_count_is_compared() -> None:
    assert judged([1], {}, count=99, after=NOON, is_whole=True).verdict is Verdict.SETTLED
    assert judged([1], {}, count=99, before=NOON).verdict is Verdict.SETTLED
    assert judged([1], {}, count=99, after=NOON, before=NOW, sync=synced()).verdict is Verdict.SETTLED
    assert judged([1], {}, count=None).verdict is Verdict.SETTLED
    assert judged([1], {}, count=None, after=NOON, sync=synced()).verdict is Verdict.SETTLED


def test_a_count_that_linq_never_told_before_is_taken_as_it_is() -> None:
    assert judged([11], at(10), count=11, after=NOON + SECOND, sync=synced(counted=None)).verdict is Verdict.SETTLED


@pytest.mark.parametrize("edge", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)])
def test_times_at_the_ends_of_the_calendar_stop_nothing(edge: datetime) -> None:
    after = min(edge, datetime.max.replace(tzinfo=UTC) - SECOND)
    assert judged([], at(1, sent_at=edge), count=10, after=after, sync=synced()).verdict in Verdict


@settings(derandomize=True, database=None, max_examples=500)
@given(
    seed=st.integers(0, 10**6), size=st.integers(0, 12), deleted=st.integers(0, 3), added=st.integers(0, 3),
    is_exclusive=st.booleans(), is_whole=st.booleans(),
)  # fmt: skip
def test_an_honest_list_and_count_are_settled_with_exactly_the_deletions_they_show(
    seed: int, size: int, deleted: int, added: int, is_exclusive: bool, is_whole: bool
) -> None:
    chance = random.Random(seed)
    stored = {number: NOON + chance.randint(-9, 9) * SECOND / 2 for number in range(size)}
    after = None if is_whole else NOON
    gone = set(chance.sample(sorted(stored), min(deleted, size)))
    now_there = {number: sent_at for number, sent_at in stored.items() if number not in gone}
    now_there |= {100 + number: NOON + chance.randint(-9, 9) * SECOND for number in range(added)}

    def is_listed(sent_at: datetime) -> bool:
        return after is None or (sent_at > after if is_exclusive else sent_at >= after)

    listed = [number for number, sent_at in now_there.items() if is_listed(sent_at)]
    found = judged(listed, stored, count=len(now_there), after=after, sync=synced(counted=size, listed=size))
    assert found.gone <= gone, "what is still there is never gone"
    if is_whole:
        assert found == Judgement(Verdict.SETTLED, len(now_there), frozenset(gone))
    unseen = {number for number in gone if stored[number] < NOON + SECOND}
    missed = {number for number, sent_at in now_there.items() if number >= 100 and not is_listed(sent_at)}
    if not is_whole and not unseen and not missed:
        assert found == Judgement(Verdict.SETTLED, len(now_there), frozenset(gone))
    if not is_whole and len(unseen) != len(missed):
        assert found.verdict is Verdict.RECOUNT
