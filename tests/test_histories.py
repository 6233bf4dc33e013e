"""Random histories: whatever happens between any two requests of a sync, the tables end up equal to Linq."""

import shutil
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from linq_source.simulator import Quirks, Simulator, World
from tests.support import TOKEN, Warehouse, assert_mirrors, with_limits

START = datetime(2026, 3, 1, tzinfo=UTC)
PEOPLE = [f"+1212555{number:04d}" for number in range(100, 160)]

Step = Callable[[World, int], None]

PATIENT = with_limits(read_seconds=60.0, request_seconds=120.0)
"""No answer is late here, but a machine that plays thousands of histories may stand still for seconds."""


def build() -> World:
    """Two numbers, four chats (one under both numbers), 40 messages, a few contacts, reactions and a number more."""
    world = World.empty(phone_numbers=2)
    ours = [number.phone_number for number in world.listed_numbers()]
    for index in range(4):
        chat = world.add_chat([PEOPLE[index]], ours=ours if index == 0 else [ours[index % 2]], joined_at=START)
        for number in range(4 + 4 * index):
            sender = world.receive if number % 2 else world.send
            message = sender(chat.id, f"Message {number}", sent_at=START + timedelta(minutes=7 * number))
            if number % 5 == 0:
                world.react(message.id, "like", from_phone=PEOPLE[index])
    for index in range(9):
        world.add_contact(first_name=f"Contact {index}", phone_number=PEOPLE[index])
    return world


def pick(rows: list[dict[str, Any]], choice: int) -> dict[str, Any] | None:
    """One of the rows, or None where there is none."""
    return rows[choice % len(rows)] if rows else None


def new_message(world: World, choice: int) -> None:
    if chat := pick(world.listed()["chats"], choice):
        world.receive(chat["id"], f"New {choice}", sent_at=START + timedelta(days=1, seconds=choice))


def late_message(world: World, choice: int) -> None:
    if chat := pick(world.listed()["chats"], choice):
        world.receive(chat["id"], f"Late {choice}", sent_at=START - timedelta(hours=choice % 50))


def message_in_a_known_second(world: World, choice: int) -> None:
    if message := pick(world.listed()["messages"], choice):
        world.receive(message["chat_id"], f"Same second {choice}", sent_at=message["sent_at"])


def deleted_message(world: World, choice: int) -> None:
    if message := pick(world.listed()["messages"], choice):
        world.delete_message(message["id"])


def edited_message(world: World, choice: int) -> None:
    if message := pick(world.listed()["messages"], choice):
        world.edit(message["id"], f"Edited {choice}")


def reaction(world: World, choice: int) -> None:
    if message := pick(world.listed()["messages"], choice):
        world.react(message["id"], "love", from_phone=PEOPLE[choice % 4])


def reaction_taken_back(world: World, choice: int) -> None:
    if found := pick(world.listed()["message_reactions"], choice):
        world.unreact(found["chat_message_id"], from_phone=found["from_phone"])


def new_chat(world: World, choice: int) -> None:
    chat = world.add_chat([PEOPLE[10 + choice % 40]])
    world.receive(chat.id, "Hello", sent_at=START)


def chat_gone(world: World, choice: int) -> None:
    if chat := pick(world.listed()["chats"], choice):
        world.remove_chat(chat["id"])


def chat_hidden_or_shown(world: World, choice: int) -> None:
    chat_id = sorted(world.chats)[choice % len(world.chats)] if world.chats else None
    if chat_id is not None:
        (world.show_chat if world.visible_chat(chat_id) is None else world.hide_chat)(chat_id)


def participant_joined(world: World, choice: int) -> None:
    if chat := pick(world.listed()["chats"], choice):
        world.join(chat["id"], PEOPLE[50 + choice % 10])


def contact_changed(world: World, choice: int) -> None:
    if contact := pick(world.listed()["contacts"], choice):
        world.update_contact(contact["id"], title=f"Title {choice}")


def contact_gone(world: World, choice: int) -> None:
    if contact := pick(world.listed()["contacts"], choice):
        world.delete_contact(contact["id"])


def new_contact(world: World, choice: int) -> None:
    world.add_contact(first_name=f"Newcomer {choice}")


def number_released_or_restored(world: World, choice: int) -> None:
    # Not the last one: no number at all is taken for a broken answer, unless --allow-mass-delete is given.
    number = next(iter(world.phone_numbers.values()))
    (world.restore_number if number.released else world.release_number)(number.phone_number)


STEPS: list[Step] = [
    new_message, late_message, message_in_a_known_second, deleted_message, edited_message, reaction,
    reaction_taken_back, new_chat, chat_gone, chat_hidden_or_shown, participant_joined, contact_changed, contact_gone,
    new_contact, number_released_or_restored,
]  # fmt: skip

history = st.lists(
    st.tuples(st.integers(0, 45), st.sampled_from(STEPS), st.integers(0, 10_000)), min_size=1, max_size=25
)


@pytest.fixture(scope="session")
def empty_tables(made_once: Callable[..., Path]) -> Path:
    """The file that the sync of an empty account leaves: to make the tables takes as long as all the rest."""

    def fill(folder: Path) -> None:
        with Simulator(World.empty(), token=TOKEN) as linq:
            assert Warehouse(folder / "linq.duckdb").sync(linq).exit_code == 0

    return made_once("empty-tables", fill) / "linq.duckdb"


def play(steps: list[tuple[int, Step, int]], folder: Path, begin_with: Path | None = None) -> None:
    """Sync while the steps happen, each before the request of its number, then in peace; then compare."""
    world = build()
    warehouse = Warehouse(folder / "linq.duckdb")
    if begin_with:
        shutil.copyfile(begin_with, warehouse.path)
    with Simulator(world, token=TOKEN, quirks=Quirks(page_size_cap=3)) as linq:

        def happen(_: object) -> None:
            for at, step, choice in steps:
                # A number that is released before it was ever listed is not known to have been ours.
                if at == len(linq.requests) and (at > 1 or step is not number_released_or_restored):
                    step(world, choice)

        linq.before_request = happen
        warehouse.sync(linq, recheck_hours=0, limits=PATIENT)
        linq.before_request = None
        result = warehouse.sync(linq, recheck_hours=0, limits=PATIENT)
        try:
            assert_mirrors(warehouse, world)
        except AssertionError:  # a deletion may take a second sync
            result = warehouse.sync(linq, recheck_hours=0, limits=PATIENT)
            assert_mirrors(warehouse, world)
        assert result.exit_code == 0, result.summary


def played(examples: int) -> Callable[[Callable[[list[tuple[int, Step, int]]], None]], Any]:
    """Settings of a run of so many histories."""
    return settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],  # to shrink one takes minutes: add Phase.shrink to look into a failure
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "part", [1, *(pytest.param(part, marks=pytest.mark.without_dlt) for part in (2, *range(13, 21)))]
)
def test_ten_random_histories_end_in_tables_that_equal_linq(part: int, empty_tables: Path) -> None:
    @seed(part)
    @played(10)
    @given(history)
    def run(steps: list[tuple[int, Step, int]]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            play(steps, Path(folder), begin_with=None if part == 1 else empty_tables)

    run()


@pytest.mark.soak
@pytest.mark.parametrize("part", range(3, 13))
def test_five_thousand_random_histories_end_in_tables_that_equal_linq(part: int, empty_tables: Path) -> None:
    @seed(part)
    @played(500)
    @given(history)
    def run(steps: list[tuple[int, Step, int]]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            play(steps, Path(folder), begin_with=None if part < 5 else empty_tables)

    run()
