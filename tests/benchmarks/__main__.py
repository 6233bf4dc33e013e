"""Measurements, side by side in one run; each prints a table.

python -m tests.benchmarks [sync] [webhooks] [scale]     # all of them, if none is named
"""

import argparse

from tests.benchmarks import scale, sync, webhooks

PARTS = {"sync": sync.compare, "webhooks": webhooks.compare, "scale": scale.compare}


def main() -> None:
    """Measure what the options ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--messages", type=int, default=200_000, help="of sync [%(default)s]")
    parser.add_argument("--chats", type=int, default=1_000, help="of sync [%(default)s]")
    parser.add_argument("--phone-numbers", type=int, default=4, help="of sync and scale [%(default)s]")
    parser.add_argument("--rounds", type=int, default=3, help="of sync [%(default)s]")
    parser.add_argument("--without-rest-api", action="store_true", help="leave out of sync what takes a minute")
    parser.add_argument("--seconds", type=float, default=10, help="of webhooks, each load [%(default)s]")
    parser.add_argument("--events", type=int, default=200_000, help="of webhooks, to be loaded [%(default)s]")
    parser.add_argument("--largest", type=int, default=100_000, help="messages of scale, at most [%(default)s]")
    options = parser.parse_args()
    if unknown := set(options.parts) - PARTS.keys():
        parser.error(f"there is no part {unknown.pop()}: name some of {', '.join(PARTS)}")
    for name, measure in PARTS.items():
        if name in options.parts or not options.parts:
            measure(options)
            print(flush=True)


if __name__ == "__main__":
    main()
