"""Deliveries in the disorder that was asked for, the same for the same seed."""

import json
from collections.abc import Iterator
from time import monotonic

import pytest

from linq_source.simulator import Deliveries, Disorder, Recorder, World
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


def test_an_event_may_come_twice(world: World, receiver: Receiver) -> None:
    world.add_webhook_subscription(receiver.url)
    with Deliveries(world, disorder=Disorder(twice=1.0)) as deliveries:
        say(world, 3)
    assert receiver.texts == ["0", "0", "1", "1", "2", "2"]
    assert (len(set(receiver.bodies)), deliveries.delivered) == (3, 6)


def test_an_event_may_be_lost(world: World, receiver: Receiver) -> None:
    world.add_webhook_subscription(receiver.url)
    with Deliveries(world, disorder=Disorder(lost=0.5), seed=3) as deliveries:
        said = say(world, 40)
    assert 5 < deliveries.lost < 35
    assert deliveries.delivered + deliveries.lost == 40
    assert receiver.texts == [text for text in said if text in receiver.texts]


def test_an_event_may_come_late(world: World, receiver: Receiver) -> None:
    world.add_webhook_subscription(receiver.url)
    begun = monotonic()
    with Deliveries(world, disorder=Disorder(late_seconds=0.3)) as deliveries:
        say(world, 2)
        assert not deliveries.wait(0.05)
        assert receiver.got == []
        assert deliveries.wait(10)
    assert monotonic() - begun >= 0.3
    assert receiver.texts == ["0", "1"]


def test_later_events_may_overtake(world: World, receiver: Receiver) -> None:
    subscription = world.add_webhook_subscription(receiver.url)
    disorder = Disorder(shuffled=0.4, twice=0.2, lost=0.1)
    # What one subscription is sent, by the same seed as that subscription's.
    recorder = Recorder(world, disorder=disorder, seed=f"5/{subscription.id}")
    with Deliveries(world, disorder=disorder, seed=5) as deliveries:
        said = say(world, 40)
        assert deliveries.wait(10)
    assert receiver.texts != sorted(receiver.texts, key=said.index)
    assert receiver.bodies == recorder.bodies()
    assert deliveries.lost == recorder.lost > 0


def test_an_event_nobody_overtakes_is_not_kept_for_ever(
    world: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("linq_source.simulator.deliveries._PATIENCE_SECONDS", 0.05)
    world.add_webhook_subscription(receiver.url)
    with Deliveries(world, disorder=Disorder(shuffled=1.0)) as deliveries:
        say(world, 1)
        until(lambda: deliveries.delivered > 0)
        assert receiver.texts == ["0"]


def test_a_recorder_needs_no_subscription(world: World) -> None:
    plain = Recorder(world)
    shuffled = Recorder(world, disorder=Disorder(shuffled=1.0), events=["message.sent"], seed=2)
    say(world, 30)
    world.typing(1)
    assert len(plain.arrived) == len(plain.bodies()) == 31
    texts = [json.loads(body)["data"]["text"] for body in shuffled.bodies()]
    assert texts != sorted(texts, key=int) == [str(number) for number in range(30)]
    # None waits for more than five others.
    assert all(abs(place - int(text)) <= 5 for place, text in enumerate(texts))
    shuffled.stop()
    plain.stop()
    say(world, 1)
    assert (len(plain.bodies()), len(shuffled.bodies())) == (31, 30)


@pytest.mark.parametrize("wrong", [{"shuffled": 1.1}, {"lost": -0.1}, {"twice": float("nan")}, {"late_seconds": -1}])
def test_disorder_has_bounds(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="is no"):
        Disorder(**wrong)
