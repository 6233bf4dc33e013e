"""Values: what each column makes of what JSON can hold, and what it refuses; never another value in silence."""

import json
import math
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linq_source.tables import BOOLEAN, INTEGER, NUMBER, TEXT
from linq_source.times import TIMESTAMP
from linq_source.values import integer_or_none, mend, to_column, to_json

KINDS = (INTEGER, TEXT, BOOLEAN, NUMBER, TIMESTAMP)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
PLAIN = {INTEGER: 7, TEXT: "seven", BOOLEAN: True, NUMBER: 7.5, TIMESTAMP: "2025-05-21T15:30:00Z"}
NESTED = ([], {}, [1], {"a": 1}, [[]], [None])


def one(value: Any, kind: pa.DataType) -> tuple[Any, str | None]:
    """What a column makes of a value, and why it refuses it; the same alone, first and last among good ones."""
    outcomes = []
    for before, after in ((0, 0), (2, 0), (0, 2)):
        values = [PLAIN[kind]] * before + [value] + [PLAIN[kind]] * after
        converted = to_column(values, kind)
        assert converted.array.type == kind
        assert len(converted.array) == len(values)
        assert set(converted.misfits) <= {before}
        outcomes.append((converted.array.to_pylist()[before], converted.misfits.get(before)))
    assert outcomes[0] == outcomes[1] == outcomes[2] or value != value
    return outcomes[0]


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (0, 0), (-5, -5), (2**53 + 1, 2**53 + 1), (2**63 - 1, 2**63 - 1), (-(2**63), -(2**63)), (None, None),
        ("7", 7), (" 7 ", 7), ("007", 7), ("-7", -7), ("9223372036854775807", 2**63 - 1),
    ],
)  # fmt: skip
def test_an_integer_may_be_written_as_text(value: Any, stored: int | None) -> None:
    assert one(value, INTEGER) == (stored, None)
    assert integer_or_none(value) == stored


@given(st.lists(st.none() | st.text("0123456789-+ x\n\u0661\ud800", max_size=21), max_size=4))
def test_texts_read_together_are_the_integers_that_each_is_alone(values: list[str | None]) -> None:
    converted = to_column(values, INTEGER)
    assert converted.array.to_pylist() == [integer_or_none(value) for value in values]
    refused = {index for index, value in enumerate(values) if value is not None and integer_or_none(value) is None}
    assert converted.misfits.keys() == refused


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (2**63, "an integer beyond 64 bits"), (-(2**63) - 1, "an integer beyond 64 bits"),
        (2**64, "an integer beyond 64 bits"), (2**70, "an integer beyond 64 bits"),
        (10**400, "an integer beyond 64 bits"), ("9223372036854775808", "an integer beyond 64 bits"),
        (7.0, "a number where an integer belongs"), (7.5, "a number where an integer belongs"),
        (1e300, "a number where an integer belongs"), (-0.0, "a number where an integer belongs"),
        (True, "a boolean where an integer belongs"), (False, "a boolean where an integer belongs"),
        *[
            (text, "a text where an integer belongs")
            for text in ("", " ", "abc", "7.0", "7e3", "0x7", "--7", "+7", "1_0", "²", "9" * 5000, "\ud83d", "7\0")
        ],
        ([], "a list where an integer belongs"), ({}, "an object where an integer belongs"),
    ],
    ids=lambda value: ascii(value)[:20],
)  # fmt: skip
def test_what_is_no_integer_of_64_bits_is_refused(value: Any, reason: str) -> None:
    assert one(value, INTEGER) == (None, reason)
    assert integer_or_none(value) is None


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (None, None), ("", ""), ("Hi", "Hi"), ("a\0b", "a\ufffdb"), ("\0\0", "\ufffd\ufffd"), ("\ud83d", "\ufffd"),
        ("a\ud83db", "a\ufffdb"), ("\ude00\ud83d", "\ufffd\ufffd"), ("\ud83d\ude00", "😀"),
        ("\u2028\u202e", "\u2028\u202e"),
        ("👨\u200d👩\u200d👧", "👨\u200d👩\u200d👧"), (5, "5"), (-0.5, "-0.5"), (1e300, "1e+300"),
        (2**70, str(2**70)),
        (True, "true"), (False, "false"), ("x" * 1_000_000, "x" * 1_000_000), ("null", "null"),
    ],
    ids=lambda value: ascii(value)[:20],
)  # fmt: skip
def test_a_text_is_kept_and_a_number_or_boolean_spelled_out(value: Any, stored: str | None) -> None:
    assert one(value, TEXT) == (stored, None)


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (True, True),
        (False, False),
        (None, None),
        (1, True),
        (0, False),
        ("true", True),
        ("FALSE", False),
        ("1", True),
    ],
)
def test_a_boolean_may_be_written_as_text_or_number(value: Any, stored: bool | None) -> None:
    assert one(value, BOOLEAN) == (stored, None)


@pytest.mark.parametrize(
    "value", [2, -1, 2**70, 10**400, 1.0, 0.0, "", "yes", " true ", "\ud83d"], ids=lambda value: ascii(value)[:20]
)
def test_what_is_neither_true_nor_false_is_refused(value: Any) -> None:
    stored, reason = one(value, BOOLEAN)
    assert stored is None
    assert str(reason).endswith("where a boolean belongs")


def test_numbers_are_kept_and_what_is_beyond_them_refused() -> None:
    assert one(7, NUMBER) == (7.0, None)
    assert one(1.5, NUMBER) == (1.5, None)
    assert one(2**53 + 1, NUMBER) == (float(2**53), None)
    assert one(10**400, NUMBER) == (None, "a number beyond floating point")
    assert one(True, NUMBER) == (None, "a boolean where a number belongs")
    assert one("7", NUMBER) == (None, "a text where a number belongs")


@pytest.mark.parametrize("kind", [INTEGER, TEXT, BOOLEAN, NUMBER], ids=str)
@pytest.mark.parametrize("value", NESTED, ids=json.dumps)
def test_nothing_nested_fits_a_plain_column(value: Any, kind: pa.DataType) -> None:
    stored, reason = one(value, kind)
    assert stored is None
    assert reason is not None


@settings(derandomize=True, database=None, max_examples=300)
@given(st.lists(JSON, max_size=5), st.sampled_from(KINDS))
def test_no_value_stops_a_column_and_every_one_is_kept_or_refused(values: list[Any], kind: pa.DataType) -> None:
    converted = to_column(values, kind)
    stored = converted.array.to_pylist()
    assert len(stored) == len(values)
    for index, (value, kept) in enumerate(zip(values, stored, strict=True)):
        if index in converted.misfits:
            assert kept is None
            assert value is not None
        elif kind != TIMESTAMP:
            assert (kept is None) == (value is None)


@settings(derandomize=True, database=None)
@given(JSON)
def test_a_json_column_holds_the_value_itself(value: Any) -> None:
    text = to_column([value], TEXT, is_json=True).array.to_pylist()[0]
    assert text == to_json(value)
    if value is None:
        assert text is None
    elif "\0" not in json.dumps(value, ensure_ascii=False) and "\\u0000" not in json.dumps(value):
        assert json.loads(text) == value


def test_json_has_one_spelling_and_nothing_that_no_destination_stores() -> None:
    assert to_json({"b": 1, "a": [None, True, 1.5, "é"]}) == '{"a":[null,true,1.5,"é"],"b":1}'
    assert to_json({"\ud83d": "a\0\0b\ud83d"}) == '{"\ufffd":"a\ufffd\ufffdb\ufffd"}'
    assert json.loads(to_json("\\u0000 \\\0 \\\\\0") or "") == "\\u0000 \\\ufffd \\\\\ufffd"
    assert to_json([2**70, 10**3999]) == f"[{2**70},{10**3999}]"
    assert to_json(None) is None


@pytest.mark.parametrize("depth", [10, 90, 100, 101, 300, 800, 950, 999, 1_023])
@pytest.mark.parametrize("is_list", [True, False])
def test_a_value_deeper_than_a_hundred_levels_says_where_it_was_cut(depth: int, is_list: bool) -> None:
    value: Any = "end"
    for _ in range(depth):
        value = [value] if is_list else {"a": value}
    text = to_json(value) or ""
    assert text.count("[" if is_list else "{") == min(depth, 100)
    assert ("end" in text, "nested too deep" in text) == (depth <= 100, depth > 100)


def test_a_value_of_many_brackets_that_is_not_deep_is_written_whole() -> None:
    value = {"text": "[" * 200, "rows": [[{}]] * 100}
    assert json.loads(to_json(value) or "") == value


@settings(derandomize=True, database=None)
@given(st.text(st.characters(categories=None), max_size=20))
def test_mending_leaves_a_whole_text_alone(text: str) -> None:
    mended = mend(text)
    mended.encode()
    assert mend(mended) == mended
    if not any(0xD800 <= ord(sign) <= 0xDFFF for sign in text):
        assert mended == text


def test_no_reason_quotes_the_value() -> None:
    for kind in (INTEGER, TEXT, BOOLEAN, NUMBER):
        for value in ("Dear Ann", ["Dear Ann"], {"Dear Ann": 1}):
            assert "Ann" not in str(one(value, kind)[1])


def test_a_number_that_is_none_cannot_come_from_our_decoder_but_stops_nothing() -> None:
    assert math.isnan(one(math.nan, NUMBER)[0])
    assert one(math.inf, INTEGER) == (None, "a number where an integer belongs")
