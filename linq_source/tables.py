"""One Arrow schema for each table: the columns, their documentation, the key, and how rows leave the table."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import pyarrow as pa

from linq_source.times import TIMESTAMP, AnyField

INTEGER = pa.int64()
TEXT = pa.string()
BOOLEAN = pa.bool_()
NUMBER = pa.float64()


class Departure(Enum):
    """What becomes of a row that Linq no longer lists."""

    MARKED = "it keeps its last values and gets `deleted_at`"
    REMOVED = "it leaves the table"
    NONE = "it stays"


@dataclass(frozen=True)
class Column:
    """A column: its Arrow type, where the API has it, and what it means."""

    name: str
    type: pa.DataType
    description: str
    source: str = ""
    """The API's own path, as in `contact_owner.id`; empty where we add the column."""
    is_json: bool = False


@dataclass(frozen=True)
class Table:
    """A table: one row per `key`, and what its rows are."""

    name: str
    key: tuple[str, ...]
    description: str
    departure: Departure
    columns: tuple[Column, ...]

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of what a sync writes; key columns are not nullable."""
        return pa.schema([self.field(column) for column in self.columns])

    def field(self, column: Column) -> AnyField:
        """The Arrow field of one column."""
        metadata = {"json": "yes"} if column.is_json else None
        return pa.field(column.name, column.type, nullable=column.name not in self.key, metadata=metadata)


def _api(name: str, kind: pa.DataType, description: str, source: str = "", *, is_json: bool = False) -> Column:
    return Column(name, kind, description, source or name, is_json)


DELETED_AT = Column(
    "deleted_at", TIMESTAMP, "When a sync first saw that Linq no longer lists the row; null while it does."
)
IS_REMOVED = Column(
    "is_removed", BOOLEAN, "Always null: it carries removals through the load, and removed rows are not kept."
)

PHONE_NUMBERS = Table(
    "phone_numbers",
    ("id",),
    "One of the organisation's numbers.",
    Departure.MARKED,
    (
        _api("id", INTEGER, "Linq's id of the number."),
        _api("phone_number", TEXT, "The number, in E.164 form."),
        _api("forwarding_number", TEXT, "Where calls go when the number is unavailable; null when nowhere."),
        _api("response_rate", INTEGER, "The vendor's response rate of the number."),
        _api("user__id", INTEGER, "The user who holds the number.", "user.id"),
        _api("user__name", TEXT, "The user's name.", "user.name"),
        _api("user__email", TEXT, "The user's email.", "user.email"),
        DELETED_AT,
    ),
)

CHATS = Table(
    "chats",
    ("id",),
    "A conversation, once, however many of our numbers are in it.",
    Departure.MARKED,
    (
        _api("id", INTEGER, "Linq's id of the chat."),
        _api("display_name", TEXT, "The group's name, or its participants' names or numbers."),
        _api("service", TEXT, "iMessage, SMS or RCS."),
        _api("is_group", BOOLEAN, "Whether more than two take part.", "group"),
        _api("message_count", INTEGER, "How many messages Linq counts in the chat."),
        DELETED_AT,
    ),
)

CHAT_PHONE_NUMBERS = Table(
    "chat_phone_numbers",
    ("chat_id", "phone_number"),
    "Which of our numbers a chat was listed under.",
    Departure.REMOVED,
    (
        Column("chat_id", INTEGER, "The chat."),
        Column("phone_number", TEXT, "Our number, as in phone_numbers."),
        IS_REMOVED,
    ),
)

CHAT_HANDLES = Table(
    "chat_handles",
    ("id",),
    "A participant of a chat.",
    Departure.REMOVED,
    (
        _api("id", INTEGER, "Linq's id of the participant in this chat."),
        Column("chat_id", INTEGER, "The chat."),
        _api("phone_number", TEXT, "The participant's number or email."),
        _api("service", TEXT, "iMessage, SMS or RCS."),
        _api("joined_at", TIMESTAMP, "When the participant joined."),
        IS_REMOVED,
    ),
)

MESSAGES = Table(
    "messages",
    ("id",),
    "A message.",
    Departure.MARKED,
    (
        _api("id", INTEGER, "Linq's id of the message."),
        Column("chat_id", INTEGER, "The chat."),
        _api("text", TEXT, "What was written."),
        _api("sent_at", TIMESTAMP, "When it was sent."),
        _api("delivered_at", TIMESTAMP, "When it was delivered; null until then."),
        _api("delivery_status", TEXT, "pending, delivered, service_unavailable, paused, or newer ones."),
        _api("edited_at", TIMESTAMP, "When it was last edited; null if never."),
        _api("is_read", BOOLEAN, "Whether it was read."),
        _api("sent_from", TEXT, "The number or email that sent it."),
        _api("chat_handle_id", INTEGER, "The participant who sent it."),
        Column("direction", TEXT, "outbound when sent_from is one of our numbers, else inbound."),
        DELETED_AT,
    ),
)

MESSAGE_REACTIONS = Table(
    "message_reactions",
    ("id",),
    "A reaction to a message, while it stands.",
    Departure.REMOVED,
    (
        _api("id", INTEGER, "Linq's id of the reaction."),
        Column("chat_message_id", INTEGER, "The message."),
        _api("reaction", TEXT, "love, like, dislike, laugh, emphasize, question, or newer ones."),
        _api("is_from_me", BOOLEAN, "Whether one of our numbers reacted."),
        _api("from_phone", TEXT, "The number or email that reacted."),
        _api("sent_at", TIMESTAMP, "When the reaction was sent."),
        _api("created_at", TIMESTAMP, "When Linq stored it."),
        _api("updated_at", TIMESTAMP, "When Linq last changed it."),
        IS_REMOVED,
    ),
)

MESSAGE_ATTACHMENTS = Table(
    "message_attachments",
    ("id",),
    "A file sent with a message. The file itself is not fetched.",
    Departure.REMOVED,
    (
        _api("id", TEXT, "Linq's id of the attachment, a UUID."),
        Column("message_id", INTEGER, "The message."),
        _api("url", TEXT, "Where the file is."),
        _api("filename", TEXT, "The file's name."),
        _api("mime_type", TEXT, "The file's media type."),
        _api("file_size", INTEGER, "The file's size in bytes."),
        IS_REMOVED,
    ),
)

CONTACTS = Table(
    "contacts",
    ("id",),
    "A person in the organisation's address book.",
    Departure.MARKED,
    (
        _api("id", INTEGER, "Linq's id of the contact."),
        _api("first_name", TEXT, "First name."),
        _api("last_name", TEXT, "Last name."),
        _api("full_name", TEXT, "Both names."),
        _api("email", TEXT, "Email address."),
        _api("phone_number", TEXT, "Phone number."),
        _api("company", TEXT, "Company."),
        _api("title", TEXT, "Job title."),
        _api("location", TEXT, "Place."),
        _api("image_url", TEXT, "Picture."),
        _api("created_at", TIMESTAMP, "When the contact was created."),
        _api("updated_at", TIMESTAMP, "When the contact was last changed."),
        _api("contact_owner__id", INTEGER, "The user who owns the contact.", "contact_owner.id"),
        _api("contact_owner__email", TEXT, "The owner's email.", "contact_owner.email"),
        _api("contact_owner__first_name", TEXT, "The owner's first name.", "contact_owner.first_name"),
        _api("contact_owner__last_name", TEXT, "The owner's last name.", "contact_owner.last_name"),
        _api("contact_owner__name", TEXT, "The owner's name.", "contact_owner.name"),
        DELETED_AT,
    ),
)

WEBHOOK_SUBSCRIPTIONS = Table(
    "webhook_subscriptions",
    ("id",),
    "A webhook subscription. Its secret is never part of it.",
    Departure.REMOVED,
    (
        _api("id", INTEGER, "Linq's id of the subscription."),
        _api("webhook_url", TEXT, "Where events are sent."),
        _api("version", INTEGER, "Version of the events."),
        _api("events", TEXT, "The event types, a JSON list.", is_json=True),
        _api("active", BOOLEAN, "Whether events are sent."),
        _api("secret_configured", BOOLEAN, "Whether events are signed."),
        _api("last_delivered_at", TIMESTAMP, "When an event was last delivered."),
        _api("delivery_attempts", INTEGER, "How many deliveries were tried."),
        _api("created_at", TIMESTAMP, "When the subscription was created."),
        _api("updated_at", TIMESTAMP, "When it was last changed."),
        IS_REMOVED,
    ),
)

CHAT_SYNCS = Table(
    "chat_syncs",
    ("chat_id",),
    "What the last sync knew of a chat: its cursor. Believed only when its load was completed.",
    Departure.NONE,
    (
        Column("chat_id", INTEGER, "The chat."),
        Column("newest_sent_at", TIMESTAMP, "All messages up to here are stored; the next read begins here."),
        Column("read_from", TIMESTAMP, "Messages before this were not asked for; null means none were left out."),
        Column("message_count", INTEGER, "Linq's count when the chat was last read."),
        Column("listed_count", INTEGER, "How many messages Linq's list of them held."),
        Column("listing_hash", TEXT, "A hash of the chat's listing; null when the chat must be read again."),
        Column("synced_at", TIMESTAMP, "When the chat was last read."),
        Column("read_whole_at", TIMESTAMP, "When the chat was last read from its beginning."),
        Column("redaction", TEXT, "What was redacted in the chat, and with which key; null for nothing."),
    ),
)

LIST_SYNCS = Table(
    "list_syncs",
    ("list_name",),
    "When a list that has no filter was last read whole; kept only where a setting spaces its reading out.",
    Departure.NONE,
    (
        Column("list_name", TEXT, "The list."),
        Column("synced_at", TIMESTAMP, "When it was last read whole."),
    ),
)

REJECTED_ROWS = Table(
    "rejected_rows",
    ("row_hash",),
    "A row that fits no column. The rest was loaded without it; it is tried again when its list is read whole.",
    Departure.REMOVED,
    (
        Column("row_hash", TEXT, "SHA-256 of the table's name and the row."),
        Column("table_name", TEXT, "The table it belongs to."),
        Column("chat_id", INTEGER, "The chat it came with, if any."),
        Column("reason", TEXT, "Which column it does not fit, and why."),
        Column("row_json", TEXT, "The row as Linq sent it, as JSON."),
        Column("rejected_at", TIMESTAMP, "When it was first rejected."),
        IS_REMOVED,
    ),
)

TABLES: Mapping[str, Table] = {
    table.name: table
    for table in (
        PHONE_NUMBERS,
        CHATS,
        CHAT_PHONE_NUMBERS,
        CHAT_HANDLES,
        MESSAGES,
        MESSAGE_REACTIONS,
        MESSAGE_ATTACHMENTS,
        CONTACTS,
        WEBHOOK_SUBSCRIPTIONS,
        CHAT_SYNCS,
        LIST_SYNCS,
        REJECTED_ROWS,
    )
}
"""Every table that a sync fills, by name."""
