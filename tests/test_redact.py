"""What a redactor lets through, value by value, and which settings make one."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linq_source.errors import ConfigurationError
from linq_source.redact import MAX_DEPTH, Redactor, make_redactor, normal
from linq_source.settings import CONTACTS, PHONE_NUMBERS
from tests.test_privacy import KEY, pseudonym

OURS, THEIRS = "+15550001111", "+12125550199"


def redactor(*what: str) -> Redactor:
    made = make_redactor(what or ("texts", "identifiers"), KEY)
    assert made
    return made


@pytest.mark.parametrize(
    "spelling",
    [THEIRS, "12125550199", "2125550199", "(212) 555-0199", "+1 212 555 0199", "0012125550199", " +1-212-555-0199 ",
     "tel:+12125550199", "TEL:+12125550199", "sms:212-555-0199", "Sms:2125550199", "\uff0b\uff11 212 555 0199",
     "+\u0661\u0662\u0661\u0662 \u06f5\u06f5\u06f5 \u0966\u0967\u096f\u096f",  # digits of Arabic, Persian and Hindi
     "\u202atel:+12125550199\u202c", "\ufeff+1212555\u200b0199"],  # marks that no screen shows
)  # fmt: skip
def test_every_spelling_of_a_number_has_one_pseudonym(spelling: str) -> None:
    assert normal(spelling) == THEIRS
    kept = redactor().body(CONTACTS, {"contacts": [{"id": 1, "phone_number": spelling}]})
    assert kept == {"contacts": [{"id": 1, "phone_number": pseudonym(THEIRS)}]}


@pytest.mark.parametrize(("given", "kept"), [
    ("Some.One@Example.com", "some.one@example.com"), ("mailto:a@b.c", "a@b.c"), ("MailTo:A@b.c", "a@b.c"),
    ("a\u00ad@b.c\u200b", "a@b.c"), ("\u202a<a@b.c>\u202c", "<a@b.c>"),
    ("+44 20 7946 0018", "+442079460018"),
    ("80123", "+80123"), ("LINQ", "linq"), ("ext. 12 of 555", "ext. 12 of 555"),
])  # fmt: skip
def test_addresses_and_foreign_numbers_have_one_spelling_too(given: str, kept: str) -> None:
    assert normal(given) == kept


def test_our_own_numbers_stay_readable_as_they_are_spelled() -> None:
    made = redactor()
    number = {"id": 1, "phone_number": OURS, "forwarding_number": THEIRS, "user": {"name": "Ada", "email": "a@b.c"}}
    kept = made.body(PHONE_NUMBERS, {"phone_numbers": [number]})
    assert kept == {"phone_numbers": [number | {"forwarding_number": pseudonym(THEIRS)}]}
    message = {"id": 1, "sent_from": "5550001111", "text": "private"}
    assert made.body("/", {"data": [message]}) == {"data": [message | {"text": None}]}
    assert redactor().body("/", {"data": [message]})["data"][0]["sent_from"] == pseudonym(OURS)


@pytest.mark.parametrize(
    ("event_type", "data", "kept"),
    [
        ("message.sent", {"from_phone": OURS}, {"from_phone": OURS}),
        ("message.sent", {"message": {"sent_from": OURS}}, {"message": {"sent_from": OURS}}),
        ("message.read", {"is_from_me": True, "from_phone": OURS, "to": THEIRS},
         {"is_from_me": True, "from_phone": OURS, "to": pseudonym(THEIRS)}),
        ("message.received", {"from_phone": THEIRS}, {"from_phone": pseudonym(THEIRS)}),
        ("reaction.sent", {"chat_handle": {"id": "7", "identifier": OURS}},
         {"chat_handle": {"id": "7", "identifier": OURS}}),
        ("reaction.received", {"chat_handle": {"identifier": THEIRS}},
         {"chat_handle": {"identifier": pseudonym(THEIRS)}}),
        ("call.completed", {"direction": "inbound", "from": THEIRS, "to": OURS, "answered_by": OURS},
         {"direction": "inbound", "from": pseudonym(THEIRS), "to": OURS, "answered_by": OURS}),
        ("call.completed", {"direction": "outbound", "from": OURS, "to": THEIRS, "forwarded_from": THEIRS},
         {"direction": "outbound", "from": OURS, "to": pseudonym(THEIRS), "forwarded_from": pseudonym(THEIRS)}),
        ("call.completed", {"direction": "sideways", "from": OURS},
         {"direction": "sideways", "from": pseudonym(OURS)}),
        ("typing_indicator.received",
         {"chat_handles": [{"identifier": OURS, "display_name": "Us", "is_me": True}, {"identifier": THEIRS}]},
         {"chat_handles": [{"identifier": OURS, "display_name": None, "is_me": True},
                           {"identifier": pseudonym(THEIRS)}]}),
    ],
)  # fmt: skip
def test_events_say_themselves_which_numbers_are_ours(event_type: str, data: Any, kept: Any) -> None:
    made = redactor()
    assert made.data(event_type, data) == kept
    assert made.data(event_type, kept) == kept, "what is redacted is left as it is"


@pytest.mark.parametrize(
    ("field", "value", "kept"),
    [
        ("id", "wh_evt_789ghi", "wh_evt_789ghi"),
        ("id", "iMessage;-;+12125550199", pseudonym("imessage;-;+12125550199")),
        ("sent_at", "2025-05-21 15:30:00 -0600", "2025-05-21 15:30:00 -0600"),
        ("sent_at", "at noon, at home", "redacted"),
        ("sent_at", 12125550199, "redacted"),
        ("message_count", "12", "12"),
        ("message_count", "twelve", "redacted"),
        ("duration", "12125550199", "redacted"),
        ("file_size", 3_000_000_000, 3_000_000_000),
        ("is_read", "yes, private", "redacted"),
        ("service", "iMessage", "iMessage"),
        ("reaction", "\u2764\ufe0f", "\u2764\ufe0f"),
        ("reaction", "a text in place of it", "redacted"),
        ("delivery_status", THEIRS, "redacted"),
        ("mime_type", "text/plain; charset=utf-8", "text/plain; charset=utf-8"),
        ("text", ["private", {"text": "private"}], [None, {"text": None}]),
        ("display_name", {"name": "private"}, {"name": None}),
        ("phone_number", 12125550199, pseudonym(THEIRS)),
        ("from_phone", "", ""),
        ("user", {"name": "Ada", "email": "a@b.c", "text": "private", "other": "private"},
         {"name": "Ada", "email": "a@b.c", "text": None, "other": None}),
        ("news", "private", None),
        ("news", 12125550199.0, None),
        ("news", -(10**30), None),
        ("news", 4.5, 4.5),
        ("seen_at", "2025-05-21T15:30:00Z", "2025-05-21T15:30:00Z"),
        ("seen_at", "at home", None),
    ],
)  # fmt: skip
def test_a_value_is_kept_only_where_it_is_what_its_field_holds(field: str, value: Any, kept: Any) -> None:
    assert redactor().data("a.b", {field: value}) == {field: kept}


@pytest.mark.parametrize("code", ["555-000-1111", "+1-555-000-1111", "5.5.5.0.0.0.1", "1 (555) 0001111"])
def test_a_number_is_no_code_however_it_is_spelled(code: str) -> None:
    assert redactor().code(code) == "redacted"
    assert redactor().data("a.b", {f"p_{code}": 1, "service": code}) == {"service": "redacted"}
    for kept in ("v2", "2025-05-21", "2.13.0", "message.received", "audio/x-caf; codecs=opus"):
        assert redactor().code(kept) == kept


def test_names_of_fields_that_may_be_values_are_left_out() -> None:
    odd = {"+12125550199": 1, "a private text": 1, "n2125550199": 1, "": 1, "x" * 65: 1, "caf\u00e9": 1, "fine_1": 1}
    assert redactor().data("a.b", odd) == {"fine_1": 1}


def test_each_part_leaves_alone_what_is_the_other_ones() -> None:
    data = {"text": "said", "full_name": "Ada", "phone_number": THEIRS, "news": "said", "number": 12125550199}
    assert redactor("texts").data("", data) == data | {"text": None, "news": None}
    hidden = {"full_name": None, "phone_number": pseudonym(THEIRS), "news": None, "number": None}
    assert redactor("identifiers").data("", data) == data | hidden


def test_what_is_nested_without_end_is_cut() -> None:
    nested: Any = "private"
    for _ in range(900):
        nested = {"more": [nested]}
    assert str(redactor().data("", nested)).count("more") <= MAX_DEPTH


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["text", "id", "phone_number", "from", "is_me", "service", "x_at", "x"]), inner
        )
    ),
    max_leaves=12,
)


@given(_VALUES, st.sampled_from(["message.sent", "call.completed", "reaction.received"]))
def test_redaction_is_stable_and_never_fails(document: Any, event_type: str) -> None:
    made = redactor()
    once = made.data(event_type, document)
    assert made.data(event_type, once) == once


@pytest.mark.parametrize(
    ("redact", "label"),
    [(None, None), ("", None), ((), None), ("texts", "texts"), (["texts"], "texts"), ('["texts"]', "texts"),
     (" Texts , ", "texts")],
)  # fmt: skip
def test_the_setting_takes_a_list_in_every_form_that_dlt_hands_over(redact: Any, label: str | None) -> None:
    made = make_redactor(redact, None)
    assert (made.label if made else None) == label


@pytest.mark.parametrize(
    ("redact", "key", "names"),
    [("text", KEY, "SOURCES__LINQ__REDACT "), (True, KEY, "SOURCES__LINQ__REDACT "),
     ("all", KEY, "SOURCES__LINQ__REDACT "),
     ("{", KEY, "SOURCES__LINQ__REDACT "),
     ("identifiers", None, "SOURCES__LINQ__REDACT_KEY .*not set"), ("identifiers", " ", "not set"),
     ("texts,identifiers", "a-short-key-of-31-characters-xx", "fewer than 32")],
)  # fmt: skip
def test_a_wrong_setting_or_a_weak_key_is_named_and_not_shown(redact: Any, key: str | None, names: str) -> None:
    with pytest.raises(ConfigurationError, match=names) as caught:
        make_redactor(redact, key)
    assert not (key or "").strip() or str(key) not in str(caught.value)


def test_a_label_tells_keys_apart_without_telling_them() -> None:
    labels = {made.label for key in (KEY, KEY[::-1]) if (made := make_redactor("identifiers", key))}
    assert len(labels) == 2
    assert all(label.startswith("identifiers:") and len(label) == 20 for label in labels)
