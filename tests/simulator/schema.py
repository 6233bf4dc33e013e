"""The vendor's schemas, written out by hand from its OpenAPI document, and the check against them."""

import re
from dataclasses import dataclass
from typing import Any

_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@dataclass(frozen=True)
class OneOf:
    """One of some texts."""

    values: tuple[str, ...]


@dataclass(frozen=True)
class Nullable:
    """Null or something."""

    shape: Any


class Instant:
    """A date-time in text."""


SERVICE = OneOf(("iMessage", "SMS", "RCS"))
EVENT = OneOf(
    (
        "message.sent",
        "message.received",
        "message.read",
        "call.completed",
        "reaction.sent",
        "reaction.received",
        "typing_indicator.received",
        "typing_indicator.removed",
        "contact.created",
        "contact.updated",
        "contact.deleted",
        "participant.added",
        "participant.removed",
    )
)
CHAT_HANDLE = {"id": int, "phone_number": str, "service": SERVICE, "joined_at": Instant}
CHAT = {
    "id": int,
    "display_name": str,
    "service": SERVICE,
    "group": bool,
    "message_count": int,
    "chat_handles": [CHAT_HANDLE],
}
META = {"page": int, "total_pages": int, "total_count": int, "per_page": int}
PAGINATION = {"current_page": int, "per_page": int, "total_pages": int, "total_count": int}
ERROR = {"errors": [{"status": int, "code": str, "title": str, "detail": str}]}
STANDARD_ERROR = {"status": str, "error_code": str, "message": str, "errors": [str]}
ATTACHMENT = {"id": str, "url": str, "filename": str, "mime_type": str, "file_size": int}
REACTION = {
    "id": int,
    "chat_message_id": int,
    "reaction": OneOf(("love", "like", "dislike", "laugh", "emphasize", "question")),
    "is_from_me": bool,
    "from_phone": str,
    "sent_at": Instant,
    "created_at": Instant,
    "updated_at": Instant,
}
CHAT_MESSAGE = {
    "id": int,
    "text": str,
    "sent_at": Instant,
    "delivered_at": Nullable(Instant),
    "delivery_status": OneOf(("pending", "delivered", "service_unavailable", "paused")),
    "edited_at": Nullable(Instant),
    "is_read": bool,
    "sent_from": str,
    "chat_handle_id": int,
    "attachments": [ATTACHMENT],
    "reactions": [REACTION],
}
CREATED_CHAT = {name: shape for name, shape in CHAT.items() if name != "message_count"} | {
    "chat_messages": {
        "id": int,
        "text": str,
        "sent_at": Instant,
        "delivered_at": Nullable(Instant),
        "delivery_status": OneOf(("pending", "delivered", "rate_limit_exceeded", "paused")),
        "is_read": bool,
        "attachments": [ATTACHMENT],
    }
}
CONTACT = {
    "id": int,
    "first_name": str,
    "last_name": str,
    "full_name": str,
    "email": str,
    "phone_number": str,
    "company": str,
    "title": str,
    "location": str,
    "image_url": Nullable(str),
    "created_at": Instant,
    "updated_at": Instant,
    "contact_owner": Nullable({"id": int, "email": str, "first_name": str, "last_name": str, "name": str}),
}
PHONE_NUMBER = {
    "id": int,
    "phone_number": str,
    "forwarding_number": Nullable(str),
    "response_rate": int,
    # Only the quick start shows the user.
    "user": {"id": int, "name": str, "email": str},
}
WEBHOOK_SUBSCRIPTION = {
    "id": int,
    "webhook_url": str,
    "version": int,
    "events": [EVENT],
    "active": bool,
    "secret_configured": bool,
    "last_delivered_at": Nullable(Instant),
    "delivery_attempts": int,
    "created_at": Instant,
    "updated_at": Instant,
}


def conforms(value: Any, shape: Any, where: str = "answer") -> None:
    """Every field of the vendor's schema is there in its type, and no other."""
    if isinstance(shape, Nullable):
        if value is not None:
            conforms(value, shape.shape, where)
    elif isinstance(shape, OneOf):
        assert value in shape.values, where
    elif isinstance(shape, dict):
        assert isinstance(value, dict), where
        assert set(value) == set(shape), where
        for name, inner in shape.items():
            conforms(value[name], inner, f"{where}.{name}")
    elif isinstance(shape, list):
        assert isinstance(value, list), where
        for index, inner in enumerate(value):
            conforms(inner, shape[0], f"{where}[{index}]")
    elif shape is Instant:
        assert _INSTANT.fullmatch(value), where
    else:
        assert type(value) is shape, where
