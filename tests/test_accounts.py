"""A database that holds one account and is given another's token: refused before anything is written."""

from collections.abc import Callable
from typing import Any

import pytest

from linq_source.errors import ConfigurationError
from linq_source.redact import KEY_SETTING
from linq_source.shards import Shard
from linq_source.simulator import Fault, Simulator, World
from tests.support import OLD, Warehouse, assert_mirrors, small_world, tiny_world

pytestmark = pytest.mark.without_dlt

Serve = Callable[..., Simulator]

ELSEWHERE = 5_000_000_000


def renumbered(world: World) -> World:
    """The world, with its numbers given up for as many new ones."""
    for number in world.listed_numbers():
        world.release_number(number.phone_number)
        world.add_number(f"+1202555{number.id:04}")
    return world


def refusal(warehouse: Warehouse, linq: Simulator, **settings: Any) -> str:
    """What a sync says that is refused, and writes nothing."""
    before = warehouse.everything()
    result = warehouse.sync(linq, **settings)
    assert (result.exit_code, result.loads, result.summary.skipped) == (2, [], [])
    assert warehouse.everything() == before
    assert isinstance(result.summary.failure, ConfigurationError)
    return str(result.summary.failure)


def test_another_accounts_token_is_refused_before_anything_is_written(serve: Serve, warehouse: Warehouse) -> None:
    warehouse.sync(serve(tiny_world()))
    other = serve(tiny_world(seed=6, id_offset=ELSEWHERE))
    said = refusal(warehouse, other)
    assert all(way_out in said for way_out in ("--database", "--dataset", "--allow-mass-delete"))
    assert "another account" in said
    assert "+1" not in said, "no number is told"
    assert refusal(warehouse, other, full_refresh=True) == said


@pytest.mark.parametrize("shard", ["1/3", "2/3"])
def test_every_shard_refuses_another_accounts_token(shard: str, serve: Serve, warehouse: Warehouse) -> None:
    warehouse.sync(serve(tiny_world()))
    refusal(warehouse, serve(tiny_world(seed=6, id_offset=ELSEWHERE)), shard=Shard.parse(shard))


def test_it_is_refused_when_some_numbers_alone_are_synced_or_all_is_redacted(
    serve: Serve, warehouse: Warehouse
) -> None:
    hidden = {"redact": "texts,identifiers", "redact_key": f"{KEY_SETTING} of a test, long enough"}
    world = tiny_world()
    linq = serve(world)
    assert warehouse.sync(linq, **hidden).exit_code == 0
    assert warehouse.sync(linq, **hidden).exit_code == 0, "one's own token never is"
    other = tiny_world(seed=6, id_offset=ELSEWHERE)
    number = other.listed_numbers()[0].phone_number
    refusal(warehouse, serve(other), phone_numbers=[number], **hidden)


def test_an_account_whose_every_number_was_replaced_is_synced_when_it_is_said_to_be_meant(
    serve: Serve, warehouse: Warehouse
) -> None:
    world = tiny_world(contacts=0)
    linq = serve(world)
    warehouse.sync(linq)
    renumbered(world)
    refusal(warehouse, linq)
    linq.faults = [Fault(path="/contacts$", kind="status", status=403)]
    refusal(warehouse, linq)
    linq.faults = []
    assert warehouse.sync(linq, allow_mass_delete=True).exit_code == 0
    assert_mirrors(warehouse, world)
    assert warehouse.sync(linq).exit_code == 0, "from then on they are the account's numbers"


def test_a_single_wrong_answer_refuses_nothing(serve: Serve, warehouse: Warehouse) -> None:
    world = tiny_world(contacts=0)
    linq = serve(world)
    warehouse.sync(linq)
    wrong = {"id": 9, "phone_number": "+12025550109"}
    foreign = lambda answer: answer | {"phone_numbers": [wrong]}  # noqa: E731  # as short as what it stands for
    linq.faults = [Fault(path="/phone_numbers$", kind="mutate", mutate=foreign, occurrence=1)]
    assert warehouse.sync(linq).exit_code == 0
    assert_mirrors(warehouse, world)


@pytest.mark.parametrize("broken", [{"id": 9}, {"id": None, "phone_number": "+12025550109"}, "no row at all"])
def test_a_list_of_numbers_that_cannot_be_read_to_its_end_proves_nothing(
    broken: object, serve: Serve, warehouse: Warehouse
) -> None:
    linq = serve(tiny_world(contacts=0))
    warehouse.sync(linq)
    other = {"id": 8, "phone_number": "+12025550108"}
    linq.faults = [
        Fault(path="/phone_numbers$", kind="mutate", mutate=lambda body: body | {"phone_numbers": [other, broken]})
    ]
    result = warehouse.sync(linq, phone_numbers=["+12025550108"])
    assert result.exit_code == 3


def test_some_numbers_that_are_still_listed_are_enough(serve: Serve, warehouse: Warehouse) -> None:
    world = tiny_world(phone_numbers=3, contacts=0)
    linq = serve(world)
    warehouse.sync(linq)
    for number in world.listed_numbers()[1:]:
        world.release_number(number.phone_number)
    assert warehouse.sync(linq).exit_code == 0
    assert_mirrors(warehouse, world)


@pytest.mark.parametrize("shard", [None, "2/3"])
def test_the_same_numbers_with_other_ids_and_none_of_the_chats_are_another_accounts(
    shard: str | None, serve: Serve, warehouse: Warehouse
) -> None:
    warehouse.sync(serve(tiny_world()))
    again = serve(tiny_world(id_offset=ELSEWHERE))
    refusal(warehouse, again, shard=Shard.parse(shard) if shard else None)
    number = tiny_world().listed_numbers()[0].phone_number
    refusal(warehouse, again, phone_numbers=[number])
    assert warehouse.sync(again, allow_mass_delete=True).exit_code == 0


def test_the_same_ids_with_other_numbers_and_none_of_the_chats_are_another_accounts(
    serve: Serve, warehouse: Warehouse
) -> None:
    world = tiny_world()
    warehouse.sync(serve(world))
    other = World.make(seed=6, phone_numbers=2, chats=12, messages=60, contacts=12, end=OLD)
    for chat_id in {row["id"] for row in world.listed()["chats"]} & other.chats.keys():
        other.remove_chat(chat_id)
    for contact_id in world.contacts.keys() & other.contacts.keys():
        other.delete_contact(contact_id)
    refusal(warehouse, serve(other))


def test_numbers_that_came_back_with_other_ids_are_no_other_accounts_while_a_chat_is_listed(
    serve: Serve, warehouse: Warehouse
) -> None:
    world = small_world(contacts=0)
    linq = serve(world)
    warehouse.sync(linq)
    for number in world.listed_numbers():
        number.id += 1_000
    for chat in world.listed()["chats"][1:]:
        world.remove_chat(chat["id"])
    result = warehouse.sync(linq)
    assert [sentence.split(":")[0] for sentence in result.summary.skipped] == ["phone_numbers"]
    assert [row["id"] for row in warehouse.live("chats")] == [row["id"] for row in world.listed()["chats"]]


def test_lists_of_chats_that_were_not_proven_refuse_nothing(serve: Serve, warehouse: Warehouse) -> None:
    warehouse.sync(serve(tiny_world()))
    again = serve(tiny_world(id_offset=ELSEWHERE))
    again.faults = [Fault(path="/chats$", kind="status", status=403, occurrence=1)]
    assert warehouse.sync(again).exit_code == 3


def test_a_number_that_was_given_up_before_and_is_now_the_only_one_is_known(
    serve: Serve, warehouse: Warehouse
) -> None:
    world = tiny_world()
    linq = serve(world)
    warehouse.sync(linq)
    one, other = (number.phone_number for number in world.listed_numbers())
    world.release_number(other)
    assert warehouse.sync(linq).exit_code == 0
    world.release_number(one)
    world.restore_number(other)
    result = warehouse.sync(linq)
    assert (result.exit_code, result.summary.failure) == (3, None)
    assert [sentence.split(":")[0] for sentence in result.summary.skipped] == ["phone_numbers"]
    assert warehouse.sync(linq).exit_code == 0
    assert_mirrors(warehouse, world)


def test_an_account_whose_every_number_was_replaced_is_known_by_its_contacts(
    serve: Serve, warehouse: Warehouse
) -> None:
    world = tiny_world(phone_numbers=1)
    linq = serve(world)
    warehouse.sync(linq)
    renumbered(world)
    for contact_id in list(world.contacts)[1:]:
        world.delete_contact(contact_id)
    result = warehouse.sync(linq)
    assert (result.exit_code, result.summary.failure) == (3, None)
    assert [sentence.split(":")[0] for sentence in result.summary.skipped] == ["phone_numbers"]
    assert warehouse.sync(linq).exit_code == 0, "from then on it is the account's number"
    assert_mirrors(warehouse, world)


def test_a_token_of_another_account_that_once_was_stored_on_purpose_is_refused_later(
    serve: Serve, warehouse: Warehouse
) -> None:
    one, other = serve(tiny_world()), serve(tiny_world(seed=6, id_offset=ELSEWHERE))
    warehouse.sync(one)
    assert warehouse.sync(other, allow_mass_delete=True).exit_code == 0
    refusal(warehouse, one)
    assert warehouse.sync(other).exit_code == 0
