"""What is left out, and what is kept: chats and numbers that are refused, broken, never at rest or missing."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from linq_source import settings
from linq_source.simulator import Simulator, World
from linq_source.simulator.faults import Fault
from tests.support import Warehouse, assert_mirrors, chats_asked_for, tiny_world
from tests.tables import assert_complete_chats_are_kept, assert_equal, snapshot

pytestmark = pytest.mark.without_dlt

Serve = Callable[..., Simulator]
Known = Callable[..., tuple[World, Simulator]]


def messages_fail(chat_id: int, status: int = 500, **options: Any) -> Fault:
    return Fault(path=f"{settings.chat_messages_path(chat_id)}$", status=status, **options)


def chat_ids(world: World) -> list[int]:
    return [row["id"] for row in world.listed()["chats"]]


def chats_of(world: World, number: str) -> set[int]:
    return {row["chat_id"] for row in world.listed()["chat_phone_numbers"] if row["phone_number"] == number}


def assert_nothing_marked(warehouse: Warehouse) -> None:
    rows = snapshot(warehouse)
    assert [row for table in rows.values() for row in table if row.get("deleted_at")] == []


@pytest.mark.parametrize("status", [403, 404])
def test_a_chat_that_is_refused_is_skipped_and_named_and_read_by_the_next_sync(
    status: int, serve: Serve, warehouse: Warehouse
) -> None:
    world = tiny_world()
    linq = serve(world)
    refused = chat_ids(world)[3]
    linq.faults = [messages_fail(refused, status)]
    result = warehouse.sync(linq)
    assert (result.exit_code, result.summary.chats_read) == (3, 11)
    assert result.summary.skipped == [f"chat {refused}: Linq answered {status}; the next sync tries again"]
    assert {row["chat_id"] for row in warehouse.rows("messages")} == set(chat_ids(world)) - {refused}

    linq.faults = []
    linq.clear_requests()
    assert warehouse.sync(linq).exit_code == 0
    assert_mirrors(warehouse, world)
    read = {request.path for request in linq.requests if request.path.endswith("/chat_messages")}
    assert read == {settings.chat_messages_path(refused)}


def test_a_chat_that_is_gone_between_its_listing_and_its_reading_keeps_what_is_stored_of_it(
    known: Known, warehouse: Warehouse
) -> None:
    world, linq = known(messages=60, contacts=12)
    gone = chat_ids(world)[3]
    of_it = f"select * from messages where chat_id = {gone} order by id"
    stored = warehouse.query(of_it)
    linq.faults = [messages_fail(gone, 404)]
    result = warehouse.sync(linq, recheck_hours=0)
    assert result.exit_code == 3
    assert warehouse.query(of_it) == stored != []
    assert_nothing_marked(warehouse)


@pytest.mark.parametrize("is_known", [False, True], ids=["on a first sync", "on a later sync"])
def test_a_number_whose_chats_are_refused_is_skipped_and_named_and_its_chats_are_not_taken_for_deleted(
    is_known: bool, serve: Serve, warehouse: Warehouse
) -> None:
    world = tiny_world(phone_numbers=3)
    linq = serve(world)
    number = max(world.listed_numbers(), key=lambda one: len(chats_of(world, one.phone_number)))
    refused = chats_of(world, number.phone_number)
    if is_known:
        warehouse.sync(linq)
    linq.before_request = refuse_number(linq, number.phone_number)
    result = warehouse.sync(linq)
    assert result.exit_code == 3
    assert result.summary.skipped == [f"phone number {number.id} (its id): Linq refused its chats (403)"]
    assert_nothing_marked(warehouse)
    others = {row["phone_number"] for row in world.listed()["phone_numbers"]} - {number.phone_number}
    expected = set().union(*(chats_of(world, other) for other in others))
    assert refused - expected, "some chats are listed under that number alone"
    assert expected
    assert {row["id"] for row in warehouse.rows("chats")} == (set(chat_ids(world)) if is_known else expected)
    assert {row["chat_id"] for row in warehouse.rows("messages")} >= expected

    linq.before_request = None
    linq.faults = []
    assert warehouse.sync(linq).exit_code == 0
    assert_mirrors(warehouse, world)


def refuse_number(linq: Simulator, phone_number: str) -> Callable[[Any], None]:
    """Make every listing of a number's chats answer 403, and no other."""

    def before(request: Any) -> None:
        is_refused = request.path == settings.CHATS and request.query.get("phone_number") == phone_number
        linq.faults = [Fault(path=f"{settings.CHATS}$", status=403)] if is_refused else []

    return before


def test_some_broken_chats_stop_neither_the_others_nor_each_other(serve: Serve, warehouse: Warehouse) -> None:
    world = tiny_world()
    linq = serve(world)
    ids = chat_ids(world)
    linq.faults = [
        messages_fail(ids[0], 500),
        messages_fail(ids[2], kind="cut_json"),
        messages_fail(ids[4], kind="empty_page"),
        messages_fail(ids[6], 404),
        messages_fail(ids[8], 403),
    ]
    result = warehouse.sync(linq)
    assert (result.exit_code, result.summary.chats_read) == (1, 7)
    assert any(f"/{chat_id}/chat_messages" in str(result.summary.failure) for chat_id in ids[:5:2])
    assert len(result.summary.skipped) == 2
    assert assert_complete_chats_are_kept(warehouse, world) == 7
    linq.faults = []
    linq.clear_requests()
    assert warehouse.sync(linq).exit_code == 0
    assert chats_asked_for(linq) == 5
    assert_mirrors(warehouse, world)


def test_a_chat_whose_total_never_agrees_with_its_messages_is_stored_and_named_but_has_no_cursor(
    serve: Serve, warehouse: Warehouse
) -> None:
    world = tiny_world()
    linq = serve(world)
    restless = chat_ids(world)[2]
    # Page 1 promises one page more than there is, again and again; page 2 knows better.
    linq.faults = [messages_fail(restless, kind="growing_total", page=1)]
    result = warehouse.sync(linq)
    assert (result.exit_code, result.summary.failure) == (3, None)
    assert result.summary.skipped == [
        f"chat {restless}: kept changing while it was read; the next sync reads it again"
    ]
    assert_mirrors(warehouse, world)
    assert {row["chat_id"] for row in warehouse.rows("chat_syncs")} == set(chat_ids(world)) - {restless}
    linq.faults = []
    linq.clear_requests()
    assert warehouse.sync(linq).exit_code == 0
    assert chats_asked_for(linq) == 1
    assert_mirrors(warehouse, world)


def test_no_numbers_at_all_are_believed_only_when_they_were_never_known_or_it_is_said_to_be_meant(
    serve: Serve, warehouse: Warehouse
) -> None:
    world = tiny_world()
    linq = serve(world)
    linq.faults = [Fault(path=f"{settings.PHONE_NUMBERS}$", kind="empty_page", occurrence=1)]
    assert warehouse.sync(linq).exit_code == 0
    assert_mirrors(warehouse, world)
    before = snapshot(warehouse)
    linq.faults = [Fault(path=f"{settings.PHONE_NUMBERS}$", kind="empty_page")]
    result = warehouse.sync(linq)
    assert result.exit_code == 3
    assert "--allow-mass-delete" in result.summary.skipped[0]
    assert snapshot(warehouse) == before
    linq.faults = []
    for number in world.listed_numbers():
        world.release_number(number.phone_number)
    assert warehouse.sync(linq, allow_mass_delete=True).exit_code == 0
    assert_mirrors(warehouse, world)


def test_what_linq_refuses_is_counted_once_however_often_it_is_met(serve: Serve, warehouse: Warehouse) -> None:
    world = tiny_world()
    linq = serve(world)
    refused = chat_ids(world)[:5]
    linq.faults = [messages_fail(chat_id, 404) for chat_id in refused]
    for _ in range(2):
        result = warehouse.sync(linq)
        named = Counter(sentence.split(":")[0] for sentence in result.summary.skipped)
        assert named == Counter(f"chat {chat_id}" for chat_id in refused)
    assert_equal(snapshot(warehouse), {name: rows for name, rows in world.listed().items() if name == "chats"})
