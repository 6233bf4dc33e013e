"""Time a first and an idle sync beside a bare download of the same pages with the same client.

    python -m tests.benchmarks [--messages 200000 --chats 1000 --phone-numbers 4 --rounds 3]

The local Linq runs in a process of its own; so does each measured run, whose time and peak memory are the
operating system's. The bare download decodes the JSON and throws it away: what any client of ours must at least do.
"""

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TOKEN = "demo-token"
ROOT = Path(__file__).parent.parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--chats", type=int, default=1_000)
    parser.add_argument("--phone-numbers", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", choices=["bare", "sync"], help=argparse.SUPPRESS)
    parser.add_argument("--base-url", help=argparse.SUPPRESS)
    parser.add_argument("--database", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        print(json.dumps(measured(options)))
    else:
        compare(options)


def compare(options: argparse.Namespace) -> None:
    """Run bare download, first sync and idle sync in turn, and print their medians."""
    rows: dict[str, list[dict[str, float]]] = {"bare download": [], "first sync": [], "idle sync": []}
    with simulator(options) as base_url, tempfile.TemporaryDirectory() as folder:
        child("bare", base_url, "unused")  # the local Linq renders each page once
        for number in range(options.rounds):
            database = str(Path(folder) / f"{number}.duckdb")
            rows["bare download"].append(child("bare", base_url, database))
            rows["first sync"].append(child("sync", base_url, database))
            rows["idle sync"].append(child("sync", base_url, database))
    print(f"{options.messages:,} messages in {options.chats:,} chats, medians of {options.rounds} runs, "
          f"{os.cpu_count()} cores, Python {sys.version.split()[0]}")  # fmt: skip
    print(f"{'':16}{'wall s':>9}{'CPU s':>9}{'peak MB':>9}{'requests':>10}{'x bare':>8}")
    bare = statistics.median(run["wall"] for run in rows["bare download"])
    for name, runs in rows.items():
        median = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        print(f"{name:16}{median['wall']:9.2f}{median['cpu']:9.2f}{median['mb']:9.0f}"
              f"{median['requests']:10.0f}{median['wall'] / bare:8.2f}")  # fmt: skip


@contextmanager
def simulator(options: argparse.Namespace) -> Iterator[str]:
    """Serve the work from another process."""
    port = "8587"
    sizes = ["--messages", options.messages, "--chats", options.chats, "--phone-numbers", options.phone_numbers]
    command = [sys.executable, "-m", "linq_source.simulator", "--port", port, "--token", TOKEN, *map(str, sizes)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert process.stdout
        process.stdout.readline()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def child(work: str, base_url: str, database: str) -> dict[str, float]:
    """Measure one run in a process of its own."""
    command = [
        sys.executable,
        "-m",
        "tests.benchmarks",
        "--work",
        work,
        "--base-url",
        base_url,
        "--database",
        database,
    ]
    started = time.monotonic()
    output = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    found: dict[str, float] = json.loads(output.splitlines()[-1])
    return found | {"wall": time.monotonic() - started}


def measured(options: argparse.Namespace) -> dict[str, float]:
    """Do the work and return what it took."""
    requests = asyncio.run(download(options.base_url)) if options.work == "bare" else sync(options)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {"cpu": usage.ru_utime + usage.ru_stime, "mb": usage.ru_maxrss / 1024, "requests": requests}


async def download(base_url: str) -> int:
    """Fetch every page that a first sync reads, at the same concurrency, and keep nothing."""
    from linq_source import listing, settings
    from linq_source.client import LinqClient
    from linq_source.pages import Walk

    async def throw_away(client: LinqClient, chat_id: int) -> None:
        async for _ in Walk(client, settings.chat_messages_path(chat_id), {"sort": "asc"}, "data"):
            pass

    async with LinqClient(TOKEN, base_url=base_url) as client:
        numbers = await listing.phone_numbers(client)
        chats = [await listing.chats(client, row["phone_number"]) for row in numbers.rows]
        await asyncio.gather(listing.contacts(client), listing.webhook_subscriptions(client))
        await asyncio.gather(
            *(throw_away(client, each) for each in {row["id"] for found in chats for row in found.rows})
        )
        return client.counters.requests


def sync(options: argparse.Namespace) -> int:
    """Run one whole sync."""
    import dlt

    from linq_source.runner import Target, run_sync
    from linq_source.source import make_sync

    database = Path(options.database)
    result = run_sync(
        make_sync(integration_token=TOKEN, base_url=options.base_url, lookback_days=0),
        Target(destination=dlt.destinations.duckdb(str(database)), lock_path=database.with_suffix(".lock")),
    )
    assert result.exit_code == 0, result
    return result.requests


if __name__ == "__main__":
    main()
