"""Four processes at once, each with a shard, into every destination that takes several: they write what one would."""

import os
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta

import pytest

from linq_source.shards import Shard
from linq_source.simulator import Simulator, World
from tests.destinations.filesystem import S3, Filesystem
from tests.destinations.fixtures import called, kind, store
from tests.destinations.postgresql import Postgresql
from tests.destinations.store import Store
from tests.support import OLD, TOKEN, assert_mirrors, small_world
from tests.warm import running

Serve = Callable[..., Simulator]

__all__ = ["kind", "store"]  # fixtures

COUNT = 4


def shared_world() -> World:
    """Six numbers in all four shards, and chats that are under two of them."""
    world = small_world(phone_numbers=6, chats=40, messages=700)
    ours = [number.phone_number for number in world.listed_numbers()]
    for index in range(5):
        chat = world.add_chat([f"+1212555018{index}"], ours=[ours[index], ours[index + 1]])
        world.receive(chat.id, "To both of you", sent_at=OLD)
    owners = {k for number in ours for k in range(1, COUNT + 1) if Shard(k, COUNT).owns(number)}
    assert len(owners) >= 3
    return world


def round_of_all(linq: Simulator, store: Store) -> None:
    """Run all shards at once, each the real command in a process of its own."""
    env = dict(os.environ) | {"PYTHONWARNINGS": "default"}
    env |= {"SOURCES__LINQ__INTEGRATION_TOKEN": TOKEN, "SOURCES__LINQ__BASE_URL": linq.base_url}
    common = ["--destination", store.destination, "--dataset", store.dataset, "--quiet", *store.options()]
    with ExitStack() as stack:
        shards = [f"{index}/{COUNT}" for index in range(1, COUNT + 1)]
        started = [running("linq_to_warehouse.py", [*common, "--shard", shard], env) for shard in shards]
        processes = [stack.enter_context(one) for one in started]
        for shard, process in zip(shards, processes, strict=True):
            said = process.communicate(timeout=200)
            assert (process.returncode, *said) == (0, "", ""), shard


def assert_once(store: Store) -> None:
    for table, key in (("messages", "id"), ("chats", "id"), ("chat_syncs", "chat_id"), ("contacts", "id")):
        assert store.query(f"select {key} from {table} group by {key} having count(*) > 1") == [], table


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Postgresql, Filesystem, S3], indirect=True, ids=called)
def test_four_processes_write_what_one_would_cold_idle_and_after_changes(serve: Serve, store: Store) -> None:
    world = shared_world()
    linq = serve(world)
    round_of_all(linq, store)
    assert_mirrors(store, world)
    assert_once(store)
    asked = [request.path for request in linq.requests if request.path.endswith("/chat_messages")]
    assert len(asked) < len(world.listed()["messages"]) / 100 + 2 * len(world.chats), "each chat is read by one"

    before = store.everything()
    round_of_all(linq, store)
    assert store.everything() == before, "an idle round writes nothing"

    known = {chat["id"] for chat in world.listed()["chats"]}
    change(world)
    round_of_all(linq, store)
    assert_mirrors(store, world)
    assert_once(store)
    gone = known - {chat["id"] for chat in world.listed()["chats"]}
    assert {chat_id for (chat_id,) in store.query("select id from chats where deleted_at is not null")} == gone
    assert dict(store.sync(linq).summary.rows) == {}, "one process alone finds nothing left to do"


def change(world: World) -> None:
    """Something of every kind, in the chats of several shards."""
    rows = world.listed()
    chats = [chat["id"] for chat in rows["chats"]]
    for chat_id in chats[:6]:
        world.receive(chat_id, "New", sent_at=OLD + timedelta(days=1))
    for chat_id in (chats[7], chats[8], chats[-1]):
        world.remove_chat(chat_id)
    world.delete_message(next(row["id"] for row in rows["messages"] if row["chat_id"] == chats[10]))
    for chat_id in (chats[11], chats[12]):
        world.leave(chat_id, next(row["id"] for row in rows["chat_handles"] if row["chat_id"] == chat_id))
    world.delete_contact(rows["contacts"][0]["id"])
    world.update_contact(rows["contacts"][1]["id"], title="Director")
    world.release_number(world.listed_numbers()[2].phone_number)
    world.receive(world.add_chat(["+12125550190"]).id, "Hello", sent_at=OLD)
