"""Serve a made-up organisation until interrupted: `python -m linq_source.simulator`."""

import argparse
import math
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from random import Random
from time import monotonic, time_ns
from typing import NoReturn

from .deliveries import Deliveries
from .life import happen
from .server import Simulator
from .world import World

_ID_BLOCK = 1_000_000
"""Ids of two runs begin so far apart."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit 0 when interrupted, 1 when it cannot listen, 2 for a bad option."""
    parser = make_parser()
    options = parser.parse_args(arguments)
    if options.messages and not options.chats:
        parser.error("--messages needs --chats of at least 1")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _quit)
    world = World.make(
        seed=options.seed,
        phone_numbers=options.phone_numbers,
        chats=options.chats,
        messages=options.messages,
        # Not by --seed: this is another account than that of the last run, even where it looks alike.
        id_offset=_ID_BLOCK * Random(time_ns()).randrange(1, _ID_BLOCK),
    )
    simulator = Simulator(
        world,
        token=options.token,
        host=options.host,
        port=options.port,
        latency_seconds=options.latency_ms / 1000,
        requests_per_second=options.requests_per_second,
        keep_requests=False,
    )
    try:
        simulator.start()
    except OSError as error:
        sys.stderr.write(f"Cannot listen on {options.host} port {options.port} (--host, --port): {_reason(error)}.\n")
        return 1
    # Not by --seed: event ids must differ from those of the last run, whose receiver may still know them.
    deliveries = Deliveries(world, seed=time_ns())
    try:
        deliveries.start()
        sys.stdout.write(
            f"Linq simulator at {simulator.base_url}, until Ctrl-C. It is a new account: sync it into a new "
            "--database. In another terminal: "
            f"export SOURCES__LINQ__BASE_URL={simulator.base_url} "
            f"SOURCES__LINQ__INTEGRATION_TOKEN={options.token}\n"
        )
        sys.stdout.flush()
        _live(world, options.live, options.seed)
    finally:
        deliveries.stop(drain=False)
        simulator.stop()
    return 0


def _live(world: World, events_per_second: float, seed: int) -> None:
    """Have something happen in the world that often, for ever; nothing at 0."""
    rng, never = Random(seed), threading.Event()
    due_at = monotonic()
    while True:
        due_at += 1 / events_per_second if events_per_second else math.inf
        pause = due_at - monotonic()
        if pause > 0:
            never.wait(min(pause, threading.TIMEOUT_MAX))
        happen(world, rng)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    parser = argparse.ArgumentParser(
        prog="python -m linq_source.simulator",
        description="A local Linq with made-up data, for trying and testing the connector.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on [%(default)s]")
    parser.add_argument(
        "--port", type=_between(0, 65_535, int), default=8585, help="the port to listen on; 0 = any [%(default)s]"
    )
    parser.add_argument("--token", default="demo-token", help="the only token it accepts [%(default)s]")
    parser.add_argument(
        "--phone-numbers", type=_between(1, 10_000, int), default=3, metavar="N", help="make N numbers [%(default)s]"
    )
    parser.add_argument(
        "--chats", type=_between(0, 1_000_000, int), default=90, metavar="N", help="make N chats [%(default)s]"
    )
    parser.add_argument(
        "--messages",
        type=_between(0, 100_000_000, int),
        default=11_700,
        metavar="N",
        help="make N messages [%(default)s]",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=1,
        metavar="N",
        help="the same seed makes the same data, but with other ids, and a history that ends now [%(default)s]",
    )
    parser.add_argument(
        "--latency-ms",
        type=_between(0, 600_000, float),
        default=0.0,
        metavar="N",
        help="wait N milliseconds before each answer [%(default)g]",
    )
    parser.add_argument(
        "--requests-per-second",
        type=_between(0.001, 1_000_000, float),
        metavar="N",
        help="answer 429 to more than N requests a second [no limit]",
    )
    parser.add_argument(
        "--live",
        type=_between(0, 1_000, float),
        default=0.0,
        metavar="N",
        help="let N things happen each second, and tell webhook subscriptions [%(default)g]",
    )
    return parser


def _between(low: float, high: float, kind: Callable[[str], float]) -> Callable[[str], float]:
    """A reader of one option: a number of a kind within bounds, or one sentence why not."""

    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must be a number from {low:,} to {high:,}")
        return value

    return read


def _reason(error: OSError) -> str:
    # Not error.strerror, into which asyncio puts the address; look-ups of names have numbers below 0.
    return os.strerror(error.errno) if error.errno and error.errno > 0 else "no such address"


def _quit(*_about: object) -> NoReturn:
    raise SystemExit(0)


if __name__ == "__main__":
    sys.exit(main())
