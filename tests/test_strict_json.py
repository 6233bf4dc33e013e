"""strict_json: exact values, or an error that quotes nothing."""

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linq_source.strict_json import BrokenBodyError, decode

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@settings(derandomize=True)
@given(JSON)
def test_what_json_can_say_comes_out_as_it_was(value: Any) -> None:
    assert decode(json.dumps(value).encode()) == value
    assert decode(json.dumps(value, ensure_ascii=False, indent=1).encode("utf-8", "surrogatepass")) == value


@pytest.mark.parametrize(
    "number",
    [2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 2**70, 10**30, -(10**30), 10**3999, int("9" * 4000)],
    ids=lambda number: f"{number:.3e}" if number < 10**300 else "huge",
)
def test_an_integer_of_any_size_is_exact(number: int) -> None:
    body = json.dumps({"id": number, "list": [number, 1, 0.5]}).encode()
    assert decode(body) == {"id": number, "list": [number, 1, 0.5]}
    assert type(decode(body)["id"]) is int


def test_an_integer_too_long_for_python_is_kept_as_its_digits() -> None:
    assert decode(b'[{"id":' + b"9" * 5000 + b'},{"id":1}]') == [{"id": "9" * 5000}, {"id": 1}]
    assert decode(b"-" + b"9" * 100_000) == "-" + "9" * 100_000


@pytest.mark.parametrize("half", ["\\ud83d", "\\ude00", "a\\ud83d b", "\\ude00\\ud83d"])
def test_half_a_character_is_kept_for_the_caller(half: str) -> None:
    assert decode(f'{{"text":"{half}"}}'.encode()) == {"text": json.loads(f'"{half}"')}


@pytest.mark.parametrize("body", [b'{"a": 1}', b'\xef\xbb\xbf{"a": 1}', b'\r\n\t {"a": 1}\n', b'{"a": 2, "a": 1}'])
def test_marks_white_space_and_repeated_keys_do_no_harm(body: bytes) -> None:
    assert decode(body) == {"a": 1}


def test_small_numbers_and_minus_nothing_are_numbers() -> None:
    assert decode(b"[1e-999, -0, -0.0, 1E5]") == [0.0, 0, -0.0, 100000.0]
    assert math.copysign(1, decode(b"-0.0")) == -1


@pytest.mark.parametrize(
    "body",
    [
        b"NaN", b"Infinity", b"-Infinity", b'{"a":NaN}', b"[1e999]", b"[-1e999]", b"[1.7976931348623159e308]",
        b'[NaN, 12345678901234567890]', b'[1e999, 12345678901234567890]', b'{"a":1', b'{"a":1}}', b"{'a':1}", b"[1,]",
        b'{"a":}', b"01", b"+1", b".5", b"1.", b"0x10", b"nul", b'"\x01"', b'"a', b'"\\x"', b'"\\ud8"', b"<html>",
        b"\xff\xfe", b'"\xff"', b'{"a":"\xc3"}', b'"\x80"', b"{}{}", b"//{}", b"\0", b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000, b"[" * 1_000_000,
        b"[" * 5000 + b"12345678901234567890" + b"]" * 5000,
    ],
    ids=lambda body: repr(body[:20]),
)  # fmt: skip
def test_what_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(BrokenBodyError):
        decode(body)


def test_a_small_body_that_unpacks_to_millions_of_values_is_refused() -> None:
    for value in (b"[]", b"{}", b"1"):
        with pytest.raises(BrokenBodyError, match="more values than any page has"):
            decode(b"[" + (value + b",") * 2_000_000 + value + b"]")
    assert decode(b'{"text": "' + b"a, b, " * 100_000 + b'"}')


@pytest.mark.parametrize("body", [b"", b" ", b"\r\n"])
def test_nothing_is_called_empty(body: bytes) -> None:
    with pytest.raises(BrokenBodyError, match="empty"):
        decode(body)


@pytest.mark.parametrize(
    "body", [b'{"text": "Dear Ann, ', b'"Dear Ann"NaN', b'{"Dear Ann": NaN}', b'["Dear Ann", 1e999]']
)
def test_the_error_never_quotes_the_body(body: bytes) -> None:
    with pytest.raises(BrokenBodyError) as refusal:
        decode(body)
    assert "Ann" not in str(refusal.value)


@settings(derandomize=True)
@given(st.binary())
def test_any_bytes_are_json_or_refused(body: bytes) -> None:
    try:
        decode(body)
    except BrokenBodyError:
        return
