"""A complete local Linq: the data it makes, every operation of its Partner API v2, and what can go wrong.

    World (data, mutations, oracle) -> Api (request -> response) -> Simulator (HTTP, faults)

`python -m linq_source.simulator` serves a made-up organisation; tests build a `World` of their own.
"""

from .entities import (
    Attachment,
    Chat,
    ChatHandle,
    Contact,
    Message,
    PhoneNumber,
    Reaction,
    User,
    WebhookSubscription,
)
from .faults import Fault
from .render import Quirks
from .replies import Request
from .server import Simulator
from .world import World

__all__ = [
    "Attachment",
    "Chat",
    "ChatHandle",
    "Contact",
    "Fault",
    "Message",
    "PhoneNumber",
    "Quirks",
    "Reaction",
    "Request",
    "Simulator",
    "User",
    "WebhookSubscription",
    "World",
]
