"""Chats that no sync has seen are forgotten too, where events show that they are one-to-one; groups stay."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from linq_source import forget as forgetting
from linq_source.forget import forget
from linq_source.simulator import Recorder, Simulator
from linq_source.webhook.event import read_event
from linq_source.webhook.journal import Journal
from linq_source.webhook.store import Received
from tests.mailbox import Mailbox, load, told
from tests.support import OLD, Warehouse, run_pipeline, small_world
from tests.webhook.support import journal_rows, parquet_rows

pytestmark = pytest.mark.without_dlt

THEM, OTHER, OURS = "+12125550199", "+12125550188", "+15550001111"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PLACES = ("tables", "files", "journal")


def people(*others: str) -> list[dict[str, Any]]:
    return [{"identifier": each, "is_me": each == OURS} for each in (*others, OURS)]


TYPING = told("typing_indicator.received", {"chat_id": "70", "chat_handles": people(THEM)}, "typing")
SENT = told("message.sent", {"id": "1", "chat_id": "70", "text": "dear canary"}, "sent")
READ = told("message.read", {"id": "1", "chat_id": "70"}, "read")
ELSEWHERE = told("message.sent", {"id": "2", "chat_id": "71", "text": "to another"}, "elsewhere")
GROUP = [
    told(
        "message.received", {"id": "3", "chat_id": "80", "from_phone": THEM, "chat_handles": people(THEM, OTHER)}, "a"
    ),
    told("message.sent", {"id": "4", "chat_id": "80", "text": "dear both"}, "b"),
    told("message.read", {"id": "3", "chat_id": "80"}, "c"),
    told("reaction.received", {"id": "9", "chat_id": "80", "chat_message_id": "3", "reaction": "like"}, "d"),
    told("message.read", {"id": "4", "chat_id": "80"}, "e"),
]


class Kept:
    """What a loader has stored, a folder of files that wait, and a journal, of which each holds events of its own."""

    def __init__(self, folder: Path) -> None:
        self.warehouse = Warehouse(folder / "linq.duckdb")
        self.loaded, self.files = Mailbox(folder / "loaded"), Mailbox(folder / "events", "receiver2")
        self.journal = folder / "journal"

    def put(self, **bodies: list[bytes]) -> None:
        """Store events in the places named, and one of another person in each."""
        given = {
            place: [told("message.sent", {"id": "0"}, f"other-{place}"), *bodies.get(place, [])] for place in PLACES
        }
        self.loaded.write(given["tables"])
        load(self.warehouse, self.loaded)
        self.files.write(given["files"])
        with Journal(self.journal) as journal:
            for body in given["journal"]:
                journal.submit(Received(body, NOON, read_event(body)), lambda _: None)

    def left(self) -> set[str]:
        """The ids of the events that are left anywhere, but for the other person's."""
        found = {event_id for (event_id,) in self.warehouse.query("select event_id from webhook_events")}
        found |= {event_id for (event_id,) in parquet_rows(self.files.folder)}
        found |= {*journal_rows(self.journal, "select event_id from events")}
        return found - {f"other-{place}" for place in PLACES}

    def forget(self, *, is_dry: bool = False) -> dict[str, Any]:
        """Forget them; return what the command says."""
        where = {"events": str(self.files.folder), "journals": [self.journal]}
        return forget(self.warehouse.path, identifiers=[THEM], **where, is_dry=is_dry).as_json()  # type: ignore[arg-type]


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


@pytest.mark.parametrize(("shown", "place"), [*permutations(PLACES, 2), ("files", "files")])
def test_an_event_that_names_nobody_goes_when_an_event_elsewhere_shows_whose_chat_it_is(
    kept: Kept, shown: str, place: str
) -> None:
    bodies: dict[str, list[bytes]] = {name: [ELSEWHERE] if name == place else [] for name in PLACES}
    bodies[shown] += [TYPING]
    bodies[place] += [SENT, READ]
    kept.put(**bodies)
    counted = kept.forget(is_dry=True)
    assert kept.left() == {"typing", "sent", "read", "elsewhere"}
    assert kept.forget() == counted | {"dry_run": False}
    assert kept.left() == {"elsewhere"}
    assert kept.warehouse.query("select count(*) from message_reads") == [(0,)] or place != "tables"
    assert kept.warehouse.query("select value from forgotten where kind = 'chat'") == [("70",)]


def test_a_conflict_shows_it_too(kept: Kept) -> None:
    other = told("message.sent", {"id": "1", "chat_id": "70", "chat_handles": people(THEM)}, "sent")
    kept.put(journal=[SENT, other])
    assert kept.forget()["journal"] == {"events removed": 1, "conflicts removed": 1}
    assert kept.left() == set()


@pytest.mark.parametrize(("shown", "place"), [*zip(PLACES, (*PLACES[1:], PLACES[0]), strict=True)])
def test_a_group_keeps_what_is_of_others_and_loses_what_is_about_their_messages(
    kept: Kept, shown: str, place: str
) -> None:
    # Somebody who is left alone with us in a group is not the only one who was in it.
    alone = told("typing_indicator.received", {"chat_id": "80", "chat_handles": people(THEM)}, "alone")
    bodies: dict[str, list[bytes]] = {name: [] for name in PLACES}
    bodies[shown] += [GROUP[0]]
    bodies[place] += [*GROUP[1:], alone]
    kept.put(**bodies)
    counted = kept.forget(is_dry=True)
    assert kept.forget() == counted | {"dry_run": False}
    assert kept.left() == {"b", "e"}
    notes = kept.warehouse.query("select kind, value from forgotten where kind <> 'person' order by kind")
    assert notes == [("group", "80"), ("message", "3")]


def test_a_chat_that_may_be_a_group_keeps_what_names_nobody_and_is_counted(kept: Kept) -> None:
    kept.put(files=[told("message.received", {"id": "5", "chat_id": "70", "from_phone": THEM}, "from them"), SENT])
    where = ("--database", str(kept.warehouse.path), "--events", str(kept.files.folder), "--phone-number", THEM)
    done = run_pipeline("forget.py", *where, "--dry-run")
    assert "1 chat that only events tell of may be a group" in done.stdout
    assert kept.forget()["unclear_chats"] == 1
    assert kept.left() == {"sent"}


@pytest.mark.parametrize(("is_group", "left"), [("false", set()), ("true", {"sent"}), ("null", {"sent"})])
def test_what_the_tables_know_of_a_chat_decides(kept: Kept, is_group: str, left: set[str]) -> None:
    kept.put(files=[told("message.received", {"id": "5", "chat_id": "70", "from_phone": THEM}, "from them"), SENT])
    kept.warehouse.execute(f"create table chats as select 70 id, {is_group}::boolean is_group, 'Them' display_name")
    kept.forget()
    assert kept.left() == left


@pytest.mark.parametrize(
    "known",
    [
        "create table chats as select 70 id, true is_group, null::varchar display_name",
        f"create table chat_handles as select 1 id, 70 chat_id, '{OTHER}' phone_number",
        "create table messages as select 1 id, 70 chat_id, 1 chat_handle_id, "
        f"'{OTHER}' sent_from, 'inbound' direction",
    ],
)
def test_a_chat_in_which_the_tables_know_another_is_never_theirs(kept: Kept, known: str) -> None:
    kept.put(journal=[TYPING, SENT])
    kept.warehouse.execute(known)
    kept.forget()
    assert kept.left() == {"sent"}


@pytest.mark.parametrize("step", ["forget_in_journal", "forget_in_files", "_remove", "write_anew"])
def test_killed_wherever_it_finds_the_same_when_it_is_run_again(
    kept: Kept, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_group = told("participant.removed", {"chat_id": "90", "chat_handles": people(THEM)}, "g")
    last_in_group = told("typing_indicator.received", {"chat_id": "90", "chat_handles": people(THEM)}, "h")
    dear_all = told("message.sent", {"id": "7", "chat_id": "90", "text": "dear all"}, "i")
    rest = [SENT, READ, *GROUP[1:], last_in_group, dear_all]
    kept.put(journal=[TYPING, left_group, GROUP[0]], files=rest, tables=rest)
    with monkeypatch.context() as killed:
        killed.setattr(forgetting, step, _kill)
        with pytest.raises(KeyboardInterrupt):
            kept.forget()
    kept.forget()
    assert kept.left() == {"b", "e", "i"}


def _kill(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def test_what_comes_later_of_a_chat_that_was_forgotten_goes_when_it_is_run_again(kept: Kept) -> None:
    kept.put(journal=[TYPING])
    kept.forget()
    kept.put(journal=[SENT], files=[READ])
    counted = kept.forget(is_dry=True)
    assert counted["journal"] == {"events removed": 1}
    assert kept.forget() == counted | {"dry_run": False}
    assert kept.left() == set()


def test_the_command_finds_the_chat_in_the_journal_beside_the_files(kept: Kept) -> None:
    kept.journal = kept.files.folder / "journal"
    kept.put(journal=[TYPING], files=[SENT])
    where = ("--database", str(kept.warehouse.path), "--events", str(kept.files.folder), "--json")
    done = run_pipeline("forget.py", *where, "--phone-number", "212 555 0199")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["files"] == {"files written anew": 1, "events removed": 1, "events changed": 0}
    assert kept.left() == set()


def test_the_next_sync_leaves_out_the_chat_that_was_found_and_takes_the_group_without_them(
    kept: Kept, serve: Callable[..., Simulator]
) -> None:
    world = small_world(contacts=2)
    recorder, linq = Recorder(world), serve(world)
    kept.warehouse.sync(linq)
    alone, group = world.add_chat([THEM]), world.add_chat([THEM, OTHER], name="canary and friends")
    for chat in (alone, group):
        world.send(chat.id, "dear canary", sent_at=OLD)
    theirs = world.receive(group.id, "a canary text", sent_from=THEM, sent_at=OLD)
    world.react(theirs.id, "like", from_phone=OTHER)
    world.mark_read(group.id)
    kept.put(journal=recorder.bodies())
    before = kept.left()
    kept.forget()
    told_of = "select json_extract(data, '$.chat_id') from events"
    assert len(before) > len(kept.left()) > 0
    assert str(alone.id) not in journal_rows(kept.journal, told_of)
    assert str(group.id) in journal_rows(kept.journal, told_of)
    kept.warehouse.sync(linq)
    stored = {row["id"] for row in kept.warehouse.live("chats")}
    assert stored == {row["id"] for row in world.listed()["chats"]} - {alone.id}
    assert kept.warehouse.query(f"select text from messages where chat_id = {group.id}") == [("dear canary",)]


def test_events_of_a_chat_that_a_sync_knows_to_be_a_group_after_all_are_loaded_again(kept: Kept) -> None:
    kept.put(journal=[TYPING])
    kept.forget()
    kept.warehouse.execute("create table chats as select 70 id, true is_group")
    of_another = told("message.received", {"id": "6", "chat_id": "70", "from_phone": OTHER}, "of another")
    of_them = told("message.received", {"id": "7", "chat_id": "70", "from_phone": THEM}, "of them")
    kept.loaded.write([of_another, of_them])
    load(kept.warehouse, kept.loaded)
    assert kept.warehouse.query("select event_id from webhook_events where chat_id = 70") == [("of another",)]


@pytest.mark.parametrize("is_dry", [True, False])
def test_a_file_that_is_torn_is_named_and_hides_nothing_of_the_rest(kept: Kept, *, is_dry: bool) -> None:
    kept.put(journal=[TYPING], files=[SENT])
    (kept.files.folder / "torn.parquet").write_bytes(b"PAR1")
    result = kept.forget(is_dry=is_dry)
    assert [each.split()[0] for each in result["skipped"]] == ["torn.parquet"]
    assert result["files"]["events removed"] == 1
