"""What goes on in a world by itself, and in the one that the command serves."""

import hashlib
import hmac
import json
import subprocess
import sys
from datetime import UTC, datetime
from random import Random

import httpx

from linq_source.simulator import Recorder, World, happen
from linq_source.simulator.entities import EVENT_TYPES
from tests.simulator import schema
from tests.simulator.conftest import NOON, ROOT
from tests.simulator.receiver import listening, until

END = datetime(2025, 5, 21, tzinfo=UTC)


def made(seed: int) -> World:
    """Worlds of several sizes, the smallest without chats."""
    chats = seed % 4 * 3
    world = World.make(seed=seed, phone_numbers=1 + seed % 3, chats=chats, messages=chats * 30, end=END)
    world.clock = lambda: NOON
    return world


def test_life_goes_on_in_any_world() -> None:
    for seed in range(40):
        world, rng = made(seed), Random(seed)
        recorder = Recorder(world)
        for _ in range(100):
            happen(world, rng)
        assert recorder.bodies()
        for chat in world.chats.values():
            identifiers = [handle.phone_number for handle in chat.handles]
            assert len(set(identifiers)) == len(identifiers)
            assert chat.others


def test_life_makes_every_type_of_event_and_is_the_same_for_a_seed() -> None:
    runs = []
    for _ in range(2):
        world, rng = made(3), Random(1)
        recorder = Recorder(world)
        for _ in range(600):
            happen(world, rng)
        runs.append(recorder.bodies())
        listed = world.listed()
    assert {json.loads(body)["event_type"] for body in runs[0]} == set(EVENT_TYPES)
    assert runs[0] == runs[1]
    assert any(row["edited_at"] == NOON for row in listed["messages"])


def test_life_goes_on_without_numbers() -> None:
    world, rng = made(1), Random(1)
    for number in world.listed_numbers():
        world.release_number(number.phone_number)
    recorder = Recorder(world)
    for _ in range(60):
        happen(world, rng)
    types = {json.loads(body)["event_type"] for body in recorder.bodies()}
    assert types == {"contact.created", "contact.updated", "contact.deleted"}


def test_the_command_lives_and_delivers() -> None:
    command = [sys.executable, "-m", "linq_source.simulator", "--port", "0", "--chats", "3", "--messages", "40"]
    command += ["--live", "100"]
    with (
        listening() as receiver,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process,
    ):
        assert process.stdout is not None
        line = process.stdout.readline()
        settings = dict(word.split("=", 1) for word in line.split() if "=" in word)
        with httpx.Client(
            base_url=settings["SOURCES__LINQ__BASE_URL"] + ROOT,
            headers={"X-LINQ-INTEGRATION-TOKEN": "demo-token"},
            verify=False,
        ) as client:
            wanted = {"webhook_url": receiver.url, "events": list(EVENT_TYPES), "version": 2, "secret": "s"}
            answer = client.post("/webhook_subscriptions", json=wanted)
            schema.conforms(answer.json()["webhook_subscription"], schema.WEBHOOK_SUBSCRIPTION)
            until(lambda: len(receiver.got) >= 10)
        process.terminate()
        rest, errors = process.communicate(timeout=20)
    assert (process.returncode, rest, errors) == (0, "", "")
    assert len(receiver.got) >= 10
    for headers, body in receiver.got:
        expected = hmac.new(b"s", body, hashlib.sha256).hexdigest()
        assert headers["x-webhook-signature"] == f"sha256={expected}"
