"""What goes on in an account while it is looked at: one happening at a time, the same for the same randomness.

`history` writes the past of a new world, all at once; this goes on from there, at the instants of the world's clock.
"""

from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any

from .entities import REACTION_TYPES, Attachment, Chat, ReactionType
from .message_details import made_up_file
from .people import CITIES, COMPANIES, TITLES, Person, fictional_numbers, person
from .texts import TOPICS, text, words
from .world import World

_LOOKED_AT = 8
_MOST_READ = 25
_MOST_IN_A_GROUP = 8
_TAPBACKS: tuple[ReactionType, ...] = ("love", "like", "dislike", "laugh", "emphasize", "question")
assert _TAPBACKS == REACTION_TYPES

Happening = Callable[[World, Random], None]


def happen(world: World, rng: Random) -> None:
    """One thing that people do: mostly they write. Over time every type of webhook event comes of it.

    Some of it Linq announces by no event: an edit, a reaction taken back. Reading a chat is one event for each
    message. A world without numbers has only contacts.
    """
    with world.lock:
        has_numbers = bool(world.listed_numbers())
        happening = rng.choices(_HAPPENINGS, _WEIGHTS)[0] if has_numbers else rng.choice(_CONTACTS_ONLY)
        happening(world, rng)


def _somebody_writes(world: World, rng: Random) -> None:
    _receive(world, rng, _chat(world, rng))


def _we_write(world: World, rng: Random) -> None:
    chat = _chat(world, rng)
    ours = _ours(world, rng, chat)
    world.send(chat.id, _words(world, rng, chat, ours=True), sent_from=ours, attachments=_files(rng))


def _stranger_writes(world: World, rng: Random) -> None:
    _receive(world, rng, _new_chat(world, rng, 1))


def _recent_reaction(world: World, rng: Random) -> None:
    _react(world, rng, lambda size: max(0, size - 1 - int(rng.expovariate(0.5))))


def _old_reaction(world: World, rng: Random) -> None:
    _react(world, rng, rng.randrange)


def _reaction_taken_back(world: World, rng: Random) -> None:
    for _ in range(_LOOKED_AT):
        given = [one for message in _chat(world, rng).messages[-20:] for one in message.reactions]
        if given:
            taken = rng.choice(given)
            world.unreact(taken.chat_message_id, from_phone=taken.from_phone)
            return
    _recent_reaction(world, rng)


def _edit(world: World, rng: Random) -> None:
    chat = _chat(world, rng)
    if not chat.messages:
        _receive(world, rng, chat)
    message = chat.messages[-1]
    world.edit(message.id, f"{message.text} (edited)".removeprefix(" "))


def _read(world: World, rng: Random) -> None:
    """A chat with few unread messages: reading one with thousands would be a flood of events."""
    chats = [_chat(world, rng) for _ in range(_LOOKED_AT)]
    unread = {chat.id: sum(not message.is_read for message in chat.messages) for chat in chats}
    few = [chat for chat in chats if 0 < unread[chat.id] <= _MOST_READ]
    chat = few[0] if few else _new_chat(world, rng, 1)
    if not few:
        _receive(world, rng, chat)
    world.mark_read(chat.id)


def _typing(world: World, rng: Random) -> None:
    world.typing(_chat(world, rng).id, display=rng.random() < 0.5)


def _call(world: World, rng: Random) -> None:
    chat = _chat(world, rng)
    ours, theirs = _ours(world, rng, chat), next(fictional_numbers(rng))
    # An e-mail address cannot call.
    theirs = next((one.phone_number for one in chat.others if one.phone_number.startswith("+")), theirs)
    seconds, inbound, voicemail = rng.randint(5, 900), rng.random() < 0.7, rng.random() < 0.2
    now = world.clock()
    world.complete_call(
        {"from": theirs if inbound else ours, "to": ours if inbound else theirs},
        direction="inbound" if inbound else "outbound",
        start_time=now - timedelta(seconds=seconds),
        end_time=now,
        duration=seconds,
        answered_by=None if voicemail else ours if inbound else theirs,
        voicemail=voicemail,
    )


def _contact_created(world: World, rng: Random) -> None:
    (somebody,) = _newcomers(world, rng, 1)
    world.add_contact(
        first_name=somebody.first_name,
        last_name=somebody.last_name,
        email=somebody.email,
        phone_number=somebody.phone_number,
        company=rng.choice(COMPANIES) if rng.random() < 0.4 else "",
        contact_owner=rng.choice(list(world.users.values())) if world.users else None,
    )


def _contact_updated(world: World, rng: Random) -> None:
    if not world.contacts:
        _contact_created(world, rng)
    name, choice = rng.choice((("title", TITLES), ("company", COMPANIES), ("location", CITIES)))
    fields: dict[str, Any] = {name: rng.choice(choice)}
    world.update_contact(rng.choice(list(world.contacts)), **fields)


def _contact_deleted(world: World, rng: Random) -> None:
    if not world.contacts:
        _contact_created(world, rng)
    world.delete_contact(rng.choice(list(world.contacts)))


def _join(world: World, rng: Random) -> None:
    group = _group(world, rng)
    if len(group.others) >= _MOST_IN_A_GROUP:
        group = _new_chat(world, rng, 3)
    world.join(group.id, _newcomers(world, rng, 1, group)[0].phone_number)


def _leave(world: World, rng: Random) -> None:
    group = _group(world, rng)
    if len(group.others) < 3:
        world.join(group.id, _newcomers(world, rng, 1, group)[0].phone_number)
    world.leave(group.id, rng.choice(group.others).id)


def _chat(world: World, rng: Random) -> Chat:
    """One of somebody else with us, newer ones more often; a new one where there is none."""
    number = rng.choice(world.listed_numbers()).phone_number
    chats = world.chats_of(number)
    if chats:
        chat = chats[int(len(chats) * max(rng.random(), rng.random()))]
        if chat.others:
            return chat
    return _new_chat(world, rng, 1)


def _ours(world: World, rng: Random, chat: Chat) -> str:
    """One of our numbers in the chat that has not been given up."""
    return rng.choice([number for number in chat.phone_numbers if world.owned(number)])


def _group(world: World, rng: Random) -> Chat:
    drawn = (_chat(world, rng) for _ in range(_LOOKED_AT))
    return next((chat for chat in drawn if chat.is_group), None) or _new_chat(world, rng, 3)


def _new_chat(world: World, rng: Random, size: int) -> Chat:
    ours = rng.choice(world.listed_numbers()).phone_number
    others = [somebody.phone_number for somebody in _newcomers(world, rng, size)]
    return world.find_chat(ours, others) or world.add_chat(
        others, ours=[ours], service=rng.choices(("iMessage", "SMS", "RCS"), (63, 26, 11))[0]
    )


def _newcomers(world: World, rng: Random, size: int, group: Chat | None = None) -> list[Person]:
    """People who are not in the group; that they may be in another chat already does no harm."""
    there = {handle.phone_number for handle in group.handles} if group else set()
    numbers = (number for number in fictional_numbers(rng) if number not in there and not world.is_ours(number))
    return [person(rng, numbers) for _ in range(size)]


def _receive(world: World, rng: Random, chat: Chat) -> None:
    sender = rng.choice(chat.others).phone_number
    words_of = _words(world, rng, chat, ours=False)
    world.receive(chat.id, words_of, sent_from=sender, attachments=_files(rng))


def _react(world: World, rng: Random, index: Callable[[int], int]) -> None:
    chat = _chat(world, rng)
    if not chat.messages:
        _receive(world, rng, chat)
    message = chat.messages[index(len(chat.messages))]
    party = _ours(world, rng, chat) if rng.random() < 0.4 else rng.choice(chat.others).phone_number
    world.react(message.id, rng.choice(_TAPBACKS), from_phone=party)


def _words(world: World, rng: Random, chat: Chat, *, ours: bool) -> str:
    name = world.person_name(chat.others[0].phone_number).split()[0]
    agent = world.phone_numbers[chat.phone_numbers[0]].user.first_name
    # Of a person whom no contact names there is but a number, or an address.
    filling = words(rng, name=name if name.isalpha() else "there", agent=agent)
    opening = not chat.messages
    return text(rng, rng.choice(TOPICS), ours=ours, opening=opening, service=chat.service, filling=filling)


def _files(rng: Random) -> list[Attachment]:
    return [made_up_file(rng)] if rng.random() < 0.05 else []


_HAPPENINGS: tuple[Happening, ...] = (
    _somebody_writes,
    _we_write,
    _stranger_writes,
    _recent_reaction,
    _old_reaction,
    _reaction_taken_back,
    _edit,
    _read,
    _typing,
    _call,
    _contact_created,
    _contact_updated,
    _contact_deleted,
    _join,
    _leave,
)
_WEIGHTS = (28, 22, 2, 9, 4, 1, 2, 8, 10, 3, 2, 4, 1, 2, 2)
_CONTACTS_ONLY: tuple[Happening, ...] = (_contact_created, _contact_updated, _contact_deleted)
