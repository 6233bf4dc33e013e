"""Webhook events twice, out of order, late or lost, with syncs between: the tables end up equal to Linq.

One shuffle is a small account in which things happen while its events arrive in disorder, are loaded at any time
and served by any sync. Where no event is lost, a plain sync ends in tables that equal Linq and the next one has
nothing to do; where some are, a sync that reads every chat whole does.
"""

import json
import random
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from linq_source.context import Summary
from linq_source.simulator import Disorder, Quirks, Recorder, Simulator, World
from linq_source.simulator.entities import Chat, Message
from tests.mailbox import Mailbox
from tests.shortcut import ALL_TABLES, KilledError, LongWay, Shortcut
from tests.support import OLD, TOKEN, Warehouse, assert_mirrors, with_limits

PEOPLE = [f"+1212555{number:04d}" for number in range(100, 199)]
Serve = Callable[..., Simulator]
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)

WHOLE = {"recheck_hours": 0, "contacts_hours": 0}
"""Settings of a sync that reads everything."""

TYPED = {
    "message_reads": ("message.read",),
    "typing_indicators": ("typing_indicator.received", "typing_indicator.removed"),
    "participant_changes": ("participant.added", "participant.removed"),
    "calls": ("call.completed",),
}


@dataclass
class Tally:
    """What so many shuffles were made of."""

    shuffles: int = 0
    events: int = 0
    duplicates: int = 0
    lost: int = 0
    syncs: int = 0
    kills: int = 0

    def __str__(self) -> str:
        return (
            f"{self.shuffles} shuffles, {self.events} events, {self.duplicates} delivered again, {self.lost} lost, "
            f"{self.syncs} syncs, {self.kills} more syncs or loads killed"
        )


def build(rng: random.Random) -> World:
    """Two numbers, a chat of several pages and a few small ones, all of it long past; the clock ticks by itself."""
    world = World.empty(phone_numbers=2)
    ticks = count()
    world.clock = lambda: OLD + next(ticks) * MINUTE
    ours = [number.phone_number for number in world.listed_numbers()]
    sizes = [rng.randint(201, 330), rng.randint(20, 40), rng.randint(8, 20), rng.randint(1, 8)]
    for index, size in enumerate(sizes):
        others = PEOPLE[3 * index : 3 * index + (3 if index == 2 else 1)]
        chat = world.add_chat(others, ours=ours if index == 3 else [ours[index % 2]])
        gap = rng.choice((MINUTE, HOUR, 5 * HOUR))
        for number in range(size):
            write = world.receive if number % 3 else world.send
            # Two of them in one second now and then.
            message = write(chat.id, f"Message {number}", sent_at=OLD - gap * (number - number % 2))
            message.is_read = number > 6
            if number % 25 == 0:
                world.react(message.id, "like", from_phone=others[0])
    for index in range(5):
        world.add_contact(first_name=f"Contact {index}", phone_number=PEOPLE[index])
    return world


class Shuffle:
    """One account, its tables, and the events on their way to them."""

    def __init__(
        self, seed: int, tables: Shortcut | LongWay, folder: Path, tally: Tally, *, loses: bool, kills: bool = True
    ) -> None:
        self.rng = rng = random.Random(seed)
        self.loses, self.kills, self.tables, self.tally = loses, kills, tables, tally
        self.world = build(rng)
        quirks = Quirks(extra_fields=rng.random() < 0.1, after_inclusive=rng.random() < 0.3)
        self.linq = Simulator(self.world, token=TOKEN, quirks=quirks)
        disorder = Disorder(shuffled=rng.random(), twice=rng.random() / 2, lost=rng.random() / 2 if loses else 0)
        self.recorder = Recorder(self.world, disorder=disorder, seed=seed)
        self.folder = folder
        self.boxes = [Mailbox(folder), Mailbox(folder, "receiver2")]
        self.settings = {"contacts_hours": rng.choice((0, 0, 48))}
        self.taken = 0
        self.written: list[bytes] = []
        self.first_loads: dict[str, str] = {}
        self.loaded = [0, 0]
        self.added: set[int] = set()
        """Chats that got messages, or lost some, which no sync has seen since."""
        self.removed: set[int] = set()
        self.anew: set[int] = set()
        """Chats to which something happened while the last sync ran."""

    def play(self) -> None:
        """Let it all happen, then compare."""
        with self.linq:
            self.sync()
            for _ in range(self.rng.randint(2, 4)):
                self.happen()
                acts = (self.deliver, self.load, self.sync, self.sync_while_it_happens, self.be_killed)
                for act in self.rng.choices(acts, (10, 6, 4, 2, 1), k=self.rng.randint(1, 4)):
                    act()
            self.deliver(everything=True)
            self.load()
            has_deletions = bool(self.removed) or self.loses
            self.sync(**(WHOLE if self.loses else {}))
            try:
                assert_mirrors(self.tables.warehouse, self.world)
            except AssertionError:
                if not has_deletions:
                    raise
                self.sync(**(WHOLE if self.loses else {}))  # a deletion may take a second sync
                assert_mirrors(self.tables.warehouse, self.world)
            if not self.loses:
                self.assert_idle()
            self.assert_each_event_once()
        self.tally.shuffles += 1
        self.tally.lost += self.recorder.lost

    def happen(self) -> None:
        """Have something happen to some of the chats, and to contacts."""
        chats = self.chats()
        for chat in self.rng.sample(chats, self.rng.randint(1, len(chats))):
            self.rng.choice(TOLD + UNTOLD if self.loses else TOLD)(self, chat)
        for _ in range(self.rng.randint(0, 2)):
            self.rng.choice(ACCOUNT)(self)

    def chats(self) -> list[Chat]:
        return sorted(self.world.chats.values(), key=lambda chat: chat.id)

    def deliver(self, *, everything: bool = False) -> None:
        """Write files of some of the events that have arrived, and of some that had come before."""
        arrived = self.recorder.bodies() if everything else self.recorder.arrived
        end = len(arrived) if everything or self.rng.random() < 0.5 else self.rng.randint(self.taken, len(arrived))
        bodies, self.taken = arrived[self.taken : end], end
        again = self.rng.sample(self.written, min(len(self.written), self.rng.randint(0, 3)))
        where = self.rng.randint(0, len(bodies))
        for box, some in zip(self.boxes, (bodies[:where], bodies[where:] + again), strict=True):
            if some:
                box.write(some)
        self.written += bodies + again

    def load(self) -> None:
        """Load the files; what was loaded before must stay as it is."""
        summary = self.tables.load(self.folder)
        assert summary.skipped == []
        self.loaded[0] += summary.events
        self.loaded[1] += summary.duplicates
        found = {row["event_id"]: row["_dlt_load_id"] for row in self.rows("webhook_events")}
        rewritten = [event_id for event_id, load_id in self.first_loads.items() if found.get(event_id) != load_id]
        assert rewritten == [], "webhook_events: events were written again"
        self.first_loads = found

    def sync(self, **settings: Any) -> Summary:
        """Run a sync, which must leave nothing out."""
        # What is hidden, or happens meanwhile, it may not see.
        seen = {chat.id for chat in self.world.chats.values() if not chat.hidden}
        added, removed = self.added & seen, self.removed & seen
        summary = self.tables.sync(self.linq, **(self.settings | settings))
        assert (summary.failure, summary.skipped) == (None, [])
        self.tally.syncs += 1
        self.added -= added - self.anew
        self.removed -= removed - self.anew
        self.anew = set()
        return summary

    def sync_while_it_happens(self) -> None:
        """Run a sync, and have something happen to the chats before one of its requests."""
        self.linq.clear_requests()
        at = self.rng.randint(1, 12)

        def happen(_: object) -> None:
            if len(self.linq.requests) == at:
                for chat in [chat for chat in self.chats() if not chat.hidden]:
                    step = self.rng.choice(MEANWHILE)
                    step(self, chat)
                    self.anew.add(chat.id)

        self.linq.before_request = happen
        # One request at a time, so that it is the same one each time.
        self.sync(limits=with_limits(concurrency=1))
        self.linq.before_request = None

    def be_killed(self) -> None:
        """Begin a sync or a load that is killed while it writes; the long way has tests of its own for that."""
        if self.kills and isinstance(self.tables, Shortcut):
            self.tables.merger.dying = self.rng
            with suppress(KilledError):
                if self.rng.random() < 0.5:
                    self.tables.sync(self.linq, **self.settings)
                else:
                    self.tables.load(self.folder)
            self.tables.merger.dying = None
            self.tally.kills += 1

    def rows(self, table: str) -> list[dict[str, Any]]:
        """All rows of a table of events, which are created with the first file."""
        return self.tables.warehouse.rows(table) if self.written else []

    def assert_idle(self) -> None:
        """A sync asks for no messages and writes nothing."""
        self.linq.clear_requests()
        summary = self.sync()
        assert self.linq.count("/chat_messages$") == 0, "a sync asks for messages again"
        assert dict(summary.rows) == {}, "a sync writes again"

    def assert_each_event_once(self) -> None:
        """Every table of events holds what was written, each once."""
        told = {event["event_id"]: event for event in map(json.loads, self.written)}
        self.tally.events += len(told)
        self.tally.duplicates += len(self.written) - len(told)
        assert self.loaded == [len(told), len(self.written) - len(told)], "events and those that came again"
        of_type: dict[str, list[str]] = {}
        for event_id, event in told.items():
            of_type.setdefault(event["event_type"], []).append(event_id)
        expected = sorted((event_id, event["event_type"]) for event_id, event in told.items())
        assert sorted((row["event_id"], row["event_type"]) for row in self.rows("webhook_events")) == expected
        for table, kinds in TYPED.items():
            wanted = sorted(event_id for kind in kinds for event_id in of_type.get(kind, []))
            assert sorted(row["event_id"] for row in self.rows(table)) == wanted, table
        files = self.rows("event_files")
        assert len({row["file_name"] for row in files}) == len(files)
        assert sum(row["event_count"] for row in files) == len(self.written)


def new_message(play: Shuffle, chat: Chat) -> None:
    write(play, chat, None)


def late_message(play: Shuffle, chat: Chat) -> None:
    write(play, chat, OLD - play.rng.randint(0, 400) * HOUR)


def message_in_a_known_second(play: Shuffle, chat: Chat) -> None:
    if chat.messages:
        write(play, chat, play.rng.choice(chat.messages).sent_at)


def message_never_sent(play: Shuffle, chat: Chat) -> None:
    if chat.id not in play.removed:
        play.added.add(chat.id)
        play.world.send(chat.id, "Pending", unsent=True)


def write(play: Shuffle, chat: Chat, sent_at: datetime | None) -> None:
    # A deletion that hides an addition is what a plain sync cannot tell, and is not meant to.
    if chat.id not in play.removed:
        play.added.add(chat.id)
        for _ in range(play.rng.randint(1, 3)):
            play.world.receive(chat.id, "A word", sent_at=sent_at)


def deleted_messages(play: Shuffle, chat: Chat) -> None:
    if chat.id not in play.added:
        play.removed.add(chat.id)
        for message in play.rng.sample(chat.messages, min(len(chat.messages), play.rng.randint(1, 2))):
            play.world.delete_message(message.id)


def reactions(play: Shuffle, chat: Chat) -> None:
    for _ in range(play.rng.randint(1, 3)):
        if message := drawn(play, chat):
            sender = play.rng.choice([chat.others[0].phone_number, *chat.phone_numbers])
            play.world.react(message.id, play.rng.choice(("love", "laugh")), from_phone=sender)


def everything_read(play: Shuffle, chat: Chat) -> None:
    play.world.mark_read(chat.id)


def typing(play: Shuffle, chat: Chat) -> None:
    play.world.typing(chat.id, display=play.rng.random() < 0.5)


def joined(play: Shuffle, chat: Chat) -> None:
    play.world.join(chat.id, play.rng.choice(PEOPLE[20:]))


def left(play: Shuffle, chat: Chat) -> None:
    if len(chat.others) > 1:
        play.world.leave(chat.id, play.rng.choice(chat.others).id)


def renamed(play: Shuffle, chat: Chat) -> None:
    play.world.rename_chat(chat.id, play.rng.choice(("Friends", "Family", None)))


def hidden_or_shown(play: Shuffle, chat: Chat) -> None:
    (play.world.show_chat if chat.hidden else play.world.hide_chat)(chat.id)


def gone(play: Shuffle, chat: Chat) -> None:
    play.world.remove_chat(chat.id)


def edited(play: Shuffle, chat: Chat) -> None:
    if message := drawn(play, chat):
        play.world.edit(message.id, f"{message.text} (edited)")


def delivery_failed(play: Shuffle, chat: Chat) -> None:
    if message := drawn(play, chat):
        play.world.deliver(message.id, delivery_status="service_unavailable")


def reactions_taken_back(play: Shuffle, chat: Chat) -> None:
    for reaction in [one for message in chat.messages for one in message.reactions][:3]:
        play.world.unreact(reaction.chat_message_id, from_phone=reaction.from_phone)


def one_goes_one_comes(play: Shuffle, chat: Chat) -> None:
    if message := drawn(play, chat):
        play.world.delete_message(message.id)
        play.world.receive(chat.id, "In its place", sent_at=message.sent_at)


def drawn(play: Shuffle, chat: Chat) -> Message | None:
    return play.rng.choice(chat.messages) if chat.messages else None


def new_chat(play: Shuffle) -> None:
    chat = play.world.add_chat([play.rng.choice(PEOPLE[20:])])
    for number in range(play.rng.randint(0, 3)):
        play.world.receive(chat.id, f"Hello {number}")


def call(play: Shuffle) -> None:
    play.world.complete_call()


def new_contact(play: Shuffle) -> None:
    play.world.add_contact(first_name="Somebody", phone_number=play.rng.choice(PEOPLE))


def contact_changed(play: Shuffle) -> None:
    if play.world.contacts:
        play.world.update_contact(play.rng.choice(sorted(play.world.contacts)), last_name=f"Name {play.rng.random()}")


def contact_gone(play: Shuffle) -> None:
    if play.world.contacts:
        play.world.delete_contact(play.rng.choice(sorted(play.world.contacts)))


Step = Callable[[Shuffle, Chat], None]

TOLD: list[Step] = [
    new_message, new_message, late_message, message_in_a_known_second, message_never_sent, deleted_messages,
    deleted_messages, reactions, reactions, reactions, reactions, everything_read, everything_read, typing, joined,
    left, renamed, hidden_or_shown, gone,
]  # fmt: skip
"""What an event or a listing tells of."""

MEANWHILE: list[Step] = [new_message, late_message, reactions, reactions, everything_read, renamed, joined]
"""What may happen while a sync runs."""

UNTOLD: list[Step] = [edited, edited, delivery_failed, reactions_taken_back, reactions_taken_back, one_goes_one_comes]
"""What nothing tells of but reading the whole chat."""

ACCOUNT: list[Callable[[Shuffle], None]] = [new_chat, call, new_contact, contact_changed, contact_gone]


def shuffle(seed: int, tally: Tally) -> None:
    """Play one shuffle in memory, every other one with events lost."""
    tables = Shortcut()
    try:
        with tempfile.TemporaryDirectory() as folder:
            Shuffle(seed, tables, Path(folder), tally, loses=bool(seed % 2)).play()
    except AssertionError as error:
        raise AssertionError(f"seed {seed}: {error}") from error
    finally:
        tables.close()


def test_in_twelve_shuffles_the_tables_end_up_equal_to_linq() -> None:
    tally = Tally()
    for seed in range(12):
        shuffle(seed, tally)
    assert tally.shuffles == 12
    assert min(tally.duplicates, tally.lost, tally.syncs, tally.kills) > 3


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("part", range(10), ids="part{}".format)
def test_in_five_thousand_shuffles_the_tables_end_up_equal_to_linq(part: int) -> None:
    tally, wrong = Tally(), []
    for seed in range(1_000 * (part + 1), 1_000 * (part + 1) + 500):
        try:
            shuffle(seed, tally)
        except AssertionError as error:
            wrong.append(str(error))
            sys.stdout.write(f"\n{error}\n")
    sys.stdout.write(f"\npart {part}: {tally}, {len(wrong)} wrong\n")
    assert wrong == []


def comparable(tables: Warehouse) -> dict[str, list[dict[str, Any]]]:
    """All rows of all tables, but for what the clock said; of loads, which one of them wrote each row."""
    loads = sorted(tables.rows("_dlt_loads"), key=lambda row: row["inserted_at"])
    number = {row["load_id"]: index for index, row in enumerate(loads)}
    found = {"_dlt_loads": [{"schema_name": row["schema_name"], "status": row["status"]} for row in loads]}
    for name, table in ALL_TABLES.items():
        rows = [row | {"_dlt_load_id": number[row["_dlt_load_id"]]} for row in tables.rows(name)]
        for row in rows:
            for clock in ("loaded_at", "synced_at", "read_whole_at", "deleted_at"):
                if clock in row:
                    row[clock] = row[clock] is not None
        found[name] = sorted(rows, key=lambda row: [str(row[column]) for column in table.key])
    return found


@pytest.mark.slow
@pytest.mark.parametrize("seed", [35, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(5))])
def test_the_shortcut_writes_the_same_rows_as_dlt(seed: int, warehouse: Warehouse, tmp_path: Path) -> None:
    short, long = Shortcut(), LongWay(warehouse)
    for number, tables in enumerate((short, long)):
        play = Shuffle(seed, tables, tmp_path / f"events{number}", Tally(), loses=bool(seed % 2), kills=False)
        play.play()
    ours, theirs = comparable(short.warehouse), comparable(warehouse)
    short.close()
    for name, rows in theirs.items():
        assert ours[name] == rows, name


def test_a_reaction_to_a_message_never_sent_is_read_when_its_chat_changed_too(serve: Serve, tmp_path: Path) -> None:
    world = World.empty()
    chat = world.add_chat(PEOPLE[:1])
    world.receive(chat.id, "Old", sent_at=OLD)
    pending = world.send(chat.id, "Pending", unsent=True)
    tables, box, recorder, linq = Shortcut(), Mailbox(tmp_path / "events"), Recorder(world), serve(world)
    tables.sync(linq)
    world.react(pending.id, "love")
    world.rename_chat(chat.id, "Friends")
    box.write(recorder.bodies())
    tables.load(box.folder)
    tables.sync(linq)
    assert_mirrors(tables.warehouse, world)
