"""An account whose webhook events come twice, out of order, late or never, with syncs between.

One shuffle is a small account in which things happen while its events arrive in disorder, are loaded at any time
and served by any sync. Where no event is lost, a plain sync ends in tables that equal Linq and the next one has
nothing to do; where some are, a sync that reads every chat whole does.
"""

import json
import random
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from linq_source.context import Summary
from linq_source.simulator import Disorder, Quirks, Recorder, Simulator, World
from linq_source.simulator.entities import Chat
from tests.mailbox import Mailbox
from tests.shortcut import KilledError, LongWay, Shortcut
from tests.shuffle_steps import ACCOUNT, HOUR, MEANWHILE, MINUTE, PEOPLE, TOLD, UNTOLD
from tests.support import OLD, TOKEN, assert_mirrors, with_limits

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
