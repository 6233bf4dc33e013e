"""Redacted tables mirror Linq all the same, hold nothing of what was to be left out, and are not undone by chance."""

import hmac
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from linq_source.errors import ConfigurationError
from linq_source.runner import run_events
from linq_source.simulator import Simulator, World
from linq_source.source import make_sync
from linq_source.webhook.event_loader import EventLoader
from tests.changes import (
    chat_gone,
    deleted_first_message,
    late_message,
    message_in_the_second_of_the_cursor,
    messages_of,
    new_chat,
    new_message,
    participant_joined,
)
from tests.mailbox import Mailbox, told
from tests.poison import Poison, PoisonedSimulator
from tests.support import TOKEN, Warehouse, _listed, small_world

pytestmark = pytest.mark.without_dlt

Serve = Callable[..., Simulator]
Rows = dict[str, list[dict[str, Any]]]

KEY = "a key of this test, which is long enough"
BOTH = {"redact": "texts,identifiers", "redact_key": KEY}
SOMEONE = "+12125550199"

TEXTS = {"messages": ("text",), "message_attachments": ("url", "filename")}
NAMES = {
    "chats": ("display_name",),
    "contacts": ("first_name", "last_name", "full_name", "company", "title", "location", "image_url"),
}
ADDRESSES = {
    "chat_handles": ("phone_number",),
    "messages": ("sent_from",),
    "message_reactions": ("from_phone",),
    "contacts": ("email", "phone_number"),
    "phone_numbers": ("forwarding_number",),
}


def pseudonym(identifier: str, key: str = KEY) -> str:
    """What anybody who has the key can compute of a number or address."""
    return "hmac:" + hmac.new(key.encode(), identifier.encode(), "sha256").hexdigest()


def redacted_listing(world: World, *, texts: bool = True, key: str | None = KEY) -> Rows:
    """What the tables should hold."""
    listed = world.listed()
    ours = {row["phone_number"] for row in listed["phone_numbers"]}
    for table, rows in listed.items():
        for row in rows:
            for name in TEXTS.get(table, ()) if texts else ():
                row[name] = None
            for name in NAMES.get(table, ()) if key else ():
                row[name] = None
            for name in ADDRESSES.get(table, ()) if key else ():
                row[name] = row[name] if row[name] in (None, "", *ours) else pseudonym(row[name], key or "")
    return listed


def assert_holds(warehouse: Warehouse, expected: Rows) -> None:
    """Every live row is one of `expected`, in every column, and the other way round."""
    stored = warehouse.tables(*expected)
    for table, rows in expected.items():
        names = list(rows[0]) if rows else []
        found = sorted(_shown(row[name] for name in names) for row in _listed(stored, table))
        assert found == sorted(_shown(row[name] for name in names) for row in rows), table


def _shown(values: Iterable[Any]) -> str:
    texts = (json.dumps(value, separators=(",", ":")) if isinstance(value, list) else value for value in values)
    return " | ".join(map(str, texts))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (BOTH, {}),
        ({"redact": "texts"}, {"key": None}),
        ({"redact": ["identifiers"], "redact_key": KEY}, {"texts": False}),
    ],
)
def test_redacted_tables_mirror_linq_but_for_what_is_left_out(
    settings: dict[str, Any], expected: dict[str, Any], serve: Serve, warehouse: Warehouse
) -> None:
    world = small_world(contacts=8)
    assert warehouse.sync(serve(world), **settings).exit_code == 0
    assert_holds(warehouse, redacted_listing(world, **expected))


def test_an_idle_sync_of_redacted_tables_writes_nothing_and_asks_for_lists_alone(
    serve: Serve, warehouse: Warehouse
) -> None:
    linq = serve(small_world(contacts=8))
    warehouse.sync(linq, **BOTH)
    before, _ = warehouse.everything(), linq.clear_requests()
    result = warehouse.sync(linq, **BOTH)
    assert (result.exit_code, result.loads, linq.count("/chat_messages$")) == (0, [], 0)
    assert warehouse.everything() == before


@pytest.mark.parametrize(
    "change",
    [
        new_message,
        late_message,
        message_in_the_second_of_the_cursor,
        deleted_first_message,
        new_chat,
        chat_gone,
        participant_joined,
    ],
)
def test_changes_are_seen_in_redacted_tables(
    change: Callable[[World, int], object], serve: Serve, warehouse: Warehouse
) -> None:
    world = small_world(contacts=8)
    linq = serve(world)
    warehouse.sync(linq, **BOTH)
    change(world, messages_of(world, world.listed()["chats"][0]["id"])[0]["chat_id"])
    contact = world.listed()["contacts"][0]
    world.update_contact(contact["id"], email="somebody.else@example.com")
    assert warehouse.sync(linq, **BOTH).exit_code == 0
    assert_holds(warehouse, redacted_listing(world))


def test_a_released_number_stays_ours_and_readable(serve: Serve, warehouse: Warehouse) -> None:
    world = small_world()
    linq = serve(world)
    warehouse.sync(linq, **BOTH)
    number = world.listed()["phone_numbers"][0]["phone_number"]
    world.release_number(number)
    result = warehouse.sync(linq, full_refresh=True, allow_mass_delete=True, **BOTH)
    assert result.exit_code == 0
    sent = warehouse.query(f"select count(*) from messages where sent_from = '{number}' and direction = 'outbound'")
    assert sent[0][0] > 0
    assert warehouse.query("select count(*) from messages where direction = 'inbound' and sent_from like '+%'") == [
        (0,)
    ]


def test_tables_that_were_filled_in_clear_are_written_anew(serve: Serve, warehouse: Warehouse) -> None:
    world = small_world(contacts=8)
    linq = serve(world)
    warehouse.sync(linq, contacts_hours=24)
    assert warehouse.sync(linq, contacts_hours=24, redact="texts").exit_code == 0
    assert_holds(warehouse, redacted_listing(world, key=None))
    assert warehouse.sync(linq, contacts_hours=24, **BOTH).exit_code == 0
    assert_holds(warehouse, redacted_listing(world))
    assert warehouse.sync(linq, contacts_hours=24, **BOTH).loads == []


@pytest.mark.parametrize(
    "other", [{}, {"redact": "identifiers", "redact_key": KEY}, BOTH | {"redact_key": KEY[::-1]}]
)
def test_less_redaction_or_another_key_is_refused_unless_all_is_to_be_written_anew(
    other: dict[str, Any], serve: Serve, warehouse: Warehouse, tmp_path: Path
) -> None:
    world = small_world(contacts=8)
    linq = serve(world)
    warehouse.sync(linq, **BOTH)
    before = warehouse.everything()
    box = Mailbox(tmp_path / "events")
    box.write([told("message.received", {"id": 1, "chat_id": 1, "text": "Hello", "from_phone": SOMEONE})])
    refused = warehouse.sync(linq, **other)
    assert refused.exit_code == 2
    assert "SOURCES__LINQ__REDACT" in str(refused.summary.failure)
    assert KEY not in str(refused.summary.failure)
    with pytest.raises(ConfigurationError, match="SOURCES__LINQ__REDACT"):
        run_events(EventLoader(str(box.folder), make_sync(TOKEN, **other).options.gate), warehouse.target())
    assert warehouse.everything() == before
    assert warehouse.sync(linq, full_refresh=True, **other).exit_code == 0
    key = other.get("redact_key")
    assert_holds(warehouse, redacted_listing(world, texts=other == BOTH | {"redact_key": key}, key=key))
    assert warehouse.sync(linq, **other).loads == []


def test_unknown_fields_keep_their_numbers_and_times_and_lose_their_texts(serve: Serve, warehouse: Warehouse) -> None:
    linq = PoisonedSimulator(small_world(contacts=2), token=TOKEN)
    odd = {
        "priority": 3, "is_pinned": True, "archived_at": "2026-01-01T00:00:00Z", "preview": "a private preview",
        "mobile": 12125550199, "born_at": "in Springfield", "device": {"kind": "private", "phone_number": SOMEONE},
        "+12125550199": True, "call 2125550199": 1, "tags": ["private", 4],
    }  # fmt: skip
    chats = [row["id"] for row in linq.world.listed()["chats"]]
    linq.poisoned = {("chats", chat_id): Poison("chats", "odd", fields=odd) for chat_id in chats}
    with linq:
        assert warehouse.sync(linq, **BOTH).exit_code == 0
        stored = warehouse.rows("chats")[0]
        added = {name: stored[name] for name in stored if not name.startswith("_")}
        for name in ("id", "display_name", "service", "is_group", "message_count", "deleted_at"):
            del added[name]
        assert added.pop("archived_at").isoformat() == "2026-01-01T00:00:00+00:00"
        assert json.loads(added.pop("device")) == {"kind": None, "phone_number": pseudonym(SOMEONE)}
        assert json.loads(added.pop("tags")) == [None, 4]
        assert added == {"priority": 3, "is_pinned": True}
        assert warehouse.sync(linq, **BOTH).loads == []


def test_a_rejected_row_is_kept_without_its_values(serve: Serve, warehouse: Warehouse) -> None:
    linq = PoisonedSimulator(small_world(contacts=2), token=TOKEN)
    message, other = (row["id"] for row in linq.world.listed()["messages"][:2])
    bad = {"chat_handle_id": f"call {SOMEONE}", "delivery_status": "a private text", "sent_from": {"of": SOMEONE}}
    linq.poisoned = {
        ("messages", message): Poison("messages", "bad", fields=bad),
        ("messages", other): Poison("messages", "bad id", fields={"id": "private text"}),
    }
    with linq:
        assert warehouse.sync(linq, **BOTH).exit_code == 3
        rows = {row["reason"]: row for row in warehouse.rows("rejected_rows")}
        assert set(rows) == {"sent_from: an object where a text belongs", "id: a text where an integer belongs"}
        kept = json.loads(rows["sent_from: an object where a text belongs"]["row_json"])
        assert (kept["id"], kept["text"], kept["sent_from"]) == (message, None, {"of": None})
        assert (kept["delivery_status"], kept["chat_handle_id"]) == ("redacted", pseudonym(f"call {SOMEONE}"))
        assert SOMEONE not in str(rows)
        assert "private" not in str(rows)
        assert warehouse.sync(linq, **BOTH).loads == []
        linq.heal()
        assert warehouse.sync(linq, full_refresh=True, **BOTH).exit_code == 0
        assert warehouse.rows("rejected_rows") == []
        assert_holds(warehouse, redacted_listing(linq.world))
