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
from linq_source.redact import Redactor
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
    data = [_decode(text) for text in events["data"].to_pylist()]
    kinds: list[Any] = events["event_type"].to_pylist()
    shaped = Shaped()
    about = {
        "chat_id": to_column(_found(data, "chat_id"), INTEGER).array,
        "message_id": to_column(_message_ids(kinds, data), INTEGER).array,
        "message_sent_at": parse_times(_sent_times(kinds, data))[0],
        "loaded_at": pa.array([loaded_at] * len(data), type=TIMESTAMP),
    }
    columns = [about.get(column.name) for column in WEBHOOK_EVENTS.columns]
    arrays = [
        events[column.name] if array is None else array
        for column, array in zip(WEBHOOK_EVENTS.columns, columns, strict=True)
    ]
    shaped.batch[WEBHOOK_EVENTS.name] = pa.Table.from_arrays(arrays, schema=WEBHOOK_EVENTS.schema)
    for table in dict.fromkeys(_TYPED.values()):
        positions = [index for index, kind in enumerate(kinds) if _TYPED.get(kind) is table]
        if positions:
            some = events.take(pa.array(positions))
            _shape_typed(table, some, [data[index] for index in positions], shaped)
    return shaped


def without_forgotten(events: pa.Table, forgotten: Forgotten) -> pa.Table:
    """Return events as the receiver stored them, without what they tell of people who were forgotten."""
    told = [
        kept_of(forgotten, kind, text)
        for kind, text in zip(texts(events, "event_type"), events["data"].to_pylist(), strict=True)
    ]
    is_kept = pa.array([each is not GONE for each in told], type=pa.bool_())
    position = events.schema.get_field_index("data")
    data = pa.array([each for each in told if each is not GONE], type=TEXT)
    return events.filter(is_kept).set_column(position, events.schema.field(position), data)


def kept_of(forgotten: Forgotten, event_type: str, text: str | None) -> str | None:
    """Return what is kept of an event's data: GONE where the event is to go, the same text where nothing is."""
    data: Any = None
    if text is not None:
        with suppress(BrokenBodyError):
            data = decode(text.encode())
    kept = forgotten.event(event_type, data)
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


def _found(data: Sequence[Data], source: str) -> list[Any]:
    sources = (source, *_OTHER_PLACES.get(source, ()))
    paths = [path.split(".") for path in sources]
    return [next((value for path in paths if (value := _at(each, path)) is not None), None) for each in data]


def _at(data: Any, path: Sequence[str]) -> Any:
    for name in path:
        if not isinstance(data, dict):
            return None
        data = data.get(name)
    return data


def _message_ids(kinds: Sequence[str], data: Sequence[Data]) -> list[Any]:
    return [_message_id(kind, each) for kind, each in zip(kinds, data, strict=True)]


def _message_id(kind: str, data: Data) -> Any:
    if kind.startswith("reaction."):
        own = data.get("chat_message_id")
        return _at(data, ("associated_message", "id")) if own is None else own
    if kind.startswith("message."):
        inner = _at(data, ("message", "id"))
        return data.get("id") if inner is None else inner
    return None


def _sent_times(kinds: Sequence[str], data: Sequence[Data]) -> list[Any]:
    return [_sent_at(kind, each) for kind, each in zip(kinds, data, strict=True)]


def _sent_at(kind: str, data: Data) -> Any:
    if kind.startswith("reaction."):
        return _at(data, ("associated_message", "sent_at"))
    if kind.startswith("message."):
        inner = _at(data, ("message", "sent_at"))
        return data.get("sent_at") if inner is None else inner
    return None
