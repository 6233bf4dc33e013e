"""Messages of one chat shaped to tables as a sync does, and what is rejected of them."""

from datetime import UTC, datetime
from typing import Any

from linq_source.rows import Batch, Shaper
from linq_source.tables import REJECTED_ROWS

Row = dict[str, Any]

NOW = datetime(2026, 3, 1, tzinfo=UTC)
OURS = "+15550001111"
MESSAGE: Row = {
    "id": 7, "text": "Hi", "sent_at": "2025-05-21T15:30:00Z", "delivered_at": None, "delivery_status": "delivered",
    "edited_at": None, "is_read": True, "sent_from": "+12125550199", "chat_handle_id": 3, "attachments": [],
    "reactions": [],
}  # fmt: skip


def shaped(*rows: Any, chat_id: int = 1) -> tuple[Batch, list[Row]]:
    """Messages of one chat as tables, and what was rejected of them."""
    shaper = Shaper(now=NOW)
    batch = shaper.messages(rows, [chat_id] * len(rows), [OURS])
    rejected = shaper.misfits.take()
    assert rejected.schema == REJECTED_ROWS.schema
    return batch, rejected.to_pylist()
