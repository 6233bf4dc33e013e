"""Load and kills: sends signed events over many connections while the receiver is killed, loads them, counts losses.

python -m tests.webhook.load --seconds 120 --kill-seconds 1     # 0 = no kills
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import duckdb

from tests.support import run_pipeline
from tests.webhook.support import Process, encoded, event, signed

DUPLICATES = 0.1
LOADED = "select event_id, count(*) from linq_data.webhook_events group by event_id"


@dataclass
class Sent:
    """What was sent and what came back. Latencies in seconds, of answers 200."""

    acknowledged: set[str] = field(default_factory=set)
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    broken: int = 0
    kills: int = 0
    seconds: float = 0.0
    down_seconds: float = 0.0
    """From each kill until the next process listened."""

    def percentile(self, share: float) -> float:
        """Milliseconds within which this share of the answers came."""
        ordered = sorted(self.latencies)
        return 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


_ID = b"the-event-id"
_BODY = encoded(
    event(_ID.decode(), event_id=_ID.decode(), data={"id": _ID.decode(), "chat_id": "7", "text": "x" * 1000})
)


def delivery(event_id: str) -> bytes:
    """One request of about 1.2 kB of body, as bytes; from a pattern, since the receiver needs the same cores."""
    body = _BODY.replace(_ID, event_id.encode())
    head = f"POST /webhooks/linq HTTP/1.1\r\nHost: here\r\nContent-Length: {len(body)}\r\n"
    return f"{head}X-Webhook-Signature: {signed(body)['X-Webhook-Signature']}\r\n\r\n".encode() + body


class Wire(asyncio.Protocol):
    """A connection over which one request goes at a time; leaner than asyncio's streams."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._received = b""
        self._status: asyncio.Future[int] | None = None
        self._transport: asyncio.Transport

    @classmethod
    async def connect(cls, port: int) -> Self:
        """Open one; raises OSError."""
        return (await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port))[1]

    async def exchange(self, data: bytes) -> tuple[int, float]:
        """Send a request; return the status and how long it took. Raises OSError where no answer came."""
        if self._transport.is_closing():
            raise ConnectionResetError
        started = time.perf_counter()
        self._received, self._status = b"", self._loop.create_future()
        self._transport.write(data)
        return await self._status, time.perf_counter() - started

    def close(self) -> None:
        """Hang up."""
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """A piece of an answer, mostly the whole of it."""
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if end and self._status and not self._status.done():
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            if len(body) >= length:
                self._status.set_result(int(head[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended, by whomever."""
        if self._status and not self._status.done():
            self._status.set_exception(exc or ConnectionResetError())


async def client(name: int, port: int, sent: Sent, stop: asyncio.Event) -> None:
    """Send event after event; one whose answer did not come is sent again until it does."""
    dice, number = random.Random(name), 0
    connection: Wire | None = None
    pending = event_id = ""
    while not stop.is_set():
        if not pending:
            if event_id and dice.random() < DUPLICATES:
                pending = event_id
            else:
                number += 1
                pending = f"{name}-{number}"
        try:
            if connection is None:
                connection = await Wire.connect(port)
            status, seconds = await connection.exchange(delivery(pending))
        except OSError:
            sent.broken += 1
            if connection:
                connection.close()
            connection = None
            await asyncio.sleep(0.02)
            continue
        sent.statuses[status] += 1
        if status == 200:
            sent.latencies.append(seconds)
            sent.acknowledged.add(pending)
            event_id, pending = pending, ""
        else:
            connection.close()
            connection = None
    if connection:
        connection.close()


async def run(folder: Path, *, seconds: float, kill_seconds: float, connections: int = 16) -> Sent:
    """Send for so long, killing and starting the receiver on the way; ends with one that was told to end."""
    sent, stop, loop = Sent(), asyncio.Event(), asyncio.get_running_loop()
    options = ("--flush-seconds", "0.5", "--flush-events", "2000") if kill_seconds else ()
    receiver = await loop.run_in_executor(None, Process(folder, *options, cwd=folder).__enter__)
    port = receiver.port
    clients = [asyncio.create_task(client(name, port, sent, stop)) for name in range(connections)]
    started, dice = time.monotonic(), random.Random(0)
    while (left := started + seconds - time.monotonic()) > 0:
        await asyncio.sleep(min(left, dice.uniform(0.5, 1.5) * kill_seconds) if kill_seconds else left)
        if kill_seconds and time.monotonic() < started + seconds:
            killed = time.monotonic()
            receiver.kill()
            sent.kills += 1
            again = Process(folder, *options, "--port", str(port), cwd=folder)
            receiver = await loop.run_in_executor(None, again.__enter__)
            sent.down_seconds += time.monotonic() - killed
    sent.seconds = time.monotonic() - started
    stop.set()
    await asyncio.gather(*clients)
    code = await loop.run_in_executor(None, receiver.terminate)
    assert code == 0, receiver.said()
    return sent


def load(folder: Path) -> tuple[Counter[str], float]:
    """Run events_to_duckdb.py; return how often each event is in `webhook_events`, and the seconds it took."""
    database = folder / "loaded.duckdb"
    started = time.monotonic()
    done = run_pipeline("events_to_duckdb.py", "--directory", str(folder), "--database", str(database))
    seconds = time.monotonic() - started
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    with duckdb.connect(str(database), read_only=True) as connection:
        return Counter(dict(connection.execute(LOADED).fetchall())), seconds


def verdict(folder: Path, sent: Sent) -> dict[str, float]:
    """Compare what was acknowledged with what the loader brings into DuckDB from the Parquet files."""
    stored, load_seconds = load(folder)
    return {
        "seconds": round(sent.seconds, 1),
        "kills": sent.kills,
        "acknowledged": len(sent.latencies),
        "per_second": round(len(sent.latencies) / sent.seconds),
        "per_second_while_up": round(len(sent.latencies) / (sent.seconds - sent.down_seconds)),
        "start_ms": round(1000 * sent.down_seconds / sent.kills) if sent.kills else 0,
        "p50_ms": round(sent.percentile(0.5), 1),
        "p99_ms": round(sent.percentile(0.99), 1),
        "max_ms": round(sent.percentile(1), 1),
        "broken_connections": sent.broken,
        "refused_503": sent.statuses[503],
        "lost": len(sent.acknowledged - stored.keys()),
        "stored_twice": sum(count > 1 for count in stored.values()),
        "loaded": len(stored),
        "load_seconds": round(load_seconds, 1),
        "files": len(list(folder.glob("**/*.parquet"))),
    }


def main() -> int:
    """Run it from the command line and print the figures as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--kill-seconds", type=float, default=1)
    parser.add_argument("--connections", type=int, default=16)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="webhook-load-"))
    try:
        sent = asyncio.run(
            run(folder, seconds=options.seconds, kill_seconds=options.kill_seconds, connections=options.connections)
        )
        figures = verdict(folder, sent)
    finally:
        shutil.rmtree(folder)
    sys.stdout.write(json.dumps(figures | {"cpus": os.cpu_count() or 0}) + "\n")
    return 0 if figures["lost"] == figures["stored_twice"] == 0 else 1


if __name__ == "__main__":
    raise SystemExit(main())
