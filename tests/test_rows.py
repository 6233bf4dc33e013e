"""Rows to tables: every row is in a table or among the rejected, whatever it holds."""

import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linq_source.rows import Shaper, once, spellings
from linq_source.tables import CONTACTS, MESSAGES, PHONE_NUMBERS, WEBHOOK_SUBSCRIPTIONS
from tests.shaping import MESSAGE, NOW, Row, shaped
from tests.test_values import JSON


def test_a_message_is_stored_with_every_column() -> None:
    batch, rejected = shaped(MESSAGE)
    assert rejected == []
    assert batch["messages"].schema == MESSAGES.schema
    assert batch["messages"].to_pylist() == [
        {
            "id": 7, "chat_id": 1, "text": "Hi", "sent_at": datetime(2025, 5, 21, 15, 30, tzinfo=UTC),
            "delivered_at": None, "delivery_status": "delivered", "edited_at": None, "is_read": True,
            "sent_from": "+12125550199", "chat_handle_id": 3, "direction": "inbound", "deleted_at": None,
        }
    ]  # fmt: skip


def test_fields_that_are_not_there_are_null() -> None:
    batch, rejected = shaped({"id": 7})
    [row] = batch["messages"].to_pylist()
    assert rejected == []
    assert {name for name, value in row.items() if value is not None} == {"id", "chat_id", "direction"}


def test_no_rows_make_empty_tables() -> None:
    batch, rejected = shaped()
    assert rejected == []
    assert {name: table.num_rows for name, table in batch.items()} == {
        "messages": 0, "message_reactions": 0, "message_attachments": 0,
    }  # fmt: skip


REJECTED = [
    ({"id": 2**63}, "id: an integer beyond 64 bits"), ({"id": 2**70}, "id: an integer beyond 64 bits"),
    ({"id": 7.0}, "id: a number where an integer belongs"), ({"id": True}, "id: a boolean where an integer belongs"),
    ({"id": None}, "id: missing"), ({"id": "abc"}, "id: a text where an integer belongs"),
    ({"id": ""}, "id: a text where an integer belongs"), ({"id": {}}, "id: an object where an integer belongs"),
    ({"id": "9" * 5000}, "id: a text where an integer belongs"), ({"id": []}, "id: a list where an integer belongs"),
    ({"text": {"a": "Hi"}}, "text: an object where a text belongs"), ({"text": []}, "text: a list where a text"),
    ({"is_read": "maybe"}, "is_read: a text where a boolean belongs"), ({"is_read": {}}, "is_read: an object where"),
    ({"chat_handle_id": 1.5}, "chat_handle_id: a number where an integer belongs"),
    ({"sent_from": ["+1"]}, "sent_from: a list where a text belongs"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "reason"), REJECTED, ids=lambda value: ascii(value)[:30])
def test_a_row_that_does_not_fit_is_set_aside_and_the_others_stored(fields: Row, reason: str) -> None:
    bad = MESSAGE | fields
    batch, rejected = shaped({**MESSAGE, "id": 1}, bad, {**MESSAGE, "id": 2}, bad)
    assert batch["messages"]["id"].to_pylist() == [1, 2]
    [row] = rejected
    assert row["reason"].startswith(reason)
    assert (row["table_name"], row["chat_id"], row["rejected_at"]) == ("messages", 1, NOW)
    assert json.loads(row["row_json"]) == bad


@pytest.mark.parametrize("row", [None, 7, "text", True, [], [MESSAGE], 1.5])
def test_what_is_no_object_is_set_aside(row: Any) -> None:
    batch, rejected = shaped(row, MESSAGE)
    assert batch["messages"]["id"].to_pylist() == [7]
    assert [(each["reason"], json.loads(each["row_json"])) for each in rejected] == [("not an object", row)]


@pytest.mark.parametrize(
    ("fields", "column", "stored"),
    [
        ({"id": "7"}, "id", 7), ({"id": " 007 "}, "id", 7), ({"id": -7}, "id", -7),
        ({"text": 5}, "text", "5"), ({"text": True}, "text", "true"), ({"text": "\ud83d"}, "text", "\ufffd"),
        ({"text": "a\0b"}, "text", "a\ufffdb"),
        ({"is_read": "false"}, "is_read", False), ({"is_read": 1}, "is_read", True),
        ({"sent_from": 12125550199}, "sent_from", "12125550199"), ({"chat_handle_id": "3"}, "chat_handle_id", 3),
        ({"delivery_status": "queued"}, "delivery_status", "queued"),
    ],
    ids=ascii,
)  # fmt: skip
def test_a_value_whose_meaning_is_plain_is_repaired(fields: Row, column: str, stored: Any) -> None:
    batch, rejected = shaped({**MESSAGE, **fields}, {**MESSAGE, "id": 8})
    assert rejected == []
    assert batch["messages"][column].to_pylist()[0] == stored


def test_a_time_that_cannot_be_read_is_null_and_counted_and_the_row_kept() -> None:
    shaper = Shaper(now=NOW)
    rows = [{**MESSAGE, "sent_at": "0000-00-00 00:00:00"}, {**MESSAGE, "id": 8, "edited_at": 1747841400}]
    batch = shaper.messages(rows, [1, 1], [])
    assert batch["messages"]["sent_at"].to_pylist()[0] is None
    assert (batch["messages"].num_rows, shaper.misfits.unread_times, shaper.misfits.take().num_rows) == (2, 2, 0)


def test_a_rejected_row_is_told_once_however_often_it_comes() -> None:
    shaper = Shaper(now=NOW)
    for _ in range(3):
        shaper.shape(CONTACTS, [{"id": None, "email": "a\ud83d"}, {"email": "a\ud83d", "id": None}])
    assert shaper.misfits.take().num_rows == 1
    assert shaper.misfits.take().num_rows == 0
    assert len(shaper.misfits.hashes) == 1


def test_the_same_broken_row_in_two_chats_is_two_rejected_rows() -> None:
    shaper = Shaper(now=NOW)
    shaper.messages([{"id": None}, {"id": None}], [1, 2], [])
    assert shaper.misfits.take()["chat_id"].to_pylist() == [1, 2]


@pytest.mark.parametrize("user", [None, {}, {"id": None, "name": None}])
def test_an_object_that_is_null_or_empty_leaves_its_columns_null(user: Any) -> None:
    table, kept = Shaper(now=NOW).shape(PHONE_NUMBERS, [{"id": 1, "user": user}, {"id": 2}])
    assert kept == [0, 1]
    assert table["user__id"].to_pylist() == [None, None]


@pytest.mark.parametrize("user", ["Ann", 5, True, [], [{"id": 5}], 0, ""])
def test_a_plain_value_where_an_object_belongs_is_set_aside(user: Any) -> None:
    shaper = Shaper(now=NOW)
    table, kept = shaper.shape(PHONE_NUMBERS, [{"id": 1, "user": user}, {"id": 2, "user": {"id": 5, "name": "Ann"}}])
    assert (kept, table["user__name"].to_pylist()) == ([1], ["Ann"])
    assert shaper.misfits.take()["reason"].to_pylist() == ["user: not an object"]


def test_new_fields_become_columns_also_inside_an_object_that_has_some() -> None:
    rows = [
        {"id": 1, "user": {"id": 5, "locale": "en", "team": {"id": 9}}, "carrier": "A"},
        {"id": 2, "is_sms": True, "user": None},
    ]
    table, _ = Shaper(now=NOW).shape(PHONE_NUMBERS, rows)
    assert table.select(["carrier", "is_sms", "user__locale", "user__team"]).to_pylist() == [
        {"carrier": "A", "is_sms": None, "user__locale": "en", "user__team": '{"id":9}'},
        {"carrier": None, "is_sms": True, "user__locale": None, "user__team": None},
    ]


def test_a_field_that_names_a_parent_is_new_where_the_table_has_no_such_column() -> None:
    row = {
        **MESSAGE,
        "chat_id": 99,
        "message_id": "guid-1",
        "chat_message_id": 5,
        "direction": "up",
        "deleted_at": "x",
    }
    batch, rejected = shaped(row)
    [stored] = batch["messages"].to_pylist()
    assert rejected == []
    assert (stored["chat_id"], stored["message_id"], stored["chat_message_id"]) == (1, "guid-1", 5)
    assert (stored["direction"], stored["direction_x"]) == ("inbound", "up")
    assert (stored["deleted_at"], stored["deleted_at_x"]) == (None, "x")


def test_a_json_column_takes_anything() -> None:
    rows = [
        {"id": 1, "events": ["a", "b"]},
        {"id": 2, "events": None},
        {"id": 3, "events": {"a": 1}},
        {"id": 4, "events": "a"},
    ]
    table, kept = Shaper(now=NOW).shape(WEBHOOK_SUBSCRIPTIONS, rows)
    assert kept == [0, 1, 2, 3]
    assert table["events"].to_pylist() == ['["a","b"]', None, '{"a":1}', '"a"']


@pytest.mark.parametrize("sent_from", ["+15550001111", "15550001111", "5550001111"])
def test_a_message_from_one_of_our_numbers_is_outbound_however_it_is_spelled(sent_from: str) -> None:
    batch, _ = shaped({**MESSAGE, "sent_from": sent_from}, {**MESSAGE, "id": 8})
    assert batch["messages"]["direction"].to_pylist() == ["outbound", "inbound"]


def test_a_number_is_ours_only_as_a_whole() -> None:
    assert spellings(["+15550001111"]) == ["+15550001111", "15550001111", "5550001111"]
    assert spellings(["+442079460018"]) == ["+442079460018", "442079460018"]
    assert spellings([]) == []


def test_once_keeps_the_first_row_of_each_key() -> None:
    table = pa.table({"a": [1, 2, 1, 1], "b": ["x", "x", "y", "x"], "c": [1, 2, 3, 4]})
    assert once(table, ("a",))["c"].to_pylist() == [1, 2]
    assert once(table, ("a", "b"))["c"].to_pylist() == [1, 2, 3]
    assert once(table.slice(0, 0), ("a",)).num_rows == 0


FIELDS = st.sampled_from([*MESSAGE, "chat_id", "direction", "new", "Id", ""])


@settings(derandomize=True, database=None, max_examples=250, deadline=None)
@given(
    st.lists(st.none() | JSON | st.dictionaries(FIELDS, JSON, max_size=3).map(lambda odd: MESSAGE | odd), max_size=5)
)
def test_every_row_is_stored_or_rejected_whatever_it_holds(rows: list[Any]) -> None:
    batch, rejected = shaped(*rows)
    set_aside = {row["row_json"] for row in rejected if row["table_name"] == "messages"}
    assert batch["messages"].num_rows + len(set_aside) >= len({json.dumps(row, sort_keys=True) for row in rows})
    for table in batch.values():
        table.validate(full=True)
        assert table["id"].null_count == 0
        assert len(table.schema.names) == len(set(table.schema.names))
