"""The same sync into every destination that can run here: mirrored, idle, changed, killed, fed with events."""

import os
import signal
import subprocess
from collections.abc import Callable
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from dlt.load import Load

from linq_source.analytics.views import VERSION_VIEW
from linq_source.errors import DestinationError
from linq_source.simulator import Quirks, Recorder, Simulator
from tests.destinations.fixtures import kind, store
from tests.destinations.store import Store
from tests.mailbox import Mailbox
from tests.processes import at_request
from tests.support import OLD, ROOT, TOKEN, assert_mirrors, small_world

Serve = Callable[..., Simulator]

__all__ = ["kind", "store"]  # fixtures

pytestmark = [
    pytest.mark.filterwarnings("ignore:implicitly coercing SELECT object"),  # dlt's, of SQLAlchemy
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # the emulators'
]


def test_a_first_sync_mirrors_an_idle_one_writes_nothing_and_what_changed_follows(serve: Serve, store: Store) -> None:
    world = small_world()
    linq = serve(world)
    first = store.sync(linq)
    assert first.exit_code == (0 if store.has_views else 3), first.summary
    assert [sentence[:9] for sentence in first.summary.skipped] == ([] if store.has_views else ["the views"])
    assert_mirrors(store, world)
    before = store.everything()
    result = store.sync(linq)
    assert (dict(result.summary.rows), result.loads) == ({}, [])
    assert store.everything() == before

    rows = world.listed()
    chats = [chat["id"] for chat in rows["chats"]]
    world.receive(
        chats[0], "It's 'new' :one\\ %s \U0001f600\nand long", sent_at=OLD + timedelta(days=1, microseconds=5)
    )
    world.receive(chats[1], "", sent_at=OLD - timedelta(days=900))
    world.delete_message(next(row["id"] for row in rows["messages"] if row["chat_id"] == chats[2]))
    world.remove_chat(chats[3])
    world.leave(chats[4], next(row["id"] for row in rows["chat_handles"] if row["chat_id"] == chats[4]))
    world.update_contact(rows["contacts"][0]["id"], title="", company="O'Neil \\ Sons")
    world.delete_contact(rows["contacts"][1]["id"])
    world.add_webhook_subscription("https://example.com/hook", ["message.sent", 'it\'s \\ "odd"'])
    assert store.sync(linq).exit_code == 0
    assert_mirrors(store, world)
    assert len([row for row in store.rows("messages") if row["deleted_at"] is not None]) == 1
    assert len([row for row in store.rows("contacts") if row["deleted_at"] is not None]) == 1
    assert store.sync(linq).loads == []


def test_a_reaction_taken_back_and_a_participant_who_left_are_gone(serve: Serve, store: Store) -> None:
    world = small_world(messages=60, contacts=5)
    message = next(row for row in world.listed()["messages"])
    world.react(message["id"], "love", from_phone="+12125550199")
    linq = serve(world)
    store.sync(linq)
    assert_mirrors(store, world)
    handle = world.listed()["chat_handles"][0]
    world.leave(handle["chat_id"], handle["id"])
    world.unreact(message["id"], from_phone="+12125550199")
    assert store.sync(linq, recheck_hours=0).exit_code == 0
    assert_mirrors(store, world)
    assert handle["id"] not in {row["id"] for row in store.rows("chat_handles")}


def test_fields_that_come_later_become_columns(serve: Serve, store: Store) -> None:
    world = small_world(messages=60, contacts=5)
    store.sync(serve(world))
    linq = serve(world, quirks=Quirks(extra_fields=True))
    assert store.sync(linq, recheck_hours=0).exit_code == 0
    assert_mirrors(store, world)
    assert store.sync(linq).loads == []


def test_events_are_loaded_and_served_and_the_views_stand(serve: Serve, store: Store, tmp_path: Path) -> None:
    world = small_world(chats=3, messages=40)
    chat = world.add_chat(["+12125550101"])
    for number in range(250):
        world.receive(chat.id, f"Message {number}", sent_at=OLD - timedelta(hours=17 * number))
    linq, recorder, box = serve(world), Recorder(world), Mailbox(tmp_path / "events")
    store.sync(linq)
    old = next(row for row in world.listed()["messages"] if row["chat_id"] == chat.id)
    world.react(old["id"], "love", from_phone="+12125550101")
    world.complete_call()
    box.write(recorder.bodies())
    linq.clear_requests()
    assert store.sync(linq, events=box.folder).summary.failure is None
    assert linq.count("/chat_messages$") == 1
    assert_mirrors(store, world)
    result = store.sync(linq, events=box.folder)
    assert (linq.count("/chat_messages$"), result.loads) == (1, [])
    if store.has_views:
        assert len(store.read(VERSION_VIEW)) == 1
        assert sum(row["calls"] for row in store.read("call_summary")) == 1


@pytest.mark.parametrize(("step", "times"), [("submit_job", 6), ("complete_package", 1)])
def test_a_commit_that_dies_on_its_way_is_healed_by_the_next_sync(
    step: str, times: int, serve: Serve, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = small_world(chats=6, messages=90)
    linq = serve(world)
    store.sync(linq)
    rows = world.listed()
    reacted = rows["message_reactions"][0]
    world.unreact(reacted["chat_message_id"], from_phone=reacted["from_phone"])
    world.delete_message(next(row["id"] for row in rows["messages"] if row["id"] != reacted["chat_message_id"]))
    world.react(rows["messages"][-1]["id"], "love", from_phone="+12125550199")
    world.remove_chat(rows["chats"][2]["id"])
    world.receive(world.add_chat(["+12125550177"]).id, "New")
    world.update_contact(rows["contacts"][0]["id"], title="Director")
    with monkeypatch.context() as patched:
        patched.setattr(Load, step, dying(getattr(Load, step), times))
        with pytest.raises(DestinationError, match="dies here"):
            store.sync(linq, recheck_hours=0)
    assert store.sync(linq, recheck_hours=0).summary.failure is None
    assert_mirrors(store, world)
    assert store.sync(linq).loads == []


def dying(step: Callable[..., Any], times: int) -> Callable[..., Any]:
    """A step of dlt's that fails when it is called for the so many-th time."""
    calls = count(1)

    def called(*args: Any, **how: Any) -> Any:
        if next(calls) == times:
            raise RuntimeError("the process dies here")
        return step(*args, **how)

    return called


@pytest.mark.slow
@pytest.mark.parametrize("share", [pytest.param(0.4, marks=pytest.mark.soak), 0.9])
def test_a_sync_that_is_killed_is_healed_by_the_next(
    share: float, serve: Serve, store: Store, tmp_path: Path
) -> None:
    world = small_world(chats=30, messages=3_000)
    linq = serve(world)
    env = os.environ | {"SOURCES__LINQ__INTEGRATION_TOKEN": TOKEN, "SOURCES__LINQ__BASE_URL": linq.base_url}
    command = [*store.command(), "--commit-every", "500"]
    process: list[subprocess.Popen[bytes]] = []
    at_request(linq, int(45 * share), lambda: process[0].send_signal(signal.SIGKILL))
    process.append(subprocess.Popen(command, env=env, cwd=ROOT))
    assert process[0].wait(timeout=100) == -signal.SIGKILL
    linq.before_request = None
    assert store.sync(linq).summary.failure is None
    assert_mirrors(store, world)
    ids = [row["id"] for row in store.rows("messages")]
    assert len(ids) == len(set(ids))
