"""Helpers of the tests of loaded events: what a receiver would have written, without one."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from linq_source.runner import EventResult, run_events
from linq_source.webhook.event import read_event
from linq_source.webhook.event_loader import EventLoader
from linq_source.webhook.parquet import file_name, to_parquet
from linq_source.webhook.store import to_micros
from tests.support import Warehouse

RECEIVED = datetime(2026, 3, 2, 10, tzinfo=UTC)


class Mailbox:
    """A folder of events' files, as one receiver writes them."""

    def __init__(self, folder: Path, receiver: str = "receiver1") -> None:
        self.folder = folder
        self.receiver = receiver
        self.seq = 0
        folder.mkdir(exist_ok=True)

    def write(self, bodies: list[bytes], received_at: datetime = RECEIVED) -> Path:
        """Write one file of these deliveries; the same event twice in it is written twice."""
        first, rows = self.seq + 1, []
        for body in bodies:
            self.seq += 1
            event = read_event(body)
            created = None if event.created_at is None else to_micros(event.created_at)
            rows.append(
                (
                    event.event_id, event.event_type, event.api_version, event.envelope, created,
                    to_micros(received_at), event.data, event.fingerprint, self.receiver, self.seq,
                )
            )  # fmt: skip
        day = to_micros(received_at) // 86_400_000_000
        path = self.folder / file_name(self.receiver, day, first, self.seq)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(to_parquet(rows))
        return path


def told(event_type: str, data: Any, event_id: str | None = "evt-1", **more: Any) -> bytes:
    """The body of an event as the reference shows it."""
    document = {
        "api_version": "v2",
        "created_at": "2025-05-21T15:30:00-06:00",
        "event_type": event_type,
        "data": data,
    }
    return json.dumps(document | ({} if event_id is None else {"event_id": event_id}) | more).encode()


@pytest.fixture
def box(tmp_path: Path) -> Mailbox:
    """A folder of events."""
    return Mailbox(tmp_path / "events")


def load(warehouse: Warehouse, box: Mailbox) -> EventResult:
    return run_events(EventLoader(str(box.folder)), warehouse.target())
