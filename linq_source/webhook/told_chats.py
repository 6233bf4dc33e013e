"""Which chats events alone show to be theirs. Pure: from one event after the other to ids of chats and messages.

A chat that tables do not know is taken for theirs only where that is shown, since a group's events are others' too:

| an event shows | so the chat is |
|---|---|
| `chat_handles` of them and us alone; a `display_name` that is their number; them, and `group: false` | theirs |
| anybody else; two participants beside us; `participant.*`, which Linq sends of groups; `group: true` | others' |
| that they wrote or reacted in it, and nothing else | unclear, unless the tables say whether it is a group |

One event of the second kind outweighs all of the first: who is left in a group with us was not alone in it.
"""

from collections.abc import Iterable, Iterator, Set
from contextlib import suppress
from functools import lru_cache
from typing import Any

from linq_source.forgotten import Forgotten
from linq_source.redact import KINDS, USERS, normal, ours_in
from linq_source.strict_json import BrokenBodyError, decode
from linq_source.values import MisfitError, integer_or_none, to_boolean
from linq_source.webhook.event_rows import message_of

Data = dict[str, Any]

_AUTHORS = ("from_phone", "sent_from")
_LISTS = ("chat_handles", "participants")
_FLAGS = ("group", "is_group")


class ToldChats:
    """What events tell of chats. In which order they come makes no difference."""

    def __init__(self, forgotten: Forgotten, ours: Iterable[str] = ()) -> None:
        self.alone: set[int] = set()
        self.others: set[int] = set()
        self.unclear: set[int] = set()
        self.messages: dict[int, int | None] = {}
        """Those that they wrote, each with its chat."""
        self._knows = forgotten.knows
        self._ours = frozenset(map(normal, ours))

    def add(self, event_type: str, text: str | None) -> None:
        """Take an event, whose data is JSON."""
        data = _decoded(text)
        chats = _chats_of(data)
        ours = self._ours | ours_in(event_type, data)
        chat_id = next(iter(chats)) if len(chats) == 1 else None
        message_id = integer_or_none(message_of(event_type, data)[0])
        if message_id is not None and self._is_by_them(event_type, data, "message."):
            self.messages[message_id] = chat_id
        if chats and self._is_of_others(event_type, data, ours):
            self.others |= chats
        elif chat_id is not None and self._is_theirs_alone(event_type, data, ours):
            self.alone.add(chat_id)
        elif chat_id is not None and self._is_by_them(event_type, data, "message.", "reaction."):
            self.unclear.add(chat_id)

    def theirs(self, *, others: Set[int] = frozenset(), alone: Set[int] = frozenset()) -> set[int]:
        """Return the chats that are theirs, where the tables know some to be `others`, and some to be no groups."""
        return (self.alone | (self.unclear & alone)) - self.others - others

    def contested(self, *, alone: Set[int] = frozenset()) -> set[int]:
        """Return the chats that would be theirs, did no event show them to be others'."""
        return (self.alone | (self.unclear & alone)) & self.others

    def left_open(self, *, others: Set[int] = frozenset(), alone: Set[int] = frozenset()) -> set[int]:
        """Return the chats of which neither events nor the tables say whether they are groups."""
        return self.unclear - self.alone - self.others - others - alone

    def _is_of_others(self, event_type: str, data: Data, ours: frozenset[str]) -> bool:
        if event_type.startswith("participant.") or True in _flags(data):
            return True
        if any(len(each) > 1 for each in _lists(data, ours)):
            return True
        return any(not self._knows(each) and _normal(each) not in ours for each in _addresses(data))

    def _is_theirs_alone(self, event_type: str, data: Data, ours: frozenset[str]) -> bool:
        """Whether an event that shows nobody else shows that nobody else is there."""
        if self._knows(_object(data, "chat").get("display_name")):
            return True
        people = set[str]().union(*_lists(data, ours))
        if people and all(map(self._knows, people)):
            return True
        return False in _flags(data) and self._is_by_them(event_type, data, "message.", "reaction.")

    def _is_by_them(self, event_type: str, data: Data, *kinds: str) -> bool:
        if not event_type.startswith(kinds):
            return False
        who = [each.get(name) for each in (data, _object(data, "message")) for name in _AUTHORS]
        if event_type.startswith("reaction."):
            who += _addresses(_object(data, "chat_handle"))
        return any(map(self._knows, who))


@lru_cache(100_000)
def _normal(address: str) -> str:
    return normal(address)


def _decoded(text: str | None) -> Data:
    try:
        data = None if text is None else decode(text.encode())
    except BrokenBodyError:
        return {}
    return data if isinstance(data, dict) else {}


def _object(data: Data, name: str) -> Data:
    found = data.get(name)
    return found if isinstance(found, dict) else {}


def _places(data: Data) -> tuple[Data, Data, Data]:
    return data, _object(data, "chat"), _object(data, "message")


def _chats_of(data: Data) -> set[int]:
    found = (data.get("chat_id"), _object(data, "message").get("chat_id"), _object(data, "chat").get("id"))
    return {number for each in found if (number := integer_or_none(each)) is not None}


def _flags(data: Data) -> set[bool]:
    """Return what an event says of whether its chat is a group."""
    said = set()
    for value in (each[name] for each in _places(data) for name in _FLAGS if name in each):
        with suppress(MisfitError):
            said.add(to_boolean(value))
    return said


def _lists(data: Data, ours: frozenset[str]) -> Iterator[set[str]]:
    """Yield, of each list of participants, one number or address of each who is not ours.

    One without any counts as another each time.
    """
    for listed in (each.get(name) for each in _places(data) for name in _LISTS):
        if not isinstance(listed, list):
            continue
        people = set()
        for position, each in enumerate(listed):
            named = {_normal(address) for address in _addresses(each, "identifier")}
            is_ours = isinstance(each, dict) and each.get("is_me") is True
            if not is_ours and not (named and named <= ours):
                people.add(min(named - ours, default=f"nobody {position}"))
        yield people


def _addresses(document: Any, name: str = "") -> Iterator[str]:
    """Yield the numbers and addresses of a document, but for those of ourselves where it says so.

    Not by recursion: data may be nested deeper than Python calls.
    """
    pending = [(name, document)]
    while pending:
        name, value = pending.pop()
        if isinstance(value, list):
            pending += [(name, each) for each in value]
        elif isinstance(value, dict):
            if value.get("is_me") is not True and name not in USERS:
                pending += value.items()
        elif "address" in (KINDS.get(name), KINDS.get(name.removesuffix("s"))):
            yield from () if value is None or isinstance(value, bool) or value == "" else (str(value),)
