"""Where the faults are met: an account whose every list has three pages, and what a first sync stored of it."""

import shutil
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from linq_source import settings
from linq_source.simulator import Quirks, Simulator, World
from tests.support import OLD, TOKEN, Warehouse
from tests.tables import Rows

PAGE_ROWS = 2
SECRET = "planted-secret"
ENDPOINTS = ("phone_numbers", "contacts", "chats", "chat_messages")
POSITIONS = ("first", "middle", "last")


def first_world() -> World:
    """An account of 24 messages, five chats of one number and two of the other, six contacts."""
    return World.make(seed=3, phone_numbers=2, chats=7, messages=24, contacts=6, end=OLD)


def later_world() -> World:
    """The same account some minutes later: something was added, changed and deleted in every list."""
    world = first_world()
    chats, target = list(world.chats), _target(world)
    assert target != chats[0]
    for chat_id in chats[1:]:
        for minute in range(5 if chat_id == target else 1):
            world.receive(chat_id, "And one more thing", sent_at=OLD + timedelta(minutes=minute + 1))
    world.receive(world.add_chat(["+12125550199"], joined_at=OLD).id, "Hello there", sent_at=OLD)
    contacts = list(world.contacts)
    world.update_contact(contacts[0], title="Director")
    world.delete_contact(contacts[1])
    world.add_contact(first_name="Ada", email="ada@example.com")
    world.add_webhook_subscription(webhook_url="https://example.com/hook", secret=SECRET)
    world.delete_message(world.chats[chats[0]].messages[0].id)
    return world


def _target(world: World) -> int:
    return max(world.chats.values(), key=lambda chat: (len(chat.messages), chat.id)).id


class Stage(AbstractContextManager["Stage"]):
    """Serves the later world, and a host that no token must reach; hands out database files to sync into."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.world = later_world()
        self.target = _target(self.world)
        self.linq = Simulator(self.world, token=TOKEN, quirks=Quirks(page_size_cap=PAGE_ROWS))
        self.elsewhere = Simulator(World.empty(), token=TOKEN)
        self._stored = folder / "stored.duckdb"
        self._files = 0

    def __enter__(self) -> Self:
        with Simulator(first_world(), token=TOKEN) as earlier:
            assert Warehouse(self._stored).sync(earlier).exit_code == 0
        self.linq.start()
        self.elsewhere.start()
        self.listed: Rows = self.world.listed()
        self.secrets = _secrets(self.listed)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.elsewhere.stop()
        self.linq.stop()

    def warehouse(self, *, is_fresh: bool) -> Warehouse:
        """A database file of its own: none yet, or what the earlier sync stored."""
        self._files += 1
        path = self.folder / f"{self._files}.duckdb"
        if not is_fresh:
            shutil.copy(self._stored, path)
        return Warehouse(path)

    def path(self, endpoint: str) -> str:
        """The path of an endpoint; that of the target for messages."""
        return {
            "phone_numbers": settings.PHONE_NUMBERS,
            "chats": settings.CHATS,
            "contacts": settings.CONTACTS,
            "chat_messages": settings.chat_messages_path(self.target),
        }[endpoint]

    def second_page(self, endpoint: str) -> bytes:
        """The body of an endpoint's second page."""
        number = max(self.world.listed_numbers(), key=lambda one: len(self.world.chats_of(one.phone_number)))
        params = {"page": "2", "per_page": "100", "phone_number": number.phone_number}
        url = f"{self.linq.base_url}{self.path(endpoint)}"
        return httpx.get(url, params=params, headers={settings.TOKEN_HEADER: TOKEN}).content


def _secrets(listed: Rows) -> set[str]:
    """What no error, log or sentence may tell: the token, numbers, addresses, texts."""
    columns = ("phone_number", "email", "user__email", "sent_from")
    tables = ("phone_numbers", "contacts", "chat_handles", "messages")
    found = {row[name] for table in tables for row in listed[table] for name in columns if row.get(name)}
    texts = {row["text"] for row in listed["messages"] if len(row["text"]) > 10}
    return {TOKEN, SECRET} | texts | found | {number.lstrip("+") for number in found}
