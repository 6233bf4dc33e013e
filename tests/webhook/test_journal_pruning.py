"""What leaves the journal once it is old: events that a file has, the note of that file, conflicts and rejects."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from linq_source.webhook.event import read_event
from linq_source.webhook.journal import Journal
from linq_source.webhook.parquet import Roller
from linq_source.webhook.store import Received
from linq_source.webhook.targets import LocalFolder
from tests.webhook.support import encoded, event, journal_rows, parquet_rows
from tests.webhook.test_parquet import NOON, Flaky, store


def test_old_events_leave_the_journal_once_a_file_has_them(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal") as journal:
        store(journal, range(5), NOON - timedelta(days=31))
        store(journal, range(5, 8))
        Roller(journal, Flaky(tmp_path, fails_at=9, is_written=False), clock=lambda: NOON).roll()
        assert journal_rows(tmp_path / "journal", "select event_id from events") == ["evt-5", "evt-6", "evt-7"]
        store(journal, range(8, 9))
        Roller(journal, LocalFolder(tmp_path), clock=lambda: NOON + timedelta(days=60)).roll()
        assert journal_rows(tmp_path / "journal", "select count(*) from events") == [0]
        store(journal, range(9, 10))
        Roller(journal, LocalFolder(tmp_path), clock=lambda: NOON).roll()
    assert parquet_rows(tmp_path, "seq") == [(seq,) for seq in range(1, 11)]


def test_the_journal_forgets_files_as_it_forgets_events_but_for_the_last(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal") as journal:
        for number in range(4):
            store(journal, range(number, number + 1), NOON - timedelta(days=40))
            Roller(journal, LocalFolder(tmp_path), clock=lambda: NOON - timedelta(days=40)).roll()
        Roller(journal, LocalFolder(tmp_path), clock=lambda: NOON).roll()
        assert journal_rows(tmp_path / "journal", "select first_seq from files") == [4]
        store(journal, range(4, 6))
        Roller(journal, LocalFolder(tmp_path), clock=lambda: NOON).roll()
    assert parquet_rows(tmp_path, "seq") == [(seq,) for seq in range(1, 7)]


def reject(journal: Journal, *numbers: int, received_at: datetime = NOON) -> None:
    """Have the journal keep another event with each of these ids, and as many bodies that are no events."""
    for number in numbers:
        other = encoded(event(number, data={"text": "another"}))
        journal.submit(Received(other, received_at, read_event(other)), lambda _: None)
        journal.submit(Received(b"no event", received_at, None, "cut or not JSON"), lambda _: None)


def test_conflicts_and_rejects_are_kept_as_long_as_events_are_known(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal") as journal:
        store(journal, range(2), NOON - timedelta(days=40))
        reject(journal, 0, received_at=NOON - timedelta(days=31))
        reject(journal, 1, received_at=NOON - timedelta(days=29))
        Roller(journal, LocalFolder(tmp_path), clock=lambda: NOON).roll()
    assert journal_rows(tmp_path / "journal", "select event_id from conflicts") == ["evt-1"]
    assert journal_rows(tmp_path / "journal", "select count(*) from rejects") == [1]


def test_a_conflict_is_kept_while_the_journal_knows_the_first_event_with_its_id(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal") as journal:
        store(journal, range(1), NOON - timedelta(days=40))
        reject(journal, 0, received_at=NOON - timedelta(days=40))
        with pytest.raises(OSError, match="No space left"):
            Roller(journal, Flaky(tmp_path, fails_at=1, is_written=False), clock=lambda: NOON).roll()
        journal.call(Roller(journal, LocalFolder(tmp_path), clock=lambda: NOON)._prune)
        assert journal_rows(tmp_path / "journal", "select event_id from conflicts") == ["evt-0"]
        Roller(journal, LocalFolder(tmp_path), clock=lambda: NOON).roll()
    assert journal_rows(tmp_path / "journal", "select event_id from conflicts") == []
