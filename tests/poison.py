"""Values that do not belong where they stand: put into a server's answers, and what the tables must make of them."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from linq_source.simulator import Simulator
from linq_source.simulator.faults import Fault
from linq_source.simulator.replies import Request, Response

Row = dict[str, Any]

LISTS = {"data": "", "contacts": "contacts", "phone_numbers": "phone_numbers",
         "webhook_subscriptions": "webhook_subscriptions"}  # fmt: skip
"""The table that a list's rows belong to; `data` holds messages or chats."""

# What json.dumps cannot write, by the text that stands for it.
RAW = {
    '"@5000 digits@"': b"7" * 5000,
    '"@500 levels@"': b"[" * 500 + b"]" * 500,
    '"@1000 levels@"': b"[" * 1000 + b"]" * 1000,
}


@dataclass(frozen=True)
class Poison:
    """One way to spoil a row: `fields` to set, `without` to leave out, or another value `instead` of the row.

    Then either it is rejected for `reason` (in `rejected_in`, if that is another table), or it is stored with
    the values in `stored`.
    """

    table: str
    name: str
    fields: Row = field(default_factory=dict)
    without: tuple[str, ...] = ()
    instead: tuple[Any, ...] = ()
    reason: str = ""
    rejected_in: str = ""
    stored: Row = field(default_factory=dict)
    unread_times: int = 0

    def spoil(self, row: Row) -> Any:
        """The row as the server sends it."""
        if self.instead:
            return self.instead[0]
        return {name: value for name, value in (row | self.fields).items() if name not in self.without}


class PoisonedSimulator(Simulator):
    """A server that sends some rows poisoned, by table and id, until it is healed."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.poisoned: dict[tuple[str, Any], Poison] = {}

    def heal(self) -> None:
        """From now on every row is sent as it is."""
        self.poisoned = {}

    def handle(self, request: Request) -> tuple[Response, Fault | None]:
        """Answer a request as the simulator does, but for the poison."""
        response, fault = super().handle(request)
        if response.status == 200 and self.poisoned:
            body = json.dumps(self._answer(request.path, json.loads(response.body))).encode()
            for text, raw in RAW.items():
                body = body.replace(text.encode(), raw)
            response = Response(200, body, response.headers)
        return response, fault

    def _answer(self, path: str, answer: Row) -> Row:
        for name in LISTS.keys() & answer.keys():
            table = LISTS[name] or ("messages" if path.endswith("/chat_messages") else "chats")
            if isinstance(rows := answer[name], list):
                answer[name] = [self._row(table, row) for row in rows]
            else:
                answer[name] = self._row(table, rows)
        return answer

    def _row(self, table: str, row: Any) -> Any:
        nested = {"messages": ("reactions", "attachments"), "chats": ("chat_handles",)}.get(table, ())
        key = (table, row["id"])
        for name in nested:
            child = name if table == "chats" else f"message_{name}"
            row[name] = [self._row(child, one) for one in row[name]]
        poison = self.poisoned.get(key)
        return poison.spoil(row) if poison else row


REPLACED = "\ufffd"
MEGABYTE_OF_TEXT = "ab\u2028\U0001f468\u200d\U0001f469\u200d\U0001f467 " * 100_000


def _rejected(table: str, name: str, fields: Row, reason: str) -> Poison:
    return Poison(table, name, fields, reason=reason)


def _mended(table: str, name: str, fields: Row, stored: Row) -> Poison:
    return Poison(table, name, fields, stored=stored)


def _untimely(table: str, name: str, fields: Row) -> Poison:
    return Poison(table, name, fields, stored=dict.fromkeys(fields), unread_times=len(fields))


def _no_object(table: str, name: str, value: Any) -> Poison:
    return Poison(table, name, instead=(value,), reason="not an object")


BIG = "id: an integer beyond 64 bits"
POISONS = (
    _rejected("messages", "id 2^63", {"id": 2**63}, BIG),
    _rejected("messages", "id 2^70", {"id": 2**70}, BIG),
    _rejected("messages", "id -2^63-1", {"id": -(2**63) - 1}, BIG),
    _rejected("messages", "id of 5000 digits", {"id": "@5000 digits@"}, "id: a text where an integer belongs"),
    _rejected("messages", "id null", {"id": None}, "id: missing"),
    Poison("messages", "no id", without=("id",), reason="id: missing"),
    _rejected("messages", "id a word", {"id": "abc"}, "id: a text where an integer belongs"),
    _rejected("messages", "id empty", {"id": ""}, "id: a text where an integer belongs"),
    _rejected("messages", "id a fraction", {"id": 7.5}, "id: a number where an integer belongs"),
    _rejected("messages", "id a boolean", {"id": True}, "id: a boolean where an integer belongs"),
    _rejected("messages", "id an object", {"id": {"$oid": "7"}}, "id: an object where an integer belongs"),
    _rejected("messages", "text an object", {"text": {"body": "Hi"}}, "text: an object where a text belongs"),
    _rejected("messages", "text a list", {"text": ["Hi"]}, "text: a list where a text belongs"),
    _rejected("messages", "text 500 levels deep", {"text": "@500 levels@"}, "text: a list where a text belongs"),
    _rejected("messages", "is_read a word", {"is_read": "perhaps"}, "is_read: a text where a boolean belongs"),
    _rejected("messages", "is_read 7", {"is_read": 7}, "is_read: an integer where a boolean belongs"),
    _rejected("messages", "handle a word", {"chat_handle_id": "seven"}, "chat_handle_id: a text where an integer"),
    _rejected("messages", "handle 2^64", {"chat_handle_id": 2**64}, "chat_handle_id: an integer beyond 64 bits"),
    _rejected("messages", "status an object", {"delivery_status": {}}, "delivery_status: an object where a text"),
    _no_object("messages", "a null for a row", None),
    _no_object("messages", "a word for a row", "oops"),
    _no_object("messages", "a list for a row", [1, "two", None]),
    Poison("messages", "reactions a word", {"reactions": "none"}, reason="reactions: not a list",
           rejected_in="message_reactions"),
    Poison("messages", "attachments an object", {"attachments": {"0": {}}}, reason="attachments: not a list",
           rejected_in="message_attachments"),
    _mended("messages", "text a number", {"text": 42.5}, {"text": "42.5"}),
    _mended("messages", "text a boolean", {"text": True}, {"text": "true"}),
    _mended("messages", "text null", {"text": None}, {"text": None}),
    _mended("messages", "half an emoji", {"text": "Thanks \ud83d"}, {"text": f"Thanks {REPLACED}"}),
    _mended("messages", "the other half", {"text": "\ude00!"}, {"text": f"{REPLACED}!"}),
    _mended("messages", "NUL", {"text": "a\0b"}, {"text": f"a{REPLACED}b"}),
    _mended("messages", "a lot of text", {"text": MEGABYTE_OF_TEXT}, {"text": MEGABYTE_OF_TEXT}),
    _mended("messages", "text that looks like SQL", {"text": "'; drop table messages; --"},
            {"text": "'; drop table messages; --"}),
    _mended("messages", "is_read 1", {"is_read": 1}, {"is_read": True}),
    _mended("messages", "is_read as text", {"is_read": "false"}, {"is_read": False}),
    _mended("messages", "handle as text", {"chat_handle_id": "77"}, {"chat_handle_id": 77}),
    _mended("messages", "a new status", {"delivery_status": "queued"}, {"delivery_status": "queued"}),
    _mended("messages", "status a number", {"delivery_status": 7}, {"delivery_status": "7"}),
    _mended("messages", "a time of Ruby's", {"edited_at": "2025-05-21 15:30:00 -0600"},
            {"edited_at": datetime(2025, 5, 21, 21, 30, tzinfo=UTC)}),
    _mended("messages", "a time in nanoseconds", {"edited_at": "2025-05-21T15:30:00.123456789+02:00"},
            {"edited_at": datetime(2025, 5, 21, 13, 30, 0, 123456, tzinfo=UTC)}),
    _untimely("messages", "a time that is none", {"edited_at": "yesterday"}),
    _untimely("messages", "a 13th month", {"delivered_at": "2025-13-45"}),
    _untimely("messages", "the year 0", {"delivered_at": "0000-00-00 00:00:00"}),
    _untimely("messages", "an empty time", {"edited_at": ""}),
    _untimely("messages", "a time in seconds", {"delivered_at": 1747862000}),
    _untimely("messages", "a time that is an object", {"edited_at": {"$date": 0}}),
    _untimely("messages", "beyond the year 9999", {"edited_at": "9999-12-31T23:59:59-14:00"}),
    _untimely("messages", "no time of sending", {"sent_at": "sometime"}),
    _rejected("message_reactions", "id null", {"id": None}, "id: missing"),
    _rejected("message_reactions", "id 2^64", {"id": 2**64}, BIG),
    _rejected("message_reactions", "an object", {"reaction": {"emoji": "x"}}, "reaction: an object where a text"),
    _rejected("message_reactions", "from me, perhaps", {"is_from_me": "perhaps"}, "is_from_me: a text where"),
    _no_object("message_reactions", "a word for a row", "love"),
    _mended("message_reactions", "a new kind", {"reaction": "custom \ud83d"}, {"reaction": f"custom {REPLACED}"}),
    _untimely("message_reactions", "a time that is a list", {"created_at": []}),
    _rejected("message_attachments", "id null", {"id": None}, "id: missing"),
    _rejected("message_attachments", "id an object", {"id": {}}, "id: an object where a text belongs"),
    _rejected("message_attachments", "a size in words", {"file_size": "big"}, "file_size: a text where an integer"),
    _rejected("message_attachments", "half a byte", {"file_size": 10.5}, "file_size: a number where an integer"),
    _no_object("message_attachments", "a number for a row", 17),
    _mended("message_attachments", "size as text", {"file_size": "2048"}, {"file_size": 2048}),
    _mended("message_attachments", "url a number", {"url": 17}, {"url": "17"}),
    _rejected("chats", "count in words", {"message_count": "many"}, "message_count: a text where an integer belongs"),
    _rejected("chats", "name an object", {"display_name": {}}, "display_name: an object where a text belongs"),
    _rejected("chats", "group in words", {"group": "yes"}, "group: a text where a boolean belongs"),
    _rejected("chats", "id null", {"id": None}, "id: missing"),
    _rejected("chats", "id 2^63", {"id": 2**63}, BIG),
    _no_object("chats", "a null for a row", None),
    Poison("chats", "handles an object", {"chat_handles": {}}, reason="chat_handles: not a list",
           rejected_in="chat_handles"),
    _rejected("chat_handles", "id a word", {"id": "x"}, "id: a text where an integer belongs"),
    _rejected("chat_handles", "number an object", {"phone_number": {}}, "phone_number: an object where a text"),
    _untimely("chat_handles", "a time that is none", {"joined_at": "NaN"}),
    _rejected("contacts", "id 2^63", {"id": 2**63}, BIG),
    _rejected("contacts", "id null", {"id": None}, "id: missing"),
    _rejected("contacts", "owner a word", {"contact_owner": "Ann"}, "contact_owner: not an object"),
    _rejected("contacts", "email a list", {"email": ["a@example.com"]}, "email: a list where a text belongs"),
    _rejected("contacts", "owner's id a word", {"contact_owner": {"id": "x"}}, "contact_owner.id: a text where an"),
    _no_object("contacts", "a word for a row", "contact"),
    _mended("contacts", "half an emoji", {"first_name": "Zoe\ud83d"}, {"first_name": f"Zoe{REPLACED}"}),
    _mended("contacts", "no owner", {"contact_owner": None}, {f"contact_owner__{name}": None for name in
            ("id", "email", "first_name", "last_name", "name")}),
    _untimely("contacts", "a time that is none", {"created_at": "0000-00-00 00:00:00"}),
    _rejected("phone_numbers", "rate in words", {"response_rate": "n/a"}, "response_rate: a text where an integer"),
    _rejected("phone_numbers", "user a word", {"user": "Ann"}, "user: not an object"),
    _rejected("webhook_subscriptions", "active, perhaps", {"active": "perhaps"}, "active: a text where a boolean"),
    _mended("webhook_subscriptions", "events an object", {"events": {"all": True}}, {"events": '{"all":true}'}),
)  # fmt: skip
