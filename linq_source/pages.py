"""Paged lists, proven: a list is believed to be whole only when its own pages say so.

Both of the vendor's envelopes are read: `{"data": [...], "meta": {"page", "total_pages", "total_count"}}` and
`{"contacts": [...], "pagination": {"current_page", "total_pages", "total_count"}}`. An empty page before the
last, a missing or null list, or a page that repeats another is a broken answer, never the end of a list.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from linq_source import settings
from linq_source.client import LinqClient
from linq_source.errors import UnprovenListError
from linq_source.strict_json import BrokenBodyError
from linq_source.values import integer_or_none, to_json

MAX_PASSES = 4
"""Passes over a list that moves while it is read, before its union is taken without proof."""

Params = dict[str, str | int]


@dataclass(frozen=True)
class Page:
    """One page as Linq sent it. Totals are None where it carried none."""

    number: int
    rows: list[Any]
    total_count: int | None
    total_pages: int | None

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """The identity of each row."""
        found = [row.get("id") if isinstance(row, dict) else None for row in self.rows]
        if set(map(type, found)) <= {int}:  # as in nearly every page
            return tuple(map(str, found))
        return tuple(map(identity, self.rows))


def identity(row: Any) -> str:
    """Return what tells a row from the others of its list: its id, or all of it where it has none.

    An id that fits its column is spelled as the integer it is stored as (`"007"` is 7), any other as JSON, so
    that a row is recognised among the stored ones and a broken id is never taken for a number.
    """
    found = row.get("id") if isinstance(row, dict) else None
    number = integer_or_none(found)
    if number is not None:
        return str(number)
    has_id = isinstance(found, int | str) and not isinstance(found, bool) and found != ""
    return f"{to_json(found)}" if has_id else f"row {to_json(row)}"


def read_rows(body: Any, list_key: str) -> list[Any]:
    """Return the list that a body holds under `list_key`; raises BrokenBodyError where there is none."""
    if not isinstance(body, dict):
        raise BrokenBodyError(f"an answer that is {_kind(body)}, not an object")
    if list_key not in body:
        raise BrokenBodyError(f"an answer without its list {list_key!r}")
    rows = body[list_key]
    if not isinstance(rows, list):
        raise BrokenBodyError(f"a list {list_key!r} that is {_kind(rows)}")
    return rows


def read_page(body: Any, list_key: str, number: int, *, page_size: int = 0) -> Page:
    """Return page `number` of a list, whose pages hold `page_size` rows; raises BrokenBodyError."""
    envelope: Any = None
    if isinstance(body, dict):
        envelope = body.get("meta") if isinstance(body.get("meta"), dict) else body.get("pagination")
    envelope = envelope if isinstance(envelope, dict) else {}
    total_count = _whole_number(envelope.get("total_count"))
    total_pages = _whole_number(envelope.get("total_pages"))
    if total_count == 0 and isinstance(body, dict) and body.get(list_key, 0) is None:
        return Page(number, [], 0, total_pages)
    rows = read_rows(body, list_key)
    if not rows and total_count is not None and total_count > page_size * (number - 1):
        raise BrokenBodyError(f"page {number} is empty although the list has {total_count} rows")
    return Page(number, rows, total_count, total_pages)


@dataclass
class Tally:
    """What one pass over a list has shown, and whether that proves the list."""

    ids: dict[str, int] = field(default_factory=dict)
    """The identity of each row, and the first page that it is on."""
    totals: list[int] = field(default_factory=list)
    data_pages: int = 0

    def add(self, page: Page) -> None:
        """Count a page, in the order in which the answers came."""
        if page.total_count is not None:
            self.totals.append(page.total_count)
        self.data_pages += bool(page.rows)
        for key in page.ids:
            if self.ids.setdefault(key, page.number) > page.number:
                self.ids[key] = page.number

    def is_clean(self, earlier: "Tally | None" = None) -> bool:
        """Whether the list stood still, or only grew at its end, while it was read.

        A list without totals proves itself by being one short page, or by coming out twice the same.
        """
        if self.totals:
            return self.totals == sorted(self.totals) and len(self.ids) == self.totals[-1]
        if self.data_pages == 1 and len(self.ids) < settings.PER_PAGE:
            return True
        return earlier is not None and earlier.ids.keys() == self.ids.keys()


class Walk:
    """One pass over a list. Iterate over it for its pages, in order; `tally` says afterwards what it proved.

    Requests for n pages: n, sent side by side after the first (a list without totals: one more, in turn).
    """

    def __init__(self, client: LinqClient, path: str, params: Params, list_key: str) -> None:
        self.tally = Tally()
        self._client = client
        self._path = path
        self._params = params
        self._list_key = list_key
        self._page_size = 0
        self._seen: dict[tuple[str, ...], tuple[int, int | None]] = {}

    async def __aiter__(self) -> AsyncIterator[Page]:
        page = await self._fetch(1)
        self._page_size = len(page.rows)
        most: int | None = None
        ahead: deque[asyncio.Task[Page]] = deque()
        asked = 1
        try:
            while True:
                if page.rows:
                    yield page
                expected = self._pages_expected(page)
                if page.total_count is not None:
                    most = most or 2 * expected + 100
                if most and expected > most:
                    raise UnprovenListError(
                        f"GET {self._path} never ends: its total keeps growing while it is read. Try again later.",
                        path=self._path,
                    )
                while asked < expected and len(ahead) < self._client.limits.concurrency:
                    asked += 1
                    ahead.append(asyncio.create_task(self._fetch(asked)))
                if not ahead:
                    if not self._may_go_on(page):
                        return
                    asked += 1
                    ahead.append(asyncio.create_task(self._fetch(asked)))
                page = await ahead.popleft()
        finally:
            for task in ahead:
                task.cancel()
            await asyncio.gather(*ahead, return_exceptions=True)

    def _pages_expected(self, page: Page) -> int:
        if page.total_count is not None:
            return -(-page.total_count // self._page_size) if self._page_size else 0
        return page.total_pages or 1 if page.rows else 0

    def _may_go_on(self, page: Page) -> bool:
        """Whether there may be a page after `page`, the last that its totals count on."""
        if not page.rows:
            return False
        if page.total_count is None:
            return True
        # Totals that disagree, with each other or with the rows, are not believed: only an empty page is the end.
        return page.total_pages not in (None, self._pages_expected(page)) or len(self.tally.ids) > page.total_count

    async def _fetch(self, number: int) -> Page:
        params: Params = {**self._params, "page": number, "per_page": settings.PER_PAGE}
        page = await self._client.get(self._path, params, read=lambda body: self._read(body, number))
        self.tally.add(page)
        return page

    def _read(self, body: Any, number: int) -> Page:
        page = read_page(body, self._list_key, number, page_size=self._page_size)
        known = self.tally.totals[-1] if self.tally.totals else 0
        if not page.rows and page.total_count is None and known > self._page_size * (number - 1):
            raise BrokenBodyError(f"page {number} is empty, and without the totals that other pages have")
        first, total = self._seen.setdefault(page.ids, (number, page.total_count)) if page.ids else (number, None)
        # With another total, whole pages of rows were added before it: the pass is not clean, but not broken.
        if first != number and total == page.total_count:
            raise BrokenBodyError(f"page {number} repeats page {first}")
        return page


@dataclass(frozen=True)
class Listed:
    """A whole list: each row once, by identity, and whether a clean pass proved it."""

    rows: list[Any]
    is_clean: bool


async def read_list(client: LinqClient, path: str, params: Params, list_key: str) -> Listed:
    """Read a list whole, pass after pass until one is clean; after MAX_PASSES the union, unproven."""
    union: dict[str, Any] = {}
    earlier: Tally | None = None
    for _ in range(MAX_PASSES):
        walk = Walk(client, path, params, list_key)
        rows: dict[str, Any] = {}
        async for page in walk:
            rows.update(zip(page.ids, page.rows, strict=True))
        if walk.tally.is_clean(earlier):
            return Listed(list(rows.values()), is_clean=True)
        union |= rows
        earlier = walk.tally
    return Listed(list(union.values()), is_clean=False)


def _whole_number(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    try:
        number = int(value)
    except ValueError:
        return None
    return number if number >= 0 else None


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
