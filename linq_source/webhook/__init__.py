"""Linq's webhooks, received durably and kept as Parquet.

Linq POST -> app -> signature -> event -> journal (durable, then 200) -> parquet -> any reader of Parquet
"""

from linq_source.webhook.event import EVENT_TYPES, Event, UnreadableEventError, read_event
from linq_source.webhook.signature import HEADER, Verified, parse_header, sign, verify

__all__ = [
    "EVENT_TYPES",
    "HEADER",
    "Event",
    "UnreadableEventError",
    "Verified",
    "parse_header",
    "read_event",
    "sign",
    "verify",
]
