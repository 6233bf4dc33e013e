"""The things an organisation's Linq account holds, as plain data with the vendor's field names."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, get_args

Service = Literal["iMessage", "SMS", "RCS"]
DeliveryStatus = Literal["pending", "delivered", "service_unavailable", "paused"]
ReactionType = Literal["love", "like", "dislike", "laugh", "emphasize", "question"]

REACTION_TYPES: tuple[str, ...] = get_args(ReactionType)
EVENT_TYPES = (
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

_NO_INSTANT = datetime.max.replace(tzinfo=UTC)


@dataclass(slots=True)
class User:
    """A person of the organisation: owns phone numbers and contacts."""

    id: int
    first_name: str
    last_name: str
    email: str

    @property
    def name(self) -> str:
        """First and last name."""
        return f"{self.first_name} {self.last_name}"


@dataclass(slots=True)
class PhoneNumber:
    """One of the organisation's numbers; `released` ones are listed no more and answer 403."""

    id: int
    phone_number: str
    user: User
    forwarding_number: str | None = None
    response_rate: int = 75
    released: bool = False


@dataclass(slots=True)
class ChatHandle:
    """A participant of a chat, ours included; `phone_number` may be an e-mail address."""

    id: int
    phone_number: str
    service: Service
    joined_at: datetime


@dataclass(slots=True)
class Attachment:
    """A file of a message; `id` is a UUID, `file_size` is in bytes."""

    id: str
    url: str
    filename: str
    mime_type: str
    file_size: int


@dataclass(slots=True)
class Reaction:
    """What one party answered to a message with a tapback."""

    id: int
    chat_message_id: int
    reaction: ReactionType
    is_from_me: bool
    from_phone: str
    sent_at: datetime
    created_at: datetime
    updated_at: datetime


@dataclass(slots=True)
class Message:
    """One message; `sent_at` is None for one that was never handed over."""

    id: int
    chat_id: int
    text: str
    sent_at: datetime | None
    sent_from: str
    chat_handle_id: int
    delivered_at: datetime | None = None
    delivery_status: DeliveryStatus = "delivered"
    edited_at: datetime | None = None
    is_read: bool = False
    # Tuples, because nearly all are empty and share one object.
    attachments: tuple[Attachment, ...] = ()
    reactions: tuple[Reaction, ...] = ()


@dataclass(slots=True)
class Chat:
    """A conversation; `messages` is kept in the order of `by_time`, `phone_numbers` are ours in it."""

    id: int
    service: Service
    phone_numbers: list[str]
    handles: list[ChatHandle]
    is_group: bool = False
    name: str | None = None
    messages: list[Message] = field(default_factory=list)
    message_count_offset: int = 0
    hidden: bool = False
    version: int = 0

    @property
    def message_count(self) -> int:
        """What Linq says the chat holds, which an offset makes disagree with its list."""
        return len(self.messages) + self.message_count_offset

    @property
    def others(self) -> list[ChatHandle]:
        """The participants that are not ours."""
        return [handle for handle in self.handles if handle.phone_number not in self.phone_numbers]


@dataclass(slots=True)
class Contact:
    """An entry of the address book; a field that was never filled is an empty text."""

    id: int
    created_at: datetime
    updated_at: datetime
    first_name: str = ""
    last_name: str = ""
    email: str = ""
    phone_number: str = ""
    company: str = ""
    title: str = ""
    location: str = ""
    image_url: str | None = None
    contact_owner: User | None = None

    @property
    def full_name(self) -> str:
        """First and last name, whichever are known."""
        return f"{self.first_name} {self.last_name}".strip()


@dataclass(slots=True)
class WebhookSubscription:
    """Where events are to be posted; the secret signs them and is never returned."""

    id: int
    webhook_url: str
    events: list[str]
    created_at: datetime
    updated_at: datetime
    version: int = 2
    active: bool = True
    secret: str | None = None
    last_delivered_at: datetime | None = None
    delivery_attempts: int = 0


def by_time(message: Message) -> tuple[datetime, int]:
    """Order of a chat's messages: by `sent_at`, then id; those never sent come last."""
    return (message.sent_at or _NO_INSTANT, message.id)
