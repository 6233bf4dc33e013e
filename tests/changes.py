"""What can change upstream between two syncs, one thing at a time, and how to find what it changed."""

from datetime import timedelta
from typing import Any

from linq_source.simulator import World
from tests.support import OLD

SOMEONE = "+12125550199"


def messages_of(world: World, chat_id: int) -> list[dict[str, Any]]:
    """Messages of a chat, oldest first."""
    return [row for row in world.listed()["messages"] if row["chat_id"] == chat_id]


def new_message(world: World, chat_id: int) -> None:
    world.receive(chat_id, "New")


def late_message(world: World, chat_id: int) -> None:
    oldest = messages_of(world, chat_id)[0]["sent_at"]
    world.receive(chat_id, "Late", sent_at=oldest - timedelta(days=40))


def message_in_the_second_of_the_cursor(world: World, chat_id: int) -> None:
    world.receive(chat_id, "Same second", sent_at=messages_of(world, chat_id)[-1]["sent_at"])


def three_hundred_messages_in_one_second(world: World, chat_id: int) -> None:
    for number in range(300):
        world.receive(chat_id, f"Burst {number}", sent_at=OLD + timedelta(days=1))


def deleted_first_message(world: World, chat_id: int) -> None:
    world.delete_message(messages_of(world, chat_id)[0]["id"])


def deleted_last_message(world: World, chat_id: int) -> None:
    world.delete_message(messages_of(world, chat_id)[-1]["id"])


def new_chat(world: World, _: int) -> None:
    world.receive(world.add_chat([SOMEONE]).id, "First", sent_at=OLD)


def chat_gone(world: World, chat_id: int) -> None:
    world.remove_chat(chat_id)


def participant_joined(world: World, chat_id: int) -> None:
    world.join(chat_id, "+12125550177")


def participant_left(world: World, chat_id: int) -> None:
    handle = next(row for row in world.listed()["chat_handles"] if row["chat_id"] == chat_id)
    world.leave(chat_id, handle["id"])


def chat_renamed(world: World, chat_id: int) -> None:
    world.rename_chat(chat_id, "The new name")


def contact_changed(world: World, _: int) -> None:
    world.update_contact(world.listed()["contacts"][0]["id"], company="Elsewhere")


def contact_changed_without_a_new_updated_at(world: World, _: int) -> None:
    world.update_contact(world.listed()["contacts"][0]["id"], bump=False, company="Elsewhere")


def contact_lost_its_owner(world: World, _: int) -> None:
    owned = next(row for row in world.listed()["contacts"] if row["contact_owner__id"])
    world.update_contact(owned["id"], contact_owner=None)


def contact_gone(world: World, _: int) -> None:
    world.delete_contact(world.listed()["contacts"][0]["id"])


def new_contact(world: World, _: int) -> None:
    world.add_contact(first_name="Ada", email="ada@example.com")


def number_added(world: World, _: int) -> None:
    number = world.add_number("+12125550122")
    world.receive(world.add_chat([SOMEONE], ours=[number.phone_number]).id, "Hi", sent_at=OLD)


def number_released(world: World, _: int) -> None:
    world.release_number(world.listed_numbers()[1].phone_number)


def forwarding_changed(world: World, _: int) -> None:
    world.listed_numbers()[0].forwarding_number = "+12125550111"


def subscription_added(world: World, _: int) -> None:
    world.add_webhook_subscription(webhook_url="https://example.com/a", events=["message.sent"], version=2)


def message_count_wrong_for_ever(world: World, chat_id: int) -> None:
    world.chats[chat_id].message_count_offset = 7
    world.touch(chat_id)


ANYWHERE = [
    new_message, late_message, message_in_the_second_of_the_cursor, three_hundred_messages_in_one_second,
    deleted_first_message, deleted_last_message, new_chat, chat_gone, participant_joined, participant_left,
    chat_renamed, contact_changed, contact_changed_without_a_new_updated_at, contact_lost_its_owner, contact_gone,
    new_contact, number_added, number_released, forwarding_changed, subscription_added,
    message_count_wrong_for_ever,
]  # fmt: skip


def edited(world: World, chat_id: int) -> None:
    world.edit(messages_of(world, chat_id)[-1]["id"], "Edited")


def read(world: World, chat_id: int) -> None:
    world.mark_read(chat_id)


def delivered(world: World, chat_id: int) -> None:
    world.deliver(messages_of(world, chat_id)[-1]["id"])


def reacted_to(world: World, chat_id: int) -> None:
    world.react(messages_of(world, chat_id)[0]["id"], "love", from_phone=SOMEONE)


def one_deleted_and_one_added(world: World, chat_id: int) -> None:
    world.delete_message(messages_of(world, chat_id)[1]["id"])
    world.receive(chat_id, "Instead")


RECENT = [edited, read, delivered, reacted_to, one_deleted_and_one_added]
