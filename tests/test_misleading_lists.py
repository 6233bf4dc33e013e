"""Lists that mislead: refused, never at rest, null, cut by a date, or changed between two of their pages."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from linq_source.simulator import Quirks, Simulator, World
from tests.support import OLD, Warehouse, assert_mirrors, small_world

pytestmark = pytest.mark.without_dlt

Serve = Callable[..., Simulator]


def messages_of(world: World, chat_id: int) -> list[Any]:
    rows = [row for row in world.listed()["messages"] if row["chat_id"] == chat_id]
    return sorted(rows, key=lambda row: row["sent_at"])


def before_page_two(linq: Simulator, of: str, change: Callable[[], object], *, times: int) -> None:
    """Have something change just before the second page of a list is served, so many times."""
    left = [change] * times

    def before(request: Any) -> None:
        if left and request.path.endswith(of) and request.query.get("page") == "2":
            left.pop()()

    linq.before_request = before


def test_contacts_whose_mass_deletion_was_refused_are_listed_again_when_it_is_allowed(
    serve: Serve, warehouse: Warehouse
) -> None:
    world = small_world(contacts=80)
    linq = serve(world)
    warehouse.sync(linq, contacts_hours=0)
    for row in world.listed()["contacts"][:40]:
        world.delete_contact(row["id"])
    assert warehouse.sync(linq, contacts_hours=24).exit_code == 3
    assert warehouse.sync(linq, contacts_hours=24).exit_code == 3, "what was refused once is not forgotten"
    assert warehouse.sync(linq, contacts_hours=24, allow_mass_delete=True).exit_code == 0
    assert_mirrors(warehouse, world)


@pytest.mark.parametrize("why", ["allow_mass_delete", "full_refresh"])
def test_contacts_are_listed_before_their_hours_have_passed_when_that_is_asked_for(
    why: str, serve: Serve, warehouse: Warehouse
) -> None:
    linq = serve(small_world())
    warehouse.sync(linq, contacts_hours=24)
    warehouse.sync(linq, contacts_hours=24, **{why: True})
    assert linq.count(".*/contacts$") == 2


def test_contacts_that_never_stood_still_are_listed_again_by_the_next_sync(
    serve: Serve, warehouse: Warehouse
) -> None:
    world = small_world(contacts=250)
    linq = serve(world)
    before_page_two(linq, "/contacts", lambda: world.delete_contact(world.listed()["contacts"][0]["id"]), times=4)
    assert warehouse.sync(linq, contacts_hours=24).exit_code == 3
    assert warehouse.sync(linq, contacts_hours=24).exit_code == 0
    assert_mirrors(warehouse, world)


def test_a_message_that_slipped_from_one_page_to_another_is_not_taken_for_deleted(
    serve: Serve, warehouse: Warehouse
) -> None:
    world = World.make(seed=5, phone_numbers=1, chats=1, messages=450, end=OLD, contacts=3)
    linq = serve(world)
    warehouse.sync(linq)
    (chat_id,) = {row["chat_id"] for row in world.listed()["messages"]}

    def swap() -> None:
        world.delete_message(messages_of(world, chat_id)[0]["id"])
        world.receive(chat_id, "late", sent_at=OLD + timedelta(hours=1))

    before_page_two(linq, "/chat_messages", swap, times=1)
    assert warehouse.sync(linq, recheck_hours=0).exit_code == 0
    assert_mirrors(warehouse, world)


def test_a_contact_that_slipped_from_one_page_to_another_is_not_taken_for_deleted(
    serve: Serve, warehouse: Warehouse
) -> None:
    world = small_world(contacts=250)
    linq = serve(world)
    warehouse.sync(linq)
    known = {row["id"] for row in warehouse.live("contacts")}

    def swap() -> None:
        world.delete_contact(world.listed()["contacts"][0]["id"])
        world.add_contact(first_name="New")

    before_page_two(linq, "/contacts", swap, times=1)
    assert warehouse.sync(linq).exit_code == 0
    gone = known - {row["id"] for row in warehouse.live("contacts")}
    assert gone <= known - {row["id"] for row in world.listed()["contacts"]}
    assert warehouse.sync(linq).exit_code == 0
    assert_mirrors(warehouse, world)


def test_a_chat_that_slipped_from_one_page_to_another_is_not_taken_for_gone(
    serve: Serve, warehouse: Warehouse
) -> None:
    world = World.make(seed=5, phone_numbers=1, chats=250, messages=300, end=OLD)
    linq = serve(world)
    warehouse.sync(linq)
    known = {row["id"] for row in warehouse.live("chats")}
    ours = world.listed()["phone_numbers"][0]["phone_number"]

    def swap() -> None:
        world.remove_chat(world.listed()["chats"][0]["id"])
        world.add_chat(["+12125550199"], ours=[ours])

    before_page_two(linq, "/chats", swap, times=1)
    warehouse.sync(linq)
    gone = known - {row["id"] for row in warehouse.live("chats")}
    assert gone <= known - {row["id"] for row in world.listed()["chats"]}
    assert warehouse.sync(linq).exit_code == 0
    assert_mirrors(warehouse, world)


def test_under_an_end_date_too_every_chat_is_read_whole_when_its_recheck_is_due(
    serve: Serve, warehouse: Warehouse
) -> None:
    world = small_world()
    linq = serve(world)
    warehouse.sync(linq, end_date="2100-01-01")
    old = messages_of(world, world.listed()["chats"][0]["id"])
    world.delete_message(old[0]["id"])
    world.edit(old[1]["id"], "edited")
    warehouse.execute("update chat_syncs set read_whole_at = read_whole_at - interval 25 hour")
    result = warehouse.sync(linq, end_date="2100-01-01")
    assert dict(result.summary.reasons) == {"due for a recheck": 12}
    assert_mirrors(warehouse, world)


def test_subscriptions_that_linq_lists_as_null_are_named_and_all_else_is_synced(
    serve: Serve, warehouse: Warehouse
) -> None:
    world = small_world()
    linq = serve(world, quirks=Quirks(null_lists=True))
    world.webhook_subscriptions.clear()
    result = warehouse.sync(linq)
    assert (result.exit_code, result.summary.failure) == (3, None)
    assert [sentence.split(":")[0] for sentence in result.summary.skipped] == ["webhook_subscriptions"]
    assert_mirrors(warehouse, world)
