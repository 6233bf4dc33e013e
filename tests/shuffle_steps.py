"""What may happen in a shuffle: to a chat, or to the whole account."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from linq_source.simulator.entities import Chat, Message
from tests.support import OLD

if TYPE_CHECKING:
    from tests.shuffles import Shuffle

PEOPLE = [f"+1212555{number:04d}" for number in range(100, 199)]
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def new_message(play: "Shuffle", chat: Chat) -> None:
    write(play, chat, None)


def late_message(play: "Shuffle", chat: Chat) -> None:
    write(play, chat, OLD - play.rng.randint(0, 400) * HOUR)


def message_in_a_known_second(play: "Shuffle", chat: Chat) -> None:
    if chat.messages:
        write(play, chat, play.rng.choice(chat.messages).sent_at)


def message_never_sent(play: "Shuffle", chat: Chat) -> None:
    if chat.id not in play.removed:
        play.added.add(chat.id)
        play.world.send(chat.id, "Pending", unsent=True)


def write(play: "Shuffle", chat: Chat, sent_at: datetime | None) -> None:
    # A deletion that hides an addition is what a plain sync cannot tell, and is not meant to.
    if chat.id not in play.removed:
        play.added.add(chat.id)
        for _ in range(play.rng.randint(1, 3)):
            play.world.receive(chat.id, "A word", sent_at=sent_at)


def deleted_messages(play: "Shuffle", chat: Chat) -> None:
    if chat.id not in play.added:
        play.removed.add(chat.id)
        for message in play.rng.sample(chat.messages, min(len(chat.messages), play.rng.randint(1, 2))):
            play.world.delete_message(message.id)


def reactions(play: "Shuffle", chat: Chat) -> None:
    for _ in range(play.rng.randint(1, 3)):
        if message := drawn(play, chat):
            sender = play.rng.choice([chat.others[0].phone_number, *chat.phone_numbers])
            play.world.react(message.id, play.rng.choice(("love", "laugh")), from_phone=sender)


def everything_read(play: "Shuffle", chat: Chat) -> None:
    play.world.mark_read(chat.id)


def typing(play: "Shuffle", chat: Chat) -> None:
    play.world.typing(chat.id, display=play.rng.random() < 0.5)


def joined(play: "Shuffle", chat: Chat) -> None:
    play.world.join(chat.id, play.rng.choice(PEOPLE[20:]))


def left(play: "Shuffle", chat: Chat) -> None:
    if len(chat.others) > 1:
        play.world.leave(chat.id, play.rng.choice(chat.others).id)


def renamed(play: "Shuffle", chat: Chat) -> None:
    play.world.rename_chat(chat.id, play.rng.choice(("Friends", "Family", None)))


def hidden_or_shown(play: "Shuffle", chat: Chat) -> None:
    (play.world.show_chat if chat.hidden else play.world.hide_chat)(chat.id)


def gone(play: "Shuffle", chat: Chat) -> None:
    play.world.remove_chat(chat.id)


def edited(play: "Shuffle", chat: Chat) -> None:
    if message := drawn(play, chat):
        play.world.edit(message.id, f"{message.text} (edited)")


def delivery_failed(play: "Shuffle", chat: Chat) -> None:
    if message := drawn(play, chat):
        play.world.deliver(message.id, delivery_status="service_unavailable")


def reactions_taken_back(play: "Shuffle", chat: Chat) -> None:
    for reaction in [one for message in chat.messages for one in message.reactions][:3]:
        play.world.unreact(reaction.chat_message_id, from_phone=reaction.from_phone)


def one_goes_one_comes(play: "Shuffle", chat: Chat) -> None:
    if message := drawn(play, chat):
        play.world.delete_message(message.id)
        play.world.receive(chat.id, "In its place", sent_at=message.sent_at)


def drawn(play: "Shuffle", chat: Chat) -> Message | None:
    return play.rng.choice(chat.messages) if chat.messages else None


def new_chat(play: "Shuffle") -> None:
    chat = play.world.add_chat([play.rng.choice(PEOPLE[20:])])
    for number in range(play.rng.randint(0, 3)):
        play.world.receive(chat.id, f"Hello {number}")


def call(play: "Shuffle") -> None:
    play.world.complete_call()


def new_contact(play: "Shuffle") -> None:
    play.world.add_contact(first_name="Somebody", phone_number=play.rng.choice(PEOPLE))


def contact_changed(play: "Shuffle") -> None:
    if play.world.contacts:
        play.world.update_contact(play.rng.choice(sorted(play.world.contacts)), last_name=f"Name {play.rng.random()}")


def contact_gone(play: "Shuffle") -> None:
    if play.world.contacts:
        play.world.delete_contact(play.rng.choice(sorted(play.world.contacts)))


Step = Callable[["Shuffle", Chat], None]

TOLD: list[Step] = [
    new_message, new_message, late_message, message_in_a_known_second, message_never_sent, deleted_messages,
    deleted_messages, reactions, reactions, reactions, reactions, everything_read, everything_read, typing, joined,
    left, renamed, hidden_or_shown, gone,
]  # fmt: skip
"""What an event or a listing tells of."""

MEANWHILE: list[Step] = [new_message, late_message, reactions, reactions, everything_read, renamed, joined]
"""What may happen while a sync runs."""

UNTOLD: list[Step] = [edited, edited, delivery_failed, reactions_taken_back, reactions_taken_back, one_goes_one_comes]
"""What nothing tells of but reading the whole chat."""

ACCOUNT: list[Callable[["Shuffle"], None]] = [new_chat, call, new_contact, contact_changed, contact_gone]
