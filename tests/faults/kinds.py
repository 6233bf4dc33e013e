"""The faults, and what each must come to: how a sync ends where it lasts, and whether it passes unnoticed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from linq_source.simulator.faults import Fault

Codes = Mapping[str, int]

RETRIED: Codes = {"phone_numbers": 1, "contacts": 1, "chats": 1, "chat_messages": 1}
"""Tried again, then given up: a list fails the sync, a chat is left out of it and fails it at its end."""
REFUSED = RETRIED
NO_TOKEN: Codes = dict.fromkeys(RETRIED, 2)
FORBIDDEN: Codes = {"phone_numbers": 2, "contacts": 1, "chats": 3, "chat_messages": 3}
GONE: Codes = {"phone_numbers": 1, "contacts": 1, "chats": 1, "chat_messages": 3}
HARMLESS: Codes = dict.fromkeys(RETRIED, 0)

MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Kind:
    """One kind of fault. `passing` takes the place of `fault` where it is to go away by itself."""

    name: str
    fault: dict[str, Any]
    codes: Codes = field(default_factory=lambda: RETRIED)
    """The exit code where it lasts, by endpoint."""
    heals: bool = True
    """Whether a sync that meets it once or twice ends as if nothing had been."""
    is_retried: bool = True
    """Whether each time it is met counts as a retry."""
    unnoticed: tuple[str, ...] = ()
    """Endpoints where it is met without a retry: nothing there could be spoiled so, or it is seen through."""
    goes_on: bool = True
    """Whether the other chats are still read where it lasts in one chat."""
    passing: dict[str, Any] | None = None
    limits: dict[str, Any] = field(default_factory=dict)
    is_rare: bool = False
    """Whether it is much like another kind, so that the whole matrix alone holds it."""
    real_size: int | None = None
    """The size that it is met with in the whole matrix, under the limits of production."""

    def make(self, *, lasting: bool, **where: Any) -> Fault:
        """The fault itself, for ever or as often as `where` says."""
        options = self.fault if lasting or self.passing is None else self.passing
        return Fault(**options, **where)


def _status(status: int, **options: Any) -> dict[str, Any]:
    return {"kind": "status", "status": status, **options}


def _body(body: bytes, **options: Any) -> dict[str, Any]:
    return {"kind": "body", "body": body, **options}


def _mutated(change: Callable[[Any], Any]) -> dict[str, Any]:
    def each_list(answer: dict[str, Any]) -> dict[str, Any]:
        return {name: change(value) if isinstance(value, list) else value for name, value in answer.items()}

    return {"kind": "mutate", "mutate": each_list}


def _after(value: str) -> dict[str, Any]:
    return _status(429, headers={"Retry-After": value})


_ERROR = b'{"errors":[{"status":%d,"code":"x","title":"Error","detail":"A fault"}]}'
_STANDARD = b'{"status":"%d","error_code":"x","message":"Error","errors":["A fault"]}'
_SLOW = {"request_seconds": 0.3, "attempts": 3}
_PATIENT = {"max_wait_seconds": 5.0}

KINDS = (
    Kind("401", _status(401), NO_TOKEN, heals=False, goes_on=False),
    Kind("403", _status(403), FORBIDDEN, heals=False),
    Kind("404", _status(404), GONE, heals=False),
    Kind("400", _status(400), REFUSED, heals=False, goes_on=False, is_rare=True),
    Kind("422", _status(422), REFUSED, heals=False, goes_on=False),
    Kind("429, seconds", _after("7"), passing=_after("0"), limits=_PATIENT),
    Kind(
        "429, a date",
        _after("Fri, 31 Dec 2100 23:59:59 GMT"),
        passing=_after("Sat, 01 Jan 2000 00:00:00 GMT"),
        limits=_PATIENT,
    ),
    Kind("429, garbage", _after("soon, I promise")),
    Kind("429, nothing", _status(429)),
    Kind("408", _status(408), is_rare=True),
    Kind("500", _status(500)),
    Kind("502", _status(502)),
    Kind("503, seconds", _status(503, headers={"Retry-After": "7"}), passing=_status(503), limits=_PATIENT),
    Kind("504", _status(504)),
    Kind("520 without a body", _status(520, body=b""), is_rare=True),
    Kind("HTML, 200", {"kind": "html"}),
    Kind("HTML, 502", {"kind": "html", "status": 502}),
    Kind("error body, 200", {"kind": "error_body_200"}),
    Kind("error body naming 503, 200", _body(_ERROR % 503), is_rare=True),
    Kind("error body of the other format, 200", _body(_STANDARD % 500)),
    Kind("error body naming 401, 200", _body(_ERROR % 401), NO_TOKEN, heals=False, goes_on=False),
    Kind("204", _body(b"", status=204)),
    Kind("no body, 200", _body(b"")),
    Kind("null, 200", _body(b"null"), is_rare=True),
    Kind("a list, 200", _body(b"[]"), is_rare=True),
    Kind("bytes that are no text", _body(b'{"data":["\xff\xfe"]}')),
    Kind("a body that does not decompress", _body(b"{}", headers={"Content-Encoding": "gzip"})),
    Kind("empty page", {"kind": "empty_page"}, RETRIED | {"phone_numbers": 3}, unnoticed=("phone_numbers",)),
    Kind("null list", {"kind": "null_list"}),
    Kind("missing list", {"kind": "missing_list"}),
    Kind("list that is an object", _mutated(lambda rows: {"0": rows})),
    Kind("missing totals", {"kind": "missing_meta"}, HARMLESS, is_retried=False),
    Kind("repeated page", {"kind": "repeat_page"}, RETRIED | {"phone_numbers": 0}, unnoticed=("phone_numbers",)),
    Kind(
        "ever-growing total",
        {"kind": "growing_total"},
        {"phone_numbers": 0, "contacts": 3, "chats": 3, "chat_messages": 3},
        is_retried=False,
    ),
    Kind("cut JSON", {"kind": "cut_json"}),
    Kind("body shorter than announced", {"kind": "short_body"}),
    Kind("NaN", {"kind": "nan"}),
    Kind("Infinity", _body(b'{"data":[{"id":1e999}],"contacts":[],"phone_numbers":[]}')),
    Kind("100,000 brackets", {"kind": "deep_nesting"}),
    Kind(
        "gzip bomb",
        {"kind": "gzip_bomb", "size": 2 * MEGABYTE},
        limits={"max_body_bytes": MEGABYTE},
        real_size=200 * MEGABYTE,
    ),
    Kind(
        "100 MB",
        {"kind": "huge", "size": 2 * MEGABYTE},
        limits={"max_body_bytes": MEGABYTE},
        real_size=100 * MEGABYTE,
    ),
    Kind("reset", {"kind": "reset"}),
    Kind("reset after the headers", {"kind": "reset", "after_headers": True}),
    Kind("hang", {"kind": "hang"}, limits=_SLOW),
    Kind("one byte at a time", {"kind": "drip"}, limits=_SLOW),
    Kind("302 to another host", {"kind": "redirect"}, REFUSED, heals=False, goes_on=False),
    Kind(
        "308 to another host",
        {"kind": "redirect", "status": 308},
        REFUSED,
        heals=False,
        goes_on=False,
        is_rare=True,
    ),
)
