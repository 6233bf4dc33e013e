"""What events show of a chat that no table knows: whether it is theirs alone, a group, or neither for sure."""

import json
from typing import Any

import pytest

from linq_source.forgotten import Forgotten
from linq_source.redact import make_redactor
from linq_source.webhook.told_chats import ToldChats
from tests.test_privacy import KEY

THEM, MAIL, OTHER, OURS = "+12125550199", "them@example.com", "+12125550188", "+15550001111"


def handle(identifier: Any, *, is_me: bool = False, **more: Any) -> dict[str, Any]:
    return {"identifier": identifier, "display_name": None, "is_me": is_me} | more


ME = handle(OURS, is_me=True)


@pytest.fixture
def told() -> ToldChats:
    forgotten = Forgotten([KEY.encode()])
    forgotten.add(THEM)
    forgotten.add(MAIL)
    return ToldChats(forgotten, [OURS])


def verdict(told: ToldChats, chat_id: int = 5) -> str:
    """What became of a chat."""
    found = {"others'": told.others, "theirs": told.theirs(), "unclear": told.unclear}
    return next((name for name, ids in found.items() if chat_id in ids), "unknown")


def add(told: ToldChats, event_type: str, data: Any) -> str:
    told.add(event_type, json.dumps(data))
    return verdict(told)


@pytest.mark.parametrize(
    ("event_type", "data"),
    [
        ("message.received", {"chat_id": "5", "from_phone": THEM, "chat_handles": [handle(THEM), ME]}),
        ("message.sent", {"chat_id": 5, "from_phone": OURS, "chat_handles": [handle("(212) 555-0199"), ME]}),
        ("message.sent", {"chat_id": 5, "from_phone": "+15550002222", "chat_handles": [handle(MAIL.upper()), ME]}),
        ("typing_indicator.received", {"chat_id": "5", "chat_handles": [handle(THEM)]}),
        # Of two services, and our own number where the event does not say that it is ours.
        ("typing_indicator.removed", {"chat_id": "5", "chat_handles": [handle(THEM), handle("2125550199"), ME]}),
        ("typing_indicator.removed", {"chat_id": "5", "chat_handles": [{"identifier": OURS}, {"identifier": THEM}]}),
        (
            "reaction.received",
            {"chat_id": "5", "chat_handle": {"id": "1", "identifier": THEM}, "chat_handles": [handle(THEM), ME]},
        ),
        (
            "message.received",
            {"message": {"sent_from": THEM}, "chat": {"id": 5, "display_name": "+1 (212) 555-0199"}},
        ),
        ("message.sent", {"message": {"sent_from": OURS, "chat_id": 5}, "chat": {"id": 5, "display_name": THEM}}),
        ("message.received", {"message": {"sent_from": THEM}, "chat": {"id": 5, "group": False}}),
        ("message.received", {"chat_id": "5", "from_phone": THEM, "is_group": "false"}),
        ("message.sent", {"chat_id": "5", "chat_handles": [handle(THEM, email=""), ME], "from_phone": None}),
        ("message.sent", {"chat_id": "5", "chat_handles": [handle(THEM), ME], "user": {"email": "us@example.com"}}),
    ],
)
def test_a_chat_is_theirs_where_one_event_shows_nobody_else(told: ToldChats, event_type: str, data: Any) -> None:
    assert add(told, event_type, data) == "theirs"


@pytest.mark.parametrize(
    ("event_type", "data"),
    [
        ("message.sent", {"chat_id": "5", "chat_handles": [handle(THEM), handle(OTHER), ME]}),
        ("message.sent", {"chat_id": "5", "chat_handles": [handle(THEM), handle(MAIL), ME]}),
        ("message.sent", {"chat_id": "5", "chat_handles": [handle(THEM), handle(None), ME]}),
        ("message.sent", {"chat_id": "5", "chat_handles": [THEM, OTHER]}),
        ("message.sent", {"chat": {"id": 5, "chat_handles": [handle(THEM), handle(OTHER), ME]}}),
        ("message.sent", {"chat_id": "5", "participants": [THEM, MAIL]}),
        ("message.received", {"chat_id": "5", "from_phone": OTHER}),
        ("message.received", {"chat": {"id": 5, "display_name": THEM}, "message": {"sent_from": OTHER}}),
        ("message.received", {"chat_id": "5", "from_phone": OTHER, "chat_handles": [handle(THEM), ME]}),
        ("message.received", {"chat_id": "5", "sender": {"phone_number": OTHER}}),
        ("message.sent", {"chat_id": "5", "chat_handles": [handle(THEM), ME], "to": [THEM, OTHER]}),
        ("message.sent", {"chat_id": "5", "chat_handles": [handle(OTHER, display_name=THEM), ME]}),
        ("reaction.received", {"chat_id": "5", "chat_handle": {"identifier": OTHER}}),
        ("participant.added", {"chat_id": "5", "chat_handle": {"identifier": THEM}}),
        ("participant.removed", {"chat_id": "5", "chat_handles": [handle(THEM), ME]}),
        ("message.sent", {"chat": {"id": 5, "group": True, "display_name": THEM}}),
        ("message.sent", {"chat_id": "5", "is_group": "true", "chat_handles": [handle(THEM), ME]}),
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
def test_a_chat_in_which_any_event_shows_another_is_never_theirs(
    told: ToldChats, event_type: str, data: Any, *, is_first: bool
) -> None:
    alone = json.dumps({"chat_id": "5", "chat_handles": [handle(THEM), ME]})
    if is_first:
        told.add("typing_indicator.received", alone)
    assert add(told, event_type, data) == "others'"
    told.add("typing_indicator.received", alone)
    assert verdict(told) == "others'"


@pytest.mark.parametrize(
    ("event_type", "data", "expected"),
    [
        ("message.received", {"chat_id": "5", "from_phone": THEM}, "unclear"),
        ("message.received", {"chat": {"id": 5, "display_name": "Them"}, "message": {"sent_from": THEM}}, "unclear"),
        ("reaction.received", {"chat_id": "5", "chat_handle": {"identifier": THEM}}, "unclear"),
        ("message.sent", {"chat_id": "5", "text": THEM}, "unknown"),
        ("message.sent", {"chat_id": "5", "chat_handles": [handle(None), ME]}, "unknown"),
        ("message.sent", {"chat_id": "5", "group": False, "text": THEM}, "unknown"),
        ("message.sent", {"chat_id": "5", "chat": {"id": 6}, "chat_handles": [handle(THEM), ME]}, "unknown"),
        ("call.completed", {"id": "5", "from": THEM}, "unknown"),
        ("contact.created", {"id": 5, "phone_number": THEM}, "unknown"),
        ("message.sent", ["odd", THEM], "unknown"),
        ("message.sent", {"chat_id": "x", "chat_handles": "odd", "chat": [], "group": {}}, "unknown"),
    ],
)
def test_where_nothing_shows_that_nobody_else_is_in_it_nothing_is_taken_for_theirs(
    told: ToldChats, event_type: str, data: Any, expected: str
) -> None:
    assert add(told, event_type, data) == expected


def test_what_tables_know_decides_what_events_leave_open(told: ToldChats) -> None:
    add(told, "message.received", {"chat_id": "5", "from_phone": THEM})
    add(told, "typing_indicator.received", {"chat_id": "6", "chat_handles": [handle(THEM), ME]})
    assert told.theirs() == {6}
    assert told.theirs(others={6}, alone={5}) == {5}
    assert told.left_open() == {5}
    assert told.left_open(others={5}) == told.left_open(alone={5}) == set()


def test_their_messages_are_known_by_their_ids_with_the_chat_that_they_are_in(told: ToldChats) -> None:
    add(told, "message.received", {"id": "1", "chat_id": "5", "from_phone": THEM})
    add(told, "message.received", {"message": {"id": 2, "sent_from": THEM}, "chat": {"id": 6}})
    add(told, "message.received", {"id": "3", "from_phone": MAIL})
    add(told, "message.received", {"id": "4", "chat_id": "5", "from_phone": OTHER})
    add(told, "message.read", {"id": "7", "chat_id": "5"})
    add(told, "reaction.received", {"id": "8", "chat_id": "5", "from_phone": THEM})
    assert told.messages == {1: 5, 2: 6, 3: None}


def test_redacted_events_tell_the_same(told: ToldChats) -> None:
    redactor = make_redactor("texts,identifiers", KEY)
    assert redactor
    for chat_id, others in ((5, [THEM]), (6, [THEM, OTHER])):
        data = {"id": chat_id, "chat_id": chat_id, "from_phone": THEM, "chat_handles": [*map(handle, others), ME]}
        told.add("message.received", json.dumps(redactor.data("message.received", data)))
    assert (verdict(told, 5), verdict(told, 6)) == ("theirs", "others'")
    assert told.messages == {5: 5, 6: 6}


@pytest.mark.parametrize("text", [None, "", "{", "5", "null", "[" * 900 + "]" * 900, '{"a":' * 900 + "1" + "}" * 900])
def test_an_odd_text_tells_nothing(told: ToldChats, text: str | None) -> None:
    told.add("message.received", text)
    assert (verdict(told), told.messages) == ("unknown", {})
