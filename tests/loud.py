"""Runs one of the commands with every logger at DEBUG: `python tests/loud.py pipelines/linq_to_duckdb.py ...`."""

import logging
import runpy
import sys

if __name__ == "__main__":
    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
