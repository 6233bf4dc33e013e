"""Several processes read one account side by side: together they write what one alone would, each chat by one."""

import threading
from collections.abc import Callable
from typing import Any

import psycopg2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linq_source.errors import ConfigurationError
from linq_source.shards import Shard
from linq_source.simulator import Simulator
from linq_source.warehouse import warehouse_target
from tests.destinations.postgresql import Postgresql, dataset, server
from tests.support import assert_mirrors, small_world
from tests.test_side_by_side import COUNT, assert_once, change, shared_world

Serve = Callable[..., Simulator]

__all__ = ["dataset", "server"]  # fixtures


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
