"""The bodies that Linq posts to a subscription, in either of the two shapes it documents, and their signature."""

import hmac
from datetime import UTC, datetime
from typing import Any, Literal, get_args

import orjson

from .events import iso
from .store import Event, Store

Envelope = Literal["reference", "quick_start"]

ENVELOPES: tuple[str, ...] = get_args(Envelope)
SIGNATURE_HEADER = "X-Webhook-Signature"


def wrapped(
    store: Store, event_type: str, data: Event, *, event_id: str, created_at: datetime, envelope: Envelope
) -> bytes:
    """The body for one event; the quick start shows messages only, so all else has the reference's envelope.

    Call it under the world's lock, when the event happens: the quick start's shape takes from the world.
    """
    if envelope == "quick_start" and event_type in ("message.sent", "message.received"):
        return _canonical(_quick_start(store, event_type, data, created_at))
    return _canonical(
        {
            "api_version": "v2",
            "created_at": iso(created_at),
            "data": data,
            "event_id": event_id,
            "event_type": event_type,
        }
    )


def signature(body: bytes, secret: str) -> str:
    """The value of the header `X-Webhook-Signature`: `sha256=` and the HMAC in hexadecimal digits."""
    return "sha256=" + hmac.new(secret.encode(), body, "sha256").hexdigest()


def _quick_start(store: Store, event_type: str, data: Event, created_at: datetime) -> dict[str, Any]:
    message = store.messages[int(data["id"])]
    chat = store.chats[message.chat_id]
    return {
        "event": event_type,
        "data": {
            "message": {
                "id": message.id,
                "text": message.text,
                "sent_at": message.sent_at and _zulu(message.sent_at),
                "sent_from": message.sent_from,
                "chat_id": chat.id,
            },
            "chat": {"id": chat.id, "display_name": store.display_name(chat), "service": chat.service},
        },
        "timestamp": _zulu(created_at),
    }


def _zulu(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _canonical(document: dict[str, Any]) -> bytes:
    # "The signature is computed on the canonical JSON format (with keys sorted recursively)."
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
