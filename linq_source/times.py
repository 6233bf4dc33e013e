"""The one parser of times: every spelling that Linq is known to use, to UTC."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any, TypeAlias

import pendulum
import pyarrow as pa
import pyarrow.compute as pc

from linq_source.errors import ConfigurationError

TIMESTAMP = pa.timestamp("us", tz="UTC")

AnyArray: TypeAlias = "pa.Array[Any]"
AnyField: TypeAlias = "pa.Field[Any]"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Microseconds from it to the first and the last instant that Python can hold, in the years 1 and 9999.
_FIRST, _LAST = -62_135_596_800_000_000, 253_402_300_799_999_999

# 2025-05-21T15:30:00Z, 2025-05-21T15:30:00.123456789+02:00, 2025-05-21 15:30:00 -0600, 2025-05-21 15:30:00 UTC
_SPELLING = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})"
    r"(?:[T ](?P<clock>\d{2}(?::\d{2})?)(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d+))?)?"
    r"\s?(?P<zone>Z|z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)?)?"
)
_USUAL = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z| ?[+-]\d\d:?\d\d)?")


def parse_time(value: object) -> datetime | None:
    """Return the UTC instant that `value` names, or None where it names none.

    Fractions of any length are cut to microseconds; a time without a zone is UTC; a second of 60 (a leap
    second) is read as 59.
    """
    if not isinstance(value, str) or not (match := _SPELLING.fullmatch(value.strip())):
        return None
    second = min(int(match["second"] or 0), 59) if match["second"] != "60" else 59
    micros = int((match["fraction"] or "0")[:6].ljust(6, "0"))
    try:
        local = datetime.fromisoformat(f"{match['date']}T{match['clock'] or '00:00'}:00")
        if match["second"] and int(match["second"]) > 60:
            return None
        return local.replace(second=second, microsecond=micros, tzinfo=_zone(match["zone"])).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def is_time(value: object) -> bool:
    """Whether parse_time reads `value`."""
    # To look for the usual spellings takes a tenth of what reading one does.
    return isinstance(value, str) and (_USUAL.fullmatch(value) is not None or parse_time(value) is not None)


def _zone(text: str | None) -> timezone:
    if text is None or text.upper() in ("Z", "UTC", "GMT"):
        return UTC
    hours, minutes = int(text[1:3]), int(text[3:].lstrip(":") or 0)
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if text[0] == "-" else offset)


def parse_times(values: Sequence[object]) -> tuple[AnyArray, int]:
    """Return `values` as an Arrow array of UTC timestamps, and how many could not be read (they are null)."""
    try:
        # Arrow reads ISO with a zone some thirty times faster than we do, and refuses all else.
        array = pa.array(values, type=pa.string()).cast(TIMESTAMP)
        if fits_python(array):
            return array, 0
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError):
        pass
    parsed = [parse_time(value) for value in values]
    unread = sum(value is not None and time is None for value, time in zip(values, parsed, strict=True))
    return pa.array(parsed, type=TIMESTAMP), unread


def fits_python(array: "AnyArray | pa.ChunkedArray[Any]") -> bool:
    """Whether Python can hold each of these timestamps: Arrow also knows the years 0 and 10000."""
    micros = array.cast(pa.int64())
    lowest, highest = pc.min(micros).as_py(), pc.max(micros).as_py()
    return lowest is None or (lowest >= _FIRST and highest <= _LAST)


def instants(times: "AnyArray | pa.ChunkedArray[Any]") -> list[datetime | None]:
    """Return timestamps as Python's, as `to_pylist` does, but in an eighth of its time."""
    micros: list[int | None] = times.cast(TIMESTAMP).cast(pa.int64()).to_pylist()
    return [None if each is None else _EPOCH + timedelta(microseconds=each) for each in micros]


def to_query(instant: datetime) -> str:
    """Return an instant as the API's `after` and `before` take it: ISO 8601 in UTC, to the second."""
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def parse_setting(value: str | date | None, *, setting: str) -> datetime | None:
    """Return the UTC instant of a date or time that a person wrote, naming `setting` where it is none.

    Raises ConfigurationError there.
    """
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    text = value.isoformat() if isinstance(value, date) else str(value).strip()
    try:
        # Only what begins with a year: `10:00` alone would be another instant every day.
        parsed = pendulum.parse(text, tz="UTC") if re.match(r"\d{4}", text) else None
        if isinstance(parsed, pendulum.DateTime):
            instant = parsed.astimezone(UTC)
            return datetime.combine(instant.date(), instant.time(), UTC)
    except (ValueError, TypeError, OverflowError):
        pass
    raise ConfigurationError(f"{setting} is not a date: {value!r}. Write it like 2025-01-31.")
