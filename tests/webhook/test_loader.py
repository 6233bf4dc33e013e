"""Events from Parquet files into the database: each once, typed, whatever else lies in the folder."""

import json
import random
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from linq_source.errors import ConfigurationError, LockedError
from linq_source.process import locked
from linq_source.runner import EventResult, run_events
from linq_source.simulator import Disorder, Recorder, happen
from linq_source.webhook.event_loader import EventLoader
from linq_source.webhook.parquet import SCHEMA
from tests.mailbox import RECEIVED, Mailbox, told
from tests.support import Warehouse, run_pipeline, small_world

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


@pytest.fixture
def box(tmp_path: Path) -> Mailbox:
    """A folder of events."""
    return Mailbox(tmp_path / "events")


def load(warehouse: Warehouse, box: Mailbox) -> EventResult:
    return run_events(EventLoader(str(box.folder)), warehouse.target())


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
        f"2 events in {box.folder} have the id of another event; webhook_events keeps the first of each, "
        "the files both"
    ]
    assert warehouse.query("select event_type, message_id from webhook_events") == [("message.read", 1)]


def torn(box: Mailbox) -> Path:
    path = box.write([told("message.read", {"id": 90}, "evt-90")])
    path.write_bytes(path.read_bytes()[:-60])
    return path


def torn_inside(box: Mailbox) -> Path:
    path = box.write([told("message.read", {"id": 91, "chat_id": number}, f"evt-9{number}") for number in range(99)])
    content = bytearray(path.read_bytes())
    content[4:400] = b"\x00" * 396
    path.write_bytes(content)
    return path


def empty(box: Mailbox) -> Path:
    path = box.folder / "received_date=2026-03-02" / "empty.parquet"
    path.write_bytes(b"")
    return path


def foreign(box: Mailbox) -> Path:
    path = box.folder / "sales.parquet"
    pq.write_table(pa.table({"event_id": ["evt-1"], "amount": [1]}), path)
    return path


def of_another_version(box: Mailbox) -> Path:
    path = box.folder / "new.parquet"
    schema = SCHEMA.with_metadata({"linq_webhook_events": "2"})
    pq.write_table(schema.empty_table(), path)
    return path


def without_a_column(box: Mailbox) -> Path:
    path = box.folder / "less.parquet"
    schema = pa.schema([SCHEMA.field("event_id")], metadata=SCHEMA.metadata)
    pq.write_table(schema.empty_table(), path)
    return path


def with_a_bit_flipped(box: Mailbox) -> Path:
    path = box.write([told("message.read", {"id": 92}, "evt-92")])
    content = path.read_bytes()
    assert b"evt-92" in content, "or the bit that is flipped is none of a value"
    path.write_bytes(content.replace(b"evt-92", b"evt-93", 1))
    return path


def holding(box: Mailbox, **values: Any) -> Path:
    """A file in the form of ours with values that no receiver writes."""
    path = box.write([told("message.read", {"id": 94}, "evt-94")])
    table = pq.read_table(path, partitioning=None)
    for name, value in values.items():
        position = table.schema.get_field_index(name)
        table = table.set_column(position, table.schema.field(position).with_nullable(True), value)
    pq.write_table(table, path)
    return path


def with_a_null(box: Mailbox) -> Path:
    return holding(box, event_id=pa.array([None], type=pa.string()))


def with_a_text_that_is_no_utf_8(box: Mailbox) -> Path:
    return holding(box, data=pa.array([b"\xff"]).view(pa.string()))


def with_a_time_beyond_all_years(box: Mailbox) -> Path:
    return holding(box, created_at=pa.array([2**62]).cast(SCHEMA.field("created_at").type))


def with_a_column_twice(box: Mailbox) -> Path:
    path = box.write([told("message.read", {"id": 95}, "evt-95")])
    table = pq.read_table(path, partitioning=None)
    pq.write_table(table.append_column(table.schema.field("event_id"), table["event_id"]), path)
    return path


@pytest.mark.parametrize(
    "spoil",
    [
        torn,
        torn_inside,
        empty,
        foreign,
        of_another_version,
        without_a_column,
        with_a_bit_flipped,
        with_a_null,
        with_a_text_that_is_no_utf_8,
        with_a_time_beyond_all_years,
        with_a_column_twice,
    ],
)
def test_a_file_that_cannot_be_used_is_named_and_the_others_are_loaded(
    spoil: Any, warehouse: Warehouse, box: Mailbox
) -> None:
    box.write([told("message.read", {"id": 1, "chat_id": 1}, "evt-1")])
    path = spoil(box)
    box.write([told("message.read", {"id": 2, "chat_id": 1}, "evt-2")])
    for _ in range(2):  # named again as long as it lies there
        result = load(warehouse, box)
        assert result.exit_code == 3
        assert len(result.summary.skipped) == 1
        assert result.summary.skipped[0].startswith(f"{path.relative_to(box.folder)} in {box.folder}: ")
    assert warehouse.query("select event_id from webhook_events order by all") == [("evt-1",), ("evt-2",)]


def test_a_torn_file_that_is_written_whole_later_is_loaded_then(warehouse: Warehouse, box: Mailbox) -> None:
    path = box.write([told("message.read", {"id": 1, "chat_id": 1}, "evt-1")])
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    assert load(warehouse, box).exit_code == 3
    path.write_bytes(whole)
    result = load(warehouse, box)
    assert (result.exit_code, result.summary.events) == (0, 1)


def test_what_is_still_being_written_is_left_alone(warehouse: Warehouse, box: Mailbox) -> None:
    path = box.write([told("message.read", {"id": 1, "chat_id": 1}, "evt-1")])
    path.rename(path.with_name(f".{path.name}.tmp"))
    hidden = box.folder / ".hidden" / "x.parquet"
    hidden.parent.mkdir()
    hidden.write_bytes(b"half")
    result = load(warehouse, box)
    assert (result.exit_code, result.summary.events) == (0, 0)


def test_a_file_older_by_name_that_comes_late_is_loaded(warehouse: Warehouse, box: Mailbox) -> None:
    late = box.write([told("message.read", {"id": 1, "chat_id": 1}, "evt-1")], RECEIVED - timedelta(days=3))
    kept = late.read_bytes()
    late.unlink()
    box.write([told("message.read", {"id": 2, "chat_id": 1}, "evt-2")])
    assert load(warehouse, box).summary.events == 1
    late.write_bytes(kept)
    assert load(warehouse, box).summary.events == 1
    assert warehouse.query("select count(*) from webhook_events") == [(2,)]


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


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no folder of events"):
        EventLoader(str(tmp_path / "nowhere"))


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
