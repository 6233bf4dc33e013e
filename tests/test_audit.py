"""The audit finds what a database lost, holds twice, or holds although Linq does not; --repair has it mended."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from linq_source.audit import audit
from linq_source.simulator import Fault, Simulator, World
from linq_source.source import make_sync
from tests.poison import Poison, PoisonedSimulator
from tests.support import IMPATIENT, TOKEN, Finished, Warehouse, assert_mirrors, run_pipeline, small_world

pytestmark = pytest.mark.without_dlt
Serve = Callable[..., Simulator]
Poisoned = Callable[[World], PoisonedSimulator]


def command(warehouse: Warehouse, linq: Simulator, *options: str) -> Finished:
    return run_pipeline("audit.py", "--database", str(warehouse.path), *options, linq=linq)


def findings(warehouse: Warehouse, linq: Simulator, *, repair: bool = False) -> dict[str, Any]:
    client = make_sync(integration_token=TOKEN, base_url=linq.base_url, limits=IMPATIENT).reader.make_client
    return audit(client, warehouse.target().destination, repair=repair).as_json()


@pytest.fixture
def synced(known: Callable[..., tuple[World, Simulator]]) -> tuple[World, Simulator]:
    return known()


def test_a_mirror_has_no_difference_and_no_message_is_asked_for(
    synced: tuple[World, Simulator], warehouse: Warehouse
) -> None:
    _, linq = synced
    linq.clear_requests()
    finished = command(warehouse, linq)
    assert finished.returncode == 0
    assert "Compared 12 chats with 400 messages" in finished.stdout
    assert "no differences" in finished.stdout
    assert linq.count(".*chat_messages") == 0


PLANTED = {
    "lost messages": "delete from messages where id in (select id from messages order by id limit 3)",
    "a lost chat": "delete from chats where id = (select min(id) from chats)",
    "a lost contact": "delete from contacts where id = (select min(id) from contacts)",
    "a lost number of a chat": "delete from chat_phone_numbers where chat_id = (select min(id) from chats)",
    "a message twice": "insert into messages select * from messages where id = (select min(id) from messages)",
    "a contact twice": "insert into contacts select * from contacts where id = (select min(id) from contacts)",
    "a reaction twice": "insert into message_reactions from message_reactions limit 1",
    "an attachment twice": "insert into message_attachments from message_attachments limit 1",
    "a ghost of a message": "insert into messages select * replace (id + 900000 as id) from messages limit 1",
    "a ghost of a chat": "insert into chats select * replace (id + 900000 as id) from chats limit 1",
}


@pytest.mark.parametrize("planted", PLANTED)
def test_what_was_planted_is_found_and_repaired(
    planted: str, synced: tuple[World, Simulator], warehouse: Warehouse
) -> None:
    world, linq = synced
    warehouse.execute(PLANTED[planted])
    found = findings(warehouse, linq)
    assert found["exit_code"] == 3
    assert found["differences"], planted
    assert findings(warehouse, linq, repair=True)["exit_code"] == 3
    assert warehouse.sync(linq).exit_code == 0
    assert_mirrors(warehouse, world)
    assert findings(warehouse, linq)["differences"] == []


def test_a_count_that_never_agrees_is_no_difference_once_it_was_read(serve: Serve, warehouse: Warehouse) -> None:
    world = small_world()
    chat_id = world.listed()["chats"][2]["id"]
    world.chats[chat_id].message_count_offset = 5
    world.touch(chat_id)
    linq = serve(world)
    warehouse.sync(linq)
    assert findings(warehouse, linq)["exit_code"] == 0


def test_messages_that_came_after_the_sync_are_a_difference_that_names_the_chat(
    synced: tuple[World, Simulator], warehouse: Warehouse
) -> None:
    world, linq = synced
    chat = world.listed()["chats"][4]
    world.receive(chat["id"], "New")
    finished = command(warehouse, linq)
    assert finished.returncode == 3
    assert (
        f"chat {chat['id']}: Linq has {chat['message_count'] + 1}, the tables {chat['message_count']}"
        in finished.stdout
    )


def test_a_number_that_linq_refuses_is_named(synced: tuple[World, Simulator], warehouse: Warehouse) -> None:
    _, linq = synced
    linq.faults.append(Fault(path="/chats$", occurrence=1, status=403))
    found = findings(warehouse, linq)
    assert found["exit_code"] == 3
    assert any("403" in sentence for sentence in found["skipped"])
    assert not [each for each in found["differences"] if "does not list" in each["what"]]


def test_the_findings_are_one_json_object_on_the_last_line(
    synced: tuple[World, Simulator], warehouse: Warehouse
) -> None:
    warehouse.execute(PLANTED["lost messages"])
    assert ": 1 difference.\n" in command(warehouse, synced[1]).stdout
    document = json.loads(command(warehouse, synced[1], "--json").stdout.splitlines()[-1])
    assert document["exit_code"] == 3
    assert document["differences"][0]["what"] == "messages of chat"


def test_without_a_database_or_a_token_one_sentence_says_so(warehouse: Warehouse) -> None:
    finished = run_pipeline("audit.py", "--database", str(warehouse.path))
    assert (finished.returncode, finished.stdout) == (2, "")
    assert str(warehouse.path) in finished.stderr
    warehouse.path.touch()
    finished = run_pipeline("audit.py", "--database", str(warehouse.path))
    assert finished.returncode == 2
    assert "SOURCES__LINQ__INTEGRATION_TOKEN" in finished.stderr
    assert TOKEN not in finished.stderr


def test_a_number_that_fits_no_column_is_audited_as_it_is_synced(poisoned: Poisoned, warehouse: Warehouse) -> None:
    world = small_world()
    linq = poisoned(world)
    first, second = world.listed_numbers()
    linq.poisoned["phone_numbers", first.id] = Poison("phone_numbers", "", {"phone_number": None})
    linq.poisoned["phone_numbers", second.id] = Poison("phone_numbers", "", {"id": "no id"})
    assert warehouse.sync(linq).exit_code == 3
    assert findings(warehouse, linq)["differences"] == []


@pytest.mark.parametrize("table", ["contacts", "chats"])
def test_a_row_that_was_rejected_is_no_difference(table: str, poisoned: Poisoned, warehouse: Warehouse) -> None:
    world = small_world()
    linq = poisoned(world)
    linq.poisoned[table, world.listed()[table][0]["id"]] = Poison(table, "", {"id": "no id"})
    assert warehouse.sync(linq).exit_code == 3
    assert findings(warehouse, linq)["differences"] == []


def test_a_sync_that_is_restricted_to_some_numbers_is_audited_as_such(serve: Serve, warehouse: Warehouse) -> None:
    world = small_world(phone_numbers=3)
    linq = serve(world)
    wanted = sorted(number.phone_number for number in world.listed_numbers())[0]
    assert warehouse.sync(linq, phone_numbers=[wanted]).exit_code == 0
    given = {"SOURCES__LINQ__PHONE_NUMBERS": wanted}
    finished = run_pipeline("audit.py", "--database", str(warehouse.path), linq=linq, **given)
    assert finished.returncode == 0, finished.stdout
    assert "no differences" in finished.stdout


def test_a_list_that_never_stands_still_is_named_and_not_compared(
    known: Callable[..., tuple[World, Simulator]], warehouse: Warehouse
) -> None:
    world, linq = known(contacts=250)

    def before(request: Any) -> None:
        if request.path.endswith("/contacts") and request.query.get("page") == "2":
            world.delete_contact(world.listed()["contacts"][0]["id"])

    linq.before_request = before
    found = findings(warehouse, linq)
    assert (found["exit_code"], found["differences"]) == (3, [])
    assert found["skipped"] == ["contacts: the list kept changing while it was read"]
