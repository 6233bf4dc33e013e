"""Plays every kind of fault at every endpoint and page, and writes what came of each to tests/reports."""

import os
import platform
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

from tests.faults.cells import PLACES, Place, Played, play
from tests.faults.kinds import KINDS
from tests.faults.stage import ENDPOINTS, POSITIONS, Stage

REPORT = Path(__file__).parent.parent / "reports" / "fault_matrix.md"
_stage: Stage | None = None

Cells = dict[tuple[int, Place], Played]


def main() -> int:
    """Play, print, write; 1 when a cell failed."""
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    started = time.monotonic()
    jobs = [(turn, place) for turn in range(len(KINDS)) for place in PLACES]
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(os.cpu_count(), get_context("spawn"), _start, (folder,)) as pool,
    ):
        cells = dict(zip(jobs, pool.map(_play, jobs), strict=True))
    failed = [cell for cell in cells.values() if cell.lasting == "FAILED"]
    text = _report(cells, time.monotonic() - started)
    sys.stdout.write(text)
    if failed:
        sys.stderr.write(f"{len(failed)} cells failed; {REPORT.name} was left as it is\n")
        return 1
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(text)
    return 0


def _start(folder: str) -> None:
    global _stage  # one stage for each process
    own = Path(folder) / str(os.getpid())
    own.mkdir()
    _stage = Stage(own).__enter__()


def _play(job: tuple[int, Place]) -> Played:
    assert _stage is not None
    kind, place = KINDS[job[0]], job[1]
    try:
        return play(_stage, kind, place)
    except AssertionError as error:
        _stage.linq.faults.clear()
        sys.stderr.write(f"{kind.name}, {place}: {error}\n")
        return Played("FAILED", str(error)[:80], 0.0)


def _report(cells: Cells, seconds: float) -> str:
    lasting = Counter(cell.lasting for cell in cells.values())
    passing = Counter(cell.passing.partition(",")[0] for cell in cells.values())
    versions = f"Python {platform.python_version()}, dlt {version('dlt')}, DuckDB {version('duckdb')}"
    lines = [
        "# What a sync makes of every fault, everywhere",
        "",
        f"{len(KINDS)} kinds of fault at 4 endpoints and 3 positions: {len(cells)} cells. In each, real syncs over a",
        "socket into a DuckDB file: one while the fault lasts, and one that meets it once or finds it gone.",
        f"{seconds:.0f} s on {os.cpu_count()} CPUs with {versions}.",
        "",
        "Reproduce with `.venv/bin/python -m tests.faults`, which writes this file. `make soak` plays the same",
        "cells, and `make test` nearly every kind, endpoints and positions in turn.",
        "",
        f"While it lasts: {_counts(lasting)}.",
        f"When it came once, or had ended: {_counts(passing)}.",
        "",
        "A cell says how the sync ended while the fault lasted, how the next one ended, and the seconds of both.",
        "`exit 1` and `exit 2` are failures whose sentence names the path or the setting; `exit 3` left out just",
        "the chat, number or deletions that it names. After each, every row is as it was or as Linq has it, none",
        "that Linq lists is gone or marked as deleted, and no chat that was not read to its end has a new cursor.",
        "`equal` is exit 0 with every table equal to Linq's lists, column by column. Half of the cells begin with",
        "no file, the others with that of an earlier sync. Phone numbers come without pages and totals, so three of",
        "the kinds have nothing to spoil there; and a first sync believes that an account has no numbers.",
        "",
    ]
    for endpoint in ENDPOINTS:
        columns = [Place(endpoint, position) for position in POSITIONS]
        lines += [f"## {endpoint}", "", *_table(endpoint, columns, cells), ""]
    return "\n".join(lines).rstrip() + "\n"


def _table(endpoint: str, columns: list[Place], cells: Cells) -> list[str]:
    titles = [f"{position} page" for position in POSITIONS]
    if endpoint == "phone_numbers":  # a list of one page
        titles = ["a first sync", "a later sync", "twice in a row"]
    lines = ["| fault | " + " | ".join(titles) + " |", "|---|---|---|---|"]
    for turn, kind in enumerate(KINDS):
        played = [cells[turn, place] for place in columns]
        told = [f"{cell.lasting}; {cell.passing}; {cell.seconds:.1f} s" for cell in played]
        lines.append(f"| {kind.name} | " + " | ".join(told) + " |")
    return lines


def _counts(outcomes: Counter[str]) -> str:
    return ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
