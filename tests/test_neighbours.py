"""What a sync meets on its machine: another run, another program, a full disk, a folder it may not write.

Each ends with one sentence that is true and the exit code it should have, harms nothing, and the next sync is fine.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest

from linq_source.errors import DestinationError
from linq_source.simulator import Simulator
from tests.processes import at_request, folders_left, started, wait_until
from tests.support import Finished, Warehouse, assert_mirrors, small_world

Serve = Callable[..., Simulator]
Mount = Callable[..., Path]


def one_sentence(finished: Finished, code: int) -> str:
    """The one line on standard error of a command that ended with this code."""
    assert finished.returncode == code, finished.stdout + finished.stderr
    assert "Traceback" not in finished.stdout
    (line,) = finished.stderr.splitlines()
    assert line.endswith(".")
    return line


def assert_fine(warehouse: Warehouse, linq: Simulator) -> None:
    """The next sync ends well, and the tables equal Linq."""
    assert warehouse.sync(linq).exit_code == 0
    assert_mirrors(warehouse, linq.world)


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Mount something below tmp_path; skips where the machine does not allow it."""
    mounted: list[Path] = []

    def at(name: str, *options: str) -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        program = shutil.which("mount")
        done = program and subprocess.run([program, *options, folder], capture_output=True, text=True, check=False)
        if not done or done.returncode:
            pytest.skip(
                f"this machine lets nobody mount a file system: {done.stderr.strip() if done else 'no mount'}"
            )
        if folder not in mounted:
            mounted.append(folder)
        return folder

    yield at
    for folder in mounted:
        subprocess.run(["umount", "--lazy", folder], check=True)


def small_disk(mount: Mount, size: str) -> Path:
    """A disk of its own with room for so much."""
    return mount("disk", "-t", "tmpfs", "-o", f"size={size}", "tmpfs")


def with_room(mount: Mount, size: str = "200m") -> None:
    """Make the small disk larger."""
    mount("disk", "-o", f"remount,size={size}")


@pytest.mark.slow
def test_of_two_runs_on_one_file_the_second_says_so_and_ends_with_75(serve: Serve, warehouse: Warehouse) -> None:
    world = small_world()
    linq = serve(world)
    go_on = threading.Event()
    at_request(linq, 2, lambda: go_on.wait(100))
    with started(warehouse, linq) as first:
        wait_until(lambda: len(linq.requests) >= 2)
        elsewhere = warehouse.path.parent / "link.duckdb"
        elsewhere.symlink_to(warehouse.path)
        for second in (warehouse, Warehouse(elsewhere)):
            sentence = one_sentence(second.command(linq), 75)
            assert sentence == (
                f"Another run is at work on the same destination: it holds {warehouse.path.resolve()}.lock. "
                "Try again when it has ended."
            )
        assert first.poll() is None, "the first was still at work: what the second said was true"
        go_on.set()
        assert first.wait(timeout=100) == 0
    assert_mirrors(warehouse, world)
    assert_fine(warehouse, linq)


@pytest.mark.slow
def test_a_run_that_was_killed_holds_no_lock(serve: Serve, warehouse: Warehouse) -> None:
    linq = serve(small_world())
    at_request(linq, 2, lambda: None, then_wait_seconds=0.5)
    with started(warehouse, linq) as killed:
        wait_until(lambda: len(linq.requests) >= 2)
        killed.kill()
        killed.communicate()
    linq.before_request = None
    assert_fine(warehouse, linq)


@pytest.mark.slow
def test_a_database_that_another_program_has_open_is_named_and_synced_once_it_is_closed(
    serve: Serve, warehouse: Warehouse
) -> None:
    linq = serve(small_world())
    assert_fine(warehouse, linq)
    hold = f"import duckdb; held = duckdb.connect({str(warehouse.path)!r}); print('open', flush=True); input()"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", hold], stdin=pipe, stdout=pipe, text=True) as notebook:
        assert notebook.stdout
        assert notebook.stdout.readline() == "open\n"
        linq.clear_requests()
        assert one_sentence(warehouse.command(linq), 1) == (
            f"The database {warehouse.path} is open in another program: close it there (a notebook, a DuckDB shell) "
            "first."
        )
        assert linq.requests == [], "found out before Linq was asked anything"
        notebook.communicate("\n", timeout=100)
    assert_fine(warehouse, linq)


def test_a_path_that_speaks_of_locks_and_space_misleads_nobody(serve: Serve, tmp_path: Path) -> None:
    folder = tmp_path / "lock space"
    folder.mkdir()
    warehouse = Warehouse(folder / "clock.duckdb")
    linq = serve(small_world())
    assert warehouse.sync(linq).exit_code == 0
    content = bytearray(warehouse.path.read_bytes())
    content[4096:12288] = b"\1" * 8192
    warehouse.path.write_bytes(content)
    sentence = one_sentence(warehouse.command(linq), 1)
    assert sentence.startswith(f"The database {warehouse.path} cannot be opened: ")
    assert warehouse.path.read_bytes() == bytes(content)


@pytest.mark.parametrize("content", [b"", b"hello\n", b"0123456789ab" * 1000], ids=["empty", "short", "long"])
def test_a_file_that_is_no_database_is_left_alone_unless_it_is_empty(
    content: bytes, serve: Serve, warehouse: Warehouse
) -> None:
    linq = serve(small_world())
    warehouse.path.write_bytes(content)
    if content:
        assert one_sentence(warehouse.command(linq), 2) == (
            f"The file {warehouse.path} is not a DuckDB database: name another one with --database."
        )
        assert warehouse.path.read_bytes() == content
    else:
        assert_fine(warehouse, linq)


@pytest.mark.parametrize("length", [4096, 8192])
def test_a_database_whose_making_was_cut_short_is_made_anew(length: int, serve: Serve, warehouse: Warehouse) -> None:
    linq = serve(small_world())
    duckdb.connect(str(warehouse.path)).close()
    warehouse.path.write_bytes(warehouse.path.read_bytes()[:length])
    assert_fine(warehouse, linq)


def test_a_folder_that_is_missing_or_taken_for_a_file_is_named(serve: Serve, tmp_path: Path) -> None:
    linq = serve(small_world())
    missing = Warehouse(tmp_path / "missing" / "linq.duckdb")
    assert one_sentence(missing.command(linq), 2) == (
        f"The folder {tmp_path / 'missing'} of the database does not exist: create it first."
    )
    assert not missing.path.parent.exists()
    (tmp_path / "folder").mkdir()
    taken = one_sentence(Warehouse(tmp_path / "folder").command(linq), 2)
    assert taken == f"The database {tmp_path / 'folder'} is a folder: name a file, like linq.duckdb."
    assert linq.requests == []


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_is_named_and_nothing_is_changed(
    serve: Serve, tmp_path: Path, mount: Mount
) -> None:
    linq = serve(small_world())
    warehouse = Warehouse(tmp_path / "kept" / "linq.duckdb")
    warehouse.path.parent.mkdir()
    assert_fine(warehouse, linq)
    before = warehouse.everything()
    if os.geteuid():
        warehouse.path.with_name("linq.duckdb.lock").chmod(0o444)
    else:  # whom permissions do not stop
        mount("kept", "--bind", str(warehouse.path.parent))
        mount("kept", "-o", "remount,bind,ro")
    sentence = one_sentence(warehouse.command(linq), 2)
    why = "Permission denied" if os.geteuid() else "Read-only file system"
    assert sentence == (
        f"The lock file {warehouse.path}.lock cannot be written ({why}): "
        "name another place, or let this user write there."
    )
    assert warehouse.everything() == before
    if os.geteuid():
        warehouse.path.with_name("linq.duckdb.lock").chmod(0o644)
    else:
        mount("kept", "-o", "remount,bind,rw")
    assert_fine(warehouse, linq)


@pytest.mark.slow
def test_a_disk_that_is_full_before_the_load_is_named(serve: Serve, warehouse: Warehouse, mount: Mount) -> None:
    linq = serve(small_world(chats=30, messages=4_000))
    disk = small_disk(mount, "64k")
    sentence = one_sentence(warehouse.command(linq, TMPDIR=str(disk)), 1)
    assert sentence.startswith(f"The disk is full: {disk}/linq_source_")
    assert sentence.endswith(" What was committed before is kept; make room, and the next run goes on from there.")
    assert folders_left(disk) == [], "its folder is gone, and with it what filled the disk"
    assert_fine(warehouse, linq)


@pytest.mark.slow
@pytest.mark.parametrize("size", ["8k", "300k", "1m"])
def test_a_disk_that_is_full_for_the_database_is_named_and_nothing_is_corrupted(
    size: str, serve: Serve, mount: Mount
) -> None:
    linq = serve(small_world(chats=30, messages=4_000))
    disk = small_disk(mount, size)
    warehouse = Warehouse(disk / "linq.duckdb")
    sentence = one_sentence(warehouse.command(linq), 1)
    assert "disk is full" in sentence
    assert str(warehouse.path) in sentence
    with_room(mount)
    assert_fine(warehouse, linq)


@pytest.mark.slow
def test_a_sync_that_its_destination_fails_asks_linq_for_nothing_more(serve: Serve, mount: Mount) -> None:
    linq = serve(small_world(chats=30, messages=4_000))
    warehouse = Warehouse(small_disk(mount, "1m") / "linq.duckdb")
    with pytest.raises(DestinationError, match="The disk is full"):
        warehouse.sync(linq, target={"commit_every": 1_000})
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("linq-reader")] == []


@pytest.mark.slow
def test_a_full_disk_leaves_an_older_database_as_it_was(serve: Serve, mount: Mount) -> None:
    world = small_world()
    linq = serve(world)
    disk = small_disk(mount, "200m")
    warehouse = Warehouse(disk / "linq.duckdb")
    assert_fine(warehouse, linq)
    world.receive(world.listed()["chats"][0]["id"], "One more")
    begun = world.add_chat(["+12125550188"])
    for number in range(3_000):
        world.receive(begun.id, f"Message {number} of many that need more room than there is")
    filler = disk / "filler"
    filler.write_bytes(b"\0" * (shutil.disk_usage(disk).free - 40_000))
    assert "disk is full" in one_sentence(warehouse.command(linq), 1)
    filler.unlink()
    assert len(warehouse.rows("chats")) >= 12, "it opens, and holds what it held"
    assert_fine(warehouse, linq)


def test_without_any_temporary_folder_a_sentence_says_what_to_set(
    serve: Serve, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(warehouse.path.parent / "nowhere"))
    with pytest.raises(DestinationError, match="TMPDIR"):
        warehouse.sync(serve(small_world()))
