"""Both envelopes become one event, whatever they hold, with the same id at every delivery."""

import contextlib
import json
import random
from datetime import UTC, datetime
from typing import Any

import pytest

from linq_source.webhook.event import EVENT_TYPES, UnreadableEventError, read_event

REFERENCE = {
    "api_version": "v2",
    "created_at": "2025-05-21T15:30:00-06:00",
    "data": {"id": "27799380", "text": "Hello", "sent_at": "2025-05-21 15:30:00 -0600"},
    "event_id": "9dabceb9-9194-4dc6-beda-892573f377b4",
    "event_type": "message.received",
}
QUICK_START = {
    "event": "message.received",
    "data": {"message": {"id": 67891}, "chat": {"id": 12345}},
    "timestamp": "2025-10-22T10:31:00Z",
}


def body(document: Any, **changes: Any) -> bytes:
    return json.dumps(document | changes if changes else document).encode()


def test_the_envelope_of_the_reference() -> None:
    event = read_event(body(REFERENCE))
    assert (event.event_id, event.event_type) == ("9dabceb9-9194-4dc6-beda-892573f377b4", "message.received")
    assert (event.envelope, event.api_version, event.has_own_id) == ("reference", "v2", True)
    assert event.created_at == datetime(2025, 5, 21, 21, 30, tzinfo=UTC)
    assert event.data == '{"id":"27799380","sent_at":"2025-05-21 15:30:00 -0600","text":"Hello"}'


def test_the_envelope_of_the_quick_start_gets_an_id_from_its_body() -> None:
    event = read_event(body(QUICK_START))
    assert (event.envelope, event.event_type, event.api_version) == ("quick_start", "message.received", None)
    assert event.created_at == datetime(2025, 10, 22, 10, 31, tzinfo=UTC)
    assert event.event_id == f"sha256:{event.fingerprint}"
    assert not event.has_own_id
    backwards = json.dumps(dict(reversed(QUICK_START.items())), indent=2).encode()
    assert read_event(backwards) == event
    assert read_event(body(QUICK_START, timestamp="2025-10-22T10:31:01Z")).event_id != event.event_id


def test_the_derived_id_never_changes_between_versions() -> None:
    # Stored ids are compared with those of later deliveries: a change here would double events.
    derived = "sha256:21d880d71843fcef54802e58b69ba2e8e50d60459b488c7e726dc78761da7a10"
    assert read_event(b'{"event":"a.b","data":[1.5,"\\u00e9"]}').event_id == derived


@pytest.mark.parametrize("event_type", [*EVENT_TYPES, "message.edited", "Message.Sent", "../../etc/cron.d/x", "CON"])
def test_every_type_is_an_event_documented_or_not(event_type: str) -> None:
    assert read_event(body(REFERENCE, event_type=event_type)).event_type == event_type


@pytest.mark.parametrize(
    ("given", "kept"), [("wh_evt_789ghi", "wh_evt_789ghi"), (12345, "12345"), ("x" * 256, "x" * 256)]
)
def test_an_id_is_kept_as_text(given: object, kept: str) -> None:
    assert read_event(body(REFERENCE, event_id=given)).event_id == kept


@pytest.mark.parametrize("given", [None, "", " ", "x" * 257, "a\0b", "a\r\nb", "\ud83d", True, 1.5, [], {}, 10**400])
def test_an_id_that_cannot_be_used_is_replaced_by_one_from_the_body(given: object) -> None:
    event = read_event(body(REFERENCE, event_id=given))
    assert event.event_id == f"sha256:{event.fingerprint}"


@pytest.mark.parametrize("data", [None, [], "text", 5, 1.5, True, {}])
def test_data_may_be_anything(data: object) -> None:
    assert read_event(body(REFERENCE, data=data)).data == (None if data is None else json.dumps(data))


def test_numbers_beyond_any_column_and_half_characters_are_kept_as_json() -> None:
    event = read_event(b'{"event_type":"a.b","data":{"n":123456789012345678901234567890,"t":"\\ud83d \\u0000"}}')
    assert event.data == '{"n":123456789012345678901234567890,"t":"\ufffd \ufffd"}'


@pytest.mark.parametrize("created_at", [None, "", "soon", 5, {}, "0000-00-00T00:00:00Z", "99999-01-01T00:00:00Z"])
def test_a_time_that_cannot_be_read_is_null(created_at: object) -> None:
    assert read_event(body(REFERENCE, created_at=created_at)).created_at is None


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (b"", "empty"),
        (b"{", "cut or not JSON"),
        (b"hello", "cut or not JSON"),
        (b'{"event_type":"a.b","data":NaN}', "cut or not JSON"),
        (b'{"event_type":"a.b","data":1e999}', "cut or not JSON"),
        (b"\xff{}", "cut or not JSON"),
        (b"\xff\xfe{\x00}\x00", "no event type"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"event_type":"a.b","data":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deep"),
        (b"[]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b'"message.sent"', "not a JSON object"),
        (b"{}", "no event type"),
        (b'{"event_type":null}', "no event type"),
        (b'{"event_type":{}}', "no event type"),
        (b'{"event_type":7}', "no event type"),
        (b'{"event_type":""}', "no event type"),
        (b'{"event_type":"a\\u0000b"}', "no event type"),
        (b'{"event_type":"' + b"x" * 5000 + b'"}', "no event type"),
    ],
)
def test_what_is_no_event_says_why_without_quoting_it(broken: bytes, reason: str) -> None:
    with pytest.raises(UnreadableEventError) as caught:
        read_event(broken)
    assert str(caught.value) == reason


@pytest.mark.parametrize("depth", range(900, 1100, 7))
def test_no_depth_of_nesting_escapes_as_another_error(depth: int) -> None:
    with contextlib.suppress(UnreadableEventError):
        read_event(b'{"event_type":"a.b","data":' + b"[" * depth + b"]" * depth + b"}")


def test_no_bytes_make_anything_but_an_event_or_the_one_error() -> None:
    dice = random.Random(7)
    good = body(REFERENCE)
    events = 0
    for _ in range(5_000):
        spoiled = bytearray(good)
        for _ in range(dice.randrange(1, 4)):
            at = dice.randrange(len(spoiled))
            spoiled[at : at + dice.randrange(3)] = dice.randbytes(dice.randrange(3))
        with contextlib.suppress(UnreadableEventError):
            events += bool(read_event(bytes(spoiled)).event_id)
    assert events > 500
