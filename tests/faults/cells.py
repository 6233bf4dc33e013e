"""Playing one fault at one place, and checking that nothing wrong is stored, said or left out in silence."""

import dataclasses
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from linq_source.limits import Limits
from linq_source.runner import Result
from linq_source.simulator.faults import Fault
from tests.faults.kinds import KINDS, Kind
from tests.faults.stage import ENDPOINTS, POSITIONS, Stage
from tests.tables import Rows, assert_equal, by_key, check_rows, snapshot

LIMITS = Limits(
    backoff_seconds=0.001,
    max_backoff_seconds=0.002,
    read_seconds=5,
    request_seconds=10,
    attempts=3,
    max_wait_seconds=0.1,
)
_MESSAGE_TABLES = {"messages", "message_reactions", "message_attachments"}
_CHAT_TABLES = {"chats", "chat_handles", "chat_phone_numbers"} | _MESSAGE_TABLES
BROKEN = {
    "phone_numbers": {"phone_numbers"} | _CHAT_TABLES,
    "contacts": {"contacts"},
    "chats": _CHAT_TABLES,
    "chat_messages": _MESSAGE_TABLES,
}
"""The tables that cannot be read while an endpoint fails; a sync that goes on reads all others."""

SETTING = "SOURCES__LINQ__INTEGRATION_TOKEN"


@dataclass(frozen=True)
class Place:
    """Where a fault is met."""

    endpoint: str
    position: str

    @property
    def page(self) -> int:
        """The page of the endpoint's list."""
        return 1 if self.endpoint == "phone_numbers" else POSITIONS.index(self.position) + 1

    def __str__(self) -> str:
        return f"{self.endpoint}, {self.position} page"


PLACES = tuple(Place(endpoint, position) for endpoint in ENDPOINTS for position in POSITIONS)


def is_passing(kind: Kind, place: Place) -> bool:
    """Whether a sync sees through this kind of fault at this place when it comes once."""
    # With page 2 in place of page 1 the true page 2 looks like the repetition: the next sync reads both anew.
    return kind.heals and not (kind.name == "repeated page" and place.page == 1 and place.endpoint != "phone_numbers")


class Cell:
    """One kind of fault, met by syncs into one database file."""

    def __init__(self, stage: Stage, kind: Kind, *, is_fresh: bool, is_real_size: bool = False) -> None:
        self.stage = stage
        self.kind = kind
        self.warehouse = stage.warehouse(is_fresh=is_fresh)
        self._is_fresh = is_fresh
        self._is_target_read = False
        self._size = kind.real_size if is_real_size else None
        self._limits = dataclasses.replace(LIMITS, **({} if self._size else kind.limits))

    def lasts(self, place: Place) -> str:
        """Run a sync while the fault lasts, check all that it left behind, and say how it ended."""
        self._make_room(place)
        before = snapshot(self.warehouse)
        self._meet(place, lasting=True)
        result = self._sync()
        self._end_faults()
        after = snapshot(self.warehouse)
        code = self._expected_code(place, before)
        assert result.exit_code == code, f"exit {result.exit_code} ({result.summary.failure})"
        self._is_target_read = code == 0 or (code == 3 and place.endpoint != "chat_messages")
        if code == 0:
            assert result.summary.skipped == []
            if place.endpoint != "phone_numbers" or before["phone_numbers"]:
                assert_equal(after, self.stage.listed)
            return "equal"
        self._check_sentence(place, result)
        check_rows(before, after, self.stage.listed)
        self._check_the_rest(place, result, before, after)
        return f"exit {code}"

    def passes(self, *places: Place) -> str:
        """Run a sync that meets the fault once at each place: it must end as if nothing had been."""
        self._make_room(*places)
        for place in places:
            self._meet(place, lasting=False)
        result = self._sync()
        self._end_faults()
        assert (result.exit_code, result.summary.skipped) == (0, []), str(result.summary.failure)
        if self.kind.is_retried and "request_seconds" not in self.kind.limits:
            assert result.retries == sum(place.endpoint not in self.kind.unnoticed for place in places)
        assert_equal(snapshot(self.warehouse), self.stage.listed)
        return f"equal, {_counted(result.retries, 'retry', 'retries')}"

    def is_over(self) -> str:
        """Run a sync without any fault: it must mirror everything."""
        result = self._sync()
        assert (result.exit_code, result.summary.skipped) == (0, []), str(result.summary.failure)
        assert_equal(snapshot(self.warehouse), self.stage.listed)
        return "equal"

    def _make_room(self, *places: Place) -> None:
        """Take another file where messages are wanted and none is left to be read."""
        if self._is_target_read and any(place.endpoint == "chat_messages" for place in places):
            self.warehouse = self.stage.warehouse(is_fresh=self._is_fresh)

    def _sync(self) -> Result:
        """Run a sync; nothing it says or logs tells a secret, a number or a message."""
        with _log() as lines:
            result = self.warehouse.sync(self.stage.linq, limits=self._limits)
        said = [str(result.summary.failure or ""), *result.summary.skipped, *lines]
        told = [secret for secret in self.stage.secrets for line in said if secret in line]
        assert not told, f"{told} in {said}"
        assert not self.stage.elsewhere.requests, "the token went to another host"
        return result

    def _meet(self, place: Place, *, lasting: bool) -> None:
        options: dict[str, Any] = {"path": f"{self.stage.path(place.endpoint)}$"}
        if place.endpoint != "phone_numbers":
            options["page"] = place.page
        if not lasting:
            options["occurrence"] = 1
        fault = self.kind.make(lasting=lasting, **options)
        if fault.kind == "repeat_page" and place.page == 1:
            fault = Fault(**options, kind="body", body=self.stage.second_page(place.endpoint))
        fault.location = f"{self.stage.elsewhere.base_url}{self.stage.path(place.endpoint)}"
        fault.size = self._size or fault.size
        self.stage.linq.faults.append(fault)

    def _end_faults(self) -> None:
        faults = list(self.stage.linq.faults)
        self.stage.linq.faults.clear()
        assert all(fault.seen for fault in faults), "a fault was not met"

    def _expected_code(self, place: Place, before: Rows) -> int:
        if self.kind.name == "empty page" and place.endpoint == "phone_numbers" and not before["phone_numbers"]:
            return 0  # an account that has no numbers yet answers just so
        return self.kind.codes[place.endpoint]

    def _check_sentence(self, place: Place, result: Result) -> None:
        summary = result.summary
        if result.exit_code == 2:
            assert SETTING in str(summary.failure)
        elif result.exit_code == 1:
            assert f"GET {self.stage.path(place.endpoint)}" in str(summary.failure)
        else:
            assert summary.failure is None
            subject = {"chats": "phone number", "chat_messages": f"chat {self.stage.target}:"}
            assert summary.skipped[0].startswith(subject.get(place.endpoint, place.endpoint))

    def _check_the_rest(self, place: Place, result: Result, before: Rows, after: Rows) -> None:
        """A new cursor means that all of its chat is stored; what is not broken is read, unless the sync gave up."""
        listed = self.stage.listed
        old = {row["chat_id"]: row for row in before["chat_syncs"]}
        moved = {row["chat_id"] for row in after["chat_syncs"] if row != old.get(row["chat_id"])}
        assert [_messages(after, one) for one in moved] == [_messages(listed, one) for one in moved]
        if place.endpoint == "chat_messages":
            assert self.stage.target not in moved
        if result.exit_code == 3 or (place.endpoint == "chat_messages" and self.kind.goes_on):
            broken = BROKEN[place.endpoint]
            assert_equal(after, {table: rows for table, rows in listed.items() if table not in broken})
        if place.endpoint == "chat_messages" and self.kind.goes_on:
            others = {row["id"] for row in listed["chats"]} - {self.stage.target}
            assert [_messages(after, one) for one in others] == [_messages(listed, one) for one in others]


@dataclass(frozen=True)
class Played:
    """How a cell ended: while the fault lasted, when it came once or was over, and how long both syncs took."""

    lasting: str
    passing: str
    seconds: float


def play(stage: Stage, kind: Kind, place: Place) -> Played:
    """Meet a fault at one place, for ever and then once; files are new and known in turn."""
    started = time.monotonic()
    turn = KINDS.index(kind) + POSITIONS.index(place.position)
    is_first = place.position == "first"
    is_fresh = is_first if place.endpoint == "phone_numbers" else turn % 2 == 0
    cell = Cell(stage, kind, is_fresh=is_fresh, is_real_size=is_first)
    lasting = cell.lasts(place)
    if place.endpoint == "phone_numbers" and place.position == "last":
        cell.lasts(place)
    passing = cell.passes(place) if is_passing(kind, place) else cell.is_over()
    return Played(lasting, passing, time.monotonic() - started)


def _messages(rows: Rows, chat_id: int) -> dict[Any, dict[str, Any]]:
    return by_key(
        "messages", [row for row in rows["messages"] if row["chat_id"] == chat_id and not row.get("deleted_at")]
    )


def _counted(count: int, one: str, more: str) -> str:
    return f"{count} {one if count == 1 else more}"


@contextmanager
def _log() -> Iterator[list[str]]:
    lines: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    handler = Collect()
    loggers = [logging.getLogger(name) for name in (None, "dlt", "linq_source")]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield lines
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
