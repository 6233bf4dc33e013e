"""A sync that is killed, stopped or out of time: what it had complete stays, and the next one goes on from there."""

import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from linq_source.process import signals
from linq_source.simulator import Fault, Simulator, World
from tests.processes import (
    at_request,
    folders_left,
    killed_at_request,
    requests_of_first_sync,
    started,
    wait_until,
)
from tests.support import OLD, Warehouse, assert_mirrors, small_world, with_limits

Serve = Callable[..., Simulator]


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """A folder for TMPDIR."""
    (tmp_path / "temporary").mkdir()
    return tmp_path / "temporary"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_at_nine_tenths_of_a_first_sync_the_next_makes_a_fifth_of_the_requests_at_most(
    serve: Serve, warehouse: Warehouse, temporary: Path
) -> None:
    world = World.make(seed=3, phone_numbers=2, chats=160, messages=9_000, end=OLD)
    linq = serve(world)
    whole = requests_of_first_sync(world)
    at = whole * 9 // 10
    killed_at_request(warehouse, linq, at, "--commit-every", "500", TMPDIR=str(temporary))
    assert len(folders_left(temporary)) == 1, "who is killed cannot clean up"
    finished = warehouse.command(linq, "--commit-every", "500", TMPDIR=str(temporary))
    assert (finished.returncode, finished.stderr) == (0, "")
    assert folders_left(temporary) == [], "but the next run does"
    assert_mirrors(warehouse, world)
    again = len(linq.requests)
    sys.stdout.write(f"\nkilled at request {at} of {whole}: the next run made {again} ({again / whole:.0%})\n")
    assert again <= 0.2 * whole
    linq.clear_requests()
    assert warehouse.sync(linq).summary.chats_read == 0


def run_until_page_hangs(warehouse: Warehouse, linq: Simulator, page: int, commits: int, temporary: Path) -> None:
    """Run until the chat's page never comes and so many slices are committed, then kill it."""
    for left in folders_left(temporary):
        shutil.rmtree(left)
    hanging = Fault(path="chat_messages", kind="hang", page=page)
    linq.faults.append(hanging)
    with started(warehouse, linq, "--commit-every", "1000", TMPDIR=str(temporary)) as process:
        wait_until(lambda: len(list(temporary.glob("linq_source_*/linq/load/loaded/*"))) >= commits)
        process.kill()
        process.communicate(timeout=100)
    linq.faults.remove(hanging)
    linq.clear_requests()


@pytest.mark.slow
def test_a_chat_larger_than_a_slice_is_gone_on_with_from_where_each_kill_left_it(
    serve: Serve, warehouse: Warehouse, temporary: Path
) -> None:
    world = World.make(seed=4, phone_numbers=1, chats=1, messages=9_000, end=OLD)
    linq = serve(world)
    run_until_page_hangs(warehouse, linq, 45, 2, temporary)
    assert warehouse.query("select count(*) from messages") == [(4_000,)]
    run_until_page_hangs(warehouse, linq, 25, 1, temporary)
    assert 5_990 <= warehouse.query("select count(*) from messages")[0][0] <= 6_000, "a second was read again"
    result = warehouse.sync(linq)
    assert result.exit_code == 0
    assert_mirrors(warehouse, world)
    assert linq.count("chat_messages") <= 31, "3,000 messages were left, and a second is read again"
    idle = warehouse.sync(linq)
    assert (idle.summary.chats_read, idle.loads) == (0, [])


def test_a_large_chat_that_grew_while_it_was_read_is_gone_on_with_at_its_end(
    serve: Serve, warehouse: Warehouse
) -> None:
    world = World.make(seed=4, phone_numbers=1, chats=1, messages=3_000, end=OLD)
    linq = serve(world)
    (chat,) = world.listed()["chats"]
    at_request(linq, 10, lambda: world.receive(chat["id"], "While you read", sent_at=OLD + timedelta(hours=1)))
    # One request at a time: where an older answer overtakes a newer one, the list is rightly not believed.
    assert warehouse.sync(linq, limits=with_limits(concurrency=1)).exit_code == 0
    linq.before_request = None
    linq.clear_requests()
    assert warehouse.sync(linq).exit_code == 0
    assert linq.count("chat_messages") == 1
    assert_mirrors(warehouse, world)
    assert warehouse.sync(linq).summary.chats_read == 0


def test_an_outage_within_a_large_chat_costs_only_what_was_not_read(serve: Serve, warehouse: Warehouse) -> None:
    world = World.make(seed=4, phone_numbers=1, chats=1, messages=5_000, end=OLD)
    linq = serve(world)
    outage = Fault(path="chat_messages", kind="status", status=503, page=45)
    linq.faults.append(outage)
    assert warehouse.sync(linq).exit_code == 1
    assert warehouse.query("select count(*) from messages") == [(4_000,)]
    linq.faults.remove(outage)
    linq.clear_requests()
    assert warehouse.sync(linq).exit_code == 0
    assert linq.count("chat_messages") <= 11
    assert_mirrors(warehouse, world)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_stops_the_sync_with_what_is_complete_and_no_traceback(
    number: signal.Signals, serve: Serve, warehouse: Warehouse, temporary: Path
) -> None:
    world = small_world(chats=60, messages=6_000)
    linq = serve(world)
    whole = requests_of_first_sync(world)
    with started(warehouse, linq, "--commit-every", "1000", TMPDIR=str(temporary)) as process:
        at_request(linq, whole * 2 // 3, lambda: process.send_signal(number), then_wait_seconds=0.2)
        _, errors = process.communicate(timeout=100)
    linq.before_request = None
    assert process.returncode == 128 + number
    assert errors == "Stopped on request. What was complete is stored; the next run goes on from there.\n"
    assert folders_left(temporary) == []
    believed = (
        "select count(*) from chat_syncs where _dlt_load_id in (select load_id from _dlt_loads where status = 0)"
    )
    chats_stored = warehouse.query(believed)[0][0]
    assert 0 < chats_stored < 60
    linq.clear_requests()
    result = warehouse.sync(linq)
    assert result.exit_code == 0
    assert result.summary.chats_read == 60 - chats_stored
    assert len(linq.requests) < whole * 2 // 3
    assert_mirrors(warehouse, world)


@pytest.mark.slow
def test_out_of_minutes_a_sync_ends_with_exit_code_3_and_the_next_goes_on(
    serve: Serve, warehouse: Warehouse, temporary: Path
) -> None:
    world = small_world(chats=60, messages=6_000)
    linq = serve(world)
    whole = requests_of_first_sync(world)
    # Slow to a crawl after two thirds, so that the time is up before the end on any machine.
    at_request(linq, whole * 2 // 3, lambda: None, then_wait_seconds=0.5)
    finished = warehouse.command(linq, "--max-minutes", "0.08", "--quiet", TMPDIR=str(temporary))
    linq.before_request = None
    assert (finished.returncode, finished.stdout) == (3, "")
    assert finished.stderr == (
        "Skipped: the sync was stopped after 0.08 minutes (--max-minutes); the next run goes on from here.\n"
    )
    assert folders_left(temporary) == []
    linq.clear_requests()
    result = warehouse.sync(linq)
    assert result.exit_code == 0
    assert len(linq.requests) < whole
    assert_mirrors(warehouse, world)


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    kept = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with signals(lambda: None) as caught:
            signal.raise_signal(signal.SIGINT)
        assert caught == []
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, kept)


def test_a_sync_whose_minutes_end_while_it_loads_the_last_is_complete(
    serve: Serve, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    acts: list[Callable[[], None]] = []

    @contextmanager
    def deadline(minutes: float, act: Callable[[], None]) -> Iterator[None]:
        assert minutes == 5
        acts.append(act)
        yield

    monkeypatch.setattr("linq_source.runner.deadline", deadline)
    linq = serve(small_world())
    result = warehouse.sync(linq, target={"max_minutes": 5, "after_commit": lambda: acts.pop()()})
    assert (result.exit_code, result.summary.skipped, acts) == (0, [], [])


@pytest.mark.slow
def test_a_second_signal_ends_the_run_at_once_and_the_next_one_cleans_up(
    serve: Serve, warehouse: Warehouse, temporary: Path
) -> None:
    linq = serve(small_world())
    with duckdb.connect(str(warehouse.path)), started(warehouse, linq, TMPDIR=str(temporary)) as process:
        # It waits some seconds for the database, which no signal shortens: a safe point that does not come.
        wait_until(lambda: folders_left(temporary))
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=20)  # had it waited to its end, it would say so with another code
    assert (process.returncode, errors) == (128 + signal.SIGTERM, "")
    assert len(folders_left(temporary)) == 1
    assert warehouse.command(linq, TMPDIR=str(temporary)).returncode == 0
    assert folders_left(temporary) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault(path="/contacts$", kind="status", status=401), 2),
        (Fault(path="/chat_messages$", kind="status", status=400), 1),
    ],
    ids=["refused", "failed"],
)
def test_the_temporary_folder_is_gone_after_a_failure_too(
    fault: Fault, code: int, serve: Serve, warehouse: Warehouse, temporary: Path
) -> None:
    linq = serve(small_world())
    linq.faults.append(fault)
    finished = warehouse.command(linq, TMPDIR=str(temporary))
    assert finished.returncode == code
    assert list(temporary.iterdir()) == []
    linq.faults.clear()
    assert warehouse.sync(linq).exit_code == 0
