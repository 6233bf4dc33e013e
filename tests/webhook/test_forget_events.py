"""People are taken out of what a receiver keeps: its journal, with all that is no event, and its files."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from linq_source.forgotten import Forgotten
from linq_source.webhook.event import UnreadableEventError, read_event
from linq_source.webhook.event_files import open_files, read_events
from linq_source.webhook.event_rows import without_forgotten
from linq_source.webhook.forget_events import forget_in_files, forget_in_journal
from linq_source.webhook.journal import Journal
from linq_source.webhook.parquet import Roller
from linq_source.webhook.store import Outcome, Received
from linq_source.webhook.targets import LocalFolder
from tests.webhook.support import encoded, event, journal_rows, parquet_rows

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
THEM, OTHER = "+12125550199", "+12125550188"


@pytest.fixture
def forgotten() -> Forgotten:
    made = Forgotten([b"a key of this test, which is long enough"])
    made.add(THEM)
    made.chats, made.contacts, made.messages = {7000}, {8000}, {9000}
    return made


def receive(folder: Path, *bodies: bytes) -> list[Outcome]:
    """Have a journal take these bodies, as a receiver does."""
    outcomes: list[Outcome] = []
    with Journal(folder) as journal:
        for body in bodies:
            try:
                received = Received(body, NOON, read_event(body))
            except UnreadableEventError as error:
                received = Received(body, NOON, None, str(error))
            journal.submit(received, outcomes.append)
    return outcomes


@pytest.mark.parametrize(
    ("event_type", "data"),
    [
        ("message.sent", {"id": "5", "chat_id": "7000", "text": "canary"}),
        ("message.sent", {"message": {"id": 5, "text": "canary"}, "chat": {"id": 7000}}),
        ("message.sent", {"id": "9000", "chat_id": "1", "text": "canary"}),
        ("contact.updated", {"id": 8000, "first_name": "canary", "phone_number": None}),
        ("contact.updated", {"contact": {"id": 8000, "first_name": "canary"}}),
        ("note.added", {"contact": {"id": "8000"}, "text": "canary"}),
    ],
)
@pytest.mark.parametrize("is_dry", [False, True])
def test_another_event_with_a_known_id_goes_when_it_is_theirs_by_a_chat_a_message_or_a_contact(
    tmp_path: Path, forgotten: Forgotten, event_type: str, data: dict[str, Any], *, is_dry: bool
) -> None:
    known, others = event(1), event(1, data={"id": "6", "chat_id": "1", "text": "of another"})
    theirs = event(1, event_type=event_type, data=data)
    outcomes = receive(tmp_path, *map(encoded, (known, theirs, others)))
    assert outcomes == [Outcome.STORED, Outcome.CONFLICT, Outcome.CONFLICT]
    assert forget_in_journal(tmp_path, forgotten, is_dry=is_dry) == {"conflicts removed": 1}
    kept = [encoded(theirs), encoded(others)] if is_dry else [encoded(others)]
    assert journal_rows(tmp_path, "select body from conflicts order by rowid") == kept
    assert any(b"canary" in path.read_bytes() for path in tmp_path.iterdir()) is is_dry


THEIRS = [
    encoded({"data": {"chat_id": "7000", "text": "canary"}}),
    encoded({"chat_id": 7000, "text": "canary"}),
    encoded({"event_type": {}, "data": {"id": 9000, "text": "canary"}}),
    encoded({"data": {"message": {"id": "9000", "text": "canary"}}}),
    encoded([{"data": {"chat": {"id": "7000"}, "text": "canary"}}]),
    encoded({"data": {"id": "8000", "first_name": "canary"}}),
    encoded({"data": {"from": THEM, "text": "canary"}}),
    b'{"event_type": "message.sent", "data": {"chat_id": "7000", "text": "cana',
    b"[" * 1000 + b'{"chat_id": "7000", "text": "canary"}' + b"]" * 1000,
    b'{"event_type": "message.sent", "data": {"chat": {"display_name": "x", "id" : 7000}, "text": "cana',
]
OTHERS = [
    encoded({"data": {"chat_id": "70001", "text": "of another, who has 7000"}}),
    encoded({"data": {"from": OTHER, "count": 7000}}),
    encoded(["of another"]),
    encoded({"data": {"chat_handles": [{"id": 7000}], "event_id": "8000"}}),
    b'{"data": {"chat_id": "70001", "price": "7000", "text": "of anoth',
    b"\xff\xfe",
]


def test_what_is_no_event_goes_when_it_is_theirs_and_stays_when_it_is_of_others(
    tmp_path: Path, forgotten: Forgotten
) -> None:
    assert set(receive(tmp_path, *THEIRS, *OTHERS)) == {Outcome.REJECTED}
    assert forget_in_journal(tmp_path, forgotten, is_dry=False) == {"rejects removed": len(THEIRS)}
    assert journal_rows(tmp_path, "select body from rejects order by seq") == OTHERS
    assert not any(b"cana" in path.read_bytes() for path in tmp_path.iterdir())


def test_an_event_nested_too_deep_to_be_changed_stays_whole_or_goes(tmp_path: Path, forgotten: Forgotten) -> None:
    def nested(identifier: str) -> dict[str, Any]:
        inner: Any = {"chat_handles": [{"identifier": identifier}]}
        for _ in range(900):
            inner = {"inner": inner}
        return {"id": "5", "chat_id": "1", "inner": inner}

    bodies = [encoded(event(each, data=nested(each))) for each in (OTHER, THEM)]
    assert receive(tmp_path, *bodies) == [Outcome.STORED] * 2
    assert forget_in_journal(tmp_path, forgotten, is_dry=False) == {"events removed": 1}
    assert journal_rows(tmp_path, "select event_id from events") == [f"evt-{OTHER}"]


def in_group(**changes: Any) -> bytes:
    """What another wrote in a group of theirs; with `event_id=None` an event whose id is made from its body."""
    people = [{"identifier": THEM, "display_name": THEM}, {"identifier": OTHER}]
    return encoded(event(1, data={"id": "5", "from_phone": OTHER, "chat_handles": people}) | changes)


@pytest.mark.parametrize("changes", [{}, {"event_id": None}], ids=["own id", "derived id"])
def test_of_an_event_that_is_changed_no_hash_is_kept_by_which_the_number_could_be_tried(
    tmp_path: Path, forgotten: Forgotten, changes: dict[str, Any]
) -> None:
    body, journal, columns = in_group(**changes), tmp_path / "journal", "event_id, data, fingerprint"
    before = read_event(body)
    receive(journal, body)
    with Journal(journal) as opened:
        Roller(opened, LocalFolder(tmp_path), clock=lambda: NOON).roll()
    again = [read_events(open_files(str(tmp_path)), name, place="") for name in open_files(str(tmp_path)).names()]
    loaded_later = without_forgotten(next(again[0]), forgotten)
    for _ in range(2):
        forget_in_journal(journal, forgotten, is_dry=False)
        forget_in_files(str(tmp_path), forgotten, is_dry=False)
        [(event_id, data, fingerprint)] = journal_rows(journal, f"select {columns} from events")
        assert parquet_rows(tmp_path, columns) == [(event_id, data, fingerprint)]
        assert THEM not in data
        assert fingerprint == forgotten.keyed(before.fingerprint) != before.fingerprint
        assert event_id == (before.event_id if before.has_own_id else f"sha256:{fingerprint[5:]}")
        assert [loaded_later[name].to_pylist() for name in columns.split(", ")] == [[event_id], [data], [fingerprint]]
        # What Linq sends once more is no conflict, whose body would be kept; without an id of its own it is new.
        assert receive(journal, body) == [Outcome.DUPLICATE if before.has_own_id else Outcome.STORED]
    assert journal_rows(journal, "select * from conflicts") == []
