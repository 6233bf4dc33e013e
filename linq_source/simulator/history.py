"""Fills a world with a believable organisation: the same for the same seed, sizes and end."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

from .conversations import Conversations
from .directory import Directory
from .entities import Chat, Message, PhoneNumber, Service, by_time
from .message_details import Writer
from .people import Person, address_book, fictional_numbers, person, staff
from .rhythm import DAY, Habits, Rhythm, habits
from .texts import GROUP_NAMES

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class _Line:
    number: PhoneNumber
    habits: Habits


@dataclass(slots=True)
class _Plan:
    """A chat before it exists: between whom, over what period, how many messages."""

    lines: list[_Line]
    people: list[Person]
    size: int
    start: int
    end: int


class Fillable(Conversations, Directory):
    """What a history can be written into."""


def fill(
    world: Fillable,
    *,
    seed: int,
    phone_numbers: int,
    chats: int,
    messages: int,
    contacts: int | None,
    end: datetime,
    days: int,
) -> None:
    """Exactly the given numbers of rows; `contacts` None means most of the people and a few more."""
    rng = Random(seed)
    numbers = fictional_numbers(rng)
    staff(world, rng, phone_numbers, numbers)
    lines = [_Line(number, habits(rng, index)) for index, number in enumerate(world.listed_numbers())]
    last = (end - _EPOCH) // timedelta(milliseconds=1)
    with _no_garbage_collection():
        plans, people = _plans(rng, lines, numbers, chats, messages, last, days)
        known = [somebody for somebody in people if rng.random() < 0.9]
        known += [person(rng, numbers) for _ in range(len(people) // 10)]
        while contacts is not None and len(known) < contacts:
            known.append(person(rng, numbers))
        address_book(world, rng, known[:contacts], len(known[:contacts]), end, days)
        writer = Writer(rng, last)
        rhythm = Rhythm(rng)
        for plan in plans:
            _write_chat(world, rng, plan, rhythm, writer)
        _number_messages(world, rng)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Nothing made here is garbage, and looking for it among millions of objects takes minutes."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _plans(
    rng: Random, lines: list[_Line], numbers: Iterator[str], chats: int, messages: int, last: int, days: int
) -> tuple[list[_Plan], list[Person]]:
    people: list[Person] = []
    plans: list[_Plan] = []
    groups, shared = round(chats * 0.08), round(chats * 0.05) if len(lines) > 1 else 0
    kinds = ["group"] * groups + ["shared"] * shared + ["single"] * (chats - groups - shared)
    rng.shuffle(kinds)
    sizes = _apportion(messages, [rng.lognormvariate(0, 1.1) for _ in kinds])
    weights = [line.habits.weight for line in lines]
    for kind, size in zip(kinds, sizes, strict=True):
        start = last - int((1 - rng.random() ** 2 * 0.8) * days * DAY)
        stop = last if rng.random() < 0.7 else start + int((last - start) * rng.uniform(0.15, 0.95))
        ours = rng.choices(lines, weights)
        if kind == "shared" or (kind == "group" and len(lines) > 1 and rng.random() < 0.1):
            ours.append(rng.choice([line for line in lines if line is not ours[0]]))
        guests = []
        if kind == "group":
            # People of other chats meet in groups, always with somebody new: no two have the same members.
            guests = rng.sample(people, min(len(people), rng.randint(1, 4)))
        newcomers = [person(rng, numbers) for _ in range(2 if kind == "group" and not guests else 1)]
        people += newcomers
        plans.append(_Plan(ours, newcomers + guests, size, start, stop))
    plans.sort(key=lambda plan: plan.start)
    return plans, people


def _apportion(total: int, weights: list[float]) -> list[int]:
    """Whole shares that add up to the total; each gets one before any gets two."""
    if not weights:
        return []
    floor = min(1, total // len(weights))
    rest = total - floor * len(weights)
    scale = rest / sum(weights)
    shares = [floor + int(weight * scale) for weight in weights]
    for index in range(total - sum(shares)):
        shares[index % len(shares)] += 1
    return shares


def _write_chat(world: Fillable, rng: Random, plan: _Plan, rhythm: Rhythm, writer: Writer) -> None:
    service: Service = "iMessage"
    # An e-mail address can only be reached by iMessage.
    if all(somebody.identifier == somebody.phone_number for somebody in plan.people):
        service = rng.choices(("iMessage", "SMS", "RCS"), (63, 26.5, 10.5))[0]
    group = len(plan.people) > 1
    chat = world.add_chat(
        [somebody.identifier for somebody in plan.people],
        ours=[line.number.phone_number for line in plan.lines],
        service=service,
        name=rng.choice(GROUP_NAMES) % plan.people[0].last_name if group and rng.random() < 0.6 else None,
        joined_at=_EPOCH + timedelta(milliseconds=plan.start),
        chat_id=world.new_id("chat", rng.randint(1, 60)),
    )
    conversations = rhythm.timeline(plan.size, plan.lines[0].habits, plan.start, plan.end)
    users = [line.number.user for line in plan.lines]
    writer.write(chat, conversations, plan.people, users)


def _number_messages(world: Fillable, rng: Random) -> None:
    """Ids that ascend with time over all chats, but not perfectly: some messages reached Linq late."""
    everything: list[Message] = []
    arrived: list[float] = []
    for chat in world.chats.values():
        for message in chat.messages:
            everything.append(message)
            late = rng.random()
            sent = message.sent_at.timestamp() if message.sent_at else 0.0
            arrived.append(sent + late * 40_000 if late < 0.02 else sent)
    for index in sorted(range(len(everything)), key=arrived.__getitem__):
        message = everything[index]
        message.id = world.new_id("message", 1 + int(rng.random() * 3))
        world.messages[message.id] = message
        for reaction in message.reactions:
            reaction.id = world.new_id("reaction", 1 + int(rng.random() * 4))
            reaction.chat_message_id = message.id
            world.reactions[reaction.id] = reaction
    for chat in world.chats.values():
        _settle(chat)


def _settle(chat: Chat) -> None:
    chat.messages.sort(key=by_time)
    if chat.messages and (first := chat.messages[0].sent_at) is not None:
        for handle in chat.handles:
            handle.joined_at = min(handle.joined_at, first)
