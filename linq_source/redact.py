"""Redaction: what of Linq's answers and events may be kept, decided field by field before anything is written. Pure.

A field is known by its name, wherever it stands:

| fields | `texts` | `identifiers` |
|---|---|---|
| texts, files: text, transcription, summary, url, filename | null | as they are |
| names of people and chats: display_name, full_name, company, ... | as they are | null |
| numbers and addresses: phone_number, email, identifier, from, ... | as they are | `hmac:` and 64 hex digits |
| ids, times, counts, flags, codes like iMessage | kept, where they look like one | the same |
| any other field: its texts | null | null, and numbers of ten digits and more |

The organisation's own numbers stay readable, and so do the users who hold them or own contacts.
"""

import hmac
import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from linq_source import settings
from linq_source.errors import ConfigurationError
from linq_source.setting_names import check_names, listed
from linq_source.times import is_time

TEXTS, IDENTIFIERS = "texts", "identifiers"
MIN_KEY_CHARACTERS = 32
"""All phone numbers there are can be tried against a key that can be guessed."""

SETTING = "SOURCES__LINQ__REDACT"
KEY_SETTING = f"{SETTING}_KEY"

PREFIX = "hmac:"
REDACTED = "redacted"
"""Stands where a value is no count, time or code although its field holds nothing else."""

MAX_DEPTH = 60

_KINDS = {
    "id": "id chat_id message_id chat_message_id chat_handle_id reaction_id event_id",
    "time": "sent_at delivered_at edited_at joined_at created_at updated_at read_at last_delivered_at start_time "
    "end_time timestamp",
    "number": "message_count response_rate version delivery_attempts file_size duration page per_page current_page "
    "total_pages total_count group is_read is_from_me is_me active secret_configured voicemail has_recording "
    "transcribed transcript_available display",
    "code": "service delivery_status reaction direction status call_type mime_type event event_type events "
    "api_version",
    "text": "text transcription summary url filename",
    "name": "display_name first_name last_name full_name name company title location image_url",
    "address": "phone_number identifier from_phone sent_from email forwarding_number from to forwarded_from "
    "answered_by",
    "ours": "webhook_url",
}
KINDS: dict[str, str] = {name: kind for kind, names in _KINDS.items() for name in names.split()}

USERS = frozenset({"user", "contact_owner"})
"""Objects that are people of the organisation itself."""

_PSEUDONYM = re.compile(rf"{PREFIX}[0-9a-f]{{64}}")
# Nothing in which seven digits follow each other, with whatever signs between them, is taken for a name or a code.
_KEY = re.compile(r"(?!.*(?:\d[^A-Za-z\d]*){7})[A-Za-z_][A-Za-z0-9_-]{0,63}")
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}|sha256:[0-9a-f]{64}")
_CODE = re.compile(r"(?!.*(?:(?:\d[^A-Za-z\d]*){7}|@))\S{1,64}(?:; ?\S{1,64})?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")  # as versions are named
_NUMBER = re.compile(r"\s*-?\d{1,19}\s*|true|false", re.IGNORECASE)
_SHORT = re.compile(r"\s*-?\d{1,9}\s*|true|false", re.IGNORECASE)
_ADDRESS = re.compile(r"[+\d().\s-]{3,24}|[^\s@]{1,64}@[^\s@]{1,190}")
_SCHEME = re.compile(r"(?:tel|sms|mailto):", re.IGNORECASE | re.ASCII)
_SENDERS = ("from_phone", "sent_from", "from")
_LEAST_NUMBER = 10**9
"""An integer from here on may be somebody's phone number."""


def normal(identifier: str) -> str:
    """Return the one spelling of a phone number or address: `+15550001111`, `someone@example.com`.

    Ten digits without a + are taken for a number of the United States, as Linq does.
    """
    text = unicodedata.normalize("NFKC", identifier)
    if not text.isascii():
        # Marks of direction and such, which no screen shows, and the digits of other scripts.
        text = "".join(str(unicodedata.decimal(sign, sign)) for sign in text if unicodedata.category(sign) != "Cf")
    text = text.strip()
    text = text[match.end() :] if (match := _SCHEME.match(text)) else text
    digits = re.sub(r"[^0-9]", "", text)
    if "@" in text or not digits or any(sign.isalpha() for sign in text):
        return text.casefold()
    if "+" not in text:
        digits = digits.removeprefix("00") if digits.startswith("00") else digits
        digits = f"1{digits}" if len(digits) == 10 else digits
    return f"+{digits}"


def pseudonym(identifier: str, key: bytes) -> str:
    """Return what stands for an identifier, however it is spelled: HMAC-SHA-256 of its normal spelling."""
    return PREFIX + hmac.digest(key, normal(identifier).encode("utf-8", "surrogatepass"), "sha256").hex()


def label_of(key: bytes) -> str:
    """Return what tells a key from others without telling it."""
    return hmac.digest(key, b"the key of linq_source", "sha256").hex()[:8]


def key_of(setting: str | None) -> bytes:
    """Return the key that a setting holds; empty where it holds none."""
    return (setting or "").strip().encode("utf-8", "surrogateescape")


class Redactor:
    """Takes out of documents what is not to be kept. It learns our own numbers as it meets them.

    Used by several threads: what it learns is only ever added to.
    """

    def __init__(self, what: Iterable[str], key: bytes = b"") -> None:
        self.drops_texts = TEXTS in (chosen := set(what))
        self.hides_identifiers = IDENTIFIERS in chosen
        self.has_key = bool(key)
        self._key = key
        self._ours: frozenset[str] = frozenset()
        self._pseudonyms: dict[str, str] = {}

    @property
    def label(self) -> str:
        """What tells this redaction from another: its parts, and which key it was, though not the key."""
        parts = [TEXTS] if self.drops_texts else []
        if self.hides_identifiers:
            parts.append(f"{IDENTIFIERS}:{label_of(self._key)}")
        return ",".join(parts)

    def learn(self, numbers: Iterable[object]) -> None:
        """Note numbers of the organisation's own."""
        self._ours |= {normal(number) for number in numbers if isinstance(number, str) and number}

    def pseudonym(self, identifier: str) -> str:
        """Return what stands for an identifier, however it is spelled."""
        if identifier not in self._pseudonyms:
            if len(self._pseudonyms) > 200_000:
                self._pseudonyms.clear()
            self._pseudonyms[identifier] = pseudonym(identifier, self._key)
        return self._pseudonyms[identifier]

    def body(self, path: str, body: Any) -> Any:
        """Return an answer of Linq's API as it may be kept."""
        if path == settings.PHONE_NUMBERS and isinstance(body, dict):
            rows = body.get("phone_numbers")
            self.learn(row.get("phone_number") for row in rows or () if isinstance(row, dict))
        return self._value(body, "", self._ours, 0)

    def data(self, event_type: str, data: Any) -> Any:
        """Return what an event tells as it may be kept. Which numbers are ours, the event itself says."""
        return self._value(data, "", self._ours | ours_in(event_type, data), 0)

    def code(self, text: str) -> str:
        """Return a code like message.received, or what stands for a text that is none."""
        return text if _CODE.fullmatch(text) or _DATE.fullmatch(text) else REDACTED

    def is_id(self, text: str) -> bool:
        """Whether a text may be kept as an id."""
        return (_ID.fullmatch(text) or _PSEUDONYM.fullmatch(text)) is not None

    def digest(self, text: str) -> str:
        """Return what stands for an event's id: different for each, however alike they are spelled."""
        return PREFIX + hmac.digest(self._key, b"event\n" + text.encode("utf-8", "surrogatepass"), "sha256").hex()

    def _value(self, value: Any, name: str, ours: frozenset[str], depth: int) -> Any:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, dict | list) and depth >= MAX_DEPTH:
            return REDACTED
        if isinstance(value, dict):
            return self._object(value, name, ours, depth)
        if isinstance(value, list):
            return [self._value(each, name, ours, depth + 1) for each in value]
        return self._scalar(value, name, ours)

    def _object(self, value: dict[str, Any], name: str, ours: frozenset[str], depth: int) -> dict[str, Any]:
        if value.get("is_me") is True:
            ours = ours | _addresses_in(value)
        elif value.get("is_from_me") is True:
            ours = ours | _addresses_in({key: value.get(key) for key in _SENDERS})
        kept = {
            key: self._value(inner, key, ours, depth + 1)
            for key, inner in value.items()
            if key in KINDS or _KEY.fullmatch(key)
        }
        if name in USERS:
            own = {key for key in kept if KINDS.get(key) == "name" or key == "email"}
            kept |= {key: value[key] for key in own if isinstance(value[key], str)}
        return kept

    def _scalar(self, value: str | int | float, name: str, ours: frozenset[str]) -> Any:
        match KINDS.get(name):
            case "text":
                return None if self.drops_texts else value
            case "address":
                return self._address(value, ours)
            case "id":
                return value if not isinstance(value, str) or _ID.fullmatch(value) else self._no_id(value)
            case "time":
                return value if is_time(value) else REDACTED
            case "number":
                pattern = _SHORT if self.hides_identifiers else _NUMBER
                return value if not isinstance(value, str) or pattern.fullmatch(value) else REDACTED
            case "code":
                return self.code(str(value))
            case "name":
                return None if self.hides_identifiers else value
            case "ours":
                return value
        if isinstance(value, str):
            return value if name.endswith("_at") and is_time(value) else None
        return None if self.hides_identifiers and abs(value) >= _LEAST_NUMBER else value

    def _no_id(self, value: str) -> Any:
        return self._address(value, frozenset()) if self.hides_identifiers and value.strip() else REDACTED

    def _address(self, value: str | int | float, ours: frozenset[str]) -> Any:
        text = str(value)
        if not self.hides_identifiers or not text.strip() or _PSEUDONYM.fullmatch(text):
            return value
        is_ours = _ADDRESS.fullmatch(text) and normal(text) in ours
        return value if is_ours else self.pseudonym(text)


def make_redactor(redact: str | Sequence[str] | None, key: str | None) -> Redactor | None:
    """Return the redactor of the two settings, or None where nothing is to be redacted.

    Raises ConfigurationError for a part that does not exist, and for a key that is missing or short.
    """
    what = [each.lower() for each in listed(redact)]
    if not what:
        return None
    if wrong := [each for each in what if each not in (TEXTS, IDENTIFIERS)]:
        raise ConfigurationError(
            f"{SETTING} (redact under [sources.linq]) is {wrong[0][:20]!r}, which is nothing that can be redacted: "
            f"set it to {TEXTS}, {IDENTIFIERS}, or {TEXTS},{IDENTIFIERS}."
        )
    secret = (key or "").strip()
    if IDENTIFIERS in what and len(secret) < MIN_KEY_CHARACTERS:
        problem = f"has fewer than {MIN_KEY_CHARACTERS} characters" if secret else "is not set"
        raise ConfigurationError(
            f"{KEY_SETTING} (redact_key under [sources.linq] in .dlt/secrets.toml) {problem}: to redact identifiers "
            "takes a secret key, the same for syncs and receivers. Make one with: openssl rand -hex 32"
        )
    return Redactor(what, key_of(key))


def configured_redactor() -> Redactor | None:
    """Return the redactor of dlt's configuration."""
    # The environment comes first for dlt too; importing dlt would take longer than all else of a receiver's start.
    if SETTING in os.environ and not listed(os.environ[SETTING]):
        return None
    return configured()[0]


def configured() -> tuple[Redactor | None, str | None]:
    """Return the redactor and the key of dlt's configuration: `redact` and `redact_key` in `sources.linq`."""
    import dlt

    check_names()
    redact: Any = dlt.config.get("sources.linq.redact")
    key = dlt.secrets.get("sources.linq.redact_key", str)
    return make_redactor(redact, key), key


def _addresses_in(value: dict[str, Any]) -> frozenset[str]:
    found = (inner for key, inner in value.items() if KINDS.get(key) == "address" and isinstance(inner, str))
    return frozenset(normal(each) for each in found if each)


def ours_in(event_type: str, data: Any) -> frozenset[str]:
    """Return the numbers of which an event says that they are the organisation's own."""
    if not isinstance(data, dict):
        return frozenset()
    handles = data.get("chat_handles")
    ours = [each for each in handles if isinstance(each, dict)] if isinstance(handles, list) else []
    ours = [each for each in ours if each.get("is_me") is True]
    if event_type == "message.sent":
        ours += [
            {key: each.get(key) for key in ("from_phone", "sent_from")}
            for each in (data, data.get("message"))
            if isinstance(each, dict)
        ]
    if event_type == "reaction.sent" and isinstance(data.get("chat_handle"), dict):
        ours.append(data["chat_handle"])
    if event_type.startswith("call.") and data.get("direction") in ("inbound", "outbound"):
        key = "to" if data["direction"] == "inbound" else "from"
        ours.append({key: data.get(key)})
    return frozenset[str]().union(*map(_addresses_in, ours))
