"""Events mark messages, and the next sync reads exactly those: promise 10."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from linq_source import settings
from linq_source.runner import Result, run_events, run_sync
from linq_source.simulator import Fault, Recorder, Simulator, World
from linq_source.source import make_sync
from linq_source.webhook.event_loader import EventLoader
from tests.mailbox import Mailbox, told
from tests.support import IMPATIENT, OLD, TOKEN, Warehouse, assert_mirrors, small_world

pytestmark = pytest.mark.without_dlt

Serve = Callable[..., Simulator]

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Account:
    """A world whose events go to a folder, and a database that syncs load them into."""

    def __init__(self, world: World, linq: Simulator, warehouse: Warehouse, folder: Path) -> None:
        self.world, self.linq, self.warehouse = world, linq, warehouse
        self.box, self.recorder, self.sent = Mailbox(folder), Recorder(world), 0

    def deliver(self) -> None:
        """Have all events so far in the folder."""
        bodies = self.recorder.bodies()
        if bodies[self.sent :]:
            self.box.write(bodies[self.sent :])
        self.sent = len(bodies)

    def sync(self, **options: Any) -> Result:
        """Deliver, then sync as the command with --events does."""
        self.deliver()
        self.linq.clear_requests()
        given = {"limits": IMPATIENT, "integration_token": TOKEN, "base_url": self.linq.base_url} | options
        return run_sync(make_sync(**given), self.warehouse.target(), EventLoader(str(self.box.folder)))

    @property
    def chat_requests(self) -> int:
        """How many pages of messages the last sync asked for."""
        return self.linq.count("/chat_messages$")

    def messages(self, chat_id: int) -> list[dict[str, Any]]:
        return [row for row in self.world.listed()["messages"] if row["chat_id"] == chat_id]


@pytest.fixture
def account(serve: Serve, warehouse: Warehouse, tmp_path: Path) -> Account:
    """Two large chats and a few small ones, synced; all messages are long past."""
    world = small_world(chats=8, messages=120)
    for person in ("+12125550101", "+12125550102"):
        chat = world.add_chat([person])
        for number in range(450):
            world.receive(chat.id, f"Message {number}", sent_at=OLD - timedelta(hours=17 * number))
    account = Account(world, serve(world), warehouse, tmp_path / "events")
    assert account.sync().exit_code == 0
    return account


def large_chats(account: Account) -> list[int]:
    return sorted(account.world.chats)[-2:]


def assert_idle(account: Account) -> None:
    before = account.warehouse.everything()
    result = account.sync()
    assert (account.chat_requests, result.loads) == (0, [])
    assert account.warehouse.everything() == before


def test_a_reaction_on_last_years_message_is_there_after_the_next_sync_for_one_request(account: Account) -> None:
    old = account.messages(large_chats(account)[0])[3]
    account.world.react(old["id"], "love", from_phone="+12125550101")
    result = account.sync()
    assert (result.exit_code, account.chat_requests, dict(result.summary.reasons)) == (0, 1, {"marked by events": 1})
    assert dict(result.summary.rows) == {"message_reactions": 1, "chat_syncs": 1}
    assert_mirrors(account.warehouse, account.world)
    assert_idle(account)


def test_without_its_event_it_would_not_have_been_seen(account: Account) -> None:
    account.world.react(account.messages(large_chats(account)[0])[3]["id"], "love", from_phone="+12125550101")
    account.sent = len(account.recorder.bodies())
    account.sync()
    with pytest.raises(AssertionError):
        assert_mirrors(account.warehouse, account.world)


def test_a_message_that_is_sent_at_the_end_of_time_stops_no_later_sync(account: Account) -> None:
    chat_id = large_chats(account)[0]
    message = account.world.receive(chat_id, "Never", sent_at=OLD)
    message.sent_at = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    account.sent = len(account.recorder.bodies())
    assert account.sync().exit_code == 0
    account.world.react(message.id, "love", from_phone="+12125550101")
    assert account.sync().exit_code == 0
    assert_mirrors(account.warehouse, account.world)


def test_marks_in_many_chats_and_a_busy_one_are_served_together(account: Account) -> None:
    first, second = large_chats(account)
    for chat_id in (first, second):
        for position in (5, 200):
            account.world.react(account.messages(chat_id)[position]["id"], "like", from_phone="+12125550101")
    account.world.receive(second, "New", sent_at=OLD + DAY)
    result = account.sync()
    assert account.chat_requests == 2 + 3
    assert dict(result.summary.reasons) == {"marked by events": 1, "changed": 1}
    assert_mirrors(account.warehouse, account.world)
    assert_idle(account)


def test_a_new_message_and_its_event_cost_what_the_message_alone_costs(account: Account) -> None:
    chat_id = large_chats(account)[0]
    account.world.receive(chat_id, "New", sent_at=OLD + DAY)
    account.sync()
    assert account.chat_requests == 1
    assert_mirrors(account.warehouse, account.world)
    assert_idle(account)


def test_when_a_whole_chat_was_read_by_somebody_it_is_read_whole(account: Account) -> None:
    chat_id = large_chats(account)[0]
    assert not all(row["is_read"] for row in account.messages(chat_id))
    account.world.mark_read(chat_id)
    account.sync()
    assert account.chat_requests == 5
    assert_mirrors(account.warehouse, account.world)
    assert_idle(account)


def test_an_event_of_a_message_that_is_not_there_has_the_chat_read_whole_once(account: Account) -> None:
    chat_id = large_chats(account)[0]
    data = {"id": "999999", "chat_id": str(chat_id), "sent_at": "2025-10-01T00:00:00Z"}
    account.box.write([told("message.received", data, "stray")])
    account.sync()
    assert account.chat_requests == 1 + 5
    assert_mirrors(account.warehouse, account.world)
    assert_idle(account)


def test_a_mark_that_could_not_be_served_is_served_by_the_next_sync(account: Account) -> None:
    chat_id = large_chats(account)[0]
    account.world.react(account.messages(chat_id)[3]["id"], "love", from_phone="+12125550101")
    account.linq.faults = [Fault(path=f"{settings.chat_messages_path(chat_id)}$", status=404)]
    assert account.sync().exit_code == 3
    account.linq.faults = []
    assert account.sync().exit_code == 0
    assert account.chat_requests == 1
    assert_mirrors(account.warehouse, account.world)
    assert_idle(account)


def test_an_event_that_is_loaded_while_a_sync_runs_is_left_to_the_next_one(account: Account) -> None:
    chat_id = large_chats(account)[0]
    account.world.react(account.messages(chat_id)[3]["id"], "love", from_phone="+12125550101")
    # A sync that began before, and read the chat for another reason.
    account.world.receive(chat_id, "New", sent_at=OLD + DAY)
    sync = make_sync(limits=IMPATIENT, integration_token=TOKEN, base_url=account.linq.base_url)
    sync._now = datetime.now(UTC)
    account.deliver()
    run_sync(sync, account.warehouse.target())
    run_events(EventLoader(str(account.box.folder)), account.warehouse.target())
    account.sync()
    assert account.chat_requests == 2
    assert_mirrors(account.warehouse, account.world)
    assert_idle(account)


def test_typing_and_calls_have_nothing_read(account: Account) -> None:
    account.world.typing(large_chats(account)[0])
    account.world.complete_call()
    result = account.sync()
    assert (account.chat_requests, result.summary.rows.total()) == (0, 0)
    assert result.events is not None
    assert dict(result.events.rows) == {"webhook_events": 2, "typing_indicators": 1, "calls": 1}
    assert_idle(account)


def test_an_event_about_a_contact_makes_the_contacts_due(account: Account) -> None:
    contacts = account.world.listed()["contacts"]
    account.sync(contacts_hours=48)
    account.world.update_contact(contacts[0]["id"], title="Boss", bump=True)
    account.sync(contacts_hours=48)
    assert account.linq.count("/contacts$") >= 1
    assert_mirrors(account.warehouse, account.world)
    account.sync(contacts_hours=48)
    assert account.linq.count("/contacts$") == 0


def test_a_chat_read_in_parts_serves_its_marks_too(serve: Serve, warehouse: Warehouse, tmp_path: Path) -> None:
    world = World.empty()
    chat = world.add_chat(["+12125550101"])
    for number in range(1_500):
        world.receive(chat.id, f"Message {number}", sent_at=OLD - timedelta(hours=2 * number))
    account = Account(world, serve(world), warehouse, tmp_path / "events")
    account.sync()
    world.react(account.messages(chat.id)[3]["id"], "love", from_phone="+12125550101")
    for number in range(4_500):
        world.receive(chat.id, f"Late {number}", sent_at=OLD + timedelta(seconds=number))
    result = account.sync()
    assert (result.exit_code, account.chat_requests) == (0, 1 + 46)
    assert_mirrors(warehouse, world)
    assert_idle(account)


def live(account: Account, chat_id: int) -> list[tuple[Any, ...]]:
    """The chat's messages of the newest hour, as an analyst sees them."""
    columns = "id, chat_id, text, sent_at, is_read, sent_from, direction, known_from"
    return account.warehouse.query(
        f"select {columns} from messages_live where chat_id = {chat_id} and sent_at >= timestamptz '{OLD + DAY}' "
        "order by id"
    )


@pytest.mark.through_dlt
def test_a_message_is_in_messages_live_as_soon_as_its_event_is_loaded(account: Account) -> None:
    chat_id = large_chats(account)[0]
    ours = account.world.visible_chat(chat_id)
    assert ours is not None
    at = OLD + 2 * DAY
    received = account.world.receive(chat_id, "It's news", sent_at=at)
    sent = account.world.send(chat_id, "Thanks", sent_at=at + HOUR)
    account.deliver()
    run_events(EventLoader(str(account.box.folder)), account.warehouse.target())
    expected = [
        (received.id, chat_id, "It's news", at, received.is_read, received.sent_from, "inbound"),
        (sent.id, chat_id, "Thanks", at + HOUR, sent.is_read, sent.sent_from, "outbound"),
    ]
    assert live(account, chat_id) == [(*row, "event") for row in expected]
    assert account.warehouse.query("select count(*) from messages where sent_at > '2026-03-02'") == [(0,)]
    account.sync()
    assert live(account, chat_id) == [(*row, "sync") for row in expected]
    total = account.warehouse.query("select count(*) from messages_live")
    assert total == account.warehouse.query("select count(*) from messages")


@pytest.mark.through_dlt
def test_a_message_that_went_before_it_was_read_leaves_messages_live_with_the_next_sync(account: Account) -> None:
    chat_id = large_chats(account)[0]
    gone = account.world.receive(chat_id, "Oops", sent_at=OLD + 2 * DAY)
    account.deliver()
    run_events(EventLoader(str(account.box.folder)), account.warehouse.target())
    account.world.delete_message(gone.id)
    assert len(live(account, chat_id)) == 1
    account.sync()
    assert live(account, chat_id) == []
    assert_mirrors(account.warehouse, account.world)


def test_the_command_loads_the_events_first_and_goes_on_where_a_file_is_torn(account: Account) -> None:
    account.world.react(account.messages(large_chats(account)[0])[3]["id"], "love", from_phone="+12125550101")
    account.deliver()
    folder = str(account.box.folder)
    done = account.warehouse.command(account.linq, "--events", folder, "--json")
    document = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert (document["rows"]["webhook_events"], document["rows"]["message_reactions"]) == (1, 1)
    assert_mirrors(account.warehouse, account.world)

    (account.box.folder / "torn.parquet").write_bytes(b"PAR1")
    account.world.receive(large_chats(account)[0], "New", sent_at=OLD + DAY)
    done = account.warehouse.command(account.linq, "--events", folder)
    assert done.returncode == 3
    assert done.stdout.startswith("Loaded 0 events from 0 files.\nListed 10 chats, read 1 of them")
    assert done.stderr.startswith("Skipped: torn.parquet in ")
    assert_mirrors(account.warehouse, account.world)

    done = account.warehouse.command(account.linq, "--events", folder + "/nowhere")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
