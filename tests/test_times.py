"""Times: one instant for every spelling, null for what names none, and the same whatever stands beside it."""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from linq_source.errors import ConfigurationError
from linq_source.times import TIMESTAMP, instants, parse_setting, parse_time, parse_times, to_query

HALF_PAST = datetime(2025, 5, 21, 15, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2025-05-21T15:30:00Z", HALF_PAST),
        ("2025-05-21T15:30:00z", HALF_PAST),
        ("2025-05-21T15:30Z", HALF_PAST),
        ("2025-05-21 15:30:00", HALF_PAST),
        ("2025-05-21T15:30:00", HALF_PAST),
        ("2025-05-21 15:30:00 UTC", HALF_PAST),
        ("2025-05-21 15:30:00 GMT", HALF_PAST),
        ("2025-05-21 09:30:00 -0600", HALF_PAST),
        ("2025-05-21 09:30:00 -06:00", HALF_PAST),
        ("2025-05-21T09:30:00-06:00", HALF_PAST),
        ("2025-05-21T17:30:00+02", HALF_PAST),
        ("2025-05-22T05:30:00+14:00", HALF_PAST),
        ("2025-05-21T15:45:00+0015", HALF_PAST),
        ("  2025-05-21T15:30:00Z\n", HALF_PAST),
        ("2025-05-21T15Z", HALF_PAST.replace(minute=0)),
        ("2025-05-21", HALF_PAST.replace(hour=0, minute=0)),
        ("2025-05-21T15:30:00.5Z", HALF_PAST.replace(microsecond=500_000)),
        ("2025-05-21T15:30:00,5Z", HALF_PAST.replace(microsecond=500_000)),
        ("2025-05-21T15:30:00.123456Z", HALF_PAST.replace(microsecond=123_456)),
        ("2025-05-21T15:30:00.123456789Z", HALF_PAST.replace(microsecond=123_456)),
        ("2025-05-21T15:30:00.9999999999999Z", HALF_PAST.replace(microsecond=999_999)),
        ("2025-05-21T15:29:60Z", HALF_PAST - timedelta(seconds=1)),
        ("2024-02-29T00:00:00Z", datetime(2024, 2, 29, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59.999999Z", datetime.max.replace(tzinfo=UTC)),
        ("2035-01-01T00:00:00Z", datetime(2035, 1, 1, tzinfo=UTC)),
        ("2025-11-02T01:30:00-05:00", datetime(2025, 11, 2, 6, 30, tzinfo=UTC)),
        ("2025-11-02T01:30:00-06:00", datetime(2025, 11, 2, 7, 30, tzinfo=UTC)),
    ],
)
def test_every_spelling_names_its_instant(text: str, instant: datetime) -> None:
    assert parse_time(text) == instant
    for beside in ([], ["odd"], [None], [5], ["2025-05-21 15:30:00 -0600"], ["\ud83d"]):
        array, unread = parse_times([*beside, text])
        assert array.type == TIMESTAMP
        assert array.to_pylist()[-1] == instant
        assert unread == (beside in (["odd"], [5], ["\ud83d"]))


@pytest.mark.parametrize(
    "value",
    [
        "", " ", "never", "0000-00-00 00:00:00", "0000-01-01T00:00:00Z", "2025-13-45", "2025-02-29T00:00:00Z",
        "2025-05-21T24:00:00Z", "2025-05-21T15:60:00Z", "2025-05-21T15:30:61Z", "2025-05-21T15:30:99Z",
        "2025-05-21T15:30:00+24:00", "2025-05-21T15:30:00+99:99", "2025-05-21T15:30:00 MDT", "2025-05-21T15Zulu",
        "20250521T153000Z", "25-05-21", "2025-5-21", "21.05.2025", "05/21/2025", "May 21, 2025", "10000-01-01",
        "9999-12-31T23:59:59-05:00", "0001-01-01T00:00:00+05:00", "2025-05-21T15:30:00.Z", "1747841400", "-1",
        "2025-05-21T15:30:00Z2025-05-21T15:30:00Z", "\ud83d", "2025-05-21T15:30:00Z\0", "9" * 10_000,
        1747841400, 1747841400.5, True, False, [], ["2025-05-21"], {}, {"at": "2025-05-21"}, 2**70,
    ],
    ids=lambda value: ascii(value)[:30],
)  # fmt: skip
def test_what_names_no_instant_is_null_and_counted(value: Any) -> None:
    assert parse_time(value) is None
    for beside in ([], ["2025-05-21T15:30:00Z"], [None], ["odd"]):
        array, unread = parse_times([*beside, value])
        assert array.to_pylist()[-1] is None
        assert unread == 1 + (beside == ["odd"])


def test_nulls_are_null_and_not_counted() -> None:
    assert parse_times([])[0].to_pylist() == []
    array, unread = parse_times([None, "2025-05-21T15:30:00Z", None])
    assert (array.to_pylist(), unread) == ([None, HALF_PAST, None], 0)


DATES = st.sampled_from(
    ["2025-05-21", "0000-01-01", "0001-01-01", "9999-12-31", "2024-02-29", "2025-02-29", "25-1-1"]
)
CLOCKS = st.sampled_from(
    ["", "T15", "T15:30", "T15:30:45", "T15:30:60", "T15:30:61", "T24:00", " 00:00:00", "T15:30:00.1", "T15:30:00,5",
     "T15:30:00.123456789", "T15:30:00.", "t15:30:00", "T153000", "T23:59:59.999999"]
)  # fmt: skip
ZONES = st.sampled_from(
    ["", "Z", "z", " Z", " UTC", "UTC", " GMT", "+00:00", "-0600", " -0600", "+14:00", "+02", "-23:59", "+24:00",
     "+1:00", "+99:99", "-00:30", "+0260", "--06", "Z "]
)  # fmt: skip


@settings(derandomize=True, database=None, max_examples=1_000)
@given(st.builds("{}{}{}".format, DATES, CLOCKS, ZONES))
@example("9999-12-31T23:59:59-05:00")
def test_a_time_is_read_the_same_alone_and_beside_others(text: str) -> None:
    alone, unread = parse_times([text])
    assert alone.to_pylist() == [parse_time(text)]
    assert unread == (parse_time(text) is None)


@settings(derandomize=True, database=None)
@given(st.lists(st.none() | st.text() | st.integers() | st.floats() | st.booleans() | st.lists(st.text())))
def test_no_value_can_stop_the_parser(values: list[object]) -> None:
    array, unread = parse_times(values)
    assert len(array) == len(values)
    assert unread <= sum(value is not None for value in values)


@settings(derandomize=True, database=None)
@given(st.datetimes(timezones=st.just(UTC)))
def test_what_a_query_says_is_the_second_of_the_instant(instant: datetime) -> None:
    text = to_query(instant)
    assert len(text) == 20
    assert parse_time(text) == instant.replace(microsecond=0)


def test_a_query_is_in_utc() -> None:
    assert (
        to_query(datetime(2025, 5, 21, 9, 30, 59, 999_999, timezone(timedelta(hours=-6)))) == "2025-05-21T15:30:59Z"
    )


@pytest.mark.parametrize(
    ("value", "instant"),
    [
        (None, None), ("", None),
        ("2025-01-31", datetime(2025, 1, 31, tzinfo=UTC)), (" 2025-01-31\n", datetime(2025, 1, 31, tzinfo=UTC)),
        ("2025-01", datetime(2025, 1, 1, tzinfo=UTC)), ("2025", datetime(2025, 1, 1, tzinfo=UTC)),
        ("2025-01-31T10:00", datetime(2025, 1, 31, 10, tzinfo=UTC)),
        ("2025-01-31T10:00:00+02:00", datetime(2025, 1, 31, 8, tzinfo=UTC)),
        ("2025-01-31T10:00:00.123456Z", datetime(2025, 1, 31, 10, 0, 0, 123_456, UTC)),
        ("9999-12-31T23:59:59.999999Z", datetime.max.replace(tzinfo=UTC)),
        (date(2025, 1, 31), datetime(2025, 1, 31, tzinfo=UTC)),
        (HALF_PAST.replace(tzinfo=None), HALF_PAST),
        (datetime(2025, 1, 31, 1, tzinfo=timezone(timedelta(hours=2))), datetime(2025, 1, 30, 23, tzinfo=UTC)),
    ],
)  # fmt: skip
def test_a_person_may_write_a_date_or_a_time(value: Any, instant: datetime | None) -> None:
    parsed = parse_setting(value, setting="start_date")
    assert parsed == instant
    assert parsed is None or (type(parsed) is datetime and parsed.tzinfo is UTC)


@pytest.mark.parametrize(
    "value",
    [
        " ", "yesterday", "now", "10:00", "T10", "10", "1735689600", "P1D", "2025-01-01/2025-02-01", "31.01.2025",
        "01/31/2025", "2025-02-30", "2025-13-01", "0000-01-01", "2025-01-31T25:00", "9999-12-31T23:59:59-05:00",
        "2025-W99", "2025-01-31\0", "\ud83d", 5, b"2025-01-31", [],
    ],
    ids=ascii,
)  # fmt: skip
def test_anything_else_is_refused_by_the_name_of_its_setting(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="start_date is not a date"):
        parse_setting(value, setting="start_date")


@settings(derandomize=True, database=None, max_examples=500)
@given(st.text("0123456789-:TWZPnow+./ ", max_size=24) | st.text())
def test_any_text_is_a_time_or_refused(text: str) -> None:
    try:
        parsed = parse_setting(text, setting="end_date")
    except ConfigurationError:
        return
    assert parsed is None or parsed.tzinfo is UTC


@given(st.lists(st.none() | st.datetimes(timezones=st.just(UTC))))
@example([None, datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)])
def test_instants_are_what_arrow_itself_makes_of_timestamps(times: list[datetime | None]) -> None:
    column = pa.array(times, type=TIMESTAMP)
    assert instants(column) == column.to_pylist() == times
    assert instants(pa.chunked_array([column, column])) == times * 2
