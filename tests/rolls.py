"""A list that Linq might serve, page by page, and that may change between any two requests."""

from collections.abc import Callable
from typing import Any

import httpx

from linq_source.pages import Listed, read_list
from tests.virtual_time import PATH, FakeLinq, run

Json = dict[str, Any]


class Roll:
    """Serves `rows` in pages. `change(number)` is called before each request is answered, `spoil` with each body."""

    def __init__(
        self,
        count: int = 0,
        *,
        page_size: int = 100,
        list_key: str = "contacts",
        change: Callable[[int], None] | None = None,
        spoil: Callable[[Json, int, int], Any] | None = None,
    ) -> None:
        self.ids = list(range(count))
        self.versions: dict[int, int] = {}
        self.linq = FakeLinq(self._answer)
        self._page_size = page_size
        self._list_key = list_key
        self._change = change
        self._spoil = spoil

    def _answer(self, request: httpx.Request, number: int) -> httpx.Response:
        if self._change:
            self._change(number)
        query = request.url.params
        page, size = int(query["page"]), min(int(query["per_page"]), self._page_size)
        rows = [
            {"id": key, "version": self.versions.get(key, 0)} for key in self.ids[(page - 1) * size : page * size]
        ]
        pages = -(-len(self.ids) // size)
        if self._list_key == "contacts":
            totals = {"pagination": {"current_page": page, "total_pages": pages, "total_count": len(self.ids)}}
        else:
            totals = {"meta": {"page": page, "total_pages": pages, "total_count": len(self.ids), "per_page": size}}
        body: Any = {self._list_key: rows, **totals}
        body = self._spoil(body, page, number) if self._spoil else body
        return body if isinstance(body, httpx.Response) else httpx.Response(200, json=body)

    @property
    def pages(self) -> list[int]:
        """The pages asked for so far, in order."""
        return [int(request.url.params["page"]) for request in self.linq.requests]

    def read(self, **limits: Any) -> Listed:
        """Read the list as the connector does."""
        return run(lambda: self.reading(**limits))

    async def reading(self, **limits: Any) -> Listed:
        """The same inside a running loop."""
        async with self.linq.client(**{"attempts": 3} | limits) as client:
            return await read_list(client, PATH, {}, self._list_key)


def ids(listed: Listed) -> list[Any]:
    """The ids that were read."""
    return [row["id"] for row in listed.rows]


def on_page(page: int, made: Any, *, times: int = 1_000) -> Callable[[Json, int, int], Any]:
    """Spoils a page, `times` times: `made` is the body, or makes it of the good one."""
    left = [times]

    def spoil(body: Json, number: int, _request: int) -> Any:
        if number != page or not left[0]:
            return body
        left[0] -= 1
        return made(body) if callable(made) else made

    return spoil
