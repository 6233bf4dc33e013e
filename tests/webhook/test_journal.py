"""The journal: durable before it answers, one writer, and honest when the disk is not."""

import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from linq_source.errors import ConfigurationError, DestinationError, LockedError
from linq_source.webhook import store
from linq_source.webhook.event import read_event
from linq_source.webhook.journal import Journal, JournalClosedError
from linq_source.webhook.store import FILE_NAME, Outcome, Received
from tests.webhook.support import Served, encoded, event, journal_rows, request, signed

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def received(number: int, **changes: Any) -> Received:
    body = encoded(event(number, **changes))
    return Received(body, NOW, read_event(body))


def submit(journal: Journal, item: Received) -> Outcome:
    """Submit and wait for what becomes of it."""
    answered: list[Outcome] = []
    done = threading.Event()

    def answer(outcome: Outcome) -> None:
        answered.append(outcome)
        done.set()

    if not journal.submit(item, answer):
        return Outcome.REFUSED
    assert done.wait(10)
    return answered[0]


class Disk:
    """Connections whose statements fail while `problem` is set, before or after they took effect."""

    def __init__(self) -> None:
        self.problem: str | None = None
        self.fails_at = "commit"
        self.fails_after = False
        self.seconds = 0.0
        self.opened = 0

    def connect(self, path: str) -> sqlite3.Connection:
        self.opened += 1
        disk = self

        class Connection(sqlite3.Connection):
            def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
                if sql == "commit":
                    time.sleep(disk.seconds)
                if not disk.problem or not sql.startswith(disk.fails_at):
                    return super().execute(sql, *parameters)
                if disk.fails_after:
                    super().execute(sql, *parameters)
                raise sqlite3.OperationalError(disk.problem)

        return sqlite3.connect(path, timeout=2, isolation_level=None, check_same_thread=False, factory=Connection)


def test_outcomes(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        assert submit(journal, received(1)) is Outcome.STORED
        assert submit(journal, received(1)) is Outcome.DUPLICATE
        assert submit(journal, received(1, data=None)) is Outcome.CONFLICT
        assert submit(journal, Received(b"x", NOW, None, "why")) is Outcome.REJECTED
    assert submit(journal, received(2)) is Outcome.REFUSED
    with Journal(tmp_path) as journal:
        assert submit(journal, received(1)) is Outcome.DUPLICATE
        assert submit(journal, received(2)) is Outcome.STORED
    assert journal_rows(tmp_path, "select event_id from events order by seq") == ["evt-1", "evt-2"]


def test_what_waits_together_is_written_together_and_closing_writes_it_all(tmp_path: Path) -> None:
    outcomes: list[Outcome] = []
    disk = Disk()
    journal = Journal(tmp_path, connect=disk.connect)
    journal.open()
    disk.seconds = 0.05
    for number in range(500):
        assert journal.submit(received(number), outcomes.append)
    journal.close()
    assert outcomes == [Outcome.STORED] * 500
    assert journal.counters.commits < 10
    assert journal_rows(tmp_path, "select count(*) from events") == [500]


def test_what_is_submitted_before_the_writer_is_woken_is_one_group(tmp_path: Path) -> None:
    outcomes: list[Outcome] = []
    wakes: list[Callable[[], None]] = []
    with Journal(tmp_path) as journal:
        journal.gather = wakes.append
        for number in range(3):
            assert journal.submit(received(number), outcomes.append)
        (wake,) = wakes
        assert (outcomes, journal.waiting) == ([], 3)
        wake()
        assert journal.submit(received(3), outcomes.append), "and the next group is gathered anew"
        assert len(wakes) == 2
    assert (outcomes, journal.counters.commits <= 2) == ([Outcome.STORED] * 4, True)


def test_of_the_same_event_in_one_group_the_first_is_stored(tmp_path: Path) -> None:
    with closing(store.open_for_writing(tmp_path / FILE_NAME)) as connection:
        store.write(connection, [received(1)])
        group = [received(2), received(1), received(2), received(2, data=None), Received(b"x", NOW, None, "why")]
        same, other = Outcome.DUPLICATE, Outcome.CONFLICT
        assert store.write(connection, group) == [Outcome.STORED, same, same, other, Outcome.REJECTED]
    assert journal_rows(tmp_path, "select event_id, data is null from events order by seq") == [
        ("evt-1", 0),
        ("evt-2", 0),
    ]


def test_files_and_folders_are_for_their_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "some" / "folders" / "journal"
    with Journal(folder) as journal:
        submit(journal, received(1))
        files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
        assert set(files) >= {FILE_NAME, f"{FILE_NAME}-wal", f"{FILE_NAME}-shm"}
        assert set(files.values()) == {0o600}
    for path in (folder, folder.parent, folder.parent.parent):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_a_folder_has_one_receiver(tmp_path: Path) -> None:
    with Journal(tmp_path), pytest.raises(LockedError, match="Another receiver") as caught:
        Journal(tmp_path).open()
    assert caught.value.exit_code == 75
    with Journal(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_or_a_file_that_is_no_journal_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigurationError, match="cannot be made or written"):
        Journal(tmp_path / "file" / "journal").open()
    (tmp_path / FILE_NAME).write_bytes(b"not SQLite" * 1000)
    with pytest.raises(DestinationError, match="file is not a database"):
        Journal(tmp_path).open()


@pytest.mark.parametrize("problem", ["database or disk is full", "disk I/O error"])
@pytest.mark.parametrize("fails_at", ["begin", "insert", "commit"])
def test_an_error_of_the_disk_refuses_the_group_and_the_file_is_opened_anew(
    tmp_path: Path, problem: str, fails_at: str
) -> None:
    disk, now = Disk(), [0.0]
    with Journal(tmp_path, connect=disk.connect, clock=lambda: now[0]) as journal:
        assert submit(journal, received(1)) is Outcome.STORED
        disk.problem, disk.fails_at = problem, fails_at
        assert submit(journal, received(2)) is Outcome.REFUSED
        assert journal.counters.last_failure == problem
        disk.problem = None
        assert submit(journal, received(2)) is Outcome.REFUSED  # not tried again at once
        now[0] = 1.0
        assert submit(journal, received(2)) is Outcome.STORED
        assert disk.opened == 2
    assert journal_rows(tmp_path, "select event_id from events order by seq") == ["evt-1", "evt-2"]


def test_a_failed_sync_is_refused_although_it_can_be_read_and_made_durable_before_it_is_called_a_duplicate(
    tmp_path: Path,
) -> None:
    disk, now = Disk(), [0.0]
    with Journal(tmp_path, connect=disk.connect, clock=lambda: now[0]) as journal:
        disk.problem, disk.fails_after = "disk I/O error", True
        assert submit(journal, received(1)) is Outcome.REFUSED
        assert journal_rows(tmp_path, "select event_id from events") == ["evt-1"]
        disk.problem, disk.fails_at, disk.fails_after = "disk I/O error", "pragma wal_checkpoint", False
        now[0] = 1.0
        assert submit(journal, received(1)) is Outcome.REFUSED  # since the log cannot be moved into the database
        disk.problem, now[0] = None, 2.0
        assert submit(journal, received(1)) is Outcome.DUPLICATE
        assert b"evt-1" in (tmp_path / FILE_NAME).read_bytes()


def test_a_real_full_disk_refuses_and_what_was_stored_stays(tmp_path: Path) -> None:
    # The system itself refuses to let files grow beyond this.
    script = f"""
import resource, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from pathlib import Path
from linq_source.webhook.journal import Journal
from tests.webhook.test_journal import received, submit
journal = Journal(Path({str(tmp_path)!r}))
journal.open()
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
outcomes = [submit(journal, received(number, data="x" * 2000)).value for number in range(200)]
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
import time; time.sleep(0.6)
outcomes.append(submit(journal, received(1000)).value)
print(*outcomes)
"""
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    outcomes = finished.stdout.split()
    assert finished.stderr == ""
    assert set(outcomes) == {"stored", "refused"}
    assert outcomes[0] == outcomes[-1] == "stored"
    assert outcomes[199] == "refused"
    kept = set(journal_rows(tmp_path, "select event_id from events"))
    assert {f"evt-{number}" for number, outcome in enumerate(outcomes[:200]) if outcome == "stored"} <= kept


def test_too_much_waiting_is_refused_at_once(tmp_path: Path) -> None:
    disk = Disk()
    with Journal(tmp_path, connect=disk.connect, max_events=3, max_bytes=100_000) as journal:
        disk.seconds = 0.3
        outcomes: list[Outcome] = []
        assert journal.submit(received(0), outcomes.append)
        while journal.waiting:
            time.sleep(0.01)
        assert [journal.submit(received(number), outcomes.append) for number in (1, 2, 3, 4)] == [True] * 3 + [False]
    assert outcomes == [Outcome.STORED] * 4
    with Journal(tmp_path, max_bytes=1000) as journal:
        assert not journal.submit(received(9, data="x" * 1000), outcomes.append)


def test_a_full_queue_or_a_broken_journal_is_503_with_retry_after_and_heals(tmp_path: Path) -> None:
    disk = Disk()
    with Served(tmp_path, connect=disk.connect, max_events=2) as served:
        disk.seconds = 0.2
        with ThreadPoolExecutor(12) as pool:
            statuses = list(pool.map(lambda number: served.deliver(event(number)), range(12)))
        assert set(statuses) == {200, 503}
        disk.seconds, disk.problem = 0.0, "database or disk is full"
        body = encoded(event(100))
        status, headers, _ = request(served.port, "POST", "/webhooks/linq", body, signed(body))
        assert (status, headers["retry-after"]) == (503, "5")
        assert request(served.port, "GET", "/healthz")[0] == 200
        disk.problem = None
        time.sleep(0.6)
        assert served.deliver(event(100)) == 200
        stored = set(served.rows())
    answered = {f"evt-{number}" for number, status in enumerate(statuses) if status == 200} | {"evt-100"}
    assert answered == stored


def test_a_task_runs_in_the_writer_in_a_transaction_of_its_own(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        submit(journal, received(1))
        assert journal.call(lambda connection: connection.execute("select count(*) from events").fetchone()) == (1,)

        def breaks(connection: sqlite3.Connection) -> None:
            connection.execute("delete from events")
            raise OSError(5, "Input/output error")

        with pytest.raises(JournalClosedError, match="Input/output error"):
            journal.call(breaks)
    assert journal_rows(tmp_path, "select event_id from events") == ["evt-1"]
    with pytest.raises(JournalClosedError):
        journal.call(breaks)


def test_only_the_newest_rejects_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAX_REJECTS", 3)
    with Journal(tmp_path) as journal:
        for number in range(10):
            submit(journal, Received(b"%d" % number, NOW, None, "why"))
    assert journal_rows(tmp_path, "select body from rejects order by seq") == [b"7", b"8", b"9"]


def test_a_torn_log_is_cut_at_its_last_whole_transaction(tmp_path: Path) -> None:
    source, copy = tmp_path / "source", tmp_path / "copy"
    with Journal(source) as journal:
        for number in range(20):
            submit(journal, received(number))
        copy.mkdir()
        for name in (FILE_NAME, f"{FILE_NAME}-wal"):
            (copy / name).write_bytes((source / name).read_bytes())
    log = copy / f"{FILE_NAME}-wal"
    log.write_bytes(log.read_bytes()[:-1000])
    with Journal(copy) as journal:
        assert submit(journal, received(1000)) is Outcome.STORED
    kept = journal_rows(copy, "select event_id from events order by seq")
    assert kept == [*(f"evt-{number}" for number in range(19)), "evt-1000"]
