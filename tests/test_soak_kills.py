"""The real command, killed at random moments while Linq changes: whatever it leaves, the next run ends right."""

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from linq_source.simulator import Simulator, World
from tests.processes import started, wait_until
from tests.support import OLD, PARENTS, Warehouse, small_world
from tests.warm import Running

Serve = Callable[..., Simulator]

OPTIONS = ("--commit-every", "400", "--json")


@dataclass
class Tally:
    """What became of a database after so many kills."""

    kills: int = 0
    kills_while_writing: int = 0
    """Kills that left a write-ahead log: the database was open and not at rest."""
    runs: int = 0
    lost: int = 0
    twice: int = 0
    stuck: int = 0
    killed_after_seconds: list[float] = field(default_factory=list)

    @property
    def harm(self) -> tuple[int, int, int]:
        """All of it must be 0."""
        return self.lost, self.twice, self.stuck


def let_something_happen(world: World, rng: random.Random) -> None:
    """Change some chats, one thing each, so that a plain sync can tell; and some contacts."""
    rows = world.listed()
    of_chat: dict[int, list[dict[str, Any]]] = {}
    for message in rows["messages"]:
        of_chat.setdefault(message["chat_id"], []).append(message)
    chats = [chat["id"] for chat in rows["chats"]]
    for chat_id in rng.sample(chats, 6):
        match rng.randrange(6):
            case 0 | 1:
                # Never as many as are deleted elsewhere: a plain sync cannot tell, and is not meant to.
                for _ in range(rng.randrange(3, 40, 2)):
                    world.receive(chat_id, "A word", sent_at=OLD - timedelta(minutes=rng.randrange(100_000)))
            case 2 if len(of_chat.get(chat_id, [])) > 3:
                for message in rng.sample(of_chat[chat_id], 2):
                    world.delete_message(message["id"])
            case 3:
                world.join(chat_id, f"+1646555{rng.randrange(10_000):04}")
            case 4:
                world.rename_chat(chat_id, f"Name {rng.randrange(1000)}")
            case _ if rng.random() < 0.3:
                world.remove_chat(chat_id)
    begun = world.add_chat([f"+1718555{rng.randrange(10_000):04}"])
    for minute in range(rng.randint(1, 150)):
        world.send(begun.id, f"Hello {minute}", sent_at=OLD + timedelta(minutes=minute))
    contacts = [contact["id"] for contact in rows["contacts"]]
    world.update_contact(rng.choice(contacts), title=f"Title {rng.randrange(1000)}")
    if len(contacts) > 20:
        world.delete_contact(rng.choice(contacts))
    world.add_contact(first_name=f"Contact {rng.randrange(1000)}")


def kill_at_random(
    kills: int, world: World, linq: Simulator, warehouse: Warehouse, rng: random.Random, **environment: str
) -> Tally:
    """Kill one to three runs in a row, then let one end and compare, again and again."""
    tally = Tally()
    length = 2.0
    while tally.kills < kills:
        for _ in range(min(rng.randint(1, 3), kills - tally.kills)):
            let_something_happen(world, rng)
            # Random, but spread over the whole of a run however few they are.
            share = (tally.kills * 0.618 + 0.4 + 0.2 * rng.random()) % 1
            tally.kills += killed(warehouse, linq, share * length, tally, **environment)
        linq.clear_requests()
        with started(warehouse, linq, *OPTIONS, **environment) as process:
            begun = wait_for_first_request(linq, process)
            try:
                _, errors = process.communicate(timeout=200)
            except subprocess.TimeoutExpired:
                errors = "it never ended"
        tally.runs += 1
        length = 0.7 * length + 0.3 * (time.monotonic() - begun)
        if process.returncode != 0 or errors:
            tally.stuck += 1
            sys.stdout.write(f"\nstuck: exit code {process.returncode}: {errors}\n")
        count_harm(warehouse, world, tally)
    return tally


def killed(warehouse: Warehouse, linq: Simulator, after: float, tally: Tally, **environment: str) -> bool:
    """Start a run and kill it some seconds after its first request; False when it had ended by then."""
    linq.clear_requests()
    with started(warehouse, linq, *OPTIONS, **environment) as process:
        wait_for_first_request(linq, process)
        try:
            process.communicate(timeout=after)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
    if process.returncode != -signal.SIGKILL:
        return False
    tally.killed_after_seconds.append(after)
    tally.kills_while_writing += warehouse.path.with_name(warehouse.path.name + ".wal").exists()
    return True


def wait_for_first_request(linq: Simulator, process: Running) -> float:
    """Wait until a run has done more than be imported; return when that was."""
    wait_until(lambda: linq.requests or process.poll() is not None)
    return time.monotonic()


def count_harm(warehouse: Warehouse, world: World, tally: Tally) -> None:
    """Count rows that are not as Linq lists them, and keys that come twice."""
    live: dict[str, list[dict[str, Any]]] = {}
    listed = world.listed()
    for table in sorted(listed, key=lambda name: name in PARENTS):
        found = warehouse.live(table)
        if table == "messages":  # those of a chat that is gone stay as they were
            chats = {row["id"] for row in live["chats"]}
            found = [row for row in found if row["chat_id"] in chats]
        elif table in PARENTS:
            column, parent = PARENTS[table]
            here = {row["id"] for row in live[parent]}
            found = [row for row in found if row[column] in here]
        live[table] = found
        key = ("chat_id", "phone_number") if table == "chat_phone_numbers" else ("id",)
        times = Counter(tuple(row[name] for name in key) for row in found)
        tally.twice += sum(count > 1 for count in times.values())
        wanted = {tuple(row[name] for name in key): row for row in listed[table]}
        stored = {tuple(row[name] for name in key): row for row in found}
        missing, surplus = wanted.keys() - stored.keys(), stored.keys() - wanted.keys()
        other = [
            each
            for each in wanted.keys() & stored.keys()
            if any(stored[each].get(name) != value for name, value in wanted[each].items() if name != "events")
        ]
        tally.lost += len(missing) + len(surplus) + len(other)
        if missing or surplus or other:
            sys.stdout.write(f"\n{table}: missing {missing}, too many {surplus}, different {other}\n")


def report(tally: Tally) -> None:
    after = sorted(tally.killed_after_seconds)
    sys.stdout.write(
        f"\n{tally.kills} kills, {after[0]:.1f} to {after[-1]:.1f} s after the first request, "
        f"{tally.kills_while_writing} of them while the database was being written; {tally.runs} runs that ended: "
        f"{tally.lost} rows lost or wrong, {tally.twice} twice, {tally.stuck} runs stuck\n"
    )


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_five_random_kills_of_the_command_do_no_harm(serve: Serve, warehouse: Warehouse) -> None:
    world = small_world(chats=30, messages=2_500)
    tally = kill_at_random(5, world, serve(world), warehouse, random.Random(1), TMPDIR=str(warehouse.path.parent))
    report(tally)
    assert (tally.kills, *tally.harm) == (5, 0, 0, 0)


@pytest.mark.soak
def test_a_hundred_and_twenty_random_kills_of_the_command_do_no_harm(serve: Serve, warehouse: Warehouse) -> None:
    world = small_world(chats=60, messages=6_000)
    tally = kill_at_random(120, world, serve(world), warehouse, random.Random(2), TMPDIR=str(warehouse.path.parent))
    report(tally)
    assert (tally.kills, *tally.harm) == (120, 0, 0, 0)
    left = list(warehouse.path.parent.glob("linq_source_*"))
    assert left == [], "every run works in a folder of its own and removes it, or the next one does"
