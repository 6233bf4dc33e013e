"""Events reach subscriptions over real sockets: signed, once each, tried again when they are not taken."""

import hashlib
import hmac
import json
from collections.abc import Iterator
from time import monotonic
from typing import Any
from uuid import UUID

import pytest

from linq_source.simulator import Deliveries, Disorder, Simulator, World
from linq_source.simulator.entities import EVENT_TYPES
from tests.simulator.conftest import NOON, Client
from tests.simulator.receiver import Receiver, listening, say, small_world, until


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Somewhere to deliver to."""
    with listening() as endpoint:
        yield endpoint


@pytest.fixture
def world() -> World:
    """A number, a chat and a group."""
    return small_world()


def everything(world: World) -> None:
    """One event of each type."""
    world.send(1, "Out")
    received = world.receive(1, "In <&> \u2028 é 👍", message_id=27_900_000)
    world.mark_read(1)
    world.complete_call()
    world.react(received.id, "like")
    world.react(received.id, "love", from_phone="+12125550101")
    world.typing(1)
    world.typing(1, display=False)
    contact = world.add_contact(first_name="Ada")
    world.update_contact(contact.id, title="CEO")
    world.delete_contact(contact.id)
    handle = world.join(2, "+12125550103")
    world.leave(2, handle.id)


def test_every_type_arrives_in_the_documented_envelope(world: World, receiver: Receiver) -> None:
    world.add_webhook_subscription(receiver.url)
    told: list[tuple[str, dict[str, Any]]] = []
    world.on_event = lambda event_type, data: told.append((event_type, data))
    with Deliveries(world, seed=7) as deliveries:
        everything(world)
        assert deliveries.wait(10)
    documents = [json.loads(body) for body in receiver.bodies]
    assert {document["event_type"] for document in documents} == set(EVENT_TYPES)
    assert [(document["event_type"], document["data"]) for document in documents] == told
    for document in documents:
        assert set(document) == {"api_version", "created_at", "data", "event_id", "event_type"}
        assert (document["api_version"], document["created_at"]) == ("v2", "2025-05-21T06:00:00-06:00")
        assert str(UUID(document["event_id"])) == document["event_id"]
    assert len({document["event_id"] for document in documents}) == len(documents) == deliveries.delivered
    for body in receiver.bodies:
        canonical = json.dumps(json.loads(body), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert body == canonical.encode()


def test_a_secret_signs_the_raw_body(world: World, receiver: Receiver) -> None:
    world.add_webhook_subscription(receiver.url, secret="sésame")
    with Deliveries(world):
        everything(world)
    assert len(receiver.got) >= len(EVENT_TYPES)
    for headers, body in receiver.got:
        expected = hmac.new("sésame".encode(), body, hashlib.sha256).hexdigest()
        assert headers["x-webhook-signature"] == f"sha256={expected}"
        assert headers["content-type"] == "application/json"


def test_without_a_secret_there_is_no_signature(world: World, receiver: Receiver) -> None:
    world.add_webhook_subscription(receiver.url)
    with Deliveries(world):
        say(world, 1)
    assert "x-webhook-signature" not in receiver.got[0][0]


def test_only_active_subscriptions_to_the_type_are_told(world: World, receiver: Receiver) -> None:
    world.add_webhook_subscription(receiver.url, active=False)
    world.add_webhook_subscription(receiver.url, ["message.received", "contact.created"])
    with Deliveries(world) as deliveries:
        say(world, 3)
        world.receive(1, "In")
    assert (receiver.texts, deliveries.delivered) == (["In"], 1)


def test_each_subscription_has_event_ids_of_its_own_and_the_same_for_a_seed(world: World, receiver: Receiver) -> None:
    for _ in range(2):
        world.add_webhook_subscription(receiver.url)
    ids = []
    for seed in (1, 1, 2):
        receiver.got.clear()
        with Deliveries(world, seed=seed):
            world.typing(1)
        ids.append({json.loads(body)["event_id"] for body in receiver.bodies})
    assert [len(of_run) for of_run in ids] == [2, 2, 2]
    assert ids[0] == ids[1]
    assert ids[0].isdisjoint(ids[2])


def test_started_again_it_repeats_no_event_id(world: World, receiver: Receiver) -> None:
    world.add_webhook_subscription(receiver.url)
    deliveries = Deliveries(world)
    for _ in range(2):
        with deliveries:
            say(world, 2)
        say(world, 1)
    assert receiver.texts == ["0", "1"] * 2
    assert len({json.loads(body)["event_id"] for body in receiver.bodies}) == 4
    assert world.on_event is None


def test_the_quick_start_shows_messages_its_own_way(world: World, receiver: Receiver) -> None:
    world.add_webhook_subscription(receiver.url)
    with Deliveries(world, envelope="quick_start"):
        received = world.receive(1, "Thanks!")
        world.typing(1)
    message, typing = (json.loads(body) for body in receiver.bodies)
    assert message == {
        "event": "message.received",
        "data": {
            "message": {
                "id": received.id,
                "text": "Thanks!",
                "sent_at": "2025-05-21T12:00:00Z",
                "sent_from": "+12125550101",
                "chat_id": 1,
            },
            "chat": {"id": 1, "display_name": "+1 (212) 555-0101", "service": "iMessage"},
        },
        "timestamp": "2025-05-21T12:00:00Z",
    }
    assert typing["event_type"] == "typing_indicator.received"


@pytest.mark.parametrize("status", [500, 404, 302])
def test_what_was_not_taken_is_sent_again_in_the_same_bytes(world: World, receiver: Receiver, status: int) -> None:
    subscription = world.add_webhook_subscription(receiver.url, secret="s")
    receiver.statuses = [status, status]
    with Deliveries(world, backoff_seconds=0.01) as deliveries:
        say(world, 1)
        assert deliveries.wait(10)
    assert len(receiver.got) == 3
    assert len({(headers["x-webhook-signature"], body) for headers, body in receiver.got}) == 1
    assert (deliveries.delivered, deliveries.retried, deliveries.given_up) == (1, 2, 0)
    assert (subscription.delivery_attempts, subscription.last_delivered_at) == (3, NOON)


def test_a_retry_holds_up_nothing_else(world: World, receiver: Receiver) -> None:
    world.add_webhook_subscription(receiver.url)
    receiver.statuses = [500]
    with Deliveries(world, backoff_seconds=0.5):
        say(world, 3)
    assert receiver.texts == ["0", "1", "2", "0"]


def test_pauses_double_up_to_a_bound(world: World, receiver: Receiver) -> None:
    world.add_webhook_subscription(receiver.url)
    receiver.statuses = [500] * 4
    begun = monotonic()
    with Deliveries(world, backoff_seconds=0.05, max_backoff_seconds=0.1) as deliveries:
        say(world, 1)
        assert deliveries.wait(10)
    assert monotonic() - begun >= 0.05 + 3 * 0.1
    assert deliveries.retried == 4


def test_it_gives_up_after_so_many_attempts(world: World, receiver: Receiver) -> None:
    subscription = world.add_webhook_subscription(receiver.url)
    receiver.statuses = [503] * 3
    with Deliveries(world, attempts=3, backoff_seconds=0.01) as deliveries:
        world.send(1, "In vain")
        assert deliveries.wait(10)
        world.send(1, "Next")
        assert deliveries.wait(10)
    assert (deliveries.delivered, deliveries.retried, deliveries.given_up) == (1, 2, 1)
    assert receiver.texts == ["In vain"] * 3 + ["Next"]
    assert subscription.delivery_attempts == 4


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/", "http://127.0.0.1:99999/", "http:///", "http://[/", "http://x y/"]
)
def test_an_address_where_nobody_is_is_given_up(world: World, url: str) -> None:
    subscription = world.add_webhook_subscription(url)
    with Deliveries(world, attempts=2, backoff_seconds=0.01) as deliveries:
        say(world, 1)
        assert deliveries.wait(10)
    assert (deliveries.given_up, deliveries.delivered) == (1, 0)
    assert (subscription.delivery_attempts, subscription.last_delivered_at) == (2, None)


def test_no_answer_in_time_is_tried_again(world: World, receiver: Receiver) -> None:
    world.add_webhook_subscription(receiver.url)
    receiver.answering.clear()
    with Deliveries(world, attempts=2, backoff_seconds=0.01, timeout_seconds=0.1) as deliveries:
        say(world, 1)
        assert deliveries.wait(10)
    assert (len(set(receiver.bodies)), len(receiver.bodies)) == (1, 2)
    assert deliveries.given_up == 1


def test_a_receiver_that_hangs_holds_up_neither_the_world_nor_others(world: World, receiver: Receiver) -> None:
    hanging = world.add_webhook_subscription(receiver.url)
    deliveries = Deliveries(world, timeout_seconds=60).start()
    receiver.answering.clear()
    begun = monotonic()
    say(world, 500)
    with Simulator(world) as sim, Client(sim) as client:
        assert client.get("/phone_numbers").status_code == 200
    assert monotonic() - begun < 5
    until(lambda: bool(receiver.got))
    assert not deliveries.wait(0.05)
    deliveries.stop(drain=False)
    assert monotonic() - begun < 8
    assert (deliveries.delivered, deliveries.dropped) == (0, 500)
    assert hanging.delivery_attempts == 1


def test_what_a_stop_finds_is_delivered_or_dropped(world: World, receiver: Receiver) -> None:
    world.add_webhook_subscription(receiver.url)
    deliveries = Deliveries(world, disorder=Disorder(late_seconds=30)).start()
    say(world, 3)
    deliveries.stop(drain=True, seconds=0.01)
    deliveries.stop()
    say(world, 1)
    assert (deliveries.dropped, receiver.got) == (3, [])


def test_a_subscription_that_went_gets_no_more(world: World, receiver: Receiver) -> None:
    gone, off = (world.add_webhook_subscription(receiver.url) for _ in range(2))
    with Deliveries(world, disorder=Disorder(late_seconds=0.2)) as deliveries:
        say(world, 1)
        world.delete_webhook_subscription(gone.id)
        world.update_webhook_subscription(off.id, active=False)
        assert deliveries.wait(10)
    assert (deliveries.dropped, receiver.got) == (2, [])


def test_the_api_shows_attempts_and_the_last_delivery(world: World, receiver: Receiver) -> None:
    receiver.statuses = [500]
    with Simulator(world) as sim, Client(sim) as client, Deliveries(world, backoff_seconds=0.01) as deliveries:
        body = {"webhook_url": receiver.url, "events": ["message.sent"], "version": 2}
        made = client.post("/webhook_subscriptions", json=body).json()["webhook_subscription"]
        assert (made["delivery_attempts"], made["last_delivered_at"]) == (0, None)
        say(world, 2)
        assert deliveries.wait(10)
        answer = client.get("/webhook_subscriptions").json()
    (row,) = answer["webhook_subscriptions"]
    assert (row["delivery_attempts"], row["last_delivered_at"]) == (3, "2025-05-21T12:00:00Z")
    assert row["updated_at"] == made["updated_at"]
