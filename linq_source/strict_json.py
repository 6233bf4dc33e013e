"""Strict JSON: bytes to Python values, exact for numbers of any size, or BrokenBodyError."""

import json
from collections.abc import Iterator
from itertools import chain
from typing import Any, NoReturn

import orjson

_MAX_DIGITS = 4000
_DIGITS_TO_ZERO = bytes(ord("0") if byte in b"0123456789" else ord(" ") for byte in range(256))
_LONG_NUMBER = b"0" * 19
_MAX_PARTS = 2_000_000
"""A page of a hundred rows has some thousands of values; sixty kilobytes, unpacked, may claim to have millions."""
_MAX_DEPTH = 1024
"""As deep as orjson goes; how deep Python's own decoder goes depends on its version."""


class BrokenBodyError(Exception):
    """A body that is no JSON, or not of the shape expected. Its text never quotes the body."""


def decode(body: bytes) -> Any:
    """Return the value of a JSON body.

    NaN and Infinity are refused, as are bodies nested too deep to read and those of millions of values. A lone
    surrogate (half of an emoji cut in two) stays in its text for the caller to mend. An integer of any size stays
    exact; one of over 4000 digits comes as a text. Raises BrokenBodyError.
    """
    if body.count(b",") + body.count(b"[") + body.count(b"{") > _MAX_PARTS:
        raise BrokenBodyError("of more values than any page has")
    # To look for nineteen digits in this way takes a tenth of what a regular expression does.
    if _LONG_NUMBER not in body.translate(_DIGITS_TO_ZERO):
        # orjson is an order faster, but turns integers beyond 64 bits into floats and refuses lone surrogates.
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError:
            pass
    try:
        value = json.loads(body, parse_constant=_refuse_constant, parse_float=_finite, parse_int=_integer)
    except RecursionError:
        raise BrokenBodyError("nested too deep") from None
    except ValueError:
        raise BrokenBodyError("cut or not JSON" if body.strip() else "empty") from None
    if is_deeper(value, _MAX_DEPTH):
        raise BrokenBodyError("nested too deep")
    return value


def is_deeper(value: Any, depth: int) -> bool:
    """Whether objects and lists lie within each other more than `depth` times."""
    level = [value]
    for _ in range(depth + 1):
        inner = [each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list)]
        level = list(chain.from_iterable(inner))
        if not level:
            return False
    return True


def leaves(document: Any) -> Iterator[Any]:
    """Yield each value that is neither object nor list, and each name of a field, however deep they lie."""
    pending = [document]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            yield from value
            pending += value.values()
        elif isinstance(value, list):
            pending += value
        else:
            yield value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _integer(text: str) -> int | str:
    # Python refuses longer ones, lest they cost seconds; as a text it is one row's misfit, not the page's.
    return int(text) if len(text) <= _MAX_DIGITS else text


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(text)
    return number
