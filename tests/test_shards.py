"""Several processes read one account side by side: together they write what one alone would, each chat by one."""

import os
import threading
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import psycopg2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linq_source.errors import ConfigurationError
from linq_source.shards import Shard
from linq_source.simulator import Simulator, World
from linq_source.warehouse import warehouse_target
from tests.destinations.postgresql import SETTING, Postgresql, dataset, server
from tests.support import OLD, TOKEN, assert_mirrors, small_world
from tests.warm import running

Serve = Callable[..., Simulator]

__all__ = ["dataset", "server"]  # fixtures

COUNT = 4


@pytest.mark.parametrize("text", ["", "1", "0/4", "5/4", "1/0", "-1/4", "1/4/2", "a/b", "1.5/2", "1/1000", "²/4"])
def test_what_is_no_shard_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigurationError, match="like 2/4"):
        Shard.parse(text)


def test_a_shard_is_named_as_it_is_asked_for() -> None:
    shard = Shard.parse(" 2/4 ")
    assert (shard.index, shard.count, str(shard), shard.name, shard.is_first) == (2, 4, "2/4", "2_of_4", False)
    assert Shard.parse("1/1").is_first


@given(st.text(min_size=1), st.integers(1, 20))
@settings(max_examples=300, deadline=None)
def test_each_number_has_one_shard(number: str, count: int) -> None:
    assert sum(Shard(index, count).owns(number) for index in range(1, count + 1)) == 1


def test_a_number_keeps_its_shard_for_ever() -> None:
    owners = [next(k for k in range(1, 5) if Shard(k, 4).owns(f"+1555000111{n}")) for n in range(8)]
    assert owners == [1, 3, 3, 2, 4, 4, 4, 1], "another hash would hand every chat to another pipeline"


def test_duckdb_takes_one_writing_process(warehouse: Any) -> None:
    with pytest.raises(ConfigurationError, match="--shard: a DuckDB file"):
        warehouse_target("duckdb", shard=Shard(1, 2))


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


def round_of_all(linq: Simulator, dataset: Postgresql, *options: str) -> None:
    """Run all shards at once, each the real command in a process of its own."""
    env = dict(os.environ) | {SETTING: dataset.url, "PYTHONWARNINGS": "default"}
    env |= {"SOURCES__LINQ__INTEGRATION_TOKEN": TOKEN, "SOURCES__LINQ__BASE_URL": linq.base_url}
    common = ["--destination", "postgres", "--dataset", dataset.dataset, "--quiet", *options]
    with ExitStack() as stack:
        shards = [f"{index}/{COUNT}" for index in range(1, COUNT + 1)]
        started = [running("linq_to_warehouse.py", [*common, "--shard", shard], env) for shard in shards]
        processes = [stack.enter_context(one) for one in started]
        for shard, process in zip(shards, processes, strict=True):
            said = process.communicate(timeout=200)
            assert (process.returncode, *said) == (0, "", ""), shard


def assert_once(dataset: Postgresql) -> None:
    for table, key in (("messages", "id"), ("chats", "id"), ("chat_syncs", "chat_id"), ("contacts", "id")):
        assert dataset.query(f"select {key} from {table} group by {key} having count(*) > 1") == [], table


@pytest.mark.slow
def test_four_processes_write_what_one_would_cold_idle_and_after_changes(serve: Serve, dataset: Postgresql) -> None:
    world = shared_world()
    linq = serve(world)
    round_of_all(linq, dataset)
    assert_mirrors(dataset, world)
    assert_once(dataset)
    asked = [request.path for request in linq.requests if request.path.endswith("/chat_messages")]
    assert len(asked) < len(world.listed()["messages"]) / 100 + 2 * len(world.chats), "each chat is read by one"

    before = dataset.everything()
    round_of_all(linq, dataset)
    assert dataset.everything() == before, "an idle round writes nothing"

    known = {chat["id"] for chat in world.listed()["chats"]}
    change(world)
    round_of_all(linq, dataset)
    assert_mirrors(dataset, world)
    assert_once(dataset)
    gone = known - {chat["id"] for chat in world.listed()["chats"]}
    assert {chat_id for (chat_id,) in dataset.query("select id from chats where deleted_at is not null")} == gone
    assert dict(dataset.sync(linq).summary.rows) == {}, "one process alone finds nothing left to do"


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


@pytest.mark.slow
def test_what_some_shards_read_the_others_leave_alone(serve: Serve, dataset: Postgresql) -> None:
    world = shared_world()
    linq = serve(world)
    assert dataset.sync(linq).exit_code == 0
    change(world)
    for index in range(COUNT, 0, -1):
        result = dataset.sync(linq, shard=Shard(index, COUNT), target={"shard": Shard(index, COUNT)})
        assert result.exit_code == 0
        written = set(result.summary.rows) & {"phone_numbers", "contacts", "webhook_subscriptions"}
        assert not written or index == 1
    assert_mirrors(dataset, world)
    assert_once(dataset)


def test_tables_that_somebody_else_creates_at_that_moment_are_taken_as_they_are(
    serve: Serve, dataset: Postgresql
) -> None:
    world = small_world(chats=4, messages=40, contacts=5)
    linq = serve(world)
    with psycopg2.connect(dataset.url) as other, other.cursor() as cursor:
        cursor.execute(f"create schema {dataset.dataset}")
        other.commit()
        columns = "id bigint not null, chat_id bigint, _dlt_load_id varchar not null"
        cursor.execute(f"create table {dataset.dataset}.messages ({columns})")
        # Not committed, so nobody sees it, and whoever creates it too must wait for what becomes of it.
        done = threading.Timer(0.5, other.commit)
        linq.before_request = lambda _: done.start() if not done.is_alive() and not done.finished.is_set() else None
        assert dataset.sync(linq).exit_code == 0
        done.join()
    assert_mirrors(dataset, world)
    assert dataset.sync(linq).loads == []
