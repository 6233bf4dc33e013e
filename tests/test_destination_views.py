"""The views on every destination that has views: row by row what they are over the same account in DuckDB."""

import math
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from linq_source.analytics.views import in_order
from linq_source.runner import run_events
from linq_source.simulator import Quirks, Recorder, Simulator, World
from linq_source.webhook.event_loader import EventLoader
from tests.destinations.fixtures import STORES, called, kind, store
from tests.destinations.store import Store
from tests.mailbox import Mailbox
from tests.support import OLD, Warehouse, small_world
from tests.views_stores import KEYS
from tests.views_world import TEXTS

Serve = Callable[..., Simulator]

__all__ = ["kind", "store"]  # fixtures

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # the emulators'
]

OF_THE_SYNC = {"synced_at", "read_whole_at"}
"""Columns of sync_health that tell when a sync was, and two were not at the same time."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", [each for each in STORES if each.has_views], indirect=True, ids=called)
def test_every_view_holds_the_rows_that_it_holds_in_duckdb(serve: Serve, store: Store, tmp_path: Path) -> None:
    world = busy_world()
    linq = serve(world, quirks=Quirks(time_style="milliseconds"))
    recorder, box = Recorder(world), Mailbox(tmp_path / "events")
    duck = Warehouse(tmp_path / "reference.duckdb")
    for each in (duck, store):
        assert each.sync(linq).exit_code == 0
    world.complete_call()
    world.receive(world.listed()["chats"][0]["id"], "Only an event has told of this")
    box.write(recorder.bodies())
    for each in (duck, store):
        assert run_events(EventLoader(str(box.folder)), each.target()).exit_code == 0
    wanted = duck.tables(*in_order())
    assert all(wanted.values()), "each view has rows to compare"
    for name in in_order():
        assert keyed(name, store.read(name)) == keyed(name, wanted[name]), name


def busy_world() -> World:
    """An account with a history, odd texts, and messages of these weeks; none is near to where a period ends."""
    world = small_world(chats=10, messages=250)
    ours = [number.phone_number for number in world.listed_numbers()]
    for index, text in enumerate(text for text in TEXTS if text):
        chat = world.add_chat([f"+1212555{index:04}"], ours=[ours[index % 2]], service="SMS")
        world.send(chat.id, text, sent_at=OLD - timedelta(hours=7 * index))
        if index % 3:
            world.receive(chat.id, text, sent_at=OLD - timedelta(hours=7 * index - index % 5, milliseconds=250))
    for days in (0.25, 2, 9, 9.1, 20, 40, 41.3, 50):
        chat = world.add_chat([f"+1213555{int(days * 10):04}"], ours=[ours[int(days) % 2]])
        began = datetime.now(UTC).replace(microsecond=0) - timedelta(days=days)
        world.receive(chat.id, "Hello", sent_at=began)
        if days > 2:
            world.send(chat.id, "Hello to you", sent_at=began + timedelta(minutes=days * 7))
    return world


def keyed(name: str, rows: Iterable[dict[str, Any]]) -> dict[tuple[Any, ...], dict[str, Any]]:
    """The rows of a view by what they are about, with values that compare across databases."""
    plain = [
        {column: comparable(value) for column, value in row.items() if column not in OF_THE_SYNC} for row in rows
    ]
    found = {tuple(row[column] for column in KEYS[name]): row for row in plain}
    assert len(found) == len(plain), f"{name}: two rows are about the same"
    return found


def comparable(value: Any) -> Any:
    """A number to ten digits, a time in UTC: databases have types of their own for them."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float | Decimal):
        number = float(value)
        return float(f"{number:.10g}") if math.isfinite(number) else number
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    assert isinstance(value, date | str)
    return value
