"""First and idle syncs of accounts of growing size: time, memory, requests, and the size of the database."""

import argparse
import tempfile
from pathlib import Path

from tests.benchmarks.sync import Run, local_linq, sync

SIZES = ((10_000, 1_000), (100_000, 10_000), (1_000_000, 10_000), (1_000_000, 1), (3_000_000, 100_000))


def compare(options: argparse.Namespace) -> None:
    """Measure and print each size up to the largest asked for."""
    print(
        f"{'messages':>10}{'chats':>9}  {'':6}{'wall s':>8}{'CPU s':>8}{'peak MB':>9}{'requests':>10}{'file MB':>9}"
    )
    for messages, chats in SIZES:
        if messages > options.largest:
            continue
        with tempfile.TemporaryDirectory() as folder, local_linq(messages, chats, options.phone_numbers) as linq:
            database = Path(folder) / "linq.duckdb"
            for label in ("first", "idle"):
                show(messages, chats, label, sync(linq, database), database.stat().st_size / 1e6)


def show(messages: int, chats: int, label: str, run: Run, size: float) -> None:
    """Print a line of the table."""
    print(
        f"{messages:10,}{chats:9,}  {label:6}{run.wall:8.2f}{run.cpu:8.2f}{run.megabytes:9.0f}{run.requests:10,}"
        f"{size:9.0f}",
        flush=True,
    )
