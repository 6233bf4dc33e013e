"""Plays the whole matrix: `python -m tests.faults`."""

import sys

from tests.faults.report import main

if __name__ == "__main__":
    sys.exit(main())
