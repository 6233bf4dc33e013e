"""What a perfect copy of a world would hold: flat rows per table, written straight from the data.

Shares nothing with `render.py`, so that a test which compares the two catches a mistake in either.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal

from .entities import Chat, Contact, Message, PhoneNumber, Reaction, WebhookSubscription
from .store import Store

Rows = dict[str, list[dict[str, Any]]]
Precision = Literal["seconds", "milliseconds", "microseconds"]

_Cut = Callable[[datetime | None], datetime | None]


def listed(store: Store, precision: Precision) -> Rows:
    """All that the API would list now; instants are cut to the precision that the API shows."""
    cut = _CUTS[precision]
    chats = [chat for _, chat in sorted(store.chats.items()) if store.visible(chat)]
    messages = [message for chat in chats for message in chat.messages]
    return {
        "phone_numbers": [_number(number) for number in store.listed_numbers()],
        **_chats(store, chats, cut),
        "messages": [_message(store, message, cut) for message in messages],
        "message_reactions": [_reaction(reaction, cut) for message in messages for reaction in message.reactions],
        "message_attachments": [
            {
                "id": file.id,
                "message_id": message.id,
                "url": file.url,
                "filename": file.filename,
                "mime_type": file.mime_type,
                "file_size": file.file_size,
            }
            for message in messages
            for file in message.attachments
        ],
        "contacts": [_contact(contact, cut) for contact in store.contacts.values()],
        "webhook_subscriptions": [_subscription(one, cut) for one in store.webhook_subscriptions.values()],
    }


def _number(number: PhoneNumber) -> dict[str, Any]:
    return {
        "id": number.id,
        "phone_number": number.phone_number,
        "forwarding_number": number.forwarding_number,
        "response_rate": number.response_rate,
        "user__id": number.user.id,
        "user__name": number.user.name,
        "user__email": number.user.email,
    }


def _chats(store: Store, chats: list[Chat], cut: _Cut) -> Rows:
    return {
        "chats": [
            {
                "id": chat.id,
                "display_name": store.display_name(chat),
                "service": chat.service,
                "is_group": chat.is_group,
                "message_count": chat.message_count,
            }
            for chat in chats
        ],
        "chat_phone_numbers": [
            {"chat_id": chat.id, "phone_number": number}
            for chat in chats
            for number in chat.phone_numbers
            if store.owned(number)
        ],
        "chat_handles": [
            {
                "id": handle.id,
                "chat_id": chat.id,
                "phone_number": handle.phone_number,
                "service": handle.service,
                "joined_at": cut(handle.joined_at),
            }
            for chat in chats
            for handle in chat.handles
        ],
    }


def _seconds(instant: datetime | None) -> datetime | None:
    return instant.replace(microsecond=0) if instant and instant.microsecond else instant


def _milliseconds(instant: datetime | None) -> datetime | None:
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000) if instant else None


def _whole(instant: datetime | None) -> datetime | None:
    return instant


_CUTS: dict[str, _Cut] = {"seconds": _seconds, "milliseconds": _milliseconds, "microseconds": _whole}


def _message(store: Store, message: Message, cut: _Cut) -> dict[str, Any]:
    return {
        "id": message.id,
        "chat_id": message.chat_id,
        "text": message.text,
        "sent_at": cut(message.sent_at),
        "delivered_at": cut(message.delivered_at),
        "delivery_status": message.delivery_status,
        "edited_at": cut(message.edited_at),
        "is_read": message.is_read,
        "sent_from": message.sent_from,
        "chat_handle_id": message.chat_handle_id,
        "direction": "outbound" if store.is_ours(message.sent_from) else "inbound",
    }


def _reaction(reaction: Reaction, cut: _Cut) -> dict[str, Any]:
    return {
        "id": reaction.id,
        "chat_message_id": reaction.chat_message_id,
        "reaction": reaction.reaction,
        "is_from_me": reaction.is_from_me,
        "from_phone": reaction.from_phone,
        "sent_at": cut(reaction.sent_at),
        "created_at": cut(reaction.created_at),
        "updated_at": cut(reaction.updated_at),
    }


def _contact(contact: Contact, cut: _Cut) -> dict[str, Any]:
    owner = contact.contact_owner
    return {
        "id": contact.id,
        "first_name": contact.first_name,
        "last_name": contact.last_name,
        "full_name": contact.full_name,
        "email": contact.email,
        "phone_number": contact.phone_number,
        "company": contact.company,
        "title": contact.title,
        "location": contact.location,
        "image_url": contact.image_url,
        "created_at": cut(contact.created_at),
        "updated_at": cut(contact.updated_at),
        "contact_owner__id": owner.id if owner else None,
        "contact_owner__email": owner.email if owner else None,
        "contact_owner__first_name": owner.first_name if owner else None,
        "contact_owner__last_name": owner.last_name if owner else None,
        "contact_owner__name": owner.name if owner else None,
    }


def _subscription(one: WebhookSubscription, cut: _Cut) -> dict[str, Any]:
    return {
        "id": one.id,
        "webhook_url": one.webhook_url,
        "version": one.version,
        "events": list(one.events),
        "active": one.active,
        "secret_configured": one.secret is not None,
        "last_delivered_at": cut(one.last_delivered_at),
        "delivery_attempts": one.delivery_attempts,
        "created_at": cut(one.created_at),
        "updated_at": cut(one.updated_at),
    }
