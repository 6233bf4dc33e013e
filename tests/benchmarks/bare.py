"""The least that any client can do: fetch given pages with httpx and throw the bytes away.

    python -m tests.benchmarks.bare BASE_URL [--concurrency 16] [--raw] < targets

The targets (path and query) come one a line. With `--raw`, without httpx: what the server can give at most.
"""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from tests.benchmarks.local_linq import TOKEN

HEADER = "X-LINQ-INTEGRATION-TOKEN"


async def with_httpx(base_url: str, targets: list[str], concurrency: int) -> None:
    """Fetch them all, so many at a time."""
    import httpx

    limits = httpx.Limits(max_connections=concurrency)
    async with httpx.AsyncClient(base_url=base_url, headers={HEADER: TOKEN}, limits=limits, timeout=60) as client:

        async def fetch(target: str) -> None:
            assert (await client.get(target)).status_code == 200

        await side_by_side(targets, concurrency, lambda: fetch)


async def with_sockets(base_url: str, targets: list[str], concurrency: int) -> None:
    """Fetch them all over bare connections, of whose answers only the length is looked at."""
    place = urlsplit(base_url)

    def connected() -> Callable[[str], Awaitable[None]]:
        streams: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

        async def fetch(target: str) -> None:
            if not streams:
                streams.append(await asyncio.open_connection(place.hostname, place.port, limit=2**24))
            reader, writer = streams[0]
            writer.write(f"GET {target} HTTP/1.1\r\nHost: here\r\n{HEADER}: {TOKEN}\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            assert head.startswith(b"http/1.1 200")
            await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))

        return fetch

    await side_by_side(targets, concurrency, connected)


async def side_by_side(
    targets: list[str], concurrency: int, make_fetch: Callable[[], Callable[[str], Awaitable[None]]]
) -> None:
    """Have so many workers fetch the targets."""
    left = iter(targets)

    async def work() -> None:
        fetch = make_fetch()
        for target in left:
            await fetch(target)

    await asyncio.gather(*(work() for _ in range(concurrency)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("base_url")
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--raw", action="store_true")
    options = parser.parse_args()
    download = with_sockets if options.raw else with_httpx
    asyncio.run(download(options.base_url, sys.stdin.read().split(), options.concurrency))
