"""A DuckDB file under a sync: its log stays short. Written anew: it keeps nothing of what was removed, stays where
it was, and is never open to others. What a killed process has spilled does not stay.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import duckdb
import pytest

from linq_source import database as database_module
from linq_source.database import held_database, opened_for_reading, write_anew
from linq_source.errors import ConfigurationError, DestinationError
from linq_source.simulator import Simulator
from tests.support import Warehouse, assert_mirrors, small_world

Serve = Callable[..., Simulator]

GONE = "a text that was removed"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A file that holds much, and in its free blocks what was removed."""
    path = tmp_path / "o'neil.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("set force_compression = 'uncompressed'")
        connection.execute(f"create table gone as select range as id, '{GONE} ' || range as text from range(50_000)")
        connection.execute("checkpoint")
        connection.execute("create table kept as select range as id, md5(range::varchar) as text from range(400_000)")
        connection.execute("checkpoint; drop table gone; checkpoint")
    assert GONE.encode() in path.read_bytes()
    return path


def rows(path: Path) -> int:
    with duckdb.connect(str(path), read_only=True) as connection:
        [(count,)] = connection.sql("select count(*) from kept").fetchall()
    return int(count)


def test_what_was_removed_is_not_in_the_file_and_the_rest_is(database: Path) -> None:
    write_anew(database)
    assert GONE.encode() not in database.read_bytes()
    assert rows(database) == 400_000
    assert list(database.parent.iterdir()) == [database]


def test_a_file_behind_a_link_is_the_one_that_is_written_anew(database: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "linq.duckdb"
    link.symlink_to(database)
    write_anew(link)
    assert link.is_symlink()
    assert GONE.encode() not in database.read_bytes()
    assert rows(link) == 400_000


def test_while_it_is_written_nobody_else_can_read_it(database: Path) -> None:
    database.chmod(0o640)
    seen: set[int] = set()
    is_done = threading.Event()

    def look() -> None:
        while not is_done.is_set():
            for path in database.parent.glob(".*"):
                try:
                    seen.add(path.stat().st_mode & 0o777)
                except FileNotFoundError:
                    continue

    watch = threading.Thread(target=look)
    before = os.umask(0o022)
    watch.start()
    try:
        write_anew(database)
    finally:
        is_done.set()
        watch.join()
        after = os.umask(before)
    assert seen - {0o640} == {0o600}, "private until it takes the place and the mode of the old one"
    assert database.stat().st_mode & 0o777 == 0o640
    assert after == 0o022, "what is made later is as it would have been"


SPILL = """
import duckdb, os, sys, threading, time

def watch():
    folder = sys.argv[1] + ".tmp"
    while not os.path.isdir(folder) or sum(each.stat().st_size for each in os.scandir(folder)) < 1_000_000:
        time.sleep(0.01)
    print("spilled", flush=True)

threading.Thread(target=watch, daemon=True).start()
with duckdb.connect(sys.argv[1], config={"memory_limit": "60MB", "threads": 1}) as connection:
    texts = "select 'a spilled text ' || i as t, any_value(md5(i::varchar)) from range(20_000_000) r(i) group by t"
    connection.execute(f"select count(*) from ({texts})").fetchall()
"""


@pytest.fixture
def spilling(database: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the database open and has spilled rows."""
    with subprocess.Popen([sys.executable, "-c", SPILL, str(database)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        assert child.stdout.readline() == "spilled\n"
        yield child
        child.kill()


def spilled(database: Path) -> list[Path]:
    return list(database.with_name(database.name + ".tmp").glob("*"))


def test_what_a_killed_process_has_spilled_is_removed_by_the_next_run(
    database: Path, spilling: subprocess.Popen[str], tmp_path: Path
) -> None:
    spilling.kill()
    spilling.wait()
    link = tmp_path / "link.duckdb"
    link.symlink_to(database)
    assert spilled(database)
    with held_database(link):
        assert spilled(database) == []


def test_what_another_program_spills_is_left_to_it(database: Path, spilling: subprocess.Popen[str]) -> None:
    with (
        pytest.raises(DestinationError, match="open in another program"),
        held_database(database, patience_seconds=0),
    ):
        pass
    assert spilling.poll() is None
    assert spilled(database)


@pytest.mark.parametrize("hold", [held_database, opened_for_reading])
def test_a_file_that_this_user_may_not_open_is_for_them_to_change(
    database: Path, monkeypatch: pytest.MonkeyPatch, hold: Callable[[Path], AbstractContextManager[object]]
) -> None:
    def connect(*_: object, **__: object) -> None:
        raise duckdb.IOException(f'IO Error: Cannot open file "{database}": Permission denied')

    monkeypatch.setattr("duckdb.connect", connect)
    with pytest.raises(ConfigurationError, match="check the permissions"), hold(database):
        pass


@pytest.mark.parametrize(("largest_bytes", "is_long"), [(1_000, False), (32_000_000, True)])
def test_what_a_sync_commits_leaves_a_log_that_has_grown_long(
    serve: Serve, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, largest_bytes: int, *, is_long: bool
) -> None:
    monkeypatch.setattr(database_module, "_LARGEST_LOG_BYTES", largest_bytes)
    log = warehouse.path.with_name(warehouse.path.name + ".wal")
    shorten = warehouse.target().after_commit
    sizes: list[int] = []

    def after_commit() -> None:
        shorten()
        sizes.append(log.stat().st_size if log.exists() else 0)

    world = small_world(messages=300)
    warehouse.sync(serve(world), target={"commit_every": 250, "after_commit": after_commit})
    assert len(sizes) > 2
    assert [size > 1_000 for size in sizes] == [is_long] * len(sizes)
    assert_mirrors(warehouse, world)


def test_what_cannot_be_written_anew_is_said_in_a_sentence(tmp_path: Path) -> None:
    database = tmp_path / "linq.duckdb"
    duckdb.connect(str(database)).close()
    (tmp_path / ".linq.duckdb.forget").mkdir()
    with pytest.raises(DestinationError, match=r"The rows are removed, but .* cannot be written anew"):
        write_anew(database)
