"""Rows within rows: children of messages, handles and numbers of chats; a broken one stops no other."""

import json
from typing import Any

import pytest

from linq_source.rows import Shaper
from linq_source.tables import CHATS, CONTACTS
from tests.shaping import MESSAGE, NOW, Row, shaped


@pytest.mark.parametrize("nothing", [None, []])
def test_no_children_are_no_rows(nothing: Any) -> None:
    batch, rejected = shaped({**MESSAGE, "reactions": nothing, "attachments": nothing})
    assert (batch["message_reactions"].num_rows, batch["message_attachments"].num_rows, rejected) == (0, 0, [])


@pytest.mark.parametrize("children", [{}, {"id": 1}, "none", 5, True, 0])
def test_children_that_are_no_list_are_set_aside_and_their_message_kept(children: Any) -> None:
    batch, rejected = shaped({**MESSAGE, "reactions": children}, chat_id=4)
    assert batch["messages"].num_rows == 1
    [row] = rejected
    assert (row["table_name"], row["chat_id"], row["reason"]) == ("message_reactions", 4, "reactions: not a list")
    assert json.loads(row["row_json"]) == {"of": 7, "reactions": children}


def test_each_child_is_stored_once_with_its_parent_and_broken_ones_set_aside() -> None:
    love, like = (
        {"id": 1, "reaction": "love", "is_from_me": False},
        {"id": 2, "reaction": "like", "chat_message_id": 99},
    )
    messages = [
        {**MESSAGE, "reactions": [love, like, {**love, "reaction": "dislike"}, None, {"id": "x"}]},
        {
            **MESSAGE,
            "id": 8,
            "reactions": [{"id": 3}],
            "attachments": [{"id": "u-1", "file_size": "10"}, {"id": None}],
        },
        {**MESSAGE, "id": None, "reactions": [{"id": 4}]},
    ]
    batch, rejected = shaped(*messages)
    reactions = batch["message_reactions"].select(["id", "chat_message_id", "reaction"]).to_pylist()
    assert [tuple(row.values()) for row in reactions] == [(1, 7, "love"), (2, 7, "like"), (3, 8, None)]
    [attachment] = batch["message_attachments"].to_pylist()
    assert (attachment["id"], attachment["message_id"], attachment["file_size"]) == ("u-1", 8, 10)
    assert sorted((row["table_name"], row["reason"]) for row in rejected) == [
        ("message_attachments", "id: missing"), ("message_reactions", "id: a text where an integer belongs"),
        ("message_reactions", "not an object"), ("messages", "id: missing"),
    ]  # fmt: skip


def chat(chat_id: Any, **fields: Any) -> Row:
    return {"id": chat_id, "display_name": "Ann", "service": "SMS", "group": False, "message_count": 1} | fields


def test_a_chat_listed_twice_is_stored_once_as_listed_last_and_under_both_numbers() -> None:
    ann, bob = {"id": 1, "phone_number": "+12125550199"}, {"id": 2, "phone_number": "bob@example.com"}
    batch = Shaper(now=NOW).chats(
        [
            ("+1", [chat(5, chat_handles=[ann]), chat(5, chat_handles=[ann])]),
            ("+2", [chat("5", message_count=2, chat_handles=[bob])]),
        ]
    )
    assert [(row["id"], row["message_count"]) for row in batch["chats"].to_pylist()] == [(5, 2)]
    assert [(row["id"], row["chat_id"]) for row in batch["chat_handles"].to_pylist()] == [(2, 5)]
    under = [(row["chat_id"], row["phone_number"]) for row in batch["chat_phone_numbers"].to_pylist()]
    assert under == [(5, "+1"), (5, "+2")]


def test_a_broken_chat_and_broken_handles_stop_no_other() -> None:
    shaper = Shaper(now=NOW)
    rows = [chat(2**63), chat(5, group="perhaps"), chat(6, chat_handles=None), chat(7, chat_handles="Ann"), None]
    batch = shaper.chats([("+1", rows)])
    assert batch["chats"]["id"].to_pylist() == [6, 7]
    assert batch["chat_phone_numbers"]["chat_id"].to_pylist() == [6, 7]
    assert shaper.misfits.take()["reason"].to_pylist() == [
        "id: an integer beyond 64 bits", "group: a text where a boolean belongs", "not an object",
        "chat_handles: not a list",
    ]  # fmt: skip


def test_unknown_fields_of_chats_keep_to_their_table() -> None:
    shaper = Shaper(now=NOW)
    assert "tier" in shaper.shape(CHATS, [chat(1, tier="gold")])[0].schema.names
    assert "tier" not in shaper.shape(CONTACTS, [{"id": 1}])[0].schema.names
