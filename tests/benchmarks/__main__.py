"""Measurements, side by side in one run, as one table.

python -m tests.benchmarks [--messages 200000 --chats 1000]
"""

import argparse

from tests.benchmarks.sync import compare


def main() -> None:
    """Measure what the options ask for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--chats", type=int, default=1_000)
    parser.add_argument("--phone-numbers", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--without-rest-api", action="store_true", help="leave out dlt's own source")
    compare(parser.parse_args())


if __name__ == "__main__":
    main()
