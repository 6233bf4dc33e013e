"""The same sync into PostgreSQL, a real server: mirrored, idle, changed, killed, fed with events."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from linq_source.errors import ConfigurationError
from linq_source.runner import Result, run_sync
from linq_source.simulator import Quirks, Recorder, Simulator
from linq_source.source import make_sync
from linq_source.tables import MESSAGES
from linq_source.warehouse import warehouse_target
from linq_source.webhook.event_loader import EventLoader
from tests.mailbox import Mailbox
from tests.postgres import postgres
from tests.processes import at_request
from tests.support import IMPATIENT, OLD, TOKEN, Warehouse, assert_mirrors, small_world

Serve = Callable[..., Simulator]
SETTING = "DESTINATION__POSTGRES__CREDENTIALS"


class PostgresWarehouse(Warehouse):
    """A dataset on a server, looked at as the tests look at a DuckDB file."""

    def __init__(self, address: dict[str, Any], dataset: str) -> None:
        super().__init__(Path(dataset))
        self.dataset = dataset
        self.url = "postgresql://{user}:{password}@{host}:{port}/{dbname}".format(**address)
        self._address = address

    def sync(self, linq: Simulator, *, target: dict[str, Any] | None = None, **settings: Any) -> Result:
        events = settings.pop("events", None)
        given = {"limits": IMPATIENT, "integration_token": TOKEN, "base_url": linq.base_url} | settings
        where = warehouse_target("postgres", self.dataset, **(target or {}))
        return run_sync(make_sync(**given), where, EventLoader(str(events)) if events else None)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with psycopg2.connect(**self._address) as connection, connection.cursor() as cursor:
            cursor.execute(f"set search_path to {self.dataset}; set timezone to 'UTC'; {sql}")
            return cursor.fetchall() if cursor.description else []

    def execute(self, sql: str) -> None:
        self.query(sql)

    def tables(self, *names: str) -> dict[str, list[dict[str, Any]]]:
        found = {}
        for name in names:
            described = self.query(
                "select column_name from information_schema.columns "
                f"where table_schema = '{self.dataset}' and table_name = '{name}' order by ordinal_position"
            )
            columns = [column for (column,) in described]
            found[name] = [
                dict(zip(columns, map(_plain, row), strict=True)) for row in self.query(f"select * from {name}")
            ]
        return found

    def everything(self) -> dict[str, list[tuple[Any, ...]]]:
        names = self.query(f"select tablename from pg_tables where schemaname = '{self.dataset}'")
        return {name: sorted(self.query(f"select * from {name}"), key=repr) for (name,) in names}


def _plain(value: Any) -> Any:
    if isinstance(value, list | dict):
        return json.dumps(value, separators=(",", ":"))
    return value.astimezone(UTC) if hasattr(value, "astimezone") else value


@pytest.fixture(scope="module")
def server() -> Iterator[dict[str, Any]]:
    with postgres() as address:
        yield address


@pytest.fixture
def dataset(
    server: dict[str, Any], request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> PostgresWarehouse:
    """A dataset of this test's own."""
    warehouse = PostgresWarehouse(server, f"linq_{abs(hash(request.node.name)) % 10**9}")
    monkeypatch.setenv(SETTING, warehouse.url)
    return warehouse


def test_a_first_sync_mirrors_an_idle_one_writes_nothing_and_what_changed_follows(
    serve: Serve, dataset: PostgresWarehouse
) -> None:
    world = small_world()
    linq = serve(world)
    assert dataset.sync(linq).exit_code == 0
    assert_mirrors(dataset, world)
    described = "select obj_description('messages'::regclass), col_description('messages'::regclass, 1)"
    assert dataset.query(described) == [(MESSAGES.description, MESSAGES.columns[0].description)]
    before = dataset.everything()
    result = dataset.sync(linq)
    assert (dict(result.summary.rows), result.loads) == ({}, [])
    assert dataset.everything() == before

    rows = world.listed()
    chats = [chat["id"] for chat in rows["chats"]]
    world.receive(chats[0], "It's 'new'\\ \U0001f600\nand long", sent_at=OLD + timedelta(days=1))
    world.receive(chats[1], "", sent_at=OLD - timedelta(days=900))
    world.delete_message(next(row["id"] for row in rows["messages"] if row["chat_id"] == chats[2]))
    world.remove_chat(chats[3])
    world.leave(chats[4], next(row["id"] for row in rows["chat_handles"] if row["chat_id"] == chats[4]))
    world.update_contact(rows["contacts"][0]["id"], title="", company="O'Neil \\ Sons")
    world.delete_contact(rows["contacts"][1]["id"])
    world.add_webhook_subscription("https://example.com/hook", ["message.sent"])
    assert dataset.sync(linq).exit_code == 0
    assert_mirrors(dataset, world)
    assert len(dataset.query("select id from messages where deleted_at is not null")) == 1
    assert dataset.sync(linq).loads == []


def test_a_reaction_taken_back_is_gone(serve: Serve, dataset: PostgresWarehouse) -> None:
    world = small_world(messages=60, contacts=5)
    message = next(row for row in world.listed()["messages"])
    world.react(message["id"], "love", from_phone="+12125550199")
    linq = serve(world)
    dataset.sync(linq)
    world.unreact(message["id"], from_phone="+12125550199")
    assert dataset.sync(linq, recheck_hours=0).exit_code == 0
    assert_mirrors(dataset, world)


def test_fields_that_come_later_become_columns(serve: Serve, dataset: PostgresWarehouse) -> None:
    world = small_world(messages=60, contacts=5)
    dataset.sync(serve(world))
    linq = serve(world, quirks=Quirks(extra_fields=True))
    assert dataset.sync(linq, recheck_hours=0).exit_code == 0
    assert_mirrors(dataset, world)
    assert dataset.sync(linq).loads == []


def test_events_are_loaded_and_served_and_the_views_stand(
    serve: Serve, dataset: PostgresWarehouse, tmp_path: Path
) -> None:
    world = small_world(chats=3, messages=40)
    chat = world.add_chat(["+12125550101"])
    for number in range(250):
        world.receive(chat.id, f"Message {number}", sent_at=OLD - timedelta(hours=17 * number))
    linq, recorder, box = serve(world), Recorder(world), Mailbox(tmp_path / "events")
    dataset.sync(linq)
    old = next(row for row in world.listed()["messages"] if row["chat_id"] == chat.id)
    world.react(old["id"], "love", from_phone="+12125550101")
    world.complete_call()
    box.write(recorder.bodies())
    linq.clear_requests()
    assert dataset.sync(linq, events=box.folder).exit_code == 0
    assert linq.count("/chat_messages$") == 1
    assert_mirrors(dataset, world)
    result = dataset.sync(linq, events=box.folder)
    assert (linq.count("/chat_messages$"), result.loads) == (1, [])
    assert dataset.query("select sum(turns) > 0 from response_rates_daily") == [(True,)]
    assert dataset.query("select count(*) from messages_live") == dataset.query("select count(*) from messages")
    assert dataset.query("select sum(calls) from call_summary") == [(1,)]


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.4, 0.9])
def test_a_sync_that_is_killed_is_healed_by_the_next(
    share: float, serve: Serve, dataset: PostgresWarehouse, tmp_path: Path
) -> None:
    world = small_world(chats=30, messages=3_000)
    linq = serve(world)
    options = ("--destination", "postgres", "--dataset", dataset.dataset, "--commit-every", "500")
    at_request(linq, int(45 * share), lambda: _kill(tmp_path))
    done = _run_killable(linq, options, tmp_path, {SETTING: dataset.url})
    assert done == -9
    linq.before_request = None
    assert dataset.sync(linq).exit_code == 0
    assert_mirrors(dataset, world)
    assert dataset.query("select id from messages group by id having count(*) > 1") == []


def _kill(folder: Path) -> None:
    import os
    import signal

    os.kill(int((folder / "pid").read_text()), signal.SIGKILL)


def _run_killable(linq: Simulator, options: tuple[str, ...], folder: Path, environment: dict[str, str]) -> int:
    import os
    import subprocess
    import sys

    from tests.support import ROOT

    env = dict(os.environ) | environment
    env |= {"SOURCES__LINQ__INTEGRATION_TOKEN": TOKEN, "SOURCES__LINQ__BASE_URL": linq.base_url}
    script = str(ROOT / "pipelines" / "linq_to_warehouse.py")
    with subprocess.Popen([sys.executable, script, *options], env=env, cwd=ROOT, text=True) as process:
        (folder / "pid").write_text(str(process.pid))
        return process.wait(timeout=100)


def test_a_destination_that_cannot_be_used_is_named() -> None:
    with pytest.raises(ConfigurationError, match="knows no such destination"):
        warehouse_target("nonsense")
    with pytest.raises(ConfigurationError, match="cannot replace rows"):
        warehouse_target("destination")  # a function of one's own
