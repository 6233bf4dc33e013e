"""Views: each number in them equals what plain Python makes of the same rows, on DuckDB and on PostgreSQL."""

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dlt
import pytest
import sqlglot
from sqlglot import expressions

from linq_source.analytics.views import VERSION_VIEW, create_views, in_order, models, needed, statement
from linq_source.runner import run_events
from linq_source.simulator import Simulator, World
from linq_source.webhook.event_loader import EventLoader
from tests.mailbox import Mailbox, told
from tests.postgres import postgres
from tests.support import OLD, Warehouse
from tests.views_oracle import Rows, views
from tests.views_stores import DATASET, SCHEMAS, Duck, Elephant, differences
from tests.views_world import make_world

Serve = Callable[..., Simulator]
Known = Callable[..., tuple[World, Simulator]]

CHECKED = tuple(name for name in in_order() if name != "messages_live")
ZONES = ("UTC", "America/Los_Angeles", "Asia/Kolkata", "Pacific/Kiritimati")
CALL = {"id": "call-1", "from": "+12025550101", "to": "+12125550100", "direction": "inbound", "duration": 61,
        "start_time": "2026-03-01T00:00:00Z", "answered_by": "+12125550100", "voicemail": False}  # fmt: skip


@pytest.fixture(scope="module")
def duck() -> Iterator[Duck]:
    store = Duck()
    yield store
    store.connection.close()


@pytest.fixture(scope="module")
def server() -> Iterator[dict[str, Any]]:
    with postgres() as address:
        yield address


@pytest.fixture(scope="module")
def elephant(server: dict[str, Any]) -> Iterator[Elephant]:
    store = Elephant(server)
    yield store
    store.connection.close()


def problems(store: Duck | Elephant, seed: int, zone: str, names: Sequence[str] = CHECKED) -> list[str]:
    """How views differ from plain Python on one world, read in a session of that time zone."""
    rows, now = make_world(seed)
    store.fill(rows)
    store.execute(f"set timezone = '{zone}'")
    wanted = views(rows, now)
    return [problem for name in names for problem in differences(name, store.rows(name), wanted[name])]


@pytest.mark.parametrize(
    "seeds",
    [
        *(range(first, first + 25) for first in range(0, 100, 25)),
        pytest.param(range(100, 3_000), marks=pytest.mark.soak),
    ],
)
def test_on_random_worlds_every_view_equals_plain_python(duck: Duck, seeds: range) -> None:
    for seed in seeds:
        zone = ZONES[seed % len(ZONES)]
        assert not problems(duck, seed, zone), f"seed {seed}, time zone {zone}"


def test_on_postgresql_every_view_equals_plain_python(elephant: Elephant) -> None:
    for seed in range(60):
        zone = ZONES[seed % len(ZONES)]
        assert not problems(elephant, seed, zone), f"seed {seed}, time zone {zone}"


MUTANTS = {
    "an answer after a day and a second counts": ("response_rates_daily", "<= 86400", "<= 86401"),
    "an answer after an hour exactly does not count": ("response_rates_daily", "<= 3600", "< 3600"),
    "a day without messages is pending for an hour more": ("response_rates_daily", "'24 hours'", "'25 hours'"),
    "the day is that of the session": ("response_rates_daily", "a.ended_at at time zone 'UTC'", "a.ended_at"),
    "the day ends a moment too soon": (
        "response_rates_daily",
        "'UTC' as date",
        "'UTC' + interval '1 microsecond' as date",
    ),
    "deleted messages count": ("live_messages", "m.deleted_at is null and", ""),
    "messages of deleted chats count": ("live_messages", "c.deleted_at is null and", ""),
    "the id does not decide between equal times": ("turns", "order by l.sent_at, l.id", "order by l.sent_at"),
    "seconds are those of a double": ("replies", "decimal(18, 6)", "double"),
    "the month is an hour longer": ("number_scorecard", "720 hours", "721 hours"),
    "a new status is none": ("delivery_health", "not in (", "in ('new', "),
    "joined segments hold 160": ("sms_risk", "153.0", "160.0"),
    "joined UCS-2 segments hold 70": ("sms_risk", "67.0", "70.0"),
    "chats of none of our numbers are left out": ("sms_risk", "is not distinct from", "="),
    "five days are four": ("sms_risk", "5 days", "4 days"),
    "any host that ends so is a shortener": ("sms_risk", "'% bit.ly/%'", "'%bit.ly/%'"),
    "numbers of ten digits abroad are American": ("contact_engagement", "and k.phone_number not like '%+%'", ""),
    "our own number is a contact's": ("contact_engagement", "and u.chat_id is null", ""),
    "an unfinished reading is whole": ("sync_health", "when s.listing_hash is null then 'unfinished'", ""),
}


@pytest.mark.parametrize(("view", "right", "wrong"), MUTANTS.values(), ids=MUTANTS)
def test_a_mistake_in_a_view_is_noticed(duck: Duck, view: str, right: str, wrong: str) -> None:
    sql = statement(view, DATASET, "duckdb")
    assert right in sql
    duck.execute(sql.replace(right, wrong))
    try:
        assert any(problems(duck, seed, "America/Los_Angeles", [view]) for seed in range(150))
    finally:
        duck.execute(sql)


def events() -> Rows:
    """Messages of which events told before and after their chats were read."""
    at = datetime(2026, 3, 1, tzinfo=UTC)
    hours = [at + timedelta(hours=number) for number in range(5)]
    told_of = [
        ("sent", 1, 1, 2, {"text": "stored", "from_phone": "+1", "is_read": True}),
        ("sent", 1, 2, 2, {"text": "it's new", "from_phone": "+1", "is_read": True}),
        ("received", 1, 3, 0, {"text": "gone since"}),
        ("received", 2, 4, 0, {"message": {"text": "chat was never read", "sent_from": "+2", "is_read": False}}),
        ("received", 3, 5, 0, {"text": None}),
        ("received", 4, 6, 0, {"text": "read by a load that was not completed"}),
        ("sent", 1, 2, 3, {"text": "told again"}),
        ("received", None, 7, 2, {}),
    ]
    return {
        "_dlt_loads": [{"load_id": str(number), "inserted_at": hour} for number, hour in enumerate(hours)],
        "messages": [{"id": 1, "chat_id": 1, "text": "stored", "direction": "outbound", "sent_at": at}],
        "chat_syncs": [
            {"chat_id": 1, "synced_at": hours[1], "_dlt_load_id": "1"},
            {"chat_id": 4, "synced_at": hours[4], "_dlt_load_id": "killed"},
        ],
        "webhook_events": [
            {
                "event_id": str(number),
                "event_type": f"message.{kind}",
                "chat_id": chat_id,
                "message_id": message_id,
                "message_sent_at": at,
                "created_at": hours[load],
                "data": json.dumps(data),
                "_dlt_load_id": str(load),
            }
            for number, (kind, chat_id, message_id, load, data) in enumerate(told_of)
        ],
    }


def live(store: Duck | Elephant) -> list[tuple[Any, ...]]:
    columns = ("id", "chat_id", "text", "is_read", "sent_from", "direction", "known_from")
    return sorted(tuple(row[name] for name in columns) for row in store.rows("messages_live"))


EXPECTED = [
    (1, 1, "stored", None, None, "outbound", "sync"),
    (2, 1, "it's new", True, "+1", "outbound", "event"),
    (4, 2, "chat was never read", False, "+2", "inbound", "event"),
    (5, 3, None, None, None, "inbound", "event"),
    (6, 4, "read by a load that was not completed", None, None, "inbound", "event"),
    (7, None, None, None, None, "inbound", "event"),
]


def test_messages_live_has_what_events_told_since_the_last_reading(duck: Duck) -> None:
    duck.fill(events())
    assert live(duck) == EXPECTED


def test_messages_live_is_the_same_on_postgresql(duck: Duck, elephant: Elephant) -> None:
    for store in (duck, elephant):
        store.fill(events())
        store.execute("set timezone = 'UTC'")
    assert live(elephant) == EXPECTED
    assert not differences("messages_live", elephant.rows("messages_live"), duck.rows("messages_live"))


@pytest.mark.parametrize("dialect", ["postgres", "snowflake", "bigquery"])
@pytest.mark.parametrize("name", in_order())
def test_every_view_is_written_for_other_warehouses(name: str, dialect: str) -> None:
    [made] = sqlglot.parse(statement(name, DATASET, dialect), read=dialect)
    assert isinstance(made, expressions.Create)
    tables = list(made.find_all(expressions.Table))
    assert {table.name for table in tables} == {name, *needed(models()[name])}
    assert {table.db for table in tables} == {DATASET}


def load_call(warehouse: Warehouse, folder: Path) -> None:
    Mailbox(folder).write([told("call.completed", CALL)])
    assert run_events(EventLoader(str(folder)), warehouse.target()).exit_code == 0


def test_after_a_sync_every_view_equals_what_plain_python_makes_of_linqs_lists(
    serve: Serve, warehouse: Warehouse, tmp_path: Path
) -> None:
    world = World.make(seed=5, phone_numbers=2, chats=12, messages=400, end=datetime.now(UTC))
    assert warehouse.sync(serve(world)).exit_code == 0
    load_call(warehouse, tmp_path / "events")
    listed = {name: [{"deleted_at": None, **row} for row in rows] for name, rows in world.listed().items()}
    wanted = views(listed | warehouse.tables("calls", "chat_syncs"), datetime.now(UTC))
    found = warehouse.tables(*in_order())
    assert not [problem for name in CHECKED for problem in differences(name, found[name], wanted[name])]
    assert {row["status"] for row in found["sync_health"]} == {"complete"}
    assert len(found["messages_live"]) == len(found["live_messages"]) == 400


def made_views(warehouse: Warehouse) -> dict[str, int]:
    """The views by name, each with a number that changes when it is made again."""
    return dict(warehouse.query("select view_name, view_oid from duckdb_views() where not internal"))


WITHOUT_EVENTS = {*in_order(), VERSION_VIEW} - {"call_summary", "messages_live"}


def test_views_of_missing_tables_are_skipped_until_the_tables_come(
    known: Known, warehouse: Warehouse, tmp_path: Path
) -> None:
    known(chats=3, messages=20)
    assert set(made_views(warehouse)) == WITHOUT_EVENTS
    load_call(warehouse, tmp_path / "events")
    assert set(made_views(warehouse)) == {*in_order(), VERSION_VIEW}
    assert warehouse.query("select day, phone_number, answered from call_summary") == [
        (OLD.date(), "+12125550100", 1)
    ]


def test_an_idle_sync_makes_no_view(known: Known, warehouse: Warehouse) -> None:
    _, linq = known(chats=3, messages=20)
    before = made_views(warehouse)
    assert warehouse.sync(linq).loads == []
    assert made_views(warehouse) == before


@pytest.mark.parametrize(
    "name",
    [
        VERSION_VIEW,
        "replies",
    ],
)
def test_a_dropped_view_comes_back_with_the_next_sync(known: Known, warehouse: Warehouse, name: str) -> None:
    _, linq = known(chats=3, messages=20)
    warehouse.execute(f"drop view {name}")
    warehouse.sync(linq)
    assert set(made_views(warehouse)) == WITHOUT_EVENTS


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        ((), set()),
        (("messages",), set()),
        (("messages", "chats", "chat_phone_numbers"), {"live_messages", "turns", "replies", "conversations",
                                                       "response_rates_daily", "delivery_health", "sms_risk"}),
        (("calls",), {"call_summary"}),
    ],
)  # fmt: skip
def test_only_views_whose_tables_are_there_are_made(
    tmp_path: Path, tables: tuple[str, ...], expected: set[str]
) -> None:
    warehouse = Warehouse(tmp_path / "linq.duckdb")
    pipeline = dlt.pipeline(
        "views",
        destination=dlt.destinations.duckdb(str(warehouse.path)),
        dataset_name=DATASET,
        pipelines_dir=str(tmp_path),
    )
    with pipeline.sql_client() as client:
        client.execute_sql(f"create schema {DATASET}")
        for name in tables:
            with client.native_connection.cursor() as cursor:
                cursor.register("arriving", SCHEMAS[name].empty_table())
                cursor.execute(f"create table {DATASET}.{name} as select * from arriving")
        create_views(client, "duckdb")
    assert set(made_views(warehouse)) == expected | {VERSION_VIEW}


def test_views_are_made_through_dlts_client_of_postgresql(
    elephant: Elephant, server: dict[str, Any], tmp_path: Path
) -> None:
    url = "postgresql://{user}:{password}@{host}:{port}/{dbname}".format(**server)
    pipeline = dlt.pipeline(
        "views", destination=dlt.destinations.postgres(url), dataset_name=DATASET, pipelines_dir=str(tmp_path)
    )
    with pipeline.sql_client() as client:
        create_views(client, "postgres")
        assert client.execute_sql(f"select count(*) from {DATASET}.{VERSION_VIEW}") == [(1,)]
