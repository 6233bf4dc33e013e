"""Changes of the world are told as the vendor's webhook events, in the shapes of its examples."""

from datetime import timedelta
from typing import Any

import pytest

from linq_source.simulator.entities import EVENT_TYPES
from tests.simulator.conftest import NOON, Account

Told = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def told(account: Account) -> Told:
    """What the world has told since the account was made."""
    events: Told = []
    account.world.on_event = lambda event_type, data: events.append((event_type, data))
    return events


def handles(account: Account) -> list[dict[str, Any]]:
    """Of the chat with one other party."""
    return [
        {"identifier": "+12125550101", "display_name": "Ada Lee", "is_me": False},
        {"identifier": account.ours, "display_name": "Your Linq Number", "is_me": True},
    ]


def test_messages_sent_and_received(account: Account, told: Told) -> None:
    sent = account.world.send(account.chat.id, "Out", attachments=account.sent.attachments)
    account.world.receive(account.chat.id, "In")
    assert [event_type for event_type, _ in told] == ["message.sent", "message.received"]
    assert told[0][1] == {
        "id": str(sent.id),
        "chat_id": str(account.chat.id),
        "text": "Out",
        "sent_at": "2025-05-21 06:00:00 -0600",
        "is_read": False,
        "from_phone": account.ours,
        "service": "iMessage",
        "reaction_id": None,
        "chat_handles": handles(account),
        "attachments": [
            {
                "id": "8f14e45f-ceea-4e7a-9f6b-0123456789ab",
                "url": "https://files.example.com/a",
                "filename": "a.pdf",
                "mime_type": "x/y",
            }
        ],
    }
    assert told[1][1]["from_phone"] == "+12125550101"


def test_a_message_read_is_told_once(account: Account, told: Told) -> None:
    account.world.mark_read(account.chat.id)
    account.world.mark_read(account.chat.id)
    read_at = "2025-05-21T06:00:00-06:00"
    assert told == [
        ("message.read", {"id": str(message.id), "chat_id": str(account.chat.id), "read_at": read_at})
        for message in (account.sent, account.received)
    ]


def test_reactions_of_either_side(account: Account, told: Told) -> None:
    given = account.world.react(account.sent.id, "like", from_phone="+12125550101")
    account.world.react(account.sent.id, "love")
    assert [event_type for event_type, _ in told] == ["reaction.received", "reaction.sent"]
    assert told[0][1] == {
        "id": str(given.id),
        "chat_message_id": str(account.sent.id),
        "chat_id": str(account.chat.id),
        "reaction": "like",
        "is_from_me": False,
        "sent_at": "2025-05-21 06:00:00 -0600",
        "created_at": "2025-05-21 06:00:00 -0600",
        "chat_handle": {"id": str(account.chat.handles[0].id), "identifier": "+12125550101"},
        "chat_handles": handles(account),
        "associated_message": {
            "id": str(account.sent.id),
            "text": "Hello",
            "sent_at": "2025-05-21 04:00:00 -0600",
        },
    }


def test_typing_starts_and_stops(account: Account, told: Told) -> None:
    account.world.typing(account.chat.id)
    account.world.typing(account.chat.id, display=False)
    shape = {
        "chat_id": str(account.chat.id),
        "timestamp": "2025-05-21 06:00:00 -0600",
        "chat_handles": handles(account),
    }
    assert told == [
        ("typing_indicator.received", shape | {"display": True}),
        ("typing_indicator.removed", shape | {"display": False}),
    ]


def test_contacts_come_change_and_go(account: Account, told: Told) -> None:
    owner = next(iter(account.world.users.values()))
    contact = account.world.add_contact(first_name="Bo", last_name="Ng", company="Acme", contact_owner=owner)
    account.world.update_contact(contact.id, title="CEO")
    account.world.delete_contact(contact.id)
    assert [event_type for event_type, _ in told] == ["contact.created", "contact.updated", "contact.deleted"]
    assert told[1][1] == {
        "id": contact.id,
        "first_name": "Bo",
        "last_name": "Ng",
        "full_name": "Bo Ng",
        "email": "",
        "phone_number": "",
        "company": "Acme",
        "title": "CEO",
        "location": "",
        "image_url": None,
        "created_at": "2025-05-21T06:00:00-06:00",
        "updated_at": "2025-05-21T06:00:01-06:00",
        "contact_owner": {
            "id": owner.id,
            "email": owner.email,
            "first_name": owner.first_name,
            "last_name": owner.last_name,
            "name": owner.name,
        },
    }
    assert told[2][1] == {"id": contact.id}


def test_participants_come_and_go(account: Account, told: Told) -> None:
    handle = account.world.join(account.chat.id, "+12125550155")
    account.world.leave(account.chat.id, handle.id)
    assert account.chat.is_group
    assert [event_type for event_type, _ in told] == ["participant.added", "participant.removed"]
    for _, data in told:
        assert data["chat_handle"] == {"id": str(handle.id), "identifier": "+12125550155"}
    assert [len(data["chat_handles"]) for _, data in told] == [3, 2]


def test_a_call_is_told_with_its_recording(account: Account, told: Told) -> None:
    recording = {"id": "67890", "transcribed": True, "transcription": "Hello", "summary": "A call"}
    call = account.world.complete_call(
        {"from": "+12125550101", "start_time": NOON - timedelta(minutes=2)},
        duration=120,
        has_recording=True,
        recording_data=recording,
    )
    ((event_type, data),) = told
    assert event_type == "call.completed"
    assert set(data) == {
        "id",
        "to",
        "from",
        "status",
        "direction",
        "start_time",
        "end_time",
        "duration",
        "call_type",
        "forwarded_from",
        "answered_by",
        "voicemail",
        "has_recording",
        "recording_data",
    }
    assert (data["id"], data["from"], data["to"]) == (call["id"], "+12125550101", account.ours)
    assert (data["start_time"], data["duration"]) == ("2025-05-21 05:58:00 -0600", 120)
    assert data["recording_data"] == recording


def test_what_the_vendor_has_no_event_for_is_not_told(account: Account, told: Told) -> None:
    account.world.edit(account.sent.id, "x")
    account.world.unreact(account.received.id)
    account.world.deliver(account.sent.id)
    account.world.delete_message(account.sent.id)
    account.world.rename_chat(account.chat.id, "x")
    account.world.hide_chat(account.chat.id)
    assert told == []
    assert len(EVENT_TYPES) == 13
