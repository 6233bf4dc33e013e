"""The real command in a process of its own: how it refuses to start, ends, is killed, and what it never says."""

import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from linq_source.errors import ConfigurationError
from linq_source.webhook.receiver import Receiver, ReceiverSettings, read_secrets
from tests.support import ROOT
from tests.webhook.load import run, verdict
from tests.webhook.support import SECRET, Process, deliver, encoded, event, parquet_rows, request
from tests.webhook.test_receiver import headers_of, raw_request

SCRIPT = ROOT / "pipelines" / "webhook_to_parquet.py"


def refused(*options: str, cwd: Path, secret: str = "") -> str:
    """Run the command, which must end with code 2 and one sentence."""
    environment = {**os.environ, "SOURCES__LINQ__WEBHOOK_SECRET": secret}
    finished = subprocess.run(
        [sys.executable, str(SCRIPT), *options], capture_output=True, text=True, timeout=30, check=False,
        cwd=cwd, env=environment,
    )  # fmt: skip
    assert finished.returncode == 2, finished.stderr
    assert finished.stdout == ""
    assert len(finished.stderr.strip().splitlines()) == 1, finished.stderr
    assert finished.stderr.strip().endswith(".")
    assert not secret or secret not in finished.stderr
    return finished.stderr


def test_without_a_secret_it_does_not_start(tmp_path: Path) -> None:
    assert "SOURCES__LINQ__WEBHOOK_SECRET" in refused(cwd=tmp_path, secret=" , ")
    assert list(tmp_path.iterdir()) == []


def test_unsigned_is_for_this_machine_alone_and_for_no_one_with_a_secret() -> None:
    for secrets, host, said in (((), "0.0.0.0", "--host 127.0.0.1"), ((b"s" * 20,), "127.0.0.1", "--allow-unsigned")):
        with pytest.raises(ConfigurationError, match=said):
            Receiver(ReceiverSettings(directory="d", secrets=secrets, host=host, allow_unsigned=True))


def test_secrets_are_one_or_several_and_never_shown() -> None:
    assert read_secrets(None) == read_secrets("") == read_secrets(" , ") == ()
    assert read_secrets(" one ") == (b"one",)
    assert read_secrets("one, two") == read_secrets('["one","two"]') == (b"one", b"two")
    assert read_secrets('["with, comma"]') == (b"with, comma",)
    for broken in ('["a", 5]', "[a]", "[", '[["a"]]'):
        with pytest.raises(ConfigurationError, match="JSON list"):
            read_secrets(broken)
    assert "s3cret" not in repr(ReceiverSettings(directory="d", secrets=(b"s3cret",)))


def test_options_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert "--port" in refused("--port", port, cwd=tmp_path, secret=SECRET)
    for host in ("no-such-host.invalid", "a..b", "x" * 64):
        assert "--host" in refused("--host", host, cwd=tmp_path, secret=SECRET)
    said = refused("--max-body-bytes", "16777217", cwd=tmp_path, secret="a secret of this test")
    assert "--max-body-bytes: at most 16777216" in said
    assert "--flush-seconds: must be more than 0" in refused("--flush-seconds", "0", cwd=tmp_path)
    assert "--port: must be from 0 to 65535" in refused("--port", "80000", cwd=tmp_path)


def test_several_secrets_are_valid_at_once(tmp_path: Path) -> None:
    with Process(tmp_path, cwd=tmp_path, secret=f'["{SECRET}", "another-long-secret"]') as receiver:
        assert deliver(receiver.port, event(1)) == 200
        assert deliver(receiver.port, event(2), "another-long-secret") == 200
        assert deliver(receiver.port, event(3), "a-third-secret-000") == 401


def test_a_second_receiver_in_the_same_folder_ends_with_code_75(tmp_path: Path) -> None:
    with Process(tmp_path, cwd=tmp_path) as first:
        second = Process(tmp_path, cwd=tmp_path)
        assert second.child.wait(20) == 75
        assert "Another receiver" in second.said()
        assert deliver(first.port, event(1)) == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end_it_finishes_what_has_begun_and_writes_the_files(tmp_path: Path, number: signal.Signals) -> None:
    body = encoded(event("half-sent"))
    data = raw_request(body, *headers_of(body))
    with Process(tmp_path, cwd=tmp_path) as receiver:
        for each in range(20):
            assert deliver(receiver.port, event(each)) == 200
        with (
            socket.create_connection(("127.0.0.1", receiver.port), timeout=10) as half,
            socket.create_connection(("127.0.0.1", receiver.port), timeout=10),
        ):
            half.sendall(data[:-10])
            time.sleep(0.2)
            started = time.monotonic()
            receiver.child.send_signal(number)
            assert receiver.says("Stopping")
            time.sleep(0.2)
            with pytest.raises(ConnectionRefusedError):
                deliver(receiver.port, event(99))
            half.sendall(data[-10:])
            assert b"200 OK" in half.recv(65536)
            assert receiver.child.wait(10) == 0
        assert time.monotonic() - started < 10
    assert parquet_rows(tmp_path) == [*((f"evt-{each}",) for each in range(20)), ("evt-half-sent",)]


def test_clients_that_never_finish_do_not_keep_it_from_ending(tmp_path: Path) -> None:
    with Process(tmp_path, cwd=tmp_path) as receiver:
        deliver(receiver.port, event(1))
        with socket.create_connection(("127.0.0.1", receiver.port), timeout=10) as half:
            half.sendall(b"POST /webhooks/linq HTTP/1.1\r\nHost: h")
            started = time.monotonic()
            assert receiver.terminate() == 0
            assert time.monotonic() - started < 10
    assert parquet_rows(tmp_path) == [("evt-1",)]


def test_what_it_says_holds_no_text_number_or_secret_and_its_files_are_private(tmp_path: Path) -> None:
    text, number = "a very private text", "+15551234567"
    directory = tmp_path / "events"
    private = event(1, data={"text": text, "from_phone": number}, event_type="weird\r\ntype")
    with Process(directory, "--metrics-port", "0", cwd=tmp_path, PYTHONASYNCIODEBUG="0") as receiver:
        assert deliver(receiver.port, event(1, data={"text": text, "from_phone": number})) == 200
        assert deliver(receiver.port, private) == 400
        assert deliver(receiver.port, private, "not the secret") == 401
        assert request(receiver.port, "GET", f"/{number}?{text.replace(' ', '+')}")[0] == 404
        page = request(receiver.metrics_port, "GET", "/metrics")[2].decode()
        assert 'linq_webhook_deliveries_total{outcome="stored"} 1' in page
        assert 'linq_webhook_answers_total{status="401"} 1' in page
        assert request(receiver.metrics_port, "GET", "/healthz")[0] == 404
        assert receiver.terminate() == 0
    for canary in (text, number, SECRET, "weird", "private"):
        assert canary not in receiver.said()
        assert canary not in page
    for path in directory.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_unsigned_deliveries_are_taken_when_asked_for(tmp_path: Path) -> None:
    with Process(tmp_path, "--allow-unsigned", cwd=tmp_path, secret=None) as receiver:
        assert request(receiver.port, "POST", "/webhooks/linq", encoded(event(1)))[0] == 200
        assert receiver.terminate() == 0
    assert parquet_rows(tmp_path) == [("evt-1",)]


def test_a_target_that_cannot_be_written_costs_no_event(tmp_path: Path) -> None:
    (tmp_path / "events").write_text("a file where the folder should be")
    options = ("--journal", str(tmp_path / "journal"), "--flush-seconds", "0.1")
    with Process(tmp_path / "events", *options, cwd=tmp_path) as receiver:
        assert deliver(receiver.port, event(1)) == 200
        assert receiver.says("cannot be written")
        (tmp_path / "events").unlink()
        assert receiver.terminate() == 0
    assert parquet_rows(tmp_path / "events") == [("evt-1",)]


def test_killed_again_and_again_it_keeps_every_event_that_it_acknowledged_once(tmp_path: Path) -> None:
    sent = asyncio.run(run(tmp_path, seconds=5, kill_seconds=0.6, connections=4))
    figures = verdict(tmp_path, sent)
    print(figures)  # noqa: T201
    assert sent.kills >= 2
    assert figures["acknowledged"] > 200
    assert (figures["lost"], figures["stored_twice"]) == (0, 0)


@pytest.mark.soak
def test_two_minutes_of_kills_lose_nothing_at_a_thousand_events_a_second(tmp_path: Path) -> None:
    sent = asyncio.run(run(tmp_path, seconds=120, kill_seconds=1))
    figures = verdict(tmp_path, sent)
    print(figures)  # noqa: T201
    assert (figures["lost"], figures["stored_twice"]) == (0, 0)
    assert figures["p99_ms"] < 100


def test_help_names_every_option(tmp_path: Path) -> None:
    finished = subprocess.run([sys.executable, str(SCRIPT), "--help"], capture_output=True, text=True, check=True)
    options = "--host --port --directory --journal --flush-seconds --flush-events --max-body-bytes --allow-unsigned"
    assert all(option in finished.stdout for option in options.split())
