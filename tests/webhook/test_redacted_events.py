"""Redacted events: what a receiver keeps, what a loader makes of what was kept without, and the live view."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from linq_source.redact import make_redactor
from linq_source.runner import Result, run_events, run_sync
from linq_source.simulator import Recorder, Simulator, World
from linq_source.source import make_sync
from linq_source.webhook.event import read_event, redacted
from linq_source.webhook.event_loader import EventLoader
from linq_source.webhook.event_rows import redact_events
from linq_source.webhook.store import Outcome
from tests.mailbox import Mailbox
from tests.support import IMPATIENT, TOKEN, Warehouse, run_pipeline, small_world
from tests.test_privacy import BOTH, KEY, SOMEONE, assert_holds, pseudonym, redacted_listing
from tests.webhook.support import Served, encoded, event

pytestmark = pytest.mark.without_dlt

Serve = Callable[..., Simulator]


def load(warehouse: Warehouse, box: Mailbox, linq: Simulator, **settings: Any) -> Result:
    """Load the events, then sync, as the command with --events does."""
    sync = make_sync(**{"limits": IMPATIENT, "integration_token": TOKEN, "base_url": linq.base_url} | settings)
    return run_sync(sync, warehouse.target(), EventLoader(str(box.folder), sync.options.gate))


def test_events_of_a_receiver_without_redaction_are_redacted_when_they_are_loaded(
    serve: Serve, warehouse: Warehouse, tmp_path: Path
) -> None:
    world, box = small_world(contacts=2), Mailbox(tmp_path / "events")
    linq = serve(world)
    warehouse.sync(linq, **BOTH)
    recorder = Recorder(world)
    chat = world.add_chat([SOMEONE])
    received = world.receive(chat.id, "a private text")
    sent = world.send(chat.id, "another private text")
    world.react(sent.id, "like", from_phone=SOMEONE)
    world.complete_call({"from": SOMEONE})
    box.write(recorder.bodies())
    assert run_events(EventLoader(str(box.folder), make_sync(TOKEN, **BOTH).options.gate), warehouse.target())
    events = {row["event_type"]: json.loads(row["data"]) for row in warehouse.rows("webhook_events")}
    assert (events["message.received"]["id"], events["message.sent"]["id"]) == (str(received.id), str(sent.id))
    assert events["message.received"]["from_phone"] == pseudonym(SOMEONE)
    assert world.is_ours(events["message.sent"]["from_phone"])
    [call] = warehouse.rows("calls")
    assert call["from_phone"] == pseudonym(SOMEONE)
    assert call["recording_data__transcription"] is None
    everything = str(warehouse.everything())
    assert "private" not in everything
    assert SOMEONE not in everything
    result = load(warehouse, box, linq, **BOTH)
    assert (result.exit_code, result.events and result.events.events) == (0, 0)
    assert_holds(warehouse, redacted_listing(world))
    joined = (
        "select count(*) from calls join chat_handles h on h.phone_number = calls.from_phone "
        f"where h.chat_id = {chat.id}"
    )
    assert warehouse.query(joined) == [(1,)]


@pytest.mark.through_dlt
def test_a_message_that_only_an_event_told_of_is_in_messages_live_without_its_text(
    serve: Serve, warehouse: Warehouse, tmp_path: Path
) -> None:
    world, box = small_world(contacts=2), Mailbox(tmp_path / "events")
    linq = serve(world)
    warehouse.sync(linq, **BOTH)
    recorder = Recorder(world)
    chat = world.add_chat([SOMEONE])
    world.add_contact(phone_number="(212) 555-0199")
    message = world.receive(chat.id, "a private text")
    box.write(recorder.bodies())
    run_events(EventLoader(str(box.folder), make_sync(TOKEN, **BOTH).options.gate), warehouse.target())
    row = f"select chat_id, text, sent_from, direction, known_from from messages_live where id = {message.id}"
    assert warehouse.query(row) == [(chat.id, None, pseudonym(SOMEONE), "inbound", "event")]
    load(warehouse, box, linq, **BOTH)
    assert warehouse.query(row) == [(chat.id, None, pseudonym(SOMEONE), "inbound", "sync")]
    received = f"select received from contact_engagement where phone_number = '{pseudonym(SOMEONE)}'"
    assert warehouse.query(received) == [(1,)]


def test_a_receiver_keeps_a_signed_event_once_and_without_what_is_redacted(tmp_path: Path) -> None:
    said = {"id": "1", "chat_id": "2", "text": "a private text", "from_phone": SOMEONE, "is_read": False}
    body = event(1, data=said)
    with Served(tmp_path, redactor=make_redactor("texts,identifiers", KEY)) as served:
        assert served.deliver(body, "another secret than that") == 401
        assert [served.deliver(body) for _ in range(2)] == [200, 200]
        assert served.deliver(event(1, data=said | {"is_read": True})) == 200
        nameless = {"event": "message.received", "timestamp": "2025-10-22T10:31:00Z", "data": {"message": said}}
        assert [served.deliver(nameless) for _ in range(2)] == [200, 200]
        assert served.deliver(event(2, event_type="private\ntext", data=said)) == 400
        assert served.deliver(b"a private text") == 400
        kept = served.rows("select event_id, event_type, data from events order by seq")
        conflicts = served.rows("select body from conflicts")
        rejects = served.rows("select reason, body from rejects order by seq")
        outcomes = served.journal.counters.outcomes
    shown = {"chat_id": "2", "from_phone": pseudonym(SOMEONE), "id": "1", "is_read": False, "text": None}
    assert [(row[1], json.loads(row[2])) for row in kept] == [
        ("message.received", shown), ("message.received", {"message": shown})
    ]  # fmt: skip
    assert kept[0][0] == "evt-1"
    assert kept[1][0].startswith("hmac:")
    assert [json.loads(each) for each in conflicts] == [shown | {"is_read": True}]
    assert rejects[1] == ("cut or not JSON", b"")
    assert json.loads(rejects[0][1])["data"] == shown
    assert (outcomes[Outcome.STORED], outcomes[Outcome.DUPLICATE], outcomes[Outcome.CONFLICT]) == (2, 2, 1)
    assert b"private" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_a_receiver_and_a_loader_make_the_same_of_an_event(tmp_path: Path) -> None:
    redactor = make_redactor("texts,identifiers", KEY)
    assert redactor
    box = Mailbox(tmp_path / "events")
    for body in (event(1, data={"text": "private", "from_phone": SOMEONE}), event(2, event_id=None, data="private")):
        before = read_event(encoded(body))
        kept = redacted(before, redactor)
        path = box.write([encoded(body)])
        [row] = redact_events(pq.read_table(path), redactor).to_pylist()
        assert {name: row[name] for name in ("event_id", "event_type", "data", "fingerprint")} == {
            name: getattr(kept, name) for name in ("event_id", "event_type", "data", "fingerprint")
        }
        assert redacted(kept, redactor) == kept
        assert kept.fingerprint != before.fingerprint, "the hash of a text that can be guessed gives it away"


@pytest.mark.parametrize("what", ["texts", "texts,identifiers"])
def test_different_events_stay_different_and_a_redelivery_the_same(what: str) -> None:
    redactor = make_redactor(what, KEY if "identifiers" in what else None)
    assert redactor
    bodies = [event(1, event_id=own_id, data={"text": "a"}) for own_id in ("evt:1", "evt:2", "evt-3")]
    bodies += [event(1, event_id=None, data={"text": text}) for text in ("private", "another")]
    ids = []
    for body in map(encoded, bodies):
        first, again = (redacted(read_event(body), redactor) for _ in range(2))
        assert first == again == redacted(first, redactor)
        ids.append(first.event_id)
    assert len(set(ids)) == len(bodies)
    assert ids[2] == "evt-3"
    assert not [each for each in ids if "evt:" in each]
    if "identifiers" in what:
        assert read_event(encoded(bodies[3])).event_id not in ids, "it is a hash that can be tried out"


@pytest.mark.parametrize(
    ("script", "options"),
    [
        ("linq_to_duckdb.py", ()),
        ("linq_to_duckdb.py", ("--events", ".")),
        ("linq_to_warehouse.py", ("--destination", "duckdb")),
        ("events_to_duckdb.py", ("--directory", ".")),
        ("webhook_to_parquet.py", ("--port", "0")),
    ],
)
def test_without_a_key_no_command_begins_to_redact(script: str, options: tuple[str, ...], serve: Serve) -> None:
    linq = serve(World.empty())
    secret = {"SOURCES__LINQ__WEBHOOK_SECRET": "a-secret-of-the-webhook", "SOURCES__LINQ__REDACT": "identifiers"}
    done = run_pipeline(script, *options, linq=linq, **secret)
    assert (done.returncode, linq.requests) == (2, [])
    assert done.stderr.startswith("SOURCES__LINQ__REDACT_KEY (redact_key under [sources.linq]")
