"""What every part of a world shares: the data, how things are looked up, and who is told of changes."""

import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from .entities import (
    Chat,
    Contact,
    Message,
    PhoneNumber,
    Reaction,
    User,
    WebhookSubscription,
)
from .numbers import for_people

Event = dict[str, Any]


def utc_now() -> datetime:
    """The present instant in UTC."""
    return datetime.now(UTC)


class Store:
    """The data of one organisation and its lookups; `World` adds what can happen to it.

    `lock` guards everything: mutations take it, and so does the server for each request.
    `clock` gives the instant of whatever happens without one of its own. `on_event` is called with
    (event_type, data) after each change that Linq would report to a webhook subscription.
    """

    def __init__(self, *, clock: Callable[[], datetime] = utc_now) -> None:
        self.lock = threading.RLock()
        self.clock = clock
        self.on_event: Callable[[str, Event], None] | None = None
        self.users: dict[int, User] = {}
        self.phone_numbers: dict[str, PhoneNumber] = {}
        self.chats: dict[int, Chat] = {}
        self.messages: dict[int, Message] = {}
        self.reactions: dict[int, Reaction] = {}
        self.contacts: dict[int, Contact] = {}
        self.deleted_contacts: dict[int, Contact] = {}
        self.webhook_subscriptions: dict[int, WebhookSubscription] = {}
        self.idempotency_keys: dict[str, int] = {}
        self._last_id = {
            "user": 120,
            "phone_number": 98,
            "chat": 300_000,
            "handle": 5_100_000,
            "message": 27_000_000,
            "reaction": 12_000,
            "contact": 7_000,
            "subscription": 40,
            "call": 12_344,
            "file": 0,
        }
        self._changes = 0
        self._listings: dict[str, list[Chat]] = {}
        self._names: dict[str, str] = {}

    def new_id(self, kind: str, gap: int = 1) -> int:
        """The next id of a kind of row, `gap` further than the last."""
        self._last_id[kind] += gap
        return self._last_id[kind]

    def begin_ids_after(self, offset: int) -> None:
        """Make every id from now on so much higher."""
        self._last_id = {kind: last + offset for kind, last in self._last_id.items()}

    def claim_id(self, kind: str, wanted: int | None) -> int:
        """The id a test wants, or the next one; later ids come after both."""
        if wanted is None:
            return self.new_id(kind)
        self._last_id[kind] = max(self._last_id[kind], wanted)
        return wanted

    def touch(self, chat_id: int) -> None:
        """Forget what was rendered of a chat: needed after changing one of its messages by hand."""
        self._changes += 1
        # Never a number that any chat had before, so that a chat made anew under an old id differs too.
        self.chats[chat_id].version = self._changes

    def is_ours(self, phone_number: str) -> bool:
        """Whether the organisation owns or ever owned the number."""
        return phone_number in self.phone_numbers

    def listed_numbers(self) -> list[PhoneNumber]:
        """The numbers that Linq lists, by id."""
        kept = (number for number in self.phone_numbers.values() if not number.released)
        return sorted(kept, key=lambda number: number.id)

    def owned(self, phone_number: str) -> PhoneNumber | None:
        """One of our numbers, unless it is unknown or released."""
        number = self.phone_numbers.get(phone_number)
        return None if number is None or number.released else number

    def chats_of(self, phone_number: str) -> list[Chat]:
        """The chats listed under one of our numbers, by id."""
        listing = self._listings.get(phone_number)
        if listing is None:
            of_number = (chat for chat in self.chats.values() if phone_number in chat.phone_numbers)
            listing = sorted((chat for chat in of_number if not chat.hidden), key=lambda chat: chat.id)
            self._listings[phone_number] = listing
        return listing

    def visible(self, chat: Chat) -> bool:
        """Whether Linq shows a chat: it is not hidden and one of our numbers is still in it."""
        return not chat.hidden and any(self.owned(number) for number in chat.phone_numbers)

    def visible_chat(self, chat_id: int) -> Chat | None:
        """A chat by its id, unless Linq would not show it."""
        chat = self.chats.get(chat_id)
        return chat if chat is not None and self.visible(chat) else None

    def find_chat(self, phone_number: str, others: Iterable[str]) -> Chat | None:
        """The first chat of our number with exactly these other participants."""
        wanted = set(others)
        for chat in self.chats_of(phone_number):
            if len(chat.handles) > len(wanted) + len(chat.phone_numbers):
                continue
            if {handle.phone_number for handle in chat.others} == wanted:
                return chat
        return None

    def has_imessage(self, identifier: str) -> bool:
        """Whether a party can be reached by iMessage: as its chats say, else two in three can."""
        for chat in self.chats.values():
            if any(handle.phone_number == identifier for handle in chat.handles):
                return chat.service == "iMessage"
        return "@" in identifier or identifier[-1] not in "036"

    def person_name(self, identifier: str) -> str:
        """The full name of the contact with this number or e-mail address, or the number for people."""
        if not self._names:
            for contact in self.contacts.values():
                if contact.full_name:
                    self._names[contact.email] = contact.full_name
                    self._names[contact.phone_number] = contact.full_name
            # Contacts lacking one of the two would name whoever has no number at all.
            self._names[""] = ""
        return self._names.get(identifier) or for_people(identifier)

    def display_name(self, chat: Chat) -> str:
        """The name given to a chat, else its participants' names or numbers with commas."""
        return chat.name or ", ".join(self.person_name(handle.phone_number) for handle in chat.others)

    def _instant(self, wanted: datetime | None) -> datetime:
        """An instant in UTC, now for None."""
        return (wanted or self.clock()).astimezone(UTC)

    def _relist(self) -> None:
        self._listings.clear()

    def _rename(self) -> None:
        self._names.clear()

    def _emit(self, event_type: str, shape: Callable[..., Event], *about: object) -> None:
        if self.on_event is not None:
            self.on_event(event_type, shape(self, *about))
