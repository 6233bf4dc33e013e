"""Events from Parquet files into the database: each once, typed, whatever else lies in the folder."""

import json
import random
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from linq_source.errors import LockedError
from linq_source.process import locked
from linq_source.simulator import Disorder, Recorder, happen
from tests.mailbox import RECEIVED, Mailbox, box, load, told
from tests.support import Warehouse, run_pipeline, small_world

__all__ = ["box"]  # a fixture

pytestmark = pytest.mark.without_dlt

CALL = {
    "id": "12345", "to": "+15559876543", "from": "+15551234567", "status": "completed", "direction": "inbound",
    "start_time": "2025-05-21 15:00:00 -0600", "end_time": "2025-05-21 15:05:30 -0600", "duration": 330,
    "call_type": "normal", "forwarded_from": None, "answered_by": "+15559876543", "voicemail": False,
    "has_recording": True,
    "recording_data": {
        "id": "67890", "url": "https://example.com/a.mp3", "duration": 330, "transcribed": True,
        "transcript_available": True, "transcription": "Hello, this is John.", "summary": "John called.",
    },
}  # fmt: skip


def data_of(warehouse: Warehouse, table: str) -> list[dict[str, Any]]:
    """Rows without dlt's own columns, in an order of their own: what is written again may lie in another."""
    rows = warehouse.rows(table)
    data = [{name: value for name, value in row.items() if not name.startswith("_dlt")} for row in rows]
    return sorted(data, key=repr)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


def test_an_event_is_stored_with_what_it_is_about(warehouse: Warehouse, box: Mailbox) -> None:
    data = {"id": "27799380", "chat_id": "324324", "text": "Hello", "sent_at": "2025-05-21 15:30:00 -0600"}
    box.write([told("message.received", data)])
    result = load(warehouse, box)
    assert (result.exit_code, result.summary.events, result.summary.files) == (0, 1, 1)
    [row] = data_of(warehouse, "webhook_events")
    assert json.loads(row.pop("data")) == data
    loaded_at, fingerprint = row.pop("loaded_at"), row.pop("fingerprint")
    assert timedelta() < datetime.now(UTC) - loaded_at < timedelta(minutes=1)
    assert len(fingerprint) == 64
    assert row == {
        "event_id": "evt-1", "event_type": "message.received", "api_version": "v2", "envelope": "reference",
        "created_at": utc(2025, 5, 21, 21, 30), "received_at": RECEIVED, "chat_id": 324324, "message_id": 27799380,
        "message_sent_at": utc(2025, 5, 21, 21, 30), "receiver": "receiver1",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("event_type", "data", "about"),
    [
        (
            "message.received",
            {"message": {"id": 67891, "chat_id": 12345, "sent_at": "2025-10-22T10:31:00Z"}, "chat": {"id": 12345}},
            (12345, 67891, utc(2025, 10, 22, 10, 31)),
        ),
        ("message.read", {"id": "1", "chat_id": 2, "read_at": "2025-05-21T15:35:00-06:00"}, (2, 1, None)),
        (
            "reaction.sent",
            {
                "id": "9",
                "chat_message_id": "67891",
                "chat_id": "11111",
                "sent_at": "2026-01-01T00:00:00Z",
                "associated_message": {"id": "67891", "sent_at": "2025-07-10 15:30:30 -0600"},
            },
            (11111, 67891, utc(2025, 7, 10, 21, 30, 30)),
        ),
        ("typing_indicator.received", {"chat_id": "11111"}, (11111, None, None)),
        ("message.edited", {"id": 5, "chat_id": 6, "sent_at": "2025-07-10"}, (6, 5, utc(2025, 7, 10))),
        ("contact.updated", {"id": 5}, (None, None, None)),
        ("message.received", {"id": "x", "chat_id": {"no": 1}, "sent_at": "soon"}, (None, None, None)),
        ("message.received", None, (None, None, None)),
        ("message.received", [1], (None, None, None)),
        ("message.received", "text", (None, None, None)),
        ("brand.new", {"chat_id": 2**70}, (None, None, None)),
    ],
)
def test_whatever_form_an_event_has_it_is_kept_and_what_can_be_read_is(
    event_type: str, data: Any, about: tuple[Any, ...], warehouse: Warehouse, box: Mailbox
) -> None:
    box.write([told(event_type, data)])
    assert load(warehouse, box).exit_code == 0
    assert warehouse.query("select chat_id, message_id, message_sent_at from webhook_events") == [about]


def test_calls_are_one_row_each_as_their_newest_event_tells_in_whatever_order_they_come(
    warehouse: Warehouse, box: Mailbox
) -> None:
    later = CALL | {"status": "transcribed"}
    box.write(
        [
            told("call.completed", later, "evt-2", created_at="2025-05-21T16:00:00-06:00"),
            told("call.completed", CALL, "evt-1"),
            told("call.completed", CALL | {"id": 7, "duration": "long", "recording_data": None}, "evt-3"),
            told("call.completed", CALL | {"id": None}, "evt-4"),
        ]
    )
    result = load(warehouse, box)
    assert (result.exit_code, result.summary.misfits) == (0, 1)
    calls = {row["id"]: row for row in data_of(warehouse, "calls")}
    assert calls.keys() == {"12345", "7", "evt-4"}
    assert calls["7"]["duration"] is None
    assert calls["12345"] == {
        "id": "12345", "event_id": "evt-2", "from_phone": "+15551234567", "to_phone": "+15559876543",
        "direction": "inbound", "status": "transcribed", "call_type": "normal", "start_time": utc(2025, 5, 21, 21),
        "end_time": utc(2025, 5, 21, 21, 5, 30), "duration": 330.0, "forwarded_from": None,
        "answered_by": "+15559876543", "voicemail": False, "has_recording": True, "recording_data__id": "67890",
        "recording_data__url": "https://example.com/a.mp3", "recording_data__duration": 330.0,
        "recording_data__transcribed": True, "recording_data__transcript_available": True,
        "recording_data__transcription": "Hello, this is John.", "recording_data__summary": "John called.",
        "created_at": utc(2025, 5, 21, 22),
    }  # fmt: skip

    box.write([told("call.completed", CALL | {"status": "older"}, "evt-0", created_at="2025-05-21T10:00:00-06:00")])
    load(warehouse, box)
    assert warehouse.query("select status from calls where id = '12345'") == [("transcribed",)]
    box.write([told("call.completed", CALL | {"status": "newest"}, "evt-9", created_at="2025-05-22T10:00:00Z")])
    load(warehouse, box)
    assert warehouse.query("select status from calls where id = '12345'") == [("newest",)]


def test_reads_typing_and_participants_have_tables_of_their_own(warehouse: Warehouse, box: Mailbox) -> None:
    box.write(
        [
            told("message.read", {"id": "1", "chat_id": 2, "read_at": "2025-05-21T15:35:00-06:00"}, "read"),
            told(
                "typing_indicator.received",
                {"chat_id": "3", "display": True, "timestamp": "2025-07-10 15:32:00 -0600"},
                "type",
            ),
            told("typing_indicator.removed", {"chat_id": 3, "display": "false", "timestamp": None}, "ceased"),
            told(
                "participant.added",
                {"chat_id": "4", "chat_handle": {"id": "5", "identifier": "+1"}, "timestamp": "2025-07-10"},
                "joined",
            ),
            told("participant.removed", {"chat": {"id": 4}, "participant": {"phone_number": "+1"}}, "left"),
        ]
    )
    assert load(warehouse, box).summary.misfits == 0
    made = utc(2025, 5, 21, 21, 30)
    read = "select event_id, message_id, chat_id, read_at, created_at from message_reads"
    assert warehouse.query(read) == [("read", 1, 2, utc(2025, 5, 21, 21, 35), made)]
    typing = "select event_id, chat_id, display, timestamp from typing_indicators order by display desc"
    assert warehouse.query(typing) == [("type", 3, True, utc(2025, 7, 10, 21, 32)), ("ceased", 3, False, None)]
    changes = "select event_id, chat_id, change, chat_handle_id, identifier, timestamp from participant_changes"
    assert sorted(warehouse.query(changes)) == [
        ("joined", 4, "added", 5, "+1", utc(2025, 7, 10)),
        ("left", 4, "removed", None, "+1", None),
    ]


def test_an_event_that_comes_again_is_stored_once_and_loading_again_changes_nothing(
    warehouse: Warehouse, box: Mailbox
) -> None:
    bodies = [told("message.read", {"id": number, "chat_id": 1}, f"evt-{number}") for number in range(30)]
    box.write([*bodies[:20], *bodies[:5]])
    assert load(warehouse, box).summary.events == 20
    box.write(bodies[10:])
    Mailbox(box.folder, "receiver2").write(bodies)
    result = load(warehouse, box)
    assert (result.summary.events, result.summary.duplicates, result.exit_code) == (10, 40, 0)
    assert warehouse.query("select count(*), count(distinct event_id) from webhook_events") == [(30, 30)]
    assert warehouse.query("select count(*), count(distinct event_id) from message_reads") == [(30, 30)]
    before = warehouse.everything()
    assert load(warehouse, box).loads == []
    assert warehouse.everything() == before


def test_an_id_may_hold_any_character(warehouse: Warehouse, box: Mailbox) -> None:
    ids = ["{x}", "{_dlt_loads}", "o'neil", "100%s", "a\\b", "'; drop table calls; --", "日本", "{}"]
    for _ in range(2):
        box.write([told("call.completed", CALL | {"id": each}, each) for each in ids])
        result = load(warehouse, box)
        assert result.exit_code == 0
    assert (result.summary.events, result.summary.duplicates) == (0, len(ids))
    for table, column in (("webhook_events", "event_id"), ("calls", "id")):
        assert sorted(row[column] for row in warehouse.rows(table)) == sorted(ids)


def test_another_event_with_the_id_of_one_is_named_and_the_first_is_kept(warehouse: Warehouse, box: Mailbox) -> None:
    box.write([told("message.read", {"id": 1, "chat_id": 1}), told("typing_indicator.received", {"chat_id": 1})])
    Mailbox(box.folder, "receiver2").write([told("message.read", {"id": 2, "chat_id": 1})])
    result = load(warehouse, box)
    assert result.exit_code == 3
    assert result.summary.skipped == [
        f"events in {box.folder} that have the id of another event: 2; webhook_events keeps the first of each, "
        "the files both"
    ]
    assert warehouse.query("select event_type, message_id from webhook_events") == [("message.read", 1)]


def test_a_load_that_was_not_completed_is_repeated_whole(warehouse: Warehouse, box: Mailbox) -> None:
    box.write([told("message.read", {"id": number, "chat_id": 1}, f"evt-{number}") for number in range(5)])
    load(warehouse, box)
    before = data_of(warehouse, "message_reads")
    # What a kill leaves that came after the tables and before the load's completion.
    warehouse.execute("delete from _dlt_loads")
    result = load(warehouse, box)
    assert (result.exit_code, result.summary.events, result.summary.files) == (0, 5, 1)
    assert data_of(warehouse, "message_reads") == before
    believed = "select count(*) from webhook_events join _dlt_loads on load_id = webhook_events._dlt_load_id"
    assert warehouse.query(believed) == [(5,)]


def test_more_events_than_a_slice_are_committed_in_several(
    warehouse: Warehouse, box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("linq_source.webhook.event_loader.SLICE_EVENTS", 50)
    for part in range(5):
        box.write([told("typing_indicator.received", {"chat_id": 1}, f"evt-{part}-{n}") for n in range(30)])
    result = load(warehouse, box)
    assert (result.summary.events, len(result.loads)) == (150, 3)
    assert warehouse.query("select count(*) from typing_indicators") == [(150,)]


def test_the_state_after_any_order_of_loads_is_the_same(tmp_path: Path) -> None:
    world = small_world(messages=60)
    recorder, rng = Recorder(world, disorder=Disorder(shuffled=0.3, twice=0.2), seed=3), random.Random(3)
    for _ in range(200):
        happen(world, rng)
    bodies = recorder.bodies()
    results = []
    for order in range(3):
        shuffled = random.Random(order).sample(bodies, len(bodies))
        box, warehouse = Mailbox(tmp_path / f"events{order}"), Warehouse(tmp_path / f"{order}.duckdb")
        for start in range(0, len(shuffled), 60):
            box.write(shuffled[start : start + 60])
            if start % 120 == 0:
                load(warehouse, box)
        load(warehouse, box)
        columns = "event_id, event_type, created_at, chat_id, message_id, message_sent_at, data"
        events = sorted(warehouse.query(f"select {columns} from webhook_events"))
        typed = [sorted(map(repr, data_of(warehouse, table))) for table in TYPED]
        results.append((events, typed))
    assert results[0] == results[1] == results[2]
    assert len(results[0][0]) == len({json.loads(body)["event_id"] for body in bodies})
    assert all(results[0][1])


TYPED = ("calls", "message_reads", "typing_indicators", "participant_changes")


def test_while_another_run_is_at_work_the_load_says_so(warehouse: Warehouse, box: Mailbox) -> None:
    box.write([told("message.read", {"id": 1}, "evt-1")])
    with locked(warehouse.target().lock_path), pytest.raises(LockedError):
        load(warehouse, box)


def test_the_command_loads_and_says_what_it_did(warehouse: Warehouse, box: Mailbox) -> None:
    box.write([told("message.read", {"id": 1, "chat_id": 1}), told("message.read", {"id": 1, "chat_id": 1})])
    options = ("--directory", str(box.folder), "--database", str(warehouse.path))
    done = run_pipeline("events_to_duckdb.py", *options)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "Loaded 1 event from 1 file (1 more came again).\n"
    shutil.copyfile(__file__, box.folder / "not.parquet")
    done = run_pipeline("events_to_duckdb.py", *options, "--json")
    document = json.loads(done.stdout)
    assert (done.returncode, document["events"], document["exit_code"]) == (3, 0, 3)
    assert done.stderr.startswith("Skipped: not.parquet in ")
    done = run_pipeline("events_to_duckdb.py", "--directory", str(box.folder / "x"), "--database", "x.duckdb")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("There is no folder of events ")
    assert done.stderr.count("\n") == 1
