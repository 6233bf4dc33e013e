"""The made organisation is exact, repeatable and believable; the empty one is a test's to fill."""

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from linq_source import simulator
from linq_source.simulator import Chat, Message, World
from tests.simulator.conftest import NOON, Account

END = datetime(2026, 3, 1, 15, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def made() -> World:
    """Six months of four numbers, which these tests only read."""
    return World.make(seed=7, phone_numbers=4, chats=400, messages=30_000, end=END)


def share(holds: list[bool]) -> float:
    """How many of a list are true, of all."""
    return sum(holds) / len(holds)


def test_what_the_package_offers_is_there_and_sorted() -> None:
    assert list(simulator.__all__) == sorted(simulator.__all__)
    assert all(hasattr(simulator, name) for name in simulator.__all__)


@pytest.mark.parametrize(
    ("numbers", "chats", "messages", "contacts"),
    [(1, 0, 0, 0), (1, 1, 0, 5), (1, 1, 1, 0), (2, 50, 20, 3), (3, 7, 1_234, 60), (6, 200, 999, 0), (4, 3, 3, 9)],
)
def test_sizes_are_exact(numbers: int, chats: int, messages: int, contacts: int) -> None:
    world = World.make(seed=2, phone_numbers=numbers, chats=chats, messages=messages, contacts=contacts, end=END)
    rows = world.listed()
    found = [len(rows[table]) for table in ("phone_numbers", "chats", "messages", "contacts")]
    assert found == [numbers, chats, messages, contacts]
    assert sum(chat.message_count for chat in world.chats.values()) == messages


def test_messages_without_a_chat_are_refused() -> None:
    with pytest.raises(ValueError, match="a chat if it has messages"):
        World.make(chats=0, messages=1)


def test_the_same_seed_sizes_and_end_make_the_same_world() -> None:
    def world(seed: int) -> World:
        return World.make(seed=seed, chats=20, messages=500, end=END)

    assert world(1).listed("microseconds") == world(1).listed("microseconds")
    assert world(1).listed() != world(2).listed()


def test_no_message_is_newer_than_the_end_or_older_than_the_period(made: World) -> None:
    times = [row["sent_at"] for row in made.listed()["messages"]]
    assert END - timedelta(days=2) < max(times) <= END
    assert END - timedelta(days=180) <= min(times) < END - timedelta(days=160)
    later = [m.delivered_at for m in made.messages.values()] + [m.edited_at for m in made.messages.values()]
    assert max(instant for instant in later if instant) <= END
    assert max(reaction.sent_at for reaction in made.reactions.values()) <= END


def test_ids_are_unique_and_ascend_with_time_but_not_perfectly(made: World) -> None:
    for table, rows in made.listed().items():
        if table != "chat_phone_numbers":
            assert len({row["id"] for row in rows}) == len(rows), table
    by_time = sorted(made.messages.values(), key=lambda message: message.sent_at or END)
    backwards = share([one.id > two.id for one, two in pairwise(by_time)])
    assert 0.002 < backwards < 0.05


def test_rows_refer_to_rows_that_exist(made: World) -> None:
    rows = made.listed()
    chats = {row["id"] for row in rows["chats"]}
    handles = {row["id"]: row for row in rows["chat_handles"]}
    for message in rows["messages"]:
        handle = handles[message["chat_handle_id"]]
        assert message["chat_id"] in chats
        assert (handle["chat_id"], handle["phone_number"]) == (message["chat_id"], message["sent_from"])
        assert message["sent_at"] >= handle["joined_at"]
    for reaction in rows["message_reactions"]:
        about = made.messages[reaction["chat_message_id"]]
        assert reaction["is_from_me"] == made.is_ours(reaction["from_phone"])
        assert reaction["id"] in {one.id for one in about.reactions}


def test_chats_are_of_one_person_a_group_or_of_two_of_our_numbers(made: World) -> None:
    chats = list(made.chats.values())
    assert 0.05 < share([chat.is_group for chat in chats]) < 0.12
    assert 0.03 < share([len(chat.phone_numbers) == 2 for chat in chats]) < 0.09
    assert all(len(chat.others) > 1 if chat.is_group else len(chat.others) == 1 for chat in chats)
    participants = [frozenset(handle.phone_number for handle in chat.handles) for chat in chats]
    assert len(set(participants)) == len(chats)


def test_messages_are_as_varied_as_real_ones(made: World) -> None:
    messages = list(made.messages.values())
    services = Counter(made.chats[message.chat_id].service for message in messages)
    assert 0.55 < services["iMessage"] / len(messages) < 0.75
    assert 0.15 < services["SMS"] / len(messages) < 0.35
    assert 0.04 < services["RCS"] / len(messages) < 0.18
    assert 0.08 < share([bool(message.attachments) for message in messages]) < 0.10
    assert 0.14 < share([bool(message.reactions) for message in messages]) < 0.21
    assert 0.005 < share([message.edited_at is not None for message in messages]) < 0.015
    assert 0.01 < share([len(message.text) > 160 for message in messages]) < 0.08
    assert 0.02 < share(["https://" in message.text for message in messages]) < 0.08
    assert 0.01 < share([message.delivered_at is None for message in messages]) < 0.05
    assert {message.delivery_status for message in messages} == {
        "delivered",
        "pending",
        "service_unavailable",
        "paused",
    }
    shortened = {made.chats[m.chat_id].service for m in messages if "bit.ly" in m.text}
    assert shortened == {"SMS"}
    assert len({message.text for message in messages}) > 3_000
    assert any(
        handle.phone_number.endswith("@example.com") for chat in made.chats.values() for handle in chat.handles
    )


def test_nights_and_weekends_are_quiet(made: World) -> None:
    denver = [message.sent_at - timedelta(hours=6) for message in made.messages.values() if message.sent_at]
    assert share([6 <= instant.hour < 23 for instant in denver]) > 0.95
    assert share([instant.weekday() >= 5 for instant in denver]) < 0.1


def test_numbers_answer_at_different_rates_and_some_chats_wait_for_us(made: World) -> None:
    asked: Counter[str] = Counter()
    answered: Counter[str] = Counter()
    minutes: defaultdict[str, list[float]] = defaultdict(list)
    for chat in made.chats.values():
        line = chat.phone_numbers[0]
        for one, two in pairwise([*chat.messages, None]):
            assert one is not None
            theirs_follows = two is not None and not made.is_ours(two.sent_from)
            if made.is_ours(one.sent_from) or (two and theirs_follows and gap(one, two) < timedelta(hours=6)):
                continue
            asked[line] += 1
            if two is not None and not theirs_follows and gap(one, two) < timedelta(days=1):
                answered[line] += 1
                minutes[line].append(gap(one, two).total_seconds() / 60)
    rates = sorted(1 - answered[line] / asked[line] for line in asked)
    assert 0.1 < rates[0] < rates[-1] - 0.1 < 0.5
    medians = sorted(sorted(found)[len(found) // 2] for found in minutes.values())
    assert medians[0] < 15 < 40 < medians[-1]
    waiting = [not made.is_ours(chat.messages[-1].sent_from) for chat in made.chats.values()]
    assert 0.1 < share(waiting) < 0.6


def gap(one: Message, two: Message) -> timedelta:
    """From one message to the next."""
    assert one.sent_at is not None
    assert two.sent_at is not None
    return two.sent_at - one.sent_at


def test_contacts_are_as_incomplete_as_real_ones(made: World) -> None:
    contacts = list(made.contacts.values())
    assert 0.05 < share([not contact.phone_number for contact in contacts]) < 0.2
    assert 0.1 < share([contact.contact_owner is None for contact in contacts]) < 0.3
    assert all(contact.phone_number or contact.email for contact in contacts)
    assert all(contact.created_at <= contact.updated_at <= END for contact in contacts)
    named = share([not made.display_name(chat).startswith("+") for chat in made.chats.values()])
    assert 0.6 < named < 0.95


def test_numbers_are_fictional(made: World) -> None:
    numbers = [contact.phone_number for contact in made.contacts.values() if contact.phone_number]
    assert all(number[5:10] == "55501" for number in (*numbers, *made.phone_numbers))


def test_a_chat_is_named_after_its_people_until_it_is_named(account: Account) -> None:
    world, group = account.world, account.group
    assert world.display_name(account.chat) == "Ada Lee"
    assert world.display_name(group) == "+1 (212) 555-0102, bo@example.com"
    world.add_contact(first_name="Bo", email="bo@example.com")
    assert world.display_name(group) == "+1 (212) 555-0102, Bo"
    world.rename_chat(group.id, "Board")
    assert world.display_name(group) == "Board"
    world.update_contact(7001, last_name="Li")
    assert world.display_name(account.chat) == "Ada Li"


def test_a_contact_may_change_without_showing_it(world: World) -> None:
    before = world.contacts[7001].updated_at
    world.update_contact(7001, bump=False, title="Boss")
    assert world.contacts[7001].updated_at == before
    world.update_contact(7001, title="Owner")
    assert world.contacts[7001].updated_at > before


def test_messages_stand_in_the_order_of_time_whenever_they_arrive(account: Account) -> None:
    world, chat = account.world, account.chat
    late = world.send(chat.id, "late", sent_at=NOON - timedelta(days=3), message_id=26_000_000)
    same = world.receive(chat.id, "same second", sent_at=account.received.sent_at)
    never = world.send(chat.id, "never", unsent=True)
    assert chat.messages == [late, account.sent, account.received, same, never]
    assert (never.sent_at, never.delivered_at, never.delivery_status) == (None, None, "pending")
    ahead = world.send(chat.id, "far id", message_id=30_000_000)
    assert world.send(chat.id, "next").id == ahead.id + 1


def test_times_are_kept_in_utc(account: Account) -> None:
    denver = datetime.fromisoformat("2025-05-21T06:30:00-06:00")
    sent = account.world.send(account.chat.id, "x", sent_at=denver)
    assert sent.sent_at is not None
    assert sent.sent_at.tzinfo is UTC
    assert sent.sent_at == denver


def test_a_reaction_takes_the_place_of_the_same_partys_earlier_one(account: Account) -> None:
    world = account.world
    other = account.chat.others[0].phone_number
    world.react(account.sent.id, "like", from_phone=other)
    latest = world.react(account.sent.id, "laugh", from_phone=other)
    mine = world.react(account.sent.id, "love")
    assert account.sent.reactions == (latest, mine)
    assert (latest.is_from_me, mine.is_from_me) == (False, True)
    assert world.unreact(account.sent.id, from_phone="+12125559999") is None


def test_a_chat_that_is_gone_takes_all_it_held_with_it(account: Account) -> None:
    world = account.world
    world.remove_chat(account.chat.id)
    assert world.messages == {}
    assert world.reactions == {}
    assert [row["id"] for row in world.listed()["chats"]] == [account.group.id]


def test_a_participant_who_left_may_still_have_written(account: Account) -> None:
    group: Chat = account.group
    bo = group.handles[1]
    sent = account.world.receive(group.id, "Bye", sent_from="bo@example.com")
    account.world.leave(group.id, bo.id)
    assert sent.chat_handle_id == bo.id
    assert "bo@example.com" not in [row["phone_number"] for row in account.world.listed()["chat_handles"]]
    assert account.world.receive(group.id, "Still here", sent_from="bo@example.com").chat_handle_id > bo.id
