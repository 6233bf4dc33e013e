"""Who was forgotten, and the gate that Linq's answers and events come through: past it nothing tells of them. Pure.

Of a forgotten person nothing is kept but a keyed digest of each number and address, and Linq's ids of the chats and
contacts that went. Where they are listed all the same, a row of theirs is replaced by one that holds its id and MARK:
it counts in its list, and is not stored.
"""

import hmac
import re
import secrets
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Self

from linq_source import settings
from linq_source.errors import ConfigurationError
from linq_source.redact import KEY_SETTING, KINDS, PREFIX, Redactor, configured, key_of, label_of, pseudonym
from linq_source.strict_json import leaves
from linq_source.tables import TEXT, Column, Departure, Table
from linq_source.times import TIMESTAMP
from linq_source.values import integer_or_none

MARK = "forgotten_by_linq_source"


class _Ours(int):
    pass


_OURS = _Ours(True)
"""The value of MARK. No JSON makes this very object, so Linq cannot have a row vanish; a redactor lets it through."""

PERSON, CHAT, CONTACT, MESSAGE, GROUP = "person", "chat", "contact", "message", "group"

FORGOTTEN = Table(
    "forgotten",
    ("kind", "value"),
    "What syncs and loaders leave out, since pipelines/forget.py removed it. Made by that command alone.",
    Departure.NONE,
    (
        Column("kind", TEXT, "person, chat, contact, message; group: one that events alone told of, which stays."),
        Column("value", TEXT, "The digest of a number or address, or Linq's id."),
        Column("key", TEXT, "The key of a digest in hex, or which redact_key it was."),
        Column("forgotten_at", TIMESTAMP, "When it was removed."),
    ),
)

_PSEUDONYM = re.compile(rf"{PREFIX}[0-9a-f]{{64}}")
_MESSAGES = re.compile(rf"{settings.CHATS}/\d+/chat_messages")
_AUTHORS = ("from_phone", "sent_from")
_CALLERS = ("from", "to", "forwarded_from", "answered_by")


class Forgotten:
    """People by the digests of what they are reached at, and Linq's ids of their chats and contacts."""

    def __init__(self, keys: Iterable[bytes], first_key: bytes | None = None) -> None:
        self.digests: set[str] = set()
        self.chats: set[int] = set()
        self.contacts: set[int] = set()
        self.messages: set[int] = set()
        self._keys = tuple(keys)
        self._first_key = first_key or next(iter(self._keys), b"")
        self._known: dict[str, bool] = {}

    def add(self, identifier: str) -> None:
        """Forget whoever has this number or address, or this pseudonym."""
        is_digest = _PSEUDONYM.fullmatch(identifier)
        self.digests |= {identifier} if is_digest else {pseudonym(identifier, key) for key in self._keys}
        self._known.clear()

    def knows(self, value: object) -> bool:
        """Whether a value is the number or address of somebody forgotten, in any spelling or as a pseudonym."""
        if not isinstance(value, str | int) or isinstance(value, bool) or value == "":
            return False
        text = str(value)
        if text not in self._known:
            if len(self._known) > 200_000:
                self._known.clear()
            spelled = {text} if _PSEUDONYM.fullmatch(text) else {pseudonym(text, key) for key in self._keys}
            self._known[text] = not spelled.isdisjoint(self.digests)
        return self._known[text]

    def keyed(self, fingerprint: str) -> str:
        """Return what stands for the hash of an event that is kept without them.

        The hash itself would tell their number to whoever tries all against what is left of the event. It is always
        the first key that forget.py was run with, so that the same event gets the same everywhere and every time.
        """
        if fingerprint.startswith(PREFIX):
            return fingerprint
        return PREFIX + hmac.digest(self._first_key, b"fingerprint of " + fingerprint.encode(), "sha256").hex()

    def is_in(self, document: Any) -> bool:
        """Whether a document holds such a number or address as one of its values, or as the name of a field."""
        return any(map(self.knows, leaves(document)))

    def body(self, path: str, body: Any) -> Any:
        """Return an answer of Linq's API in which nothing tells of them."""
        if path == settings.CONTACTS:
            return _each(body, "contacts", self._contact)
        if path.startswith(settings.CHATS):
            return _each(body, "data", self._message if _MESSAGES.fullmatch(path) else self._chat)
        return body

    def event(self, event_type: str, data: Any) -> Any:
        """Return what an event may tell: nothing of their chats, calls, contacts, messages; in groups, not of them.

        None where nothing is left of it.
        """
        if not isinstance(data, dict):
            return None if self.is_in(data) else data
        chat, message = _object(data, "chat"), _object(data, "message")
        ids = {integer_or_none(value) for value in (data.get("chat_id"), message.get("chat_id"), chat.get("id"))}
        is_contact = event_type.startswith("contact.") and self._is_contact(data)
        is_call = event_type.startswith("call.") and any(self.knows(data.get(name)) for name in _CALLERS)
        handles = data.get("chat_handles")
        others = [each for each in handles if isinstance(each, dict)] if isinstance(handles, list) else []
        others = [each for each in others if each.get("is_me") is not True]
        own = data.get("id") if event_type.startswith("message.") else None
        about = (own, data.get("chat_message_id"), _object(data, "associated_message").get("id"), message.get("id"))
        is_about = not self.messages.isdisjoint(map(integer_or_none, about))
        # A chat that is named like a number is one with that number.
        is_alone = self.knows(chat.get("display_name")) or (len(others) == 1 and self.is_in(others[0]))
        if ids & self.chats or is_about or is_contact or is_call or is_alone or self._is_author(event_type, data):
            return None
        if not self.is_in(data):
            return data
        # Others' events of a group name them in lists of people; anywhere else it is theirs as far as we can tell.
        is_of_group = event_type.startswith(("message.", "reaction.", "participant.", "typing_indicator."))
        return self._without(data) if is_of_group and not self._is_outside_lists(data) else None

    def _is_outside_lists(self, document: Any) -> bool:
        if isinstance(document, dict):
            inner = (value for key, value in document.items() if key != "associated_message")
            return any(map(self.knows, document)) or any(map(self._is_outside_lists, inner))
        return self.knows(document)

    def _is_author(self, event_type: str, data: Mapping[str, Any]) -> bool:
        who = [each.get(name) for each in (data, _object(data, "message")) for name in _AUTHORS]
        if event_type.startswith(("reaction.", "participant.")):
            who += [*_object(data, "chat_handle").values(), *_object(data, "participant").values()]
        if event_type.startswith("participant."):
            who += [data.get("identifier"), data.get("phone_number")]
        return any(map(self.knows, who))

    def _without(self, document: Any) -> Any:
        """Return a document without the objects that are about them, and without names beside their numbers.

        Nothing tells who wrote the message that a reaction is about, so its text goes too.
        """
        if isinstance(document, list):
            return [self._without(each) for each in document if not self.is_in(each)]
        if not isinstance(document, dict):
            return document
        is_theirs = any(map(self.knows, document.values()))
        kept = {
            key: None if self.knows(value) or (is_theirs and KINDS.get(key) == "name") else self._without(value)
            for key, value in document.items()
        }
        about = _object(kept, "associated_message")
        return kept | ({"associated_message": about | {"text": None}} if about else {})

    def _is_contact(self, row: Mapping[str, Any]) -> bool:
        is_known = any(self.knows(row.get(name)) for name in ("phone_number", "email"))
        return is_known or integer_or_none(row.get("id")) in self.contacts

    def _contact(self, row: dict[str, Any]) -> dict[str, Any]:
        return _stub(row) if self._is_contact(row) else row

    def _chat(self, row: dict[str, Any]) -> dict[str, Any]:
        found = row.get("chat_handles")
        handles = found if isinstance(found, list) else []
        theirs = [each for each in handles if isinstance(each, dict) and self.knows(each.get("phone_number"))]
        # What was taken for theirs by its events alone may be a group after all, and hold what others wrote.
        if row.get("group") is not True and (theirs or integer_or_none(row.get("id")) in self.chats):
            return _stub(row)
        if not theirs:
            return row
        # The group may be named after the people in it.
        return row | {"chat_handles": [each for each in handles if each not in theirs], "display_name": None}

    def _message(self, row: dict[str, Any]) -> dict[str, Any]:
        if self.knows(row.get("sent_from")) or integer_or_none(row.get("id")) in self.messages:
            return _stub(row)
        reactions = row.get("reactions")
        if not isinstance(reactions, list) or not self.is_in(reactions):
            return row
        kept = [each for each in reactions if not (isinstance(each, dict) and self.knows(each.get("from_phone")))]
        return row | {"reactions": kept}


class Gate:
    """What all of Linq's answers and events come through: first the forgotten are left out, then it is redacted."""

    def __init__(self, redactor: Redactor | None = None, key: str | None = None) -> None:
        self.redactor = redactor
        self.forgotten: Forgotten | None = None
        self._key = key

    @classmethod
    def configured(cls) -> Self:
        """Return the gate of dlt's configuration."""
        return cls(*configured())

    @property
    def label(self) -> str | None:
        """How all is redacted; None for not at all."""
        return self.redactor.label if self.redactor else None

    def remember(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take the rows of FORGOTTEN; raises ConfigurationError where the key of their digests is not configured."""
        self.forgotten = recall(rows, self._key)

    def body(self, path: str, body: Any) -> Any:
        """Return an answer of Linq's API as it may be seen."""
        body = self.forgotten.body(path, body) if self.forgotten else body
        return self.redactor.body(path, body) if self.redactor else body


def recall(rows: Iterable[Mapping[str, Any]], key: str | None) -> Forgotten | None:
    """Return whom the rows of FORGOTTEN tell of, or None where there are none."""
    rows = list(rows)
    if not rows:
        return None
    found = Forgotten([_key_named(name, key) for name in _names_of_keys(rows)])
    found.digests = {row["value"] for row in rows if row["kind"] == PERSON}
    found.chats = {int(row["value"]) for row in rows if row["kind"] == CHAT}
    found.messages = {int(row["value"]) for row in rows if row["kind"] == MESSAGE}
    found.contacts = {int(row["value"]) for row in rows if row["kind"] == CONTACT}
    return found


def name_of_key(rows: Iterable[Mapping[str, Any]], key: str | None) -> tuple[str, bytes]:
    """Return the key to make digests with from now on, after its name in FORGOTTEN.

    It is the redact_key where there is one, else a key of the table's own, which is stored in it.
    """
    if secret := key_of(key):
        return _label(secret), secret
    own = next((str(row["key"]) for row in rows if row["key"] and ":" not in row["key"]), secrets.token_hex(32))
    return own, bytes.fromhex(own)


def first_key(rows: Iterable[Mapping[str, Any]], key: str | None) -> bytes | None:
    """Return the key of the person in FORGOTTEN who was forgotten first, if there is any."""
    return next((_key_named(name, key) for name in _names_of_keys(rows)), None)


def is_forgotten(row: Any) -> bool:
    """Whether a row stands for one that is not told of."""
    return isinstance(row, dict) and row.get(MARK) is _OURS


def _names_of_keys(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the names of keys in the order in which they came into use."""
    never = datetime.min.replace(tzinfo=UTC)
    used = sorted((row.get("forgotten_at") or never, str(row["key"])) for row in rows if row["kind"] == PERSON)
    return list(dict.fromkeys(name for _, name in used))


def _key_named(name: str, key: str | None) -> bytes:
    if ":" not in name:
        return bytes.fromhex(name)
    secret = key_of(key)
    if not secret or _label(secret) != name:
        problem = "is not what it was" if secret else "is not set as it was"
        raise ConfigurationError(
            f"{KEY_SETTING} {problem} when pipelines/forget.py was run on these tables: without that key, whom it "
            "has removed would come back. Set it as it was."
        )
    return secret


def _label(key: bytes) -> str:
    return f"redact_key:{label_of(key)}"


def _stub(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": row.get("id"), MARK: _OURS}


def _object(data: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = data.get(name)
    return found if isinstance(found, dict) else {}


def _each(body: Any, name: str, change: Any) -> Any:
    """Return a body in which the row, or each row, under `name` is changed."""
    found = body.get(name) if isinstance(body, dict) else None
    if isinstance(found, dict):
        return body | {name: change(found)}
    if isinstance(found, list):
        return body | {name: [change(row) if isinstance(row, dict) else row for row in found]}
    return body
