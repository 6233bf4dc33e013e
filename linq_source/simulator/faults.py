"""What can go wrong between a client and Linq, planned request by request."""

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from math import ceil
from typing import Any

import orjson

from .render import to_json
from .replies import Request, Response, error_body

Json = dict[str, Any]

_LISTS = ("data", "contacts", "phone_numbers", "webhook_subscriptions")
_ENVELOPES = ("meta", "pagination")
_MEGABYTE = 1024 * 1024


@dataclass(slots=True)
class Fault:
    """One thing that goes wrong.

    `path` is a regular expression searched in the request's path; `page` and `method` narrow it.
    Of the requests that match, the fault meets those from the `occurrence`-th on (the first is 1),
    `times` of them; `occurrence` None means all. The first fault in `Simulator.faults` that meets a
    request is the one it gets. Kinds, with what each reads:

    `status`: an error in the endpoint's format (`status`, 500; `headers`; `body` instead of the JSON).
    `html`: an HTML page (`status`, 200). `body`: just these bytes (`body`, `status`, 200, `headers`).
    `redirect`: 302 to `location`. `error_body_200`: an error's body with status 200.
    `empty_page`, `null_list`, `missing_list`, `missing_meta`: the list or its totals, spoiled.
    `repeat_page`: page 1, whatever page was asked for. `growing_total`: totals one page beyond any asked for.
    `mutate`: the JSON answer as `mutate` returns it. `nan`: a `NaN` in it.
    `cut_json`: half the body, correctly announced. `short_body`: half the body announced, then the end.
    `deep_nesting`: 100,000 brackets. `huge`: `size` (100 MB) of JSON. `gzip_bomb`: `size` (200 MB) in few bytes.
    `reset`: the connection is reset, before the headers or with `after_headers`.
    `hang`: nothing ever comes. `drip`: headers, then one byte each `interval` seconds.

    `status`, `html`, `body`, `redirect`, `error_body_200`, `hang` and `reset` come instead of the operation,
    so a write does not happen; in the others it does.
    """

    path: str = ""
    occurrence: int | None = None
    times: int = 1
    page: int | None = None
    kind: str = "status"
    method: str | None = None
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | str | None = None
    location: str = ""
    mutate: Callable[[Json], Json] | None = None
    size: int | None = None
    after_headers: bool = False
    interval: float = 0.05
    seen: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        """Refuse a kind that does not exist."""
        if self.kind not in KINDS:
            raise ValueError(f"No such fault: {self.kind}; there are {', '.join(KINDS)}")

    def meets(self, request: Request) -> bool:
        """Count a request if it matches, and say whether the fault is for it."""
        if not re.search(self.path, request.path) or self.method not in (None, request.method):
            return False
        if self.page is not None and request.query.get("page", "1") != str(self.page):
            return False
        self.seen += 1
        return self.occurrence is None or self.occurrence <= self.seen < self.occurrence + self.times


Answer = Callable[[Request], Response]


def spoiled(fault: Fault, request: Request, answer: Answer) -> Response:
    """What the fault makes of the answer; what it does to the connection is the server's business."""
    if (replaced := _INSTEAD.get(fault.kind)) is not None:
        return replaced(fault, request)
    if fault.kind == "repeat_page":
        return answer(_first_page(request))
    response = answer(request)
    if response.status >= 400:
        return response
    if (of_json := _OF_JSON.get(fault.kind)) is not None:
        return Response(response.status, to_json(of_json(fault, orjson.loads(response.body))))
    if (of_bytes := _OF_BYTES.get(fault.kind)) is not None:
        return of_bytes(fault, response)
    return response


def claimed(faults: list[Fault], request: Request) -> Fault | None:
    """The first fault for a request; each that matches counts it."""
    met = [fault for fault in list(faults) if fault.meets(request)]
    return met[0] if met else None


def _raw(fault: Fault) -> bytes:
    return fault.body.encode() if isinstance(fault.body, str) else fault.body or b""


def _status(fault: Fault, request: Request) -> Response:
    status = fault.status or 500
    body = error_body(request.path, status, "A fault of the simulator") if fault.body is None else _raw(fault)
    return Response(status, body, fault.headers)


def _html(fault: Fault, _request: Request) -> Response:
    page = _raw(fault) or b"<!DOCTYPE html><html><body><h1>We'll be right back</h1></body></html>"
    return Response(fault.status or 200, page, {"Content-Type": "text/html; charset=utf-8"})


def _body(fault: Fault, _request: Request) -> Response:
    return Response(fault.status or 200, _raw(fault), fault.headers)


def _redirect(fault: Fault, _request: Request) -> Response:
    return Response(fault.status or 302, b"", {"Location": fault.location})


def _error_body(_fault: Fault, request: Request) -> Response:
    return Response(200, error_body(request.path, 500, "A fault of the simulator"))


def _nothing(_fault: Fault, _request: Request) -> Response:
    return Response(0)


def _first_page(request: Request) -> Request:
    target = re.sub(r"([?&]page=)\d+", r"\g<1>1", request.target)
    return Request.parsed(request.method, target, request.headers, request.body)


def _with_list(answer: Json, rows: Any) -> Json:
    return {name: rows if name in _LISTS else value for name, value in answer.items()}


def _missing_list(_fault: Fault, answer: Json) -> Json:
    return {name: value for name, value in answer.items() if name not in _LISTS}


def _missing_meta(_fault: Fault, answer: Json) -> Json:
    return {name: value for name, value in answer.items() if name not in _ENVELOPES}


def _growing_total(fault: Fault, answer: Json) -> Json:
    for name in _ENVELOPES:
        if name in answer:
            totals = answer[name]
            page = totals.get("page") or totals.get("current_page")
            pages = max(page, ceil(totals["total_count"] / totals["per_page"])) + fault.seen
            totals.update(total_pages=pages, total_count=pages * totals["per_page"])
    return answer


def _mutated(fault: Fault, answer: Json) -> Json:
    return fault.mutate(answer) if fault.mutate else answer


def _nan(_fault: Fault, response: Response) -> Response:
    return Response(response.status, response.body.replace(b"{", b'{"ratio":NaN,', 1))


def _cut(_fault: Fault, response: Response) -> Response:
    return Response(response.status, response.body[: len(response.body) // 2])


def _nested(_fault: Fault, response: Response) -> Response:
    return Response(response.status, b'{"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}")


def _huge(fault: Fault, response: Response) -> Response:
    padding = b" " * (fault.size or 100 * _MEGABYTE)
    return Response(response.status, response.body[:-1] + padding + response.body[-1:])


def _gzip_bomb(fault: Fault, response: Response) -> Response:
    bomb = _compressed(response.body, (fault.size or 200 * _MEGABYTE) // _MEGABYTE)
    return Response(response.status, bomb, {"Content-Encoding": "gzip"})


@lru_cache(maxsize=4)
def _compressed(body: bytes, megabytes: int) -> bytes:
    """A gzip file of a JSON body with megabytes of spaces in it, made by repeating one compressed block."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = b" " * _MEGABYTE
    head = compressor.compress(body[:-1]) + compressor.flush(zlib.Z_FULL_FLUSH)
    middle = compressor.compress(block) + compressor.flush(zlib.Z_FULL_FLUSH)
    tail = compressor.compress(body[-1:]) + compressor.flush()
    checksum = zlib.crc32(body[:-1])
    for _ in range(megabytes):
        checksum = zlib.crc32(block, checksum)
    checksum = zlib.crc32(body[-1:], checksum)
    length = (len(body) + megabytes * _MEGABYTE) & 0xFFFFFFFF
    gzip_header = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"
    trailer = checksum.to_bytes(4, "little") + length.to_bytes(4, "little")
    return gzip_header + head + middle * megabytes + tail + trailer


_INSTEAD: dict[str, Callable[[Fault, Request], Response]] = {
    "status": _status,
    "html": _html,
    "body": _body,
    "redirect": _redirect,
    "error_body_200": _error_body,
    "hang": _nothing,
    "reset": _nothing,
}
_OF_JSON: dict[str, Callable[[Fault, Json], Json]] = {
    "empty_page": lambda _fault, answer: _with_list(answer, []),
    "null_list": lambda _fault, answer: _with_list(answer, None),
    "missing_list": _missing_list,
    "missing_meta": _missing_meta,
    "growing_total": _growing_total,
    "mutate": _mutated,
}
_OF_BYTES: dict[str, Callable[[Fault, Response], Response]] = {
    "nan": _nan,
    "cut_json": _cut,
    "deep_nesting": _nested,
    "huge": _huge,
    "gzip_bomb": _gzip_bomb,
}
KINDS = (*_INSTEAD, "repeat_page", *_OF_JSON, *_OF_BYTES, "short_body", "drip")
