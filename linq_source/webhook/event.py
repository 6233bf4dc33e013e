"""One event out of either of Linq's two webhook envelopes: pure, from signed bytes to an Event.

The reference shows this envelope, where ids are UUIDs in one place and like `wh_evt_789ghi` in another:

    {"api_version": "v2", "created_at": "2025-05-21T15:30:00-06:00", "data": {...},
     "event_id": "9dabceb9-9194-4dc6-beda-892573f377b4", "event_type": "message.received"}

and the quick start this one, without id:

    {"event": "message.received", "data": {"message": {...}, "chat": {...}}, "timestamp": "2025-10-22T10:31:00Z"}
"""

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from linq_source.redact import Redactor
from linq_source.strict_json import BrokenBodyError, decode
from linq_source.times import parse_time
from linq_source.values import to_json

EVENT_TYPES = (
    "call.completed",
    "contact.created",
    "contact.deleted",
    "contact.updated",
    "message.read",
    "message.received",
    "message.sent",
    "participant.added",
    "participant.removed",
    "reaction.received",
    "reaction.sent",
    "typing_indicator.received",
    "typing_indicator.removed",
)
"""The types that Linq documents. Any other is received all the same."""

_sorted_json = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode  # json.dumps makes an encoder each time

MAX_NAME = 256
"""Characters of an event's id, type or version; no real one comes near."""


DERIVED = "sha256:"
"""What an id begins with that was made from the event, which had none."""


class UnreadableEventError(Exception):
    """A body that is no event. Its text says why and never quotes the body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What was told once. `data` is JSON text with sorted keys; `fingerprint` that of the whole body, hashed."""

    event_id: str
    event_type: str
    api_version: str | None
    created_at: datetime | None
    envelope: str
    has_own_id: bool
    data: str | None
    fingerprint: str


def read_event(body: bytes) -> Event:
    """Return the event in a body; raises UnreadableEventError where it is no JSON object, or names no type.

    An event without a usable id gets one from its body: `sha256:` and the hash of its canonical JSON, the same
    for every delivery.
    """
    document = _document(body)
    envelope, event_type = _kind(document)
    try:
        canonical = _sorted_json(document)
    except RecursionError:
        raise UnreadableEventError("nested too deep") from None
    fingerprint = hashlib.sha256(canonical.encode("ascii")).hexdigest()
    own_id = _name(document.get("event_id"))
    return Event(
        event_id=own_id or f"{DERIVED}{fingerprint}",
        event_type=event_type,
        api_version=_name(document.get("api_version")),
        created_at=parse_time(document.get("created_at")) or parse_time(document.get("timestamp")),
        envelope=envelope,
        has_own_id=own_id is not None,
        data=_to_text(document.get("data")),
        fingerprint=fingerprint,
    )


def redacted(event: Event, redactor: Redactor) -> Event:
    """Return an event as it may be kept. Its fingerprint is that of what is kept.

    An id that may not be kept, or was made from the body, is replaced by a digest of it, so that different events
    stay different, and a redelivery the same.

    What is redacted already stays as it is, so a loader may redact again what a receiver has redacted.
    """
    event_type = redactor.code(event.event_type)
    version = event.api_version and redactor.code(event.api_version)
    data = None if event.data is None else shape_of(event.data.encode(), redactor, event_type).decode() or None
    kept = [event_type, version, event.created_at and event.created_at.isoformat(), data]
    fingerprint = hashlib.sha256(json.dumps(kept).encode("ascii")).hexdigest()
    event_id = event.event_id
    # A hash of a body can be tried out, so with a key it is replaced too.
    if not redactor.is_id(event_id) or (redactor.has_key and event_id.startswith(DERIVED)):
        event_id = redactor.digest(event_id) if redactor.has_key else f"{DERIVED}{_hash(event_id)}"
    return replace(
        event,
        event_id=event_id,
        event_type=event_type,
        api_version=version,
        has_own_id=event.has_own_id and event_id == event.event_id,
        data=data,
        fingerprint=fingerprint,
    )


def shape_of(body: bytes, redactor: Redactor, event_type: str = "") -> bytes:
    """Return what may be kept of a JSON body, as JSON; nothing where it is none."""
    try:
        return (_to_text(redactor.data(event_type, decode(body))) or "").encode()
    except (BrokenBodyError, RecursionError):
        return b""


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _to_text(data: Any) -> str | None:
    text = None if data is None else _sorted_json(data)
    # Escapes are rare, and only they may need mending; to_json takes five times as long.
    return to_json(data) if text and "\\u" in text else text


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = decode(body)
    except BrokenBodyError as error:
        raise UnreadableEventError(str(error)) from None
    if not isinstance(document, dict):
        raise UnreadableEventError("not a JSON object")
    return document


def _kind(document: dict[str, Any]) -> tuple[str, str]:
    for envelope, field in (("reference", "event_type"), ("quick_start", "event")):
        if isinstance(document.get(field), str) and (event_type := _name(document[field])):
            return envelope, event_type
    raise UnreadableEventError("no event type")


def _name(value: object) -> str | None:
    """Return a short printable text as it is, an integer as text, and None for all else."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**64:
        value = str(value)
    if isinstance(value, str) and 0 < len(value) <= MAX_NAME and value.isprintable() and value.strip():
        return value
    return None
