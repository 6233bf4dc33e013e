"""What is left out of answers and events when somebody was forgotten, case by case."""

from typing import Any

import pytest

from linq_source.errors import ConfigurationError
from linq_source.forgotten import MARK, Forgotten, Gate, is_forgotten, name_of_key, recall
from linq_source.redact import make_redactor
from linq_source.settings import CHATS, CONTACTS, chat_messages_path
from tests.test_privacy import KEY, pseudonym

THEM, OTHER, OURS = "+12125550199", "+12125550188", "+15550001111"


@pytest.fixture
def forgotten() -> Forgotten:
    made = Forgotten([KEY.encode()])
    made.add("(212) 555-0199")
    made.chats, made.contacts, made.messages = {7}, {8}, {9}
    return made


def stub(number: Any) -> dict[str, Any]:
    return {"id": number, MARK: True}


def test_they_are_known_in_every_spelling_and_as_a_pseudonym(forgotten: Forgotten) -> None:
    for spelling in (THEM, "2125550199", "1 212 555 0199", 12125550199, pseudonym(THEM)):
        assert forgotten.knows(spelling), spelling
    for other in (OTHER, pseudonym(OTHER), pseudonym(THEM, KEY[::-1]), "", None, True, [THEM]):
        assert not forgotten.knows(other), other


@pytest.mark.parametrize("mark", [True, 1])
def test_a_row_that_linq_itself_marks_is_no_forgotten_one(forgotten: Forgotten, mark: object) -> None:
    gate = Gate(make_redactor("texts,identifiers", KEY))
    gate.forgotten = forgotten
    rows = [{"id": 1, MARK: mark}, {"id": 8}]
    kept = gate.body(CONTACTS, {"contacts": rows})["contacts"]
    assert [(row["id"], is_forgotten(row)) for row in kept] == [(1, False), (8, True)]


def test_a_pseudonym_from_redacted_tables_is_forgotten_like_a_number() -> None:
    made = Forgotten([KEY.encode()])
    made.add(pseudonym(THEM))
    assert made.knows(THEM)


def handles(*numbers: str) -> list[dict[str, Any]]:
    return [{"id": index, "phone_number": number} for index, number in enumerate(numbers)]


@pytest.mark.parametrize(
    ("row", "kept"),
    [
        ({"id": 1, "group": False, "chat_handles": handles(THEM, OURS)}, stub(1)),
        ({"id": 2, "chat_handles": handles(THEM)}, stub(2)),
        ({"id": 7, "group": False, "chat_handles": []}, stub(7)),
        ({"id": 3, "group": True, "display_name": "x", "chat_handles": handles(OTHER, THEM)},
         {"id": 3, "group": True, "display_name": None, "chat_handles": handles(OTHER)}),
        ({"id": 4, "group": False, "chat_handles": handles(OTHER, OURS)}, None),
        ({"id": 5, "chat_handles": "odd"}, None),
        # What Linq lists as a group is one, whatever events told of it.
        ({"id": 7, "group": True, "chat_handles": handles(OTHER)}, None),
        ({"id": 7, "group": True, "display_name": "x", "chat_handles": handles(OTHER, THEM)},
         {"id": 7, "group": True, "display_name": None, "chat_handles": handles(OTHER)}),
    ],
)  # fmt: skip
def test_chats_of_theirs_keep_their_place_and_groups_their_others(
    row: dict[str, Any], kept: Any, forgotten: Forgotten
) -> None:
    assert forgotten.body(CHATS, {"data": [row, "odd"], "meta": {}}) == {"data": [kept or row, "odd"], "meta": {}}
    assert forgotten.body(f"{CHATS}/1", {"data": row}) == {"data": kept or row}


def test_messages_contacts_and_reactions_of_theirs_keep_their_place_alone(forgotten: Forgotten) -> None:
    reactions = [{"id": 1, "from_phone": THEM}, {"id": 2, "from_phone": OTHER}]
    rows = [{"id": 1, "sent_from": THEM}, {"id": 9, "sent_from": None}, {"id": 2, "reactions": reactions}]
    kept = [stub(1), stub(9), {"id": 2, "reactions": reactions[1:]}]
    assert forgotten.body(chat_messages_path(5), {"data": rows}) == {"data": kept}
    people = [{"id": 8}, {"id": 1, "phone_number": THEM}, {"id": 2, "email": "a@b.c"}]
    assert forgotten.body(CONTACTS, {"contacts": people}) == {"contacts": [stub(8), stub(1), people[2]]}
    for odd in (None, [], {"contacts": None}, {"data": 5}):
        assert forgotten.body(CONTACTS, odd) == odd


IN_GROUP = [{"identifier": THEM, "display_name": "Them"}, {"identifier": OTHER}, {"identifier": OURS, "is_me": True}]


@pytest.mark.parametrize(
    ("event_type", "data"),
    [
        ("message.received", {"id": "1", "from_phone": THEM}),
        ("message.received", {"message": {"id": 1, "sent_from": THEM}}),
        ("message.sent", {"id": "1", "from_phone": OURS, "chat_handles": [IN_GROUP[0], IN_GROUP[2]]}),
        (
            "message.sent",
            {"message": {"sent_from": OURS}, "chat": {"id": 3, "display_name": "+1 (212) 555-0199"}},
        ),
        ("message.read", {"id": "1", "chat_id": "7"}),
        ("message.read", {"id": "9", "chat_id": "5"}),
        ("reaction.received", {"id": "1", "chat_handle": {"identifier": THEM}, "chat_handles": IN_GROUP}),
        ("reaction.received", {"id": "1", "chat_message_id": "9"}),
        ("participant.added", {"chat_handle": {"identifier": THEM}, "chat_handles": IN_GROUP}),
        ("participant.added", {"phone_number": THEM}),
        ("call.completed", {"from": OURS, "to": OURS, "forwarded_from": THEM}),
        ("contact.updated", {"id": 3, "phone_number": THEM}),
        ("contact.deleted", {"id": 8}),
        ("contact.updated", {"contact": {"phone_number": THEM, "notes": "about them"}}),
        ("message.received", {"id": "1", "from": THEM, "text": "what they wrote"}),
        ("message.received", {"id": "1", "sender": {"phone_number": THEM}, "chat_handles": IN_GROUP}),
        ("message.received", [{"phone_number": THEM}, "what they wrote"]),
        ("message.received", THEM),
        ("voicemail.left", {"from": THEM, "transcription": "what they said"}),
        ("voicemail.left", {"people": {THEM: "what they said"}}),
        ("message.received", {"id": "1", THEM: "what they said"}),
    ],
)
def test_events_about_them_are_gone(event_type: str, data: dict[str, Any], forgotten: Forgotten) -> None:
    assert forgotten.event(event_type, data) is None


def test_what_others_do_in_a_group_is_told_without_them(forgotten: Forgotten) -> None:
    about = {"id": "5", "text": "who wrote this?"}
    data = {"chat_handle": {"identifier": OTHER}, "chat_handles": IN_GROUP, "associated_message": about}
    assert forgotten.event("reaction.received", data) == data | {
        "chat_handles": IN_GROUP[1:], "associated_message": {"id": "5", "text": None}
    }  # fmt: skip
    data = {"id": "5", "text": "Hello", "from_phone": OTHER, "chat_handles": IN_GROUP[1:]}
    assert forgotten.event("message.received", data) is data
    for odd in (None, "text", ["text"]):
        assert forgotten.event("message.received", odd) == odd


def test_digests_are_made_with_the_configured_key_or_one_of_their_own() -> None:
    name, key = name_of_key([], KEY)
    assert (name.split(":")[0], key) == ("redact_key", KEY.encode())
    own, made = name_of_key([], None)
    assert name_of_key([{"key": name}, {"key": own}, {"key": None}], None) == (own, made)
    assert made == bytes.fromhex(own)
    assert len(made) == 32


def test_rows_are_recalled_with_the_keys_that_they_were_made_with() -> None:
    assert recall([], None) is None
    name, _ = name_of_key([], KEY)
    rows = [{"kind": "person", "value": pseudonym(THEM), "key": name}, {"kind": "chat", "value": "7", "key": None}]
    found = recall(rows, KEY)
    assert found
    assert found.knows("2125550199")
    assert found.chats == {7}
    for other, says in ((None, "is not set"), (KEY[::-1], "is not what it was")):
        with pytest.raises(ConfigurationError, match=says):
            recall(rows, other)
