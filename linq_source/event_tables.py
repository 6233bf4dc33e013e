"""The tables that webhooks fill: every event as it came, and what only events tell, a table for each."""

from collections.abc import Mapping

from linq_source.tables import BOOLEAN, INTEGER, NUMBER, TABLES, TEXT, Column, Departure, Table
from linq_source.times import TIMESTAMP

MARKING_EVENTS = ("message.%", "reaction.%")
"""The events after which a message is to be read again, as SQL's LIKE has it; chats are listed by every sync."""

_EVENT_ID = Column("event_id", TEXT, "The event that told it.")
_CHAT_ID = Column("chat_id", INTEGER, "The chat.", "chat_id")
_CREATED_AT = Column("created_at", TIMESTAMP, "When Linq made the event.")

WEBHOOK_EVENTS = Table(
    "webhook_events",
    ("event_id",),
    "A webhook event, once, however often it was delivered.",
    Departure.NONE,
    (
        Column("event_id", TEXT, "Linq's id of the event; `sha256:` or `hmac:` and a hash where it had none."),
        Column("event_type", TEXT, "What happened, as in message.received."),
        Column("api_version", TEXT, "The version that the event names, if any."),
        Column("envelope", TEXT, "Which of the vendor's two forms it came in: reference or quick_start."),
        _CREATED_AT,
        Column("received_at", TIMESTAMP, "When the receiver had it durable."),
        Column("loaded_at", TIMESTAMP, "When it came into this table."),
        Column("chat_id", INTEGER, "The chat that it is about, if any."),
        Column("message_id", INTEGER, "The message that it is about, if any."),
        Column("message_sent_at", TIMESTAMP, "When that message was sent, if the event tells."),
        Column("data", TEXT, "What the event tells, as JSON.", is_json=True),
        Column(
            "fingerprint",
            TEXT,
            "A hash of the whole body: the same for every delivery. `hmac:` and a keyed one where forget.py was.",
        ),
        Column("receiver", TEXT, "Which receiver had it first."),
    ),
)

CALLS = Table(
    "calls",
    ("id",),
    "A voice call, from `call.completed`; Linq lists calls nowhere else.",
    Departure.NONE,
    (
        Column("id", TEXT, "Linq's id of the call; the event's where it had none.", "id"),
        _EVENT_ID,
        Column("from_phone", TEXT, "Who called (Linq's field is `from`).", "from"),
        Column("to_phone", TEXT, "Who was called (Linq's field is `to`).", "to"),
        Column("direction", TEXT, "inbound or outbound.", "direction"),
        Column("status", TEXT, "completed, or newer ones.", "status"),
        Column("call_type", TEXT, "normal, or newer ones.", "call_type"),
        Column("start_time", TIMESTAMP, "When it began.", "start_time"),
        Column("end_time", TIMESTAMP, "When it ended.", "end_time"),
        Column("duration", NUMBER, "Seconds.", "duration"),
        Column("forwarded_from", TEXT, "The number that it was forwarded from, if any.", "forwarded_from"),
        Column("answered_by", TEXT, "The number that answered, if any.", "answered_by"),
        Column("voicemail", BOOLEAN, "Whether it went to voicemail.", "voicemail"),
        Column("has_recording", BOOLEAN, "Whether it was recorded.", "has_recording"),
        Column("recording_data__id", TEXT, "Linq's id of the recording.", "recording_data.id"),
        Column("recording_data__url", TEXT, "Where the recording is.", "recording_data.url"),
        Column("recording_data__duration", NUMBER, "Its length in seconds.", "recording_data.duration"),
        Column("recording_data__transcribed", BOOLEAN, "Whether it was transcribed.", "recording_data.transcribed"),
        Column(
            "recording_data__transcript_available",
            BOOLEAN,
            "Whether the transcript can be had.",
            "recording_data.transcript_available",
        ),
        Column("recording_data__transcription", TEXT, "What was said.", "recording_data.transcription"),
        Column("recording_data__summary", TEXT, "What it was about.", "recording_data.summary"),
        _CREATED_AT,
    ),
)

MESSAGE_READS = Table(
    "message_reads",
    ("event_id",),
    "That a message was read, and when, from `message.read`.",
    Departure.NONE,
    (
        _EVENT_ID,
        Column("message_id", INTEGER, "The message.", "id"),
        _CHAT_ID,
        Column("read_at", TIMESTAMP, "When it was read.", "read_at"),
        _CREATED_AT,
    ),
)

TYPING_INDICATORS = Table(
    "typing_indicators",
    ("event_id",),
    "That somebody began or ceased to type, from `typing_indicator.received` and `typing_indicator.removed`.",
    Departure.NONE,
    (
        _EVENT_ID,
        _CHAT_ID,
        Column("display", BOOLEAN, "Whether the indicator is shown from now on.", "display"),
        Column("timestamp", TIMESTAMP, "When.", "timestamp"),
        _CREATED_AT,
    ),
)

PARTICIPANT_CHANGES = Table(
    "participant_changes",
    ("event_id",),
    "That somebody joined or left a group, from `participant.added` and `participant.removed`. Linq shows no "
    "example of these events, so `webhook_events.data` is worth a look.",
    Departure.NONE,
    (
        _EVENT_ID,
        _CHAT_ID,
        Column("change", TEXT, "added or removed."),
        Column("chat_handle_id", INTEGER, "Linq's id of the participant in this chat.", "chat_handle.id"),
        Column("identifier", TEXT, "The participant's number or email.", "chat_handle.identifier"),
        Column("timestamp", TIMESTAMP, "When.", "timestamp"),
        _CREATED_AT,
    ),
)

EVENT_FILES = Table(
    "event_files",
    ("file_name",),
    "A Parquet file of events that was loaded. Believed only when its load was completed.",
    Departure.NONE,
    (
        Column("file_name", TEXT, "The file's path below the folder of events."),
        Column("event_count", INTEGER, "How many events it holds."),
        Column("loaded_at", TIMESTAMP, "When it was loaded."),
    ),
)

EVENT_TABLES: Mapping[str, Table] = {
    table.name: table
    for table in (WEBHOOK_EVENTS, CALLS, MESSAGE_READS, TYPING_INDICATORS, PARTICIPANT_CHANGES, EVENT_FILES)
}
"""Every table that events fill, by name."""

ALL_TABLES: Mapping[str, Table] = {**TABLES, **EVENT_TABLES}
"""Those that syncs fill and those that events fill."""
