"""The roller: every event of the journal is in one file, once, whatever happens between."""

import stat
import threading
import time
from datetime import UTC, datetime, timedelta
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from linq_source.webhook.event import read_event
from linq_source.webhook.journal import Journal, JournalClosedError
from linq_source.webhook.parquet import SCHEMA, Roller, file_name, split, to_parquet
from linq_source.webhook.store import Outcome, Received
from linq_source.webhook.targets import LocalFolder, ObjectStore, open_target
from tests.webhook.support import encoded, event, parquet_rows

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def store(journal: Journal, numbers: range, received_at: datetime = NOON, **changes: Any) -> None:
    """Have these events in the journal."""
    done = threading.Semaphore(0)
    outcomes: list[Outcome] = []
    for number in numbers:
        body = encoded(event(number, **changes))
        received = Received(body, received_at, read_event(body))
        assert journal.submit(received, lambda outcome: (outcomes.append(outcome), done.release()))  # type: ignore[func-returns-value,arg-type,return-value]
    for _ in numbers:
        assert done.acquire(timeout=10)
    assert set(outcomes) == {Outcome.STORED}


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.glob("**/*.parquet"))}


class Flaky:
    """A target that fails at the n-th file, before or after it is written."""

    name = "flaky"

    def __init__(self, folder: Path, *, fails_at: int, is_written: bool) -> None:
        self._target = LocalFolder(folder)
        self._left, self._is_written = fails_at, is_written

    def put(self, name: str, content: bytes) -> None:
        self._left -= 1
        if self._left or self._is_written:
            self._target.put(name, content)
        if not self._left:
            raise OSError(28, "No space left on device")


def test_events_become_a_file_that_duckdb_reads_with_types_and_partition(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal") as journal:
        store(journal, range(3))
        store(journal, range(3, 4), api_version=None, created_at=None, data=None)
        assert Roller(journal, LocalFolder(tmp_path)).roll() == 1
        receiver = journal.instance
    (name,) = files(tmp_path)
    assert name == f"received_date=2026-03-01/{receiver}-000000000001-000000000004.parquet"
    rows = parquet_rows(
        tmp_path, "event_id, event_type, api_version, created_at, received_at, data, received_date, seq"
    )
    assert rows[0] == (
        "evt-0", "message.received", "v2", datetime(2025, 5, 21, 21, 30, tzinfo=UTC), NOON,
        '{"chat_id":"324324","id":"0","is_read":false,"text":"Hello, how are you?"}', NOON.date(), 1,
    )  # fmt: skip
    assert rows[3] == ("evt-3", "message.received", None, None, NOON, None, NOON.date(), 4)
    assert pq.read_schema(tmp_path / name).equals(SCHEMA, check_metadata=True)
    assert pq.ParquetFile(tmp_path / name).metadata.row_group(0).column(0).compression == "ZSTD"


def test_files_never_change_and_nothing_is_written_when_nothing_is_new(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal") as journal:
        roller = Roller(journal, LocalFolder(tmp_path))
        assert roller.roll() == 0
        store(journal, range(5))
        assert roller.roll() == 1
        first = files(tmp_path)
        assert roller.roll() == 0
        store(journal, range(5, 9))
        assert roller.roll() == 1
    assert first.items() <= files(tmp_path).items()
    assert parquet_rows(tmp_path) == [(f"evt-{number}",) for number in range(9)]


@pytest.mark.parametrize("is_written", [False, True])
@pytest.mark.parametrize("fails_at", [1, 2, 3])
def test_a_roll_that_fails_is_finished_later_with_the_same_files(
    tmp_path: Path, fails_at: int, is_written: bool
) -> None:
    with Journal(tmp_path / "journal") as journal:
        for day in range(3):
            store(journal, range(day * 10, day * 10 + 10), NOON + timedelta(days=day))
        with pytest.raises(OSError, match="No space left"):
            Roller(journal, Flaky(tmp_path, fails_at=fails_at, is_written=is_written)).roll()
        before = files(tmp_path)
        assert len(before) == fails_at - 1 + is_written
        store(journal, range(30, 40), NOON + timedelta(days=2))  # arrives before the next try
    with Journal(tmp_path / "journal") as journal:
        Roller(journal, LocalFolder(tmp_path)).roll()
    assert before.items() <= files(tmp_path).items()
    assert parquet_rows(tmp_path) == [(f"evt-{number}",) for number in range(40)]
    assert len(files(tmp_path)) == 4


def test_a_file_that_was_written_but_not_marked_is_written_again_byte_for_byte(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal") as journal:
        store(journal, range(100))
        roller = Roller(journal, LocalFolder(tmp_path), clock=lambda: NOON)
        roller.roll()
        before = files(tmp_path)
        journal.call(lambda connection: connection.execute("update files set written_at = null"))
        assert roller.roll() == 1
    assert files(tmp_path) == before


def test_a_day_has_files_of_its_own_also_when_the_clock_steps_back(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal") as journal:
        for number, hours in enumerate((0, 11, 13, 1, 14)):
            store(journal, range(number, number + 1), NOON + timedelta(hours=hours))
        assert Roller(journal, LocalFolder(tmp_path)).roll() == 4
    assert [name.partition("/")[0][-5:] for name in files(tmp_path)] == ["03-01", "03-01", "03-02", "03-02"]
    assert parquet_rows(tmp_path) == [(f"evt-{number}",) for number in range(5)]


def test_ranges_are_bounded_in_rows_and_bytes_and_cover_everything_once() -> None:
    rows = [(seq, 20_000 + seq // 60, 7) for seq in range(1, 200) if seq % 9]
    for limits in ({"max_rows": 10}, {"max_bytes": 50}, {"max_bytes": 1}, {}):
        ranges = list(split(iter(rows), receiver="r", **limits))
        covered = [[seq for seq, _, _ in rows if each.first_seq <= seq <= each.last_seq] for each in ranges]
        assert list(chain(*covered)) == [seq for seq, _, _ in rows]
        assert all(len(each) <= limits.get("max_rows", 10**6) for each in covered)
        assert all(len(each) * 7 <= limits.get("max_bytes", 10**9) or len(each) == 1 for each in covered)
        assert all(a.last_seq < b.first_seq for a, b in pairwise(ranges))
    assert file_name("r", 20_000, 1, 2) == "received_date=2024-10-04/r-000000000001-000000000002.parquet"


def test_equal_rows_are_equal_bytes() -> None:
    row = ("id", "type", None, "reference", 1, 2, "{}", "f", "r", 3)
    assert to_parquet([row] * 100) == to_parquet([row] * 100)
    assert pq.read_table(pa.BufferReader(to_parquet([]))).num_rows == 0


def test_several_receivers_share_one_target(tmp_path: Path) -> None:
    target = LocalFolder(tmp_path / "shared")
    for name in "abc":
        with Journal(tmp_path / name) as journal:
            store(journal, range(10))
            Roller(journal, target).roll()
    assert len(files(target.folder)) == 3
    assert len(parquet_rows(target.folder)) == 30
    assert len(set(parquet_rows(target.folder, "event_id"))) == 10
    assert len(set(parquet_rows(target.folder, "receiver"))) == 3


def test_files_are_for_their_owner_alone_and_no_temporary_one_is_left(tmp_path: Path) -> None:
    with Journal(tmp_path / "out" / "journal") as journal:
        store(journal, range(3))
        Roller(journal, LocalFolder(tmp_path / "out")).roll()
    for path in (tmp_path / "out").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
        assert not path.name.endswith(".tmp")


@pytest.mark.parametrize("is_link", [True, False])
def test_what_lies_where_a_file_is_begun_is_neither_followed_nor_written_into(tmp_path: Path, is_link: bool) -> None:
    other = tmp_path / "other"
    other.write_text("of another program")
    begun = tmp_path / "out" / ".a.parquet.tmp"
    begun.parent.mkdir()
    if is_link:
        begun.symlink_to(other)
    else:
        begun.touch(mode=0o666)
    LocalFolder(begun.parent).put("a.parquet", b"events")
    assert other.read_text() == "of another program"
    written = begun.parent / "a.parquet"
    assert (written.read_bytes(), stat.S_IMODE(written.lstat().st_mode)) == (b"events", 0o600)


def test_the_name_of_a_target_shows_no_password() -> None:
    assert open_target("sftp://linq:hunter2@files.example.com/events?key=hunter2").name == (
        "sftp://files.example.com/events"
    )


def test_a_reader_of_the_glob_never_sees_half_a_file(tmp_path: Path) -> None:
    stop = threading.Event()
    seen: list[int] = []

    def read() -> None:
        while not stop.is_set():
            seen.append(len(parquet_rows(tmp_path)))

    with Journal(tmp_path / "journal") as journal:
        roller = Roller(journal, LocalFolder(tmp_path))
        store(journal, range(10))
        roller.roll()
        reader = threading.Thread(target=read)
        reader.start()
        for number in range(1, 15):
            store(journal, range(number * 10, number * 10 + 10))
            roller.roll()
        stop.set()
        reader.join()
    assert seen == sorted(seen)
    assert all(count % 10 == 0 for count in seen)


def test_the_thread_rolls_in_time_or_by_count_and_once_more_at_the_end(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal") as journal:
        roller = Roller(journal, LocalFolder(tmp_path), flush_seconds=3600, flush_events=5)
        roller.start()
        store(journal, range(5))
        until = time.monotonic() + 10
        while not files(tmp_path) and time.monotonic() < until:
            time.sleep(0.02)
        assert len(parquet_rows(tmp_path)) == 5
        store(journal, range(5, 7))
        assert roller.stop(timeout_seconds=10)
    assert len(parquet_rows(tmp_path)) == 7


def test_a_target_that_fails_for_a_while_loses_nothing(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal") as journal:
        store(journal, range(5))
        roller = Roller(journal, Flaky(tmp_path, fails_at=1, is_written=False), flush_seconds=0.05)
        roller.start()
        until = time.monotonic() + 10
        while not roller.counters.files and time.monotonic() < until:
            time.sleep(0.02)
        assert roller.stop(timeout_seconds=10)
        assert roller.counters.failures == 1
    assert len(parquet_rows(tmp_path)) == 5


def test_what_came_twice_is_not_counted_among_what_waits(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal") as journal:
        roller = Roller(journal, LocalFolder(tmp_path))
        store(journal, range(3))
        body = encoded(event(1))
        for _ in range(5):
            journal.submit(Received(body, NOON, read_event(body)), lambda _: None)
        store(journal, range(3, 5))
        assert not roller._is_due(0.0)
        assert roller.counters.unrolled >= 5
        journal.submit(Received(body, NOON, read_event(body)), lambda _: None)
        roller.roll()
        assert not roller._is_due(0.0)
        assert roller.counters.unrolled == 0
        roller._close_reader()


def test_a_closed_journal_stops_a_roll(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    with pytest.raises(JournalClosedError):
        Roller(journal, LocalFolder(tmp_path)).roll()


def test_a_store_of_fsspec_gets_whole_objects(tmp_path: Path) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    target = ObjectStore("memory://events")
    with Journal(tmp_path) as journal:
        store(journal, range(5))
        Roller(journal, target).roll()
    (path,) = memory.glob("/events/*/*.parquet")
    assert pq.read_table(memory.open(path)).num_rows == 5
    memory.rm("/events", recursive=True)
