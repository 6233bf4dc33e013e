"""A local Linq for measurements: one world behind three servers (plain, slow, limited), which obeys its input.

    python -m tests.benchmarks.local_linq --messages 200000 --chats 1000 --phone-numbers 4

Its first line of output is an object of base URLs. Each line of input is an object, an order; each is answered
with a line: `{"change": 10}` adds a message to so many chats, `{"requests": "plain"}` tells what that server was
asked since the last such order.
"""

import argparse
import json
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from linq_source.simulator import Simulator, World

TOKEN = "demo-token"
LATENCY_SECONDS = 0.05
REQUESTS_PER_SECOND = 100


def main() -> None:
    """Serve until the input ends."""
    parser = argparse.ArgumentParser()
    for name in ("messages", "chats", "phone-numbers"):
        parser.add_argument(f"--{name}", type=int, required=True)
    sizes = vars(parser.parse_args())
    # Older than any look back, so that a sync with nothing to do does nothing.
    world = World.make(seed=7, end=datetime.now(UTC) - timedelta(days=30), **sizes)
    servers = {
        "plain": Simulator(world, token=TOKEN).start(),
        "slow": Simulator(world, token=TOKEN, latency_seconds=LATENCY_SECONDS).start(),
        "limited": Simulator(world, token=TOKEN, requests_per_second=REQUESTS_PER_SECOND).start(),
    }
    answer({name: server.base_url for name, server in servers.items()} | {"rows": rows(world)})
    for line in sys.stdin:
        order = json.loads(line)
        if "change" in order:
            answer(change(world, order["change"]))
        else:
            server = servers[order["requests"]]
            answer([[request.target, request.status] for request in server.requests])
            server.clear_requests()


def rows(world: World) -> dict[str, int]:
    """How many rows of each kind it serves."""
    return {name: len(found) for name, found in world.listed().items()}


def change(world: World, chats: int) -> int:
    """Add a message to so many chats."""
    for chat_id in sorted(world.chats)[:chats]:
        world.receive(chat_id, "And one thing more", sent_at=datetime.now(UTC) - timedelta(days=29))
    return chats


def answer(value: Any) -> None:
    """Say it in one line."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
