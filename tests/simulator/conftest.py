"""A small known account, a simulator of it and a client."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from linq_source.simulator import Attachment, Chat, Message, Simulator, World

ROOT = "/api/partner/v2"
NOON = datetime(2025, 5, 21, 12, tzinfo=UTC)


class Client(httpx.Client):
    """Asks the simulator, with its token, for paths below the API's root."""

    def __init__(self, sim: Simulator) -> None:
        super().__init__(
            base_url=sim.base_url + ROOT,
            headers={"X-LINQ-INTEGRATION-TOKEN": sim.token},
            timeout=30,
            # Loading certificates that plain HTTP never needs takes longer than most tests.
            verify=False,
        )

    def rows(self, path: str, key: str = "data", **params: Any) -> list[dict[str, Any]]:
        """All pages of a list, proven by their totals."""
        rows: list[dict[str, Any]] = []
        page, pages = 1, 1
        while page <= pages:
            answer = self.get(path, params={**params, "page": page}).raise_for_status().json()
            totals = answer["pagination" if key == "contacts" else "meta"]
            rows += answer[key]
            page, pages = page + 1, totals["total_pages"]
        assert len(rows) == totals["total_count"]
        return rows


@dataclass
class Account:
    """What the small world holds, by name."""

    world: World
    ours: str
    second: str
    chat: Chat
    group: Chat
    sent: Message
    received: Message


@pytest.fixture
def account() -> Account:
    """Two numbers; a chat of two messages with a file and a reaction; a group of both numbers."""
    world = World.empty(phone_numbers=2)
    world.clock = lambda: NOON
    ours, second = (number.phone_number for number in world.listed_numbers())
    chat = world.add_chat(["+12125550101"], ours=[ours], joined_at=NOON - timedelta(days=1))
    group = world.add_chat(["+12125550102", "bo@example.com"], ours=[ours, second], service="RCS")
    file = Attachment("8f14e45f-ceea-4e7a-9f6b-0123456789ab", "https://files.example.com/a", "a.pdf", "x/y", 9)
    sent = world.send(chat.id, "Hello", sent_at=NOON - timedelta(hours=2), attachments=[file])
    received = world.receive(chat.id, "Hi", sent_at=NOON - timedelta(hours=1))
    world.react(received.id, "love")
    world.add_contact(first_name="Ada", last_name="Lee", phone_number="+12125550101", email="ada@example.com")
    world.add_webhook_subscription("https://example.com/hook", ["message.sent"], secret="s")
    return Account(world, ours, second, chat, group, sent, received)


@pytest.fixture
def world(account: Account) -> World:
    """The world of the small account."""
    return account.world


@pytest.fixture
def sim(world: World) -> Iterator[Simulator]:
    """A simulator of the small account."""
    with Simulator(world) as simulator:
        yield simulator


@pytest.fixture
def client(sim: Simulator) -> Iterator[Client]:
    """A client of that simulator."""
    with Client(sim) as session:
        yield session
