"""Requests and answers as data, the vendor's two error formats and its two pagination envelopes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any, TypeVar
from urllib.parse import parse_qs, unquote

from .render import Quirks, to_json

T = TypeVar("T")

MAX_PER_PAGE = 100
DEFAULT_PER_PAGE = 25
_STANDARD_ERROR_ROOTS = ("/api/partner/v2/contacts", "/api/partner/v2/webhook_subscriptions")
_TITLES = {
    400: ("bad_request", "Bad Request"),
    401: ("unauthorized", "Unauthorized"),
    403: ("forbidden", "Forbidden"),
    404: ("not_found", "Not Found"),
    422: ("unprocessable_entity", "Unprocessable Entity"),
    429: ("rate_limit_exceeded", "Too Many Requests"),
    500: ("internal_server_error", "Internal Server Error"),
    503: ("service_unavailable", "Service Unavailable"),
}


@dataclass(slots=True)
class Request:
    """A request as it arrived; `status` is what it was answered with, 0 until then or when never.

    `path` has no query; `query` holds the last value of each name, decoded, `parameters` all of them;
    names of `headers` are in lower case.
    """

    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    target: str = ""
    parameters: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def parsed(cls, method: str, target: str, headers: dict[str, str], body: bytes) -> "Request":
        """From the target of a request line: a path and perhaps a query."""
        path, _, query = target.partition("?")
        parameters = parse_qs(query, keep_blank_values=True) if query else {}
        last = {name: values[-1] for name, values in parameters.items()}
        return cls(method, unquote(path), last, 0, headers, body, target, parameters)


@dataclass(slots=True)
class Response:
    """An answer: status, body and the headers it has besides its length and type."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class RefusedError(Exception):
    """An operation answers with an error status."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}


def error_body(path: str, status: int, detail: str) -> bytes:
    """`StandardError` for contacts and webhook subscriptions, `Error` for everything else."""
    code, title = _TITLES.get(status, ("error", "Error"))
    if path.startswith(_STANDARD_ERROR_ROOTS):
        return to_json({"status": str(status), "error_code": code, "message": title, "errors": [detail]})
    return to_json({"errors": [{"status": status, "code": code, "title": title, "detail": detail}]})


@dataclass(slots=True)
class Paging:
    """Which page of how many rows a request asks for."""

    page: int
    per_page: int

    @classmethod
    def of(cls, query: dict[str, str], quirks: Quirks) -> "Paging":
        """From `page` (1) and `per_page` (25, at most 100); a RefusedError with 422 for anything else."""
        page = _positive(query, "page", 1)
        per_page = _positive(query, "per_page", DEFAULT_PER_PAGE)
        if per_page > MAX_PER_PAGE:
            raise RefusedError(422, f"per_page must be at most {MAX_PER_PAGE}")
        return cls(page, min(per_page, quirks.page_size_cap or per_page))

    def cut(self, rows: Sequence[T]) -> Sequence[T]:
        """The rows of this page; none when it lies past the end."""
        start = (self.page - 1) * self.per_page
        return rows[start : start + self.per_page]

    def envelope(self, key: str, rows: list[Any], total: int, quirks: Quirks) -> dict[str, Any]:
        """The list under its key beside `meta`, or `pagination` for contacts."""
        answer: dict[str, Any] = {key: rows or (None if quirks.null_lists and total == 0 else rows)}
        pages = ceil(total / self.per_page)
        total_pages = str(pages) if quirks.total_pages_as_text else pages
        if quirks.missing_meta:
            return answer
        if key == "contacts":
            answer["pagination"] = {
                "current_page": self.page,
                "per_page": self.per_page,
                "total_pages": total_pages,
                "total_count": total,
            }
        else:
            answer["meta"] = {
                "page": self.page,
                "total_pages": total_pages,
                "total_count": total,
                "per_page": self.per_page,
            }
        return answer


def _positive(query: dict[str, str], name: str, default: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit()) or int(text[:9]) < 1:
        raise RefusedError(422, f"{name} must be a positive number")
    return int(text[:9])
