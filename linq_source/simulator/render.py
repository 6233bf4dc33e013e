"""A world's data in the API's JSON shapes, bent by quirks: other servers, other habits, the same facts."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import orjson

from . import events
from .entities import Attachment, Chat, Contact, Message, PhoneNumber, Reaction, WebhookSubscription
from .store import Store

Row = dict[str, Any]
TimeStyle = Literal["seconds", "milliseconds", "offset", "ruby"]

_JSON_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_OMIT_MICROSECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirks:
    """How a server may differ from the documentation; all of it off is the documentation.

    `after_inclusive`: `after` also returns what was sent at that very instant.
    `time_style`: `2025-05-21T21:30:00Z`, with `.000`, with `-06:00`, or Ruby's `2025-05-21 15:30:00 -0600`.
    `extra_fields`: unknown scalar and nested fields on messages, chats and contacts.
    `missing_fields`: names of fields that no row has.
    `missing_meta`: lists without `meta` or `pagination`.
    `null_lists`: null for each empty list, for that of a whole answer too when `total_count` is 0.
    `null_strings`: null for each empty text.
    `string_ids`: ids as text. `total_pages_as_text`: that number as text.
    `page_size_cap`: no page holds more, whatever `per_page` asked for; totals go by it.
    `newest_chats_first`: chats are listed by their latest message, so they move between pages.
    """

    after_inclusive: bool = False
    time_style: TimeStyle = "seconds"
    extra_fields: bool = False
    missing_fields: tuple[str, ...] = ()
    missing_meta: bool = False
    null_lists: bool = False
    null_strings: bool = False
    string_ids: bool = False
    total_pages_as_text: bool = False
    page_size_cap: int | None = None
    newest_chats_first: bool = False


def to_json(value: Any) -> bytes:
    """JSON bytes; instants as `2025-05-21T21:30:00Z`."""
    return orjson.dumps(value, option=_JSON_OPTIONS)


class Renderer:
    """Renders one row at a time, the way its quirks want it."""

    def __init__(self, quirks: Quirks) -> None:
        self.quirks = quirks
        # The documented style is what `to_json` makes of a datetime, which is several times faster.
        self._time = _TIME_STYLES.get(quirks.time_style)
        self._bends = quirks != Quirks(
            after_inclusive=quirks.after_inclusive,
            time_style=quirks.time_style,
            missing_meta=quirks.missing_meta,
            total_pages_as_text=quirks.total_pages_as_text,
            page_size_cap=quirks.page_size_cap,
            newest_chats_first=quirks.newest_chats_first,
        )

    def chat(self, store: Store, chat: Chat) -> Row:
        """Schema `Chat`."""
        return self._finished(
            {
                "id": chat.id,
                "display_name": store.display_name(chat),
                "service": chat.service,
                "group": chat.is_group,
                "message_count": chat.message_count,
                "chat_handles": [
                    {
                        "id": handle.id,
                        "phone_number": handle.phone_number,
                        "service": handle.service,
                        "joined_at": self._when(handle.joined_at),
                    }
                    for handle in chat.handles
                ],
            },
            extended=True,
        )

    def message(self, message: Message) -> Row:
        """Schema `ChatMessage`."""
        return self._finished(
            {
                "id": message.id,
                "text": message.text,
                "sent_at": self._when(message.sent_at),
                "delivered_at": self._when(message.delivered_at),
                "delivery_status": message.delivery_status,
                "edited_at": self._when(message.edited_at),
                "is_read": message.is_read,
                "sent_from": message.sent_from,
                "chat_handle_id": message.chat_handle_id,
                "attachments": [_attachment(file) for file in message.attachments],
                "reactions": [self._reaction(reaction) for reaction in message.reactions],
            },
            extended=True,
        )

    def created_chat(self, store: Store, chat: Chat, message: Message) -> Row:
        """What Create Chat answers: a chat without its count, and the message sent."""
        row = self.chat(store, chat)
        row.pop("message_count", None)
        kept = ("id", "text", "sent_at", "delivered_at", "delivery_status", "is_read", "attachments")
        rendered = self.message(message)
        row["chat_messages"] = {name: rendered[name] for name in kept if name in rendered}
        return row

    def reaction(self, reaction: Reaction) -> Row:
        """Schema `Reaction`."""
        return self._finished(self._reaction(reaction))

    def contact(self, contact: Contact) -> Row:
        """Schema `Contact`."""
        owner = contact.contact_owner
        return self._finished(
            {
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
                "created_at": self._when(contact.created_at),
                "updated_at": self._when(contact.updated_at),
                "contact_owner": owner
                and {
                    "id": owner.id,
                    "email": owner.email,
                    "first_name": owner.first_name,
                    "last_name": owner.last_name,
                    "name": owner.name,
                },
            },
            extended=True,
        )

    def phone_number(self, number: PhoneNumber) -> Row:
        """Schema `PhoneNumber`, with the `user` that only the quick start shows."""
        user = number.user
        return self._finished(
            {
                "id": number.id,
                "phone_number": number.phone_number,
                "forwarding_number": number.forwarding_number,
                "response_rate": number.response_rate,
                "user": {"id": user.id, "name": user.name, "email": user.email},
            }
        )

    def subscription(self, one: WebhookSubscription) -> Row:
        """Schema `WebhookSubscription`."""
        return self._finished(
            {
                "id": one.id,
                "webhook_url": one.webhook_url,
                "version": one.version,
                "events": list(one.events),
                "active": one.active,
                "secret_configured": one.secret is not None,
                "last_delivered_at": self._when(one.last_delivered_at),
                "delivery_attempts": one.delivery_attempts,
                "created_at": self._when(one.created_at),
                "updated_at": self._when(one.updated_at),
            }
        )

    def _reaction(self, reaction: Reaction) -> Row:
        return {
            "id": reaction.id,
            "chat_message_id": reaction.chat_message_id,
            "reaction": reaction.reaction,
            "is_from_me": reaction.is_from_me,
            "from_phone": reaction.from_phone,
            "sent_at": self._when(reaction.sent_at),
            "created_at": self._when(reaction.created_at),
            "updated_at": self._when(reaction.updated_at),
        }

    def _when(self, instant: datetime | None) -> datetime | str | None:
        return instant if self._time is None or instant is None else self._time(instant)

    def _finished(self, row: Row, *, extended: bool = False) -> Row:
        if not self._bends:
            return row
        if extended and self.quirks.extra_fields:
            row["priority"] = row["id"] % 5
            row["labels"] = {"color": "green", "weights": [1, 2.5], "nested": {"id": row["id"]}}
        return {name: self._bent(name, value) for name, value in row.items() if self._keeps(name)}

    def _keeps(self, name: str) -> bool:
        return name not in self.quirks.missing_fields

    def _bent(self, name: str, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._bent(key, inner) for key, inner in value.items() if self._keeps(key)}
        if isinstance(value, list):
            return [self._bent("", inner) for inner in value] or (None if self.quirks.null_lists else [])
        if self.quirks.null_strings and value == "":
            return None
        is_id = name == "id" or name.endswith("_id")
        return str(value) if self.quirks.string_ids and is_id and value is not None else value


def _attachment(file: Attachment) -> Row:
    return {
        "id": file.id,
        "url": file.url,
        "filename": file.filename,
        "mime_type": file.mime_type,
        "file_size": file.file_size,
    }


def _milliseconds(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _ruby(instant: datetime) -> str:
    return str(events.ruby(instant))


_TIME_STYLES: dict[str, Callable[[datetime], str]] = {
    "milliseconds": _milliseconds,
    "offset": events.iso,
    "ruby": _ruby,
}
