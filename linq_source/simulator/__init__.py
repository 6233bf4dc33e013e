"""A complete local Linq: the data it makes, every operation of its Partner API v2, and what can go wrong.

    World (data, mutations, oracle) -> Api (request -> response) -> Simulator (HTTP, faults)
    World (events) -> Deliveries (webhooks over HTTP, disorder)

`python -m linq_source.simulator` serves a made-up organisation; tests build a `World` of their own.
"""

from .deliveries import Deliveries
from .disorder import Disorder
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
from .life import happen
from .recorder import Recorder
from .render import Quirks
from .replies import Request
from .server import Simulator
from .world import World

__all__ = [
    "Attachment",
    "Chat",
    "ChatHandle",
    "Contact",
    "Deliveries",
    "Disorder",
    "Fault",
    "Message",
    "PhoneNumber",
    "Quirks",
    "Reaction",
    "Recorder",
    "Request",
    "Simulator",
    "User",
    "WebhookSubscription",
    "World",
    "happen",
]
