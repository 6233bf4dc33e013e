"""Canaries: secrets, numbers and texts planted wherever they can stand, and looked for wherever they must not."""

import gzip
import json
import logging
import os
import sqlite3
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dlt
import duckdb
import pyarrow.parquet as pq
import pytest

from linq_source import linq_source, process
from linq_source.simulator import Recorder, Simulator, World
from linq_source.simulator.entities import Attachment
from linq_source.simulator.faults import Fault
from tests.poison import Poison, PoisonedSimulator
from tests.support import OLD, ROOT, Finished, Warehouse, with_limits
from tests.webhook.support import Process, deliver, encoded, event

TOKEN = "canarytoken5f1e"
SECRET = "canarysecret-of-the-webhook"
KEY = "canarykey-that-is-long-enough-for-it"
SECRETS = (TOKEN, SECRET, KEY)

NUMBER, DIGITS = "+12125550199", "2125550199"
EMAIL = "canarymail@example.com"
TEXT = "canarytext"
PERSONAL = (DIGITS, "canarymail", TEXT)

REDACTED = {"SOURCES__LINQ__REDACT": "texts,identifiers", "SOURCES__LINQ__REDACT_KEY": KEY}


def said(what: str) -> str:
    """A text that a person may have written."""
    return f"{TEXT} {what}, call {NUMBER} or write to {EMAIL}"


def planted() -> World:
    """A small account in which everything that a person can write is a canary."""
    world = World.make(seed=3, phone_numbers=2, chats=4, messages=40, contacts=2, end=OLD)
    file = Attachment("f6e0c1a8-0000-4000-8000-000000000001", f"https://x.example/{TEXT}", f"{TEXT}.pdf", "a/b", 9)
    for others, name in (([NUMBER], None), ([NUMBER, EMAIL, "+12125550188"], said("group"))):
        chat = world.add_chat(others, name=name)
        message = world.receive(chat.id, said("received"), attachments=[file] if not name else ())
        world.react(message.id, "like", from_phone=NUMBER)
        world.send(chat.id, said("sent"))
    names = ("first_name", "last_name", "company", "title", "location", "image_url")
    world.add_contact(email=EMAIL, phone_number=NUMBER, **{name: said(name) for name in names})
    number = world.listed_numbers()[0]
    number.forwarding_number = NUMBER
    return world


def poisoned(world: World, *, in_names: bool) -> PoisonedSimulator:
    """Serve it with canaries where no field is known, and where a value does not belong.

    With `in_names` they are names of fields too, which make columns, unless they are left out.
    """
    linq = PoisonedSimulator(world, token=TOKEN)
    news = {"news": said("news"), "notes": [said("note"), {"mobile": int(DIGITS), "e": {"text": said("deep")}}]}
    news |= {"mobile": int(f"1{DIGITS}"), "renamed_at": said("at")}
    news |= {NUMBER: TEXT, f"in {TEXT}": {f"of {TEXT}": NUMBER}} if in_names else {}
    rows = world.listed()
    for table in ("chats", "messages", "contacts", "phone_numbers", "webhook_subscriptions"):
        for row in rows[table][:-6] if table == "messages" else rows[table]:
            linq.poisoned[table, row["id"]] = Poison(table, "news", fields=news)
    bad: list[dict[str, Any]] = [
        {"id": said("id")}, {"text": {"said": said("object")}}, {"sent_at": said("time")}, {"is_read": said("flag")},
        {"sent_from": [NUMBER]}, {"chat_handle_id": NUMBER, "delivery_status": said("status")},
    ]  # fmt: skip
    for row, fields in zip(rows["messages"][-6:], bad, strict=True):
        linq.poisoned["messages", row["id"]] = Poison("messages", "bad", fields=fields)
    linq.poisoned["contacts", rows["contacts"][0]["id"]] = Poison("contacts", "text", instead=(said("row"),))
    return linq


def deliveries(world: World, recorder: Recorder) -> Iterator[bytes]:
    """Bodies of events with canaries in every place of every envelope."""
    yield from recorder.bodies()
    ours = world.listed_numbers()[0].phone_number
    call = {"id": "c1", "from": NUMBER, "to": ours, "direction": "inbound", "answered_by": NUMBER}
    call["forwarded_from"] = EMAIL
    recording = {"url": said("url"), "transcription": said("said"), "summary": said("summary"), "news": said("news")}
    yield encoded(event(1, event_type="call.completed", data=call | {"recording_data": recording}))
    yield encoded(event(2, data={"id": "2", "text": said("text"), "from_phone": NUMBER, NUMBER: 1, f"a {TEXT}": 2}))
    yield encoded(event(2, data={"id": "2", "text": said("another text"), "from_phone": EMAIL}))
    yield encoded(
        event(3, event_id=NUMBER, event_type=f"of.{TEXT}.{NUMBER}", api_version=f"v {TEXT}", more=said("more"))
    )
    yield encoded({"event": "message.received", "timestamp": said("time"), "data": {
        "message": {"id": 9, "text": said("quick"), "sent_from": NUMBER, "chat_id": 8},
        "chat": {"id": 8, "display_name": NUMBER, "name": said("chat")}}})  # fmt: skip
    yield encoded([said("list"), {"text": said("in a list")}])
    yield encoded({"event_type": 5, "data": {"text": said("no type"), "to": NUMBER}})
    yield said("no JSON").encode()
    yield encoded(event(4, data=said("data")))


def content(path: Path) -> str:
    """All that a file holds, in clear: its bytes, and what is compressed in them."""
    raw = path.read_bytes()
    found = [raw.decode("latin-1")]
    if path.suffix == ".gz":
        found.append(gzip.decompress(raw).decode("latin-1"))
    if path.suffix == ".parquet":
        found += [str(pq.read_table(path).to_pylist()), str(pq.read_metadata(path).to_dict())]
    if path.suffix == ".sqlite":
        connection = sqlite3.connect(path)
        found += connection.iterdump()
        connection.close()
    if path.suffix == ".duckdb":
        with duckdb.connect(str(path), read_only=True) as tables:
            names = tables.execute("select schema_name, table_name from duckdb_tables()").fetchall()
            found += [str(tables.sql(f'select * from "{schema}"."{name}"')) for schema, name in names]
            found += [str(tables.sql(f'from "{schema}"."{name}"').fetchall()) for schema, name in names]
            found += [str(tables.sql(f'describe "{schema}"."{name}"').fetchall()) for schema, name in names]
    return "\n".join(found)


def leaks(folder: Path, canaries: tuple[str, ...]) -> set[tuple[str, str]]:
    """The files below a folder that hold a canary, each with the canary."""
    found = set()
    for path in (path for path in folder.rglob("*") if path.is_file()):
        held = f"{path.name}\n{content(path)}".lower()
        found |= {(path.relative_to(folder).as_posix(), canary) for canary in canaries if canary in held}
    return found


def loudly(folder: Path, script: str, *options: str, linq: Simulator, **environment: str) -> Finished:
    """Run a command with every logger at DEBUG, and a folder for temporary files, which it leaves empty."""
    temporary = folder / "temporary"
    temporary.mkdir(exist_ok=True)
    env = dict(os.environ) | {
        "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT), "RUNTIME__LOG_LEVEL": "DEBUG", "COLUMNS": "200",
        "SOURCES__LINQ__INTEGRATION_TOKEN": TOKEN, "SOURCES__LINQ__BASE_URL": linq.base_url,
        "SOURCES__LINQ__WEBHOOK_SECRET": SECRET, "SOURCES__LINQ__MAX_WAIT_SECONDS": "0",
    }  # fmt: skip
    command = [sys.executable, str(ROOT / "tests/loud.py"), str(ROOT / "pipelines" / script), *options]
    done = subprocess.run(command, cwd=folder, env=env | environment, capture_output=True, text=True, check=False)
    assert list(temporary.iterdir()) == []
    return done


def assert_silent(done: Finished, *codes: int) -> None:
    """A command ended so and gave away no canary; it did log."""
    spoken = (done.stdout + done.stderr).lower()
    assert done.returncode in codes, done.stderr[-2000:]
    assert [canary for canary in (*SECRETS, *PERSONAL) if canary in spoken] == []
    assert "debug:" in spoken


@contextmanager
def received(folder: Path, bodies: list[bytes], **environment: str) -> Iterator[Process]:
    """A receiver that all of these were delivered to, at DEBUG."""
    with Process(folder / "events", cwd=folder, secret=SECRET, **environment) as receiver:
        for body in bodies:
            assert deliver(receiver.port, body, SECRET) in (200, 400)
            assert deliver(receiver.port, body, SECRET + "x") == 401
        yield receiver


@pytest.mark.slow
@pytest.mark.parametrize("environment", [{}, REDACTED], ids=["in clear", "redacted"])
def test_no_canary_is_in_what_commands_say_and_with_redaction_none_is_in_any_file(
    environment: dict[str, str], tmp_path: Path
) -> None:
    world = planted()
    recorder = Recorder(world)
    world.receive(world.add_chat([NUMBER, EMAIL]).id, said("event"))
    world.complete_call({"from": NUMBER})
    world.add_contact(email=EMAIL, phone_number=NUMBER, first_name=said("contact"))
    with received(tmp_path, list(deliveries(world, recorder)), **environment) as receiver:
        assert receiver.terminate() == 0
    assert [canary for canary in (*SECRETS, *PERSONAL) if canary in receiver.said().lower()] == []
    with poisoned(world, in_names=bool(environment)) as linq:
        options = ("--events", "events", "--database", "linq.duckdb")
        assert_silent(loudly(tmp_path, "linq_to_duckdb.py", *options, linq=linq, **environment), 3)
        options = ("--directory", "events", "--database", "events.duckdb")
        assert_silent(loudly(tmp_path, "events_to_duckdb.py", *options, linq=linq, **environment), 0, 3)
    found = leaks(tmp_path, (*SECRETS, *PERSONAL))
    assert not {canary for _, canary in found} & set(SECRETS)
    places = {path.split("/")[0] for path, _ in found}
    assert places == (set() if environment else {"linq.duckdb", "events.duckdb", "events"})
    for path in tmp_path.rglob("*.parquet"):
        footer = str(pq.read_metadata(path).to_dict())
        assert not [canary for canary in PERSONAL[1:] if canary in footer.lower()]


WRONG = f"wrong {NUMBER}, {EMAIL}, {TOKEN}"
"""What Linq's errors say is quoted, but for what looks like a number, an address or a secret."""


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=500, body=json.dumps({"errors": [{"detail": WRONG, "status": "500"}]})),
        Fault(status=422, path="contacts", body=json.dumps({"message": WRONG, "error_code": NUMBER})),
        Fault(status=401, body=said("no")),
        Fault(kind="body", path="contacts", body=said("no JSON")),
        Fault(kind="body", path="chat_messages", body=json.dumps({"data": said("no list")})),
        Fault(kind="redirect", path="contacts", location=f"https://{TEXT}.example/{NUMBER}?t={TOKEN}"),
        Fault(path="chat_messages", status=429, headers={"Retry-After": "9", "X-Said": f"{TEXT} {TOKEN}"}),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status}",
)
def test_no_canary_is_in_what_a_failing_sync_says(
    fault: Fault, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("dlt").addHandler(caplog.handler)
    with Simulator(planted(), token=TOKEN) as linq:
        linq.faults.append(fault)
        limits = with_limits(max_wait_seconds=1)
        result = Warehouse(tmp_path / "linq.duckdb").sync(linq, integration_token=TOKEN, limits=limits)
    logging.getLogger("dlt").removeHandler(caplog.handler)
    failure = result.summary.failure
    assert failure
    spoken = "".join([*traceback.format_exception(failure), caplog.text, *capsys.readouterr(), repr(result)]).lower()
    assert [canary for canary in (*SECRETS, *PERSONAL) if canary in spoken] == []
    assert "httpcore" in spoken


def test_the_working_folder_of_a_redacted_sync_holds_no_canary_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What a killed process leaves behind.
    monkeypatch.setattr(process, "shutil", SimpleNamespace(rmtree=lambda *_, **__: None))
    held = {}
    for name, settings in (("clear", {}), ("redacted", {"redact": "texts,identifiers", "redact_key": KEY})):
        temporary = tmp_path / f"temporary {name}"
        temporary.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(temporary))
        with poisoned(planted(), in_names=True) as linq:
            result = Warehouse(tmp_path / f"{name}.duckdb").sync(linq, integration_token=TOKEN, **settings)
        assert result.exit_code == 3
        held[name] = {canary for _, canary in leaks(temporary, (*SECRETS, *PERSONAL))}
        assert [path for path in temporary.rglob("*") if path.is_file()]
    assert held == {"clear": set(PERSONAL), "redacted": set()}


def test_what_dlt_keeps_of_a_pipeline_of_ones_own_holds_no_canary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"INTEGRATION_TOKEN": TOKEN, "WEBHOOK_SECRET": SECRET}.items():
        monkeypatch.setenv(f"SOURCES__LINQ__{name}", value)
    for name, value in REDACTED.items():
        monkeypatch.setenv(name, value)
    with poisoned(planted(), in_names=True) as linq:
        monkeypatch.setenv("SOURCES__LINQ__BASE_URL", linq.base_url)
        destination = dlt.destinations.duckdb(str(tmp_path / "linq.duckdb"))
        pipeline = dlt.pipeline("own", pipelines_dir=str(tmp_path), destination=destination, dataset_name="linq_data")
        pipeline.run(linq_source())
        assert pipeline.last_trace.resolved_config_values, "the settings were read from the environment"
    assert (tmp_path / "own" / "trace.pickle").is_file()
    assert leaks(tmp_path, (*SECRETS, *PERSONAL)) == set()
