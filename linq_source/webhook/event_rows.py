"""From stored events to rows: `webhook_events` and the typed tables. Pure functions.

Whatever a value looks like, the event itself is kept: a field that does not fit its column is null there, counted,
and still to be found in `webhook_events.data`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
import pyarrow as pa

from linq_source.changes import texts
from linq_source.event_tables import CALLS, MESSAGE_READS, PARTICIPANT_CHANGES, TYPING_INDICATORS, WEBHOOK_EVENTS
from linq_source.forgotten import Forgotten
from linq_source.redact import PREFIX, Redactor
from linq_source.rows import Batch
from linq_source.strict_json import BrokenBodyError, decode
from linq_source.tables import INTEGER, TEXT, Table
from linq_source.times import TIMESTAMP, parse_times
from linq_source.values import to_column, to_json
from linq_source.webhook.event import DERIVED, Event, redacted

Data = dict[str, Any]

GONE = "gone"
"""No JSON, so no event's data."""

_TYPED = {
    "call.completed": CALLS,
    "message.read": MESSAGE_READS,
    "typing_indicator.received": TYPING_INDICATORS,
    "typing_indicator.removed": TYPING_INDICATORS,
    "participant.added": PARTICIPANT_CHANGES,
    "participant.removed": PARTICIPANT_CHANGES,
}
_OTHER_PLACES = {
    # Of participants' events Linq shows no example; these are the forms its other events have.
    "chat_handle.id": ("participant.id", "chat_handle_id"),
    "chat_handle.identifier": (
        "chat_handle.phone_number",
        "participant.identifier",
        "participant.phone_number",
        "identifier",
        "phone_number",
    ),
    "chat_id": ("chat.id", "message.chat_id"),
}


@dataclass
class Shaped:
    """Rows by table, and how many values fitted no column."""

    batch: Batch = field(default_factory=dict)
    misfits: Counter[str] = field(default_factory=Counter)


def shape_events(events: pa.Table, loaded_at: datetime) -> Shaped:
    """Return the rows of events as the receiver stored them, each event once."""
    kinds: list[Any] = events["event_type"].to_pylist()
    chat_ids, message_ids, sent_times, typed = _told(kinds, events["data"].to_pylist())
    shaped = Shaped()
    about = {
        "chat_id": to_column(chat_ids, INTEGER).array,
        "message_id": to_column(message_ids, INTEGER).array,
        "message_sent_at": parse_times(sent_times)[0],
        "loaded_at": pa.array([loaded_at] * len(kinds), type=TIMESTAMP),
    }
    columns = [about.get(column.name) for column in WEBHOOK_EVENTS.columns]
    arrays = [
        events[column.name] if array is None else array
        for column, array in zip(WEBHOOK_EVENTS.columns, columns, strict=True)
    ]
    shaped.batch[WEBHOOK_EVENTS.name] = pa.Table.from_arrays(arrays, schema=WEBHOOK_EVENTS.schema)
    for table in dict.fromkeys(_TYPED.values()):
        positions = [position for position in typed if _TYPED[kinds[position]] is table]
        if positions:
            some = events.take(pa.array(positions))
            _shape_typed(table, some, [typed[position] for position in positions], shaped)
    return shaped


def without_forgotten(events: pa.Table, forgotten: Forgotten) -> pa.Table:
    """Return events as the receiver stored them, without what they tell of people who were forgotten."""
    told = [
        kept_of(forgotten, kind, text)
        for kind, text in zip(texts(events, "event_type"), events["data"].to_pylist(), strict=True)
    ]
    before = zip(*(events[name].to_pylist() for name in ("event_id", "fingerprint", "data")), strict=True)
    kept = [
        (event_id, fingerprint, data) if data == old else (*keyed(forgotten, event_id, fingerprint), data)
        for (event_id, fingerprint, old), data in zip(before, told, strict=True)
        if data is not GONE
    ]
    events = events.filter(pa.array([each is not GONE for each in told], type=pa.bool_()))
    columns = zip(*kept, strict=True) if kept else ((), (), ())
    for name, values in zip(("event_id", "fingerprint", "data"), columns, strict=True):
        position = events.schema.get_field_index(name)
        events = events.set_column(position, events.schema.field(position), pa.array(values, type=TEXT))
    return events


def keyed(forgotten: Forgotten, event_id: str, fingerprint: str) -> tuple[str, str]:
    """Return the id and the fingerprint of an event that is kept changed: neither is a hash of what it was."""
    stands = forgotten.keyed(fingerprint)
    is_derived = event_id.startswith(DERIVED)
    return f"{DERIVED}{stands.removeprefix(PREFIX)}" if is_derived else event_id, stands


def kept_of(forgotten: Forgotten, event_type: str, text: str | None) -> str | None:
    """Return what is kept of an event's data: GONE where the event is to go, the same text where nothing is."""
    data: Any = None
    if text is not None:
        with suppress(BrokenBodyError):
            data = decode(text.encode())
    try:
        kept = forgotten.event(event_type, data)
    except RecursionError:  # It names them deeper than Python calls, and cannot be told without.
        return GONE
    if kept is None and data is not None:
        return GONE
    return text if kept == data else to_json(kept)


def redact_events(events: pa.Table, redactor: Redactor) -> pa.Table:
    """Return events as the receiver stored them, as a receiver with this redactor would have."""
    kept = [
        redacted(
            Event(
                **{name: row[name] for name in ("event_id", "event_type", "api_version", "created_at", "envelope")},
                has_own_id=not row["event_id"].startswith(DERIVED),
                data=row["data"],
                fingerprint=row["fingerprint"],
            ),
            redactor,
        )
        for row in events.to_pylist()
    ]
    for name in ("event_id", "event_type", "api_version", "data", "fingerprint"):
        position, column = events.schema.get_field_index(name), [getattr(event, name) for event in kept]
        field = events.schema.field(position)
        events = events.set_column(position, field, pa.array(column, type=field.type))
    return events


def _shape_typed(table: Table, events: pa.Table, data: Sequence[Data], shaped: Shaped) -> None:
    given: dict[str, Any] = {"event_id": events["event_id"], "created_at": events["created_at"]}
    if table is PARTICIPANT_CHANGES:
        given["change"] = pa.array([kind.rpartition(".")[2] for kind in texts(events, "event_type")], type=TEXT)
    arrays: list[Any] = []
    for column in table.columns:
        if not column.source:
            arrays.append(given[column.name])
            continue
        values = _found(data, column.source)
        converted = to_column(values, column.type)
        shaped.misfits[table.name] += len(converted.misfits) + converted.unread_times
        if column.name in table.key:  # a call without an id that can be used
            ids = zip(converted.array.to_pylist(), events["event_id"].to_pylist(), strict=True)
            arrays.append(pa.array([own or event_id for own, event_id in ids], type=column.type))
        else:
            arrays.append(converted.array)
    shaped.batch[table.name] = pa.Table.from_arrays(arrays, schema=table.schema)


Age = tuple[datetime, str]


def newest_calls(calls: pa.Table, stored: Mapping[str, Age]) -> pa.Table:
    """Return each call once, as its newest event tells it, unless what is stored of it is as new."""
    newest: dict[str, tuple[Age, int]] = {}
    rows = zip(*(calls[name].to_pylist() for name in ("id", "created_at", "event_id")), strict=True)
    for position, (call_id, created_at, event_id) in enumerate(rows):
        age = call_age(created_at, event_id)
        if call_id not in newest or newest[call_id][0] < age:
            newest[call_id] = age, position
    kept = [position for call_id, (age, position) in newest.items() if call_id not in stored or stored[call_id] < age]
    return calls.take(pa.array(sorted(kept), type=pa.int64()))


def call_age(created_at: datetime | None, event_id: str) -> Age:
    """Return what orders the events of one call, in whatever order they come."""
    return created_at or datetime.min.replace(tzinfo=UTC), event_id


def _decode(text: str | None) -> Data:
    if text is None:
        return {}
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:  # integers beyond 64 bits, among others
        try:
            value = decode(text.encode())
        except BrokenBodyError:
            return {}
    return value if isinstance(value, dict) else {}


def _told(
    kinds: Sequence[str], texts_of_data: Sequence[str | None]
) -> tuple[list[Any], list[Any], list[Any], dict[int, Data]]:
    """Return the chats, the messages and their times that events tell of, and the data of those with a typed table.

    In one pass, which keeps no other data: ten thousand documents at once took half as long again.
    """
    chat_ids, message_ids, sent_times = [], [], []
    typed: dict[int, Data] = {}
    for position, (kind, text) in enumerate(zip(kinds, texts_of_data, strict=True)):
        data = _decode(text)
        own = data.get("chat_id")
        chat_ids.append(_first(data, _CHAT_PATHS) if own is None else own)
        message_id, sent_at = message_of(kind, data)
        message_ids.append(message_id)
        sent_times.append(sent_at)
        if kind in _TYPED:
            typed[position] = data
    return chat_ids, message_ids, sent_times, typed


def _paths(source: str) -> list[list[str]]:
    return [path.split(".") for path in (source, *_OTHER_PLACES.get(source, ()))]


_CHAT_PATHS = _paths("chat_id")


def _found(data: Sequence[Data], source: str) -> list[Any]:
    paths = _paths(source)
    return [_first(each, paths) for each in data]


def _first(data: Data, paths: Sequence[Sequence[str]]) -> Any:
    return next((value for path in paths if (value := _at(data, path)) is not None), None)


def _at(data: Any, path: Sequence[str]) -> Any:
    for name in path:
        if not isinstance(data, dict):
            return None
        data = data.get(name)
    return data


def message_of(kind: str, data: Data) -> tuple[Any, Any]:
    """Return the id and the time of the message that an event is about."""
    if kind.startswith("reaction."):
        own, message = data.get("chat_message_id"), data.get("associated_message")
        inner = message if isinstance(message, dict) else {}
        return inner.get("id") if own is None else own, inner.get("sent_at")
    if kind.startswith("message."):
        message = data.get("message")
        inner = message if isinstance(message, dict) else {}
        message_id, sent_at = inner.get("id"), inner.get("sent_at")
        return (
            data.get("id") if message_id is None else message_id,
            data.get("sent_at") if sent_at is None else sent_at,
        )
    return None, None
