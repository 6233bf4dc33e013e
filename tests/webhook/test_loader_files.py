"""Files of events that are torn, foreign, half-written or late: loaded, named or left alone, as each deserves."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from linq_source.errors import ConfigurationError
from linq_source.webhook.event_loader import EventLoader
from linq_source.webhook.parquet import SCHEMA
from tests.mailbox import RECEIVED, Mailbox, box, load, told
from tests.support import Warehouse

__all__ = ["box"]  # a fixture

pytestmark = pytest.mark.without_dlt


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


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no folder of events"):
        EventLoader(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("values", [[f"{number}" + "a" * 400_000 for number in range(30)], ["a" * 400_000] * 30])
def test_a_small_file_that_inflates_beyond_what_receivers_write_is_named_and_the_others_are_loaded(
    values: list[str], warehouse: Warehouse, box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("linq_source.webhook.event_files.MAX_INFLATED_BYTES", 5_000_000)
    path = box.write([told("message.read", {"id": 94}, f"evt-9{number}") for number in range(30)])
    table = pq.read_table(path, partitioning=None)
    at = table.schema.get_field_index("data")
    pq.write_table(table.set_column(at, table.schema.field(at), pa.array(values)), path, compression="zstd")
    assert path.stat().st_size < 50_000
    box.write([told("message.read", {"id": 1, "chat_id": 1}, "evt-1")])
    result = load(warehouse, box)
    said = f"{path.relative_to(box.folder)} in {box.folder}: it holds more than a receiver writes into one file"
    assert (result.exit_code, len(result.summary.skipped)) == (3, 1)
    assert result.summary.skipped[0].startswith(said)
    assert warehouse.query("select event_id from webhook_events") == [("evt-1",)]


def test_a_file_whose_name_is_no_utf8_is_named_and_the_others_are_loaded(warehouse: Warehouse, box: Mailbox) -> None:
    good = box.write([told("message.read", {"id": 1}, "evt-1")])
    good.with_name(os.fsdecode(b"odd\xff.parquet")).write_bytes(good.read_bytes())
    for _ in range(2):
        result = load(warehouse, box)
        [sentence] = result.summary.skipped
        assert "odd?.parquet in " in sentence
        assert "not valid UTF-8" in sentence
    assert len(warehouse.rows("webhook_events")) == 1
