"""Helpers of the tests that disturb a running command: start it, signal it at a chosen request, see what it left."""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from linq_source.simulator import Request, Simulator, World
from tests.support import TOKEN, Warehouse
from tests.warm import Running, running


@contextmanager
def started(warehouse: Warehouse, linq: Simulator, *options: str, **environment: str) -> Iterator[Running]:
    """The real command in a process of its own; killed at the end of the block if it still runs."""
    env = dict(os.environ) | {"PYTHONWARNINGS": "default"} | environment
    env |= {"SOURCES__LINQ__INTEGRATION_TOKEN": TOKEN, "SOURCES__LINQ__BASE_URL": linq.base_url}
    with running("linq_to_duckdb.py", ["--database", str(warehouse.path), *options], env) as process:
        yield process


def at_request(linq: Simulator, number: int, act: Callable[[], object], *, then_wait_seconds: float = 0.0) -> None:
    """Do something once when request `number` arrives; it and all later ones are answered that much later."""
    seen = 0

    def count(_: Request) -> None:
        nonlocal seen
        seen += 1
        if seen == number:
            act()
        if seen >= number and then_wait_seconds:
            time.sleep(then_wait_seconds)

    linq.before_request = count


def killed_at_request(warehouse: Warehouse, linq: Simulator, number: int, *options: str, **environment: str) -> None:
    """Run the command and kill it (SIGKILL) when request `number` arrives."""
    with started(warehouse, linq, *options, **environment) as process:
        at_request(linq, number, process.kill)
        process.communicate(timeout=200)
        assert process.returncode == -signal.SIGKILL
    linq.before_request = None
    linq.clear_requests()


def requests_of_first_sync(world: World) -> int:
    """How many requests a first sync makes that nothing disturbs."""
    rows = world.listed()
    under = Counter(row["phone_number"] for row in rows["chat_phone_numbers"])
    lists = [under[row["phone_number"]] for row in rows["phone_numbers"]]
    lists += [len(rows["contacts"]), len(rows["webhook_subscriptions"]), len(rows["phone_numbers"])]
    chats = Counter(row["chat_id"] for row in rows["messages"])
    return sum(max(1, -(-count // 100)) for count in lists) + sum(-(-count // 100) for count in chats.values())


def folders_left(folder: Path) -> list[Path]:
    """The dlt folders of runs in a TMPDIR."""
    return sorted(folder.glob("linq_source_*"))


def wait_until(is_so: Callable[[], object], *, seconds: float = 100.0) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
