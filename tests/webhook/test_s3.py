"""A real S3 server (moto, in a process of its own) as the target, also one that fails."""

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from linq_source.webhook.journal import Journal
from linq_source.webhook.parquet import Roller
from linq_source.webhook.targets import ObjectStore
from tests.s3_server import VALUE, filesystem, running_s3, settings
from tests.support import run_pipeline
from tests.webhook.support import Process, deliver, event, journal_rows
from tests.webhook.test_parquet import store

pytest.importorskip("s3fs")
pytest.importorskip("moto")


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    """The address of an S3 server with an empty bucket called events."""
    with running_s3("events") as url:
        yield url


def rows(url: str, prefix: str) -> list[str]:
    s3 = filesystem(url)
    found = [
        pq.read_table(s3.open(path)).column("event_id").to_pylist()
        for path in s3.glob(f"events/{prefix}/*/*.parquet")
    ]
    return sorted(chain(*found))


def test_the_command_writes_to_s3(s3_url: str, tmp_path: Path) -> None:
    with Process("s3://events/command", "--flush-seconds", "0.3", cwd=tmp_path, **settings(s3_url)) as receiver:
        for number in range(5):
            assert deliver(receiver.port, event(number)) == 200
        assert receiver.terminate() == 0
    assert rows(s3_url, "command") == [f"evt-{number}" for number in range(5)]
    assert (tmp_path / "webhook_journal" / "journal.sqlite").is_file()
    assert VALUE not in receiver.said()


def test_a_forgotten_person_is_in_no_object_and_no_journal(s3_url: str, tmp_path: Path) -> None:
    url, database, journal = "s3://events/forget", str(tmp_path / "linq.duckdb"), tmp_path / "webhook_journal"
    theirs = event(1, data={"id": "1", "chat_id": "7", "text": "a canary text", "sent_from": "+12125550199"})
    with Process(url, "--flush-seconds", "0.3", cwd=tmp_path, **settings(s3_url)) as receiver:
        for each in (theirs, event(2)):
            assert deliver(receiver.port, each) == 200
        assert receiver.terminate() == 0
    loaded = run_pipeline("events_to_duckdb.py", "--directory", url, "--database", database, **settings(s3_url))
    assert (loaded.returncode, loaded.stderr) == (0, "")
    who = ("--phone-number", "212-555-0199", "--events", url, "--journal", str(journal), "--database", database)
    for removed in (1, 0):
        done = run_pipeline("forget.py", *who, "--json", **settings(s3_url))
        assert (done.returncode, done.stderr) == (0, "")
        told = json.loads(done.stdout)
        assert [told[place].get("events removed", 0) for place in ("files", "journal")] == [removed, removed]
        assert rows(s3_url, "forget") == journal_rows(journal, "select event_id from events") == ["evt-2"]
    s3 = filesystem(s3_url)
    texts = [str(pq.read_table(s3.open(path)).to_pylist()) for path in s3.find("events/forget")]
    assert texts
    assert not any("canary" in text or "2125550199" in text for text in texts)


class Faulty(BaseHTTPRequestHandler):
    """Passes requests on to S3, but for the PUTs that `plan` spoils: 500, half (not passed on), lost (no answer)."""

    protocol_version = "HTTP/1.1"
    upstream = ""
    plan: list[str] = []  # noqa: RUF012  # one plan for all requests

    def handle_any(self) -> None:
        import http.client
        from urllib.parse import urlsplit

        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.plan.pop(0) if self.command == "PUT" and self.plan else ""
        if fault == "500":
            self.send_response(500)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if fault == "half":
            self.close_connection = True
            return
        parts = urlsplit(self.upstream)
        upstream = http.client.HTTPConnection(parts.hostname or "", parts.port)
        upstream.request(self.command, self.path, body, dict(self.headers.items()))
        answer = upstream.getresponse()
        content = answer.read()
        upstream.close()
        if fault == "lost":
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding"):
                self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = handle_any  # noqa: N815  # names that http.server calls

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        del format, args


@pytest.mark.parametrize("fault", ["500", "half", "lost"])
def test_an_s3_that_fails_gets_the_same_file_later(
    s3_url: str, tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Faulty)
    proxy.daemon_threads = True
    threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True).start()
    Faulty.upstream = s3_url
    for name, value in settings(f"http://127.0.0.1:{proxy.server_port}").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    target = ObjectStore(f"s3://events/faulty-{fault}")
    with Journal(tmp_path) as journal:
        store(journal, range(20))
        Faulty.plan = [fault] * 30
        with pytest.raises(Exception):  # noqa: B017, PT011  # whatever botocore calls it
            Roller(journal, target).roll()
        Faulty.plan = []
        store(journal, range(20, 25))
        assert Roller(journal, target).roll() == 2
    proxy.shutdown()
    proxy.server_close()
    assert rows(s3_url, f"faulty-{fault}") == sorted(f"evt-{number}" for number in range(25))
    assert "AWS_MAX_ATTEMPTS" in os.environ
