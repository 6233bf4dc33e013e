"""A sync beside the least that any client can do, and beside what a user of dlt would write: the same pages."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.local_linq import LATENCY_SECONDS, REQUESTS_PER_SECOND, TOKEN

ROOT = Path(__file__).parent.parent.parent
PIPELINES = ROOT / "pipelines"
PIPELINE = str(PIPELINES / "linq_to_duckdb.py")


@dataclass
class Run:
    """What a process took: seconds of wall and CPU time, peak memory in MB, requests, and answers of 429."""

    wall: float
    cpu: float
    megabytes: float
    requests: int = 0
    refused: int = 0


def measured(command: Sequence[str], *, env: dict[str, str] | None = None, given: str = "") -> Run:
    """Run a command to its end, whose standard input is `given`."""
    started = time.monotonic()
    with tempfile.TemporaryFile("w+") as source, tempfile.TemporaryFile("w+") as output:
        source.write(given)
        source.seek(0)
        process = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | (env or {}), stdin=source, stdout=output, stderr=output
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        assert process.returncode == 0, output.read()[-3000:]
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


class LocalLinq:
    """The process of a local Linq; `urls` are its servers', `rows` what it serves."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.asked: list[tuple[str, int]] = []
        self.urls: dict[str, Any] = self._read()
        self.rows: dict[str, int] = self.urls.pop("rows")

    def order(self, **order: Any) -> Any:
        """Have it do something; return what it answers."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> Any:
        assert self._process.stdout
        return json.loads(self._process.stdout.readline())

    def observed(self, server: str, command: Sequence[str], **how: Any) -> Run:
        """Run a command that talks to one of its servers, and count what it asks."""
        self.order(requests=server)
        run = measured(command, **how)
        asked = self.order(requests=server)
        self.asked = [(target, status) for target, status in asked]
        run.requests, run.refused = len(asked), sum(status == 429 for _, status in asked)
        return run


@contextmanager
def local_linq(messages: int, chats: int, phone_numbers: int) -> Iterator[LocalLinq]:
    """Serve a world from a process of its own."""
    sizes = {"--messages": messages, "--chats": chats, "--phone-numbers": phone_numbers}
    options = [str(each) for pair in sizes.items() for each in pair]
    command = [sys.executable, "-m", "tests.benchmarks.local_linq", *options]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield LocalLinq(process)
        assert process.stdin
        process.stdin.close()


def sync(linq: LocalLinq, database: Path, server: str = "plain", **env: object) -> Run:
    """Run the command of a sync, as cron would."""
    settings = {"INTEGRATION_TOKEN": TOKEN, "BASE_URL": linq.urls[server]} | env
    given = {f"SOURCES__LINQ__{name.upper()}": str(value) for name, value in settings.items()}
    return linq.observed(server, [sys.executable, PIPELINE, "--database", str(database), "--quiet"], env=given)


def bare(linq: LocalLinq, targets: list[str], server: str = "plain", *, raw: bool = False) -> Run:
    """Fetch the same pages and throw them away."""
    command = [sys.executable, "-m", "tests.benchmarks.bare", linq.urls[server], *(["--raw"] if raw else [])]
    return linq.observed(server, command, given="\n".join(targets))


def rest_api(linq: LocalLinq, database: Path, *options: str) -> Run:
    """Load the same with dlt's own source."""
    command = [sys.executable, "-m", "tests.benchmarks.rest_api", linq.urls["plain"], str(database), *options]
    return linq.observed("plain", command)


def compare(options: argparse.Namespace) -> None:
    """Run them in turn and print the medians."""
    runs: dict[str, list[Run]] = {}
    with (
        tempfile.TemporaryDirectory() as name,
        local_linq(options.messages, options.chats, options.phone_numbers) as linq,
    ):
        folder = Path(name)
        targets = _targets(linq, folder)
        for number in range(options.rounds):
            database = folder / f"{number}.duckdb"
            for label, run in (
                ("the server's ceiling (bare sockets)", lambda: bare(linq, targets, raw=True)),
                ("bare httpx download", lambda: bare(linq, targets)),
                ("(a) first sync", lambda: sync(linq, database)),  # noqa: B023  # run at once
                ("(b) idle sync", lambda: sync(linq, database)),  # noqa: B023
            ):
                runs.setdefault(label, []).append(run())
            linq.order(change=max(1, options.chats // 100))
            runs.setdefault("(c) 1 % of chats changed", []).append(sync(linq, database))
        slow = f"{LATENCY_SECONDS * 1000:.0f} ms latency"
        runs[f"bare httpx download, {slow}"] = [bare(linq, targets, "slow")]
        runs[f"(d) first sync, {slow}"] = [sync(linq, folder / "slow.duckdb", "slow")]
        limit = f"{REQUESTS_PER_SECOND} requests/s"
        limited = sync(linq, folder / "limited.duckdb", "limited", requests_per_second=REQUESTS_PER_SECOND)
        runs[f"(e) first sync, {limit}"] = [limited]
        if not options.without_rest_api:
            runs["dlt's rest_api, Parquet"] = [rest_api(linq, folder / "parquet.duckdb", "--parquet")]
            runs["dlt's rest_api"] = [rest_api(linq, folder / "rest.duckdb")]
        _print(runs, linq.rows, options)


def _targets(linq: LocalLinq, folder: Path) -> list[str]:
    """What a first sync asks; the local Linq renders each page once."""
    sync(linq, folder / "targets.duckdb")
    return [target for target, _ in linq.asked]


def _print(runs: dict[str, list[Run]], rows: dict[str, int], options: argparse.Namespace) -> None:
    served = ", ".join(f"{count:,} {name}" for name, count in rows.items() if count > 100)
    print(
        f"{served}; {options.phone_numbers} numbers. Medians of {options.rounds} rounds (slow ones: of one), ", end=""
    )
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}.\n")
    print(f"{'':40}{'wall s':>8}{'x bare':>8}{'CPU s':>8}{'peak MB':>9}{'requests':>10}{'429s':>6}")
    median = {
        label: {name: statistics.median(getattr(run, name) for run in each) for name in vars(each[0])}
        for label, each in runs.items()
    }
    for label, each in median.items():
        base = median[next(name for name in median if name.startswith("bare") and ("ms" in name) == ("ms" in label))]
        print(
            f"{label:40}{each['wall']:8.2f}{each['wall'] / base['wall']:8.2f}{each['cpu']:8.2f}"
            f"{each['megabytes']:9.0f}{each['requests']:10.0f}{each['refused']:6.0f}"
        )
