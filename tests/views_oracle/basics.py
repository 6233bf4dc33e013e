"""What all views need: groups, quantiles, days and ages."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from math import floor
from typing import Any

Row = dict[str, Any]
Rows = dict[str, list[Row]]

DAY = timedelta(days=1)


def grouped(rows: Iterable[Row], key: Callable[[Row], Any]) -> dict[Any, list[Row]]:
    """The rows by what `key` makes of them."""
    groups: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return groups


def seconds_between(start: datetime, end: datetime) -> float:
    """Seconds, exact to the microsecond."""
    return (end - start) / timedelta(microseconds=1) / 1_000_000


def utc_day(instant: datetime) -> date:
    """The day of an instant in UTC."""
    return instant.astimezone(UTC).date()


def is_pending(row: Row, now: datetime) -> bool:
    """Whether a turn without an answer is too young to be a miss."""
    return row["replied_at"] is None and now - row["ended_at"] < DAY


def era_of(instant: datetime, now: datetime) -> int | None:
    """0 for the last 30 days (and what lies ahead), 1 for the 30 before, None for older."""
    age = now - instant
    return 0 if age < 30 * DAY else 1 if age < 60 * DAY else None


def ratio(part: int, whole: int) -> float | None:
    """A share, or None of nothing."""
    return part / whole if whole else None


def quantile(values: Iterable[float], fraction: float) -> float | None:
    """The value at a fraction of the way through, interpolated between neighbours as percentile_cont does."""
    ordered = sorted(values)
    if not ordered:
        return None
    place = (len(ordered) - 1) * fraction
    below = floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
