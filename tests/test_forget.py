"""One person is taken out of tables, journal and files, and stays out while Linq still lists them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from linq_source import forget as forgetting
from linq_source.process import locked
from linq_source.simulator import Recorder, Simulator
from tests.support import OLD, Finished, Warehouse, _listed, run_pipeline, small_world
from tests.test_canaries import content
from tests.webhook.support import Process, deliver, encoded, journal_rows, parquet_rows

Serve = Callable[..., Simulator]

NUMBER, DIGITS, EMAIL = "+12125550199", "2125550199", "canarymail@example.com"
OTHER = "+12125550188"
KEY = {"SOURCES__LINQ__REDACT_KEY": "a key of this test, which is long enough"}
CANARIES = (DIGITS, "canary")


class Account:
    """A world with somebody in a chat of their own and in a group, whom everything was stored of."""

    def __init__(self, serve: Serve, folder: Path) -> None:
        self.folder = folder
        self.events = str(folder / "events")
        self.world = small_world(contacts=4)
        self.recorder = Recorder(self.world)
        self.warehouse = Warehouse(folder / "linq.duckdb")
        names = {"first_name": "Canary", "company": "canary inc"}
        self.contact = self.world.add_contact(email=EMAIL, phone_number="(212) 555-0199", **names)
        self.alone = self.world.add_chat([NUMBER])
        self.group = self.world.add_chat([NUMBER, OTHER], name="canary and friends")
        self.by_mail = self.world.add_chat([EMAIL])
        self.theirs = self.world.receive(self.group.id, "a canary text", sent_from=NUMBER, sent_at=OLD)
        self.kept = self.world.receive(self.group.id, "what another wrote", sent_from=OTHER, sent_at=OLD)
        self.world.react(self.kept.id, "like", from_phone=NUMBER)
        self.world.react(self.kept.id, "love", from_phone=OTHER)
        self.world.react(self.theirs.id, "laugh", from_phone=OTHER)
        for chat in (self.alone, self.by_mail):
            self.world.receive(chat.id, "a canary text", sent_at=OLD)
            self.world.send(chat.id, "dear canary", sent_at=OLD)
        self.world.complete_call({"from": NUMBER, "recording_data": {"transcription": "a canary said"}})
        self.sent = 0
        self.linq = serve(self.world)

    def deliver(self) -> None:
        """Have a receiver take all events so far, and write its files."""
        with Process(self.folder / "events", cwd=self.folder) as receiver:
            for body in self.recorder.bodies()[self.sent :]:
                assert deliver(receiver.port, body) == 200
            self.sent = len(self.recorder.bodies())
            assert receiver.terminate() == 0

    def sync(self, **environment: str) -> dict[str, Any]:
        """Sync with the events."""
        options = ("--events", str(self.folder / "events"), "--json")
        done = self.warehouse.command(self.linq, *options, **environment)
        assert done.returncode == 0, done.stderr
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return result

    def forget(self, *options: str, **environment: str) -> Finished:
        """Run the command."""
        where = ("--database", str(self.warehouse.path), "--events", self.events)
        return run_pipeline("forget.py", *where, *options, **environment)

    def held(self) -> set[str]:
        """The files below the folder that hold a canary."""
        paths = [path for path in self.folder.rglob("*") if path.is_file() and not path.name.startswith("log-")]
        return {path.name for path in paths if any(each in content(path).lower() for each in CANARIES)}


@pytest.fixture
def account(serve: Serve, tmp_path: Path) -> Account:
    made = Account(serve, tmp_path)
    made.deliver()
    made.sync()
    return made


def assert_mirrors_the_others(account: Account) -> None:
    """The tables hold what Linq lists, but for the one person."""
    gone = {account.alone.id, account.by_mail.id}
    stored = account.warehouse.tables(*account.world.listed())
    for table, rows in account.world.listed().items():
        chat = "id" if table == "chats" else "chat_id"
        wanted = [row for row in rows if row.get(chat) not in gone]
        wanted = [
            row for row in wanted if not {NUMBER, EMAIL} & {each for each in row.values() if isinstance(each, str)}
        ]
        if table == "contacts":
            wanted = [row for row in wanted if row["id"] != account.contact.id]
        if table == "message_reactions":
            wanted = [row for row in wanted if row["chat_message_id"] != account.theirs.id]
        key = "id" if table != "chat_phone_numbers" else "chat_id"
        assert sorted(row[key] for row in _listed(stored, table)) == sorted(row[key] for row in wanted), table


def test_the_journal_is_found_beside_a_folder_that_is_named_by_its_url(account: Account) -> None:
    account.events = (account.folder / "events").as_uri()
    done = account.forget("--contact-id", str(account.contact.id), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["journal"]["events removed"] > 5
    assert account.held() == set()
    elsewhere = account.folder / "none"
    elsewhere.mkdir()
    account.events = str(elsewhere)
    said = account.forget("--contact-id", str(account.contact.id), "--dry-run").stdout
    assert f"No journal was looked at, since there is none in {elsewhere / 'journal'}" in said


def test_a_chat_that_linq_lists_no_more_is_found_by_its_name(account: Account) -> None:
    theirs = "+12125550177"
    chat = account.world.add_chat([theirs])
    account.world.send(chat.id, "dear canary", sent_at=OLD)
    account.sync()
    account.world.remove_chat(chat.id)
    account.sync()
    assert account.warehouse.query(f"select count(*) from chat_handles where chat_id = {chat.id}") == [(0,)]
    done = account.forget("--phone-number", "(212) 555-0177", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    counts = json.loads(done.stdout)["tables"]
    assert (counts["chats"], counts["messages"]) == (1, 1)
    assert account.warehouse.query(f"select id from messages where chat_id = {chat.id}") == []


def test_of_others_events_in_a_group_no_hash_stays_and_a_second_delivery_brings_none_back(account: Account) -> None:
    people = [{"identifier": NUMBER, "display_name": NUMBER}, {"identifier": OTHER}]
    body = {"event": "typing_indicator.received", "data": {"chat_id": str(account.group.id), "chat_handles": people}}
    account.recorder.bodies = lambda: [encoded(body)] * (account.sent + 1)  # type: ignore[method-assign]
    account.deliver()
    account.sync()
    [(before,)] = account.warehouse.query("select event_id from webhook_events where event_id like 'sha256:%'")
    assert account.forget("--phone-number", NUMBER).returncode == 0
    found = "select event_id, fingerprint from webhook_events where event_id like 'sha256:%'"
    [(event_id, fingerprint)] = account.warehouse.query(found)
    assert event_id == fingerprint.replace("hmac:", "sha256:") != before
    assert account.warehouse.query("select event_id from typing_indicators") == [(event_id,)]
    account.deliver()
    account.sync()
    assert account.warehouse.query(found) == [(event_id, fingerprint)]
    assert DIGITS.encode() not in account.warehouse.path.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("environment", [{}, KEY], ids=["own key", "redact_key"])
def test_a_forgotten_person_is_in_no_file_and_no_sync_brings_them_back(
    environment: dict[str, str], account: Account
) -> None:
    before = account.warehouse.everything()
    assert account.held() >= {"linq.duckdb", "journal.sqlite"}
    who = ("--contact-id", str(account.contact.id), "--json")
    counted = account.forget(*who, "--dry-run", **environment)
    assert account.warehouse.everything() == before
    done = account.forget(*who, **environment)
    assert (done.returncode, done.stderr) == (0, "")
    result, expected = json.loads(done.stdout), json.loads(counted.stdout)
    assert result == expected | {"dry_run": False}
    assert result["tables"]["chats"] == 2
    assert result["tables"]["messages"] == 5
    assert result["tables"]["message_reactions"] == 2
    assert (result["tables"]["contacts"], result["tables"]["calls"]) == (1, 1)
    assert result["files"]["events removed"] == result["journal"]["events removed"] > 5
    assert account.held() == set()
    for _ in range(2):
        synced = account.sync(**environment)
        assert synced["rejected"] == 0
        assert_mirrors_the_others(account)
        assert account.held() == set()
    assert not any(synced["rows"].values())
    account.world.receive(account.alone.id, "a new canary text")
    account.world.receive(account.group.id, "a new canary text", sent_from=NUMBER)
    account.world.react(account.kept.id, "dislike", from_phone=NUMBER)
    account.world.receive(account.world.add_chat([NUMBER]).id, "a canary in a new chat")
    account.world.receive(account.group.id, "what another wrote", sent_from=OTHER)
    account.deliver()
    account.sync(**environment)
    assert "linq.duckdb" not in account.held()
    assert len(account.warehouse.query(f"from messages where chat_id = {account.group.id}")) == 2
    audit = run_pipeline("audit.py", "--database", str(account.warehouse.path), linq=account.linq, **environment)
    assert audit.returncode == 0, audit.stdout


@pytest.mark.slow
def test_what_is_said_names_nothing_of_the_person_and_points_at_the_rest(account: Account) -> None:
    done = account.forget("--phone-number", "212 555 0199")
    assert done.returncode == 0
    assert "Their contacts have 1 other numbers or addresses" in done.stdout
    assert "delete them there too" in done.stdout
    assert not [each for each in (*CANARIES, NUMBER) if each in (done.stdout + done.stderr).lower()]
    assert account.warehouse.query(f"select count(*) from chats where id = {account.by_mail.id}") == [(1,)]
    assert account.forget("--email", EMAIL.upper()).returncode == 0
    assert account.held() == set()


@pytest.mark.slow
def test_killed_wherever_it_is_run_again_and_removes_the_rest(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = account.folder / "events" / "journal"
    where: dict[str, Any] = {"events": str(account.folder / "events"), "journals": [journal]}
    for step in ("forget_in_journal", "forget_in_files", "_remove", "write_anew"):
        with monkeypatch.context() as killed:
            killed.setattr(forgetting, step, _kill)
            with pytest.raises(KeyboardInterrupt):
                forgetting.forget(account.warehouse.path, contact_id=account.contact.id, **where)
        assert "linq.duckdb" in account.held()
    assert account.held() == {"linq.duckdb"}
    forgetting.forget(account.warehouse.path, contact_id=account.contact.id, **where)
    assert account.held() == set()
    account.sync()
    assert_mirrors_the_others(account)
    assert account.warehouse.query("select count(*) > 10 from conversations") == [(True,)]


def _kill(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.slow
def test_without_the_key_that_it_was_run_with_no_sync_begins(account: Account) -> None:
    assert account.forget("--phone-number", NUMBER, **KEY).returncode == 0
    before = account.warehouse.everything()
    for environment in ({}, {"SOURCES__LINQ__REDACT_KEY": "another key, which is long enough too"}):
        done = account.warehouse.command(account.linq, **environment)
        assert done.returncode == 2
        said = "is not what it was" if environment else "is not set as it was"
        assert f"SOURCES__LINQ__REDACT_KEY {said} when pipelines/forget.py was run" in done.stderr
    assert account.warehouse.everything() == before


@pytest.mark.slow
def test_it_waits_for_nobody_and_takes_nothing_from_under_another(account: Account) -> None:
    with locked(account.warehouse.path.with_name("linq.duckdb.lock")):
        assert account.forget("--phone-number", NUMBER).returncode == 75
    with Process(account.folder / "events", cwd=account.folder) as receiver:
        done = account.forget("--phone-number", NUMBER)
        assert done.returncode == 75
        assert done.stderr.startswith("A receiver is at work")
        assert receiver.terminate() == 0
    assert "linq.duckdb" in account.held()
    assert "Nothing of them was found" in account.forget("--phone-number", "+19995550000", "--dry-run").stdout
    others = account.forget("--phone-number", "+19995550000", "--json")
    assert (others.returncode, json.loads(others.stdout)["tables"]) == (0, {})
    assert len(parquet_rows(account.folder / "events")) == len(
        journal_rows(account.folder / "events" / "journal", "select event_id from events")
    )


def test_our_own_numbers_are_not_forgotten_nor_is_anybody_looked_for_with_another_key(
    serve: Serve, warehouse: Warehouse
) -> None:
    world = small_world(contacts=2)
    warehouse.sync(serve(world), redact="identifiers", redact_key=KEY["SOURCES__LINQ__REDACT_KEY"])
    before = warehouse.everything()
    ours = world.listed()["phone_numbers"][0]["phone_number"]
    for number, environment, says in ((ours, KEY, "This is one of"), (NUMBER, {}, "These tables are redacted")):
        where = ("--database", str(warehouse.path), "--phone-number", number)
        done = run_pipeline("forget.py", *where, **environment)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(says)
    assert warehouse.everything() == before
    theirs = next(row["phone_number"] for row in world.listed()["contacts"] if row["phone_number"])
    done = run_pipeline("forget.py", *where[:2], "--phone-number", theirs, "--json", **KEY)
    assert json.loads(done.stdout)["tables"]["contacts"] == 1
