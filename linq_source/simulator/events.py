"""The `data` of each webhook event, as the vendor's page "Webhook Events Reference" shows it.

Ids of chats, messages and reactions are text there, those of contacts numbers; instants are
Ruby's (`2025-05-21 15:30:00 -0600`) except for contacts and `read_at`, which are ISO 8601.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from .entities import Chat, ChatHandle, Contact, Message, Reaction
from .store import Store

VENDOR_ZONE = timezone(timedelta(hours=-6))


def ruby(instant: datetime | None) -> str | None:
    """`2025-05-21 15:30:00 -0600`."""
    return instant.astimezone(VENDOR_ZONE).strftime("%Y-%m-%d %H:%M:%S %z") if instant else None


def iso(instant: datetime) -> str:
    """`2025-05-21T15:30:00-06:00`."""
    return instant.astimezone(VENDOR_ZONE).isoformat(timespec="seconds")


def message(store: Store, chat: Chat, sent: Message) -> dict[str, Any]:
    """For `message.sent` and `message.received`."""
    return {
        "id": str(sent.id),
        "chat_id": str(chat.id),
        "text": sent.text,
        "sent_at": ruby(sent.sent_at),
        "is_read": sent.is_read,
        "from_phone": sent.sent_from,
        "service": chat.service,
        "reaction_id": None,
        "chat_handles": _handles(store, chat),
        "attachments": [
            {"id": file.id, "url": file.url, "filename": file.filename, "mime_type": file.mime_type}
            for file in sent.attachments
        ],
    }


def read(_store: Store, seen: Message, read_at: datetime) -> dict[str, Any]:
    """For `message.read`."""
    return {"id": str(seen.id), "chat_id": str(seen.chat_id), "read_at": iso(read_at)}


def reaction(store: Store, chat: Chat, about: Message, given: Reaction) -> dict[str, Any]:
    """For `reaction.sent` and `reaction.received`."""
    handle = next((one for one in chat.handles if one.phone_number == given.from_phone), None)
    return {
        "id": str(given.id),
        "chat_message_id": str(about.id),
        "chat_id": str(chat.id),
        "reaction": given.reaction,
        "is_from_me": given.is_from_me,
        "sent_at": ruby(given.sent_at),
        "created_at": ruby(given.created_at),
        "chat_handle": handle and {"id": str(handle.id), "identifier": handle.phone_number},
        "chat_handles": _handles(store, chat),
        "associated_message": {"id": str(about.id), "text": about.text, "sent_at": ruby(about.sent_at)},
    }


def typing(store: Store, chat: Chat, display: bool, instant: datetime) -> dict[str, Any]:
    """For `typing_indicator.received` and `typing_indicator.removed`."""
    return {
        "chat_id": str(chat.id),
        "display": display,
        "timestamp": ruby(instant),
        "chat_handles": _handles(store, chat),
    }


def call(_store: Store, made: Mapping[str, Any]) -> dict[str, Any]:
    """For `call.completed`; `made` holds its fields, instants as datetimes."""
    return {name: ruby(value) if isinstance(value, datetime) else value for name, value in made.items()}


def contact(_store: Store, entry: Contact) -> dict[str, Any]:
    """For `contact.created` and `contact.updated`."""
    owner = entry.contact_owner
    return {
        "id": entry.id,
        "first_name": entry.first_name,
        "last_name": entry.last_name,
        "full_name": entry.full_name,
        "email": entry.email,
        "phone_number": entry.phone_number,
        "company": entry.company,
        "title": entry.title,
        "location": entry.location,
        "image_url": entry.image_url,
        "created_at": iso(entry.created_at),
        "updated_at": iso(entry.updated_at),
        "contact_owner": owner
        and {
            "id": owner.id,
            "email": owner.email,
            "first_name": owner.first_name,
            "last_name": owner.last_name,
            "name": owner.name,
        },
    }


def contact_deleted(_store: Store, entry: Contact) -> dict[str, Any]:
    """For `contact.deleted`."""
    return {"id": entry.id}


def participant(store: Store, chat: Chat, who: ChatHandle, instant: datetime) -> dict[str, Any]:
    """For `participant.added` and `participant.removed`, of which the vendor shows no example."""
    return {
        "chat_id": str(chat.id),
        "timestamp": ruby(instant),
        "chat_handle": {"id": str(who.id), "identifier": who.phone_number},
        "chat_handles": _handles(store, chat),
    }


def _handles(store: Store, chat: Chat) -> list[dict[str, Any]]:
    return [
        {
            "identifier": handle.phone_number,
            "display_name": "Your Linq Number"
            if handle.phone_number in chat.phone_numbers
            else store.person_name(handle.phone_number),
            "is_me": handle.phone_number in chat.phone_numbers,
        }
        for handle in chat.handles
    ]
