"""Webhook events twice, out of order, late or lost, with syncs between: the tables end up equal to Linq."""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from linq_source.simulator import Recorder, Simulator, World
from tests.mailbox import Mailbox
from tests.shortcut import ALL_TABLES, LongWay, Shortcut
from tests.shuffle_steps import PEOPLE
from tests.shuffles import Shuffle, Tally
from tests.support import OLD, Warehouse, assert_mirrors

Serve = Callable[..., Simulator]


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
