"""The receiver under load at several numbers of connections, and the loader of what was received."""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.sync import PIPELINES, measured
from tests.mailbox import Mailbox, told
from tests.webhook.load import run

CONNECTIONS = (1, 16, 128)
EVENTS_PER_FILE = 10_000


def compare(options: argparse.Namespace) -> None:
    """Measure and print both."""
    print(f"{'receiver: durable events':40}{'events/s':>10}{'p50 ms':>8}{'p99 ms':>8}")
    for connections in CONNECTIONS:
        with tempfile.TemporaryDirectory() as folder:
            sent = asyncio.run(run(Path(folder), seconds=options.seconds, kill_seconds=0, connections=connections))
        rate = len(sent.latencies) / sent.seconds
        label = f"{connections} connections"
        print(f"{label:40}{rate:10,.0f}{sent.percentile(0.5):8.1f}{sent.percentile(0.99):8.1f}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        events = options.events // EVENTS_PER_FILE * EVENTS_PER_FILE
        write(folder / "events", events)
        command = [
            sys.executable,
            str(PIPELINES / "events_to_duckdb.py"),
            "--database",
            f"{name}/a.duckdb",
        ]
        empty = measured([*command, "--directory", str(Mailbox(folder / "none").folder)])
        run_ = measured([*command, "--directory", str(folder / "events")])
    print(f"\n{'loader':40}{'events/s':>10}{'wall s':>8}{'CPU s':>8}{'peak MB':>9}")
    label = f"{events:,} events in files of {EVENTS_PER_FILE:,}"
    print(f"{label:40}{events / run_.wall:10,.0f}{run_.wall:8.2f}{run_.cpu:8.2f}{run_.megabytes:9.0f}")
    label = "the same without the start of a run"
    print(f"{label:40}{events / (run_.wall - empty.wall):10,.0f}{run_.wall - empty.wall:8.2f}")


def write(folder: Path, count: int) -> None:
    """Write so many events of the kinds that an organisation has, as a receiver does."""
    box = Mailbox(folder)
    for first in range(0, count, EVENTS_PER_FILE):
        box.write([event(number) for number in range(first, first + EVENTS_PER_FILE)])


def event(number: int) -> bytes:
    """A message that came, of about a kilobyte, as the vendor's reference shows one; every fourth is a reaction."""
    sent_at = "2026-03-01T12:00:00Z"
    if number % 4 == 3:
        about = {"chat_id": "7", "chat_message_id": str(number), "reaction": "love", "from_phone": "+12125550100"}
        return told("reaction.sent", about, f"evt-{number}")
    message = {"id": str(number), "chat_id": "7", "text": "Good morning. " * 60, "sent_at": sent_at, "reactions": []}
    return told("message.received", message, f"evt-{number}")
