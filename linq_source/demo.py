"""What `--demo` syncs: a made-up organisation on a local Linq, and the changes between its two syncs."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from linq_source import settings
from linq_source.database import check_place
from linq_source.errors import ConfigurationError, LinqError
from linq_source.simulator import Simulator, World

DATABASE = Path("linq_demo.duckdb")
TOKEN = "demo-token"  # noqa: S105  # the simulator's, worth nothing elsewhere
CHANGES = (
    "a customer wrote, two chats were answered, a message was edited and another deleted, a reaction was taken "
    "back, a new chat began, one contact changed and one was deleted"
)


@contextmanager
def demo_linq() -> Iterator[Simulator]:
    """Serve the made-up organisation on this machine."""
    with Simulator(made(), token=TOKEN) as simulator:
        yield simulator


def made(end: datetime | None = None) -> World:
    """Make the organisation up, with a history until now or another `end`."""
    return World.make(seed=11, phone_numbers=4, chats=160, messages=14_000, end=end)


def prepare(database: Path, world: World, *, is_default: bool) -> None:
    """Make room for the demo's database: removes an earlier demo, and refuses a file that holds anything else."""
    check_place(database)
    if not database.exists():
        return
    if not is_default and not _is_demo(database, world):
        raise ConfigurationError(
            f"--demo will not write into {database}, which holds something else: name a new file."
        )
    try:
        for left in (database, database.with_name(database.name + ".wal")):
            left.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"{database} of an earlier demo cannot be removed ({error.strerror}): name a new --database."
        ) from None


def _is_demo(database: Path, world: World) -> bool:
    ours = {number.phone_number for number in world.listed_numbers()}
    try:
        with duckdb.connect(str(database), read_only=True) as connection:
            query = f"select phone_number from {settings.DATASET_NAME}.phone_numbers"
            stored = {number for (number,) in connection.sql(query).fetchall()}
    except duckdb.Error:
        return False
    return bool(stored) and stored <= ours


def report(database: Path) -> str:
    """Write the report beside the demo's database, and return a sentence about it."""
    from linq_source.analytics.report import write_report

    output = database.with_name(f"{database.stem}_report.html")
    try:
        write_report(database, output)
    except LinqError as error:
        return f"No report was written. {error}"
    return f"A report of it is in {output}: open it in a browser."


def change(world: World) -> None:
    """Let some time pass in the organisation: what CHANGES says."""
    rows = world.listed()
    # Where we wrote last comes first: of a chat at rest no list tells that a message was edited.
    wrote = {one["chat_id"]: one["sent_at"] for one in rows["messages"] if one["direction"] == "outbound"}
    people = [chat for chat in rows["chats"] if not chat["is_group"] and chat["message_count"] > 20]
    people.sort(key=lambda chat: wrote[chat["id"]], reverse=True)
    world.receive(people[0]["id"], "Hi! Is the appointment on Friday still on?")
    for chat in people[1:3]:
        world.send(chat["id"], "Thanks for waiting. It is all arranged.")
    of_chat = [message for message in rows["messages"] if message["chat_id"] == people[3]["id"]]
    ours = [message for message in of_chat if message["direction"] == "outbound"]
    world.edit(ours[-1]["id"], "We open at nine.")
    # One without reactions, which would go with it and make more than the one that is taken back.
    kept = {ours[-1]["id"], *(one["chat_message_id"] for one in rows["message_reactions"])}
    world.delete_message(next(message["id"] for message in reversed(of_chat) if message["id"] not in kept))
    # Of a chat that the next sync reads: no event and no list tells of one taken back in a chat at rest.
    sent_at = {one["id"]: one["sent_at"] for one in rows["messages"] if one["chat_id"] != people[3]["id"]}
    given = [one for one in rows["message_reactions"] if one["chat_message_id"] in sent_at]
    taken = max(given, key=lambda one: sent_at[one["chat_message_id"]])
    world.unreact(taken["chat_message_id"], from_phone=taken["from_phone"])
    number = rows["phone_numbers"][0]["phone_number"]
    begun = world.add_chat(["+12125550199"], ours=[number])
    world.receive(begun.id, "Hello, do you ship to Alaska?", sent_at=datetime.now(UTC).replace(microsecond=0))
    world.update_contact(rows["contacts"][0]["id"], title="Head of Operations")
    world.delete_contact(rows["contacts"][1]["id"])
