"""A sync that dies at any point of any write leaves a database from which a plain next sync ends right.

Every point of a run is looked at by stopping the run there and copying its files, which are what a kill at that
point leaves: each of these states, where `make soak` has the time, and else some of them. A few runs, there one at
each point, are killed for good.
"""

import json
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from linq_source.simulator import Fault, Simulator, World
from tests.support import MARKED, ROOT, TOKEN, Warehouse, assert_mirrors, small_world

Order = Callable[..., dict[str, Any]]

KEYS = (
    ("phone_numbers", "id"), ("chats", "id"), ("chat_phone_numbers", "(chat_id, phone_number)"),
    ("chat_handles", "id"), ("messages", "id"), ("message_reactions", "id"), ("message_attachments", "id"),
    ("contacts", "id"), ("webhook_subscriptions", "id"), ("chat_syncs", "chat_id"), ("list_syncs", "list_name"),
    ("rejected_rows", "row_hash"),
)  # fmt: skip
SETS = (
    ("chat_phone_numbers", "chat_id", "chats"), ("chat_handles", "chat_id", "chats"),
    ("message_reactions", "chat_message_id", "messages"), ("message_attachments", "message_id", "messages"),
)  # fmt: skip


class Crashes:
    """A kind of run, the state of things before it, and what becomes of whatever its death leaves."""

    def __init__(self, folder: Path, order: Order, world: World, *, commit_every: int) -> None:
        self.folder = folder
        self.order = order
        self.world = world
        self.commit_every = commit_every
        self.linq = Simulator(world, token=TOKEN)
        self.before = Warehouse(folder / "before" / "linq.duckdb")
        self.before.path.parent.mkdir()

    def fresh(self, name: str, files_of: Path | None = None) -> Warehouse:
        """A copy of the database as it was before the run, or of the files in another folder."""
        shutil.copytree(files_of or self.before.path.parent, self.folder / name)
        return Warehouse(self.folder / name / "linq.duckdb")

    def run(self, warehouse: Warehouse, **how: Any) -> dict[str, Any]:
        """Run it in a process that dies, or is stopped, as told."""
        given = {"database": str(warehouse.path), "base_url": self.linq.base_url, "commit_every": self.commit_every}
        return self.order(given | how)

    def frozen(self) -> dict[str, Any]:
        """What a run that nothing disturbs leaves at each of its points; `states` names the folders."""
        states = self.folder / "states"
        states.mkdir()
        answer = self.run(self.fresh("undisturbed"), frozen_in=str(states))
        assert answer["status"] == 0
        assert len(answer["points"]) == len(answer["states"]) >= 100
        return answer

    def assert_heals(self, warehouse: Warehouse, *, then_idle: bool = False) -> None:
        """A plain sync brings the tables to equal Linq: nothing lost, nothing twice, nothing stuck."""
        result = warehouse.sync(self.linq)
        assert (result.exit_code, result.summary.skipped) == (0, [])
        assert_mirrors(warehouse, self.world)
        assert departed(warehouse) == self.departed_at_the_end
        if then_idle:
            assert warehouse.sync(self.linq).loads == []

    def learn_the_end(self) -> None:
        """Run it undisturbed once, to know which rows must be marked as departed in the end."""
        end = self.fresh("end")
        assert end.sync(self.linq).exit_code == 0
        assert_mirrors(end, self.world)
        self.departed_at_the_end = departed(end)


def departed(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    """The keys of the rows that are marked as gone.

    Fails where a key comes twice, a cursor is not believed, or something is left of what has gone.
    """
    wrong = [f"select '{table}', {key}::text from {table} group by {key} having count(*) > 1" for table, key in KEYS]
    loads = "(select load_id from _dlt_loads where status = 0)"
    wrong.append(f"select 'not believed', chat_id::text from chat_syncs where _dlt_load_id not in {loads}")
    for table, column, parent in SETS:
        there = f"(select id from {parent} where deleted_at is null)"
        wrong.append(f"select '{table}', {column}::text from {table} where {column} not in {there}")
    assert warehouse.query(" union all ".join(wrong)) == []
    gone = [f"select '{table}', id from {table} where deleted_at is not null" for table in MARKED]
    return warehouse.query(" union all ".join(gone) + " order by all")


@pytest.fixture
def order() -> Iterator[Order]:
    """Send an order to a process of tests/crash_child.py, and wait for its answer."""
    command = [sys.executable, "-m", "tests.crash_child"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin
        assert child.stdout

        def send(given: dict[str, Any]) -> dict[str, Any]:
            assert child.stdin
            assert child.stdout
            child.stdin.write(json.dumps(given) + "\n")
            child.stdin.flush()
            answer: dict[str, Any] = json.loads(child.stdout.readline())
            return answer

        yield send
        child.stdin.close()


def first_sync(folder: Path, order: Order) -> Crashes:
    """The first sync of six chats, in slices."""
    return Crashes(folder, order, small_world(chats=6, messages=150), commit_every=180)


def sync_of_changes(folder: Path, order: Order) -> Crashes:
    """A later sync, after something of every kind has changed, gone or come, and a field was added."""
    world = small_world(chats=8, messages=160)
    recent = world.add_chat(["+12125550100"])
    messages = [world.receive(recent.id, f"Lately {number}") for number in range(4)]
    for message in messages:
        world.react(message.id, "like", from_phone="+12125550100")
    crashes = Crashes(folder, order, world, commit_every=40)
    with crashes.linq:
        assert crashes.before.sync(crashes.linq).exit_code == 0
    change(world, recent.id)
    crashes.linq.faults.append(Fault(path="/contacts$", kind="mutate", mutate=nicknamed))
    return crashes


def change(world: World, recent: int) -> None:
    """Change, add and take away something of every kind."""
    rows = world.listed()
    chats = [chat["id"] for chat in rows["chats"] if chat["id"] != recent]
    of_chat = {chat_id: [m["id"] for m in rows["messages"] if m["chat_id"] == chat_id] for chat_id in chats}
    world.receive(chats[0], "Any news?", sent_at=datetime.now(UTC) - timedelta(days=30))
    # With its reaction and its attachment: sets that must go although their message is marked already.
    reacted = {row["chat_message_id"] for row in rows["message_reactions"]}
    attached = {row["message_id"] for row in rows["message_attachments"]}
    for chat_id in chats[1:4]:
        rich = [message for message in of_chat[chat_id] if message in reacted | attached]
        world.delete_message((rich or of_chat[chat_id])[0])
    for day in (20, 21):
        world.receive(chats[2], "One went, two came", sent_at=datetime.now(UTC) - timedelta(days=day))
    world.remove_chat(chats[4])
    handles = [row for row in rows["chat_handles"] if row["chat_id"] == chats[5]]
    world.leave(chats[5], handles[-1]["id"])
    world.join(chats[5], "+12125550177")
    lately = [message["id"] for message in rows["messages"] if message["chat_id"] == recent]
    world.unreact(lately[0])
    world.unreact(lately[1])
    world.react(lately[1], "love", from_phone="+12125550100")
    world.edit(lately[2], "Changed")
    begun = world.add_chat(["+12125550188"])
    for number in range(30):
        world.receive(begun.id, f"New {number}", sent_at=datetime.now(UTC) - timedelta(days=40 - number))
    contacts = [contact["id"] for contact in rows["contacts"]]
    world.update_contact(contacts[0], title="Director")
    world.delete_contact(contacts[1])
    world.add_contact(first_name="Ada", last_name="New")


def nicknamed(answer: Any) -> Any:
    """A page of contacts with a field that no table has yet."""
    for contact in answer["contacts"]:
        contact["nickname"] = f"Nick {contact['id']}"
    return answer


RUNS = pytest.mark.parametrize("make", [first_sync, sync_of_changes], ids=["first", "changes"])
Make = Callable[[Path, Order], Crashes]


def check_points(crashes: Crashes, *, files_checked: int | None, kills: int | None) -> None:
    """Look at the files that a run leaves at its points, and kill some runs for good; None means all."""
    with crashes.linq:
        crashes.learn_the_end()
        answer = crashes.frozen()
        points, states = answer["points"], answer["states"]
        chosen = most_telling(points, states, files_checked)
        for state in chosen:
            with naming(points, states.index(state)):
                files = crashes.folder / "states" / str(state)
                crashes.assert_heals(crashes.fresh(f"{state} healed", files), then_idle=state == chosen[-1])
        kills_survived = 0
        for index in spread(range(len(points)), kills):
            with naming(points, index):
                killed = crashes.fresh(f"killed at {index}")
                # No two runs have quite the same points: one told to die at the last may not come so far.
                kills_survived += crashes.run(killed, die_at=index + 1)["status"] == -signal.SIGKILL
                crashes.assert_heals(killed)
    covered = sum(state in chosen for state in states)
    sys.stdout.write(
        f"\n{len(points)} points in a run, which leave {len(set(states))} different files; {covered} points checked "
        f"in {len(chosen)} files, {kills_survived} kills: 0 lost, 0 twice, 0 stuck\n"
    )
    assert covered + kills_survived >= 60, "with both kinds of run well over a hundred points"


def most_telling(points: list[str], states: list[int], count: int | None) -> list[int]:
    """So many states, in order: half of them those that most points leave, half spread over the others.

    And of each table that keeps what has gone, the last one between a DELETE and its INSERT: what was marked as gone
    is lost there for ever, unless a transaction holds both.
    """
    if count is None:
        return sorted(set(states))
    common = {state for state, _ in Counter(states).most_common(count // 2)}
    common |= {
        max(found)
        for table in MARKED
        if (found := [state for point, state in zip(points, states, strict=True) if is_halfway(point, table)])
    }
    left = sorted(set(states) - common)
    return sorted({*common, *spread(left, count // 2)})


def is_halfway(point: str, table: str) -> bool:
    """Whether a run has just deleted of this table what it is about to insert anew."""
    return point.lower().startswith(f'after delete from "linq_data"."{table}"')


def spread(every: Sequence[int], count: int | None) -> list[int]:
    """So many of them, from the first to the last; the middle one, where it is one."""
    if count is None or count >= len(every):
        return list(every)
    if count == 1:
        return [every[len(every) // 2]]
    return [every[index * (len(every) - 1) // (count - 1)] for index in range(count)]


@contextmanager
def naming(points: list[str], index: int) -> Iterator[None]:
    """Have a failure say at which point the run died."""
    try:
        yield
    except Exception as error:
        raise AssertionError(f"killed at point {index + 1} of {len(points)}, {points[index]}") from error


@pytest.mark.slow
@pytest.mark.timeout(600)
@RUNS
def test_whatever_a_run_leaves_at_any_point_the_next_one_ends_right(make: Make, tmp_path: Path, order: Order) -> None:
    check_points(make(tmp_path, order), files_checked=3, kills=1)


@pytest.mark.soak
@RUNS
def test_a_run_killed_at_each_of_its_points_is_healed_by_the_next(make: Make, tmp_path: Path, order: Order) -> None:
    check_points(make(tmp_path, order), files_checked=None, kills=None)
