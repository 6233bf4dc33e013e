"""Lists mirrored whole: numbers, contacts, subscriptions, chats. What a list no longer holds has departed."""

from collections.abc import Callable, Coroutine, Generator, Iterable
from functools import partial
from typing import Any, TypeAlias

import pyarrow as pa

from linq_source import listing, settings
from linq_source.accounts import CHATS_PROOF, Kinship, are_others_chats, kinship, number_ids, numbers_proof, refuse
from linq_source.changes import changed_rows, integers, live, missing_rows, with_value
from linq_source.client import LinqClient
from linq_source.context import Context
from linq_source.errors import ConfigurationError, ForbiddenError, LinqError
from linq_source.pages import Listed, identity
from linq_source.plan import Listing
from linq_source.reader import InterruptedReadError
from linq_source.rows import Batch
from linq_source.tables import (
    CHAT_HANDLES,
    CHAT_PHONE_NUMBERS,
    CHATS,
    PHONE_NUMBERS,
    Departure,
    Table,
)

Collected: TypeAlias = list[tuple[str, list[object]]]
"""The listings of chats, each with the number that it was made for."""


ReadList: TypeAlias = Callable[[LinqClient], Coroutine[Any, Any, Listed]]
"""Reads a whole list."""


def mirror(context: Context, table: Table, listed: Listed, read: ReadList) -> Generator[Batch, None, bool]:
    """Yield what brings a table to equal a list, which `read` reads once more where that is needed.

    Returns whether it does, with nothing left for another sync.
    """
    new, _ = context.shaper.shape(table, listed.rows)
    stored = context.memory.rows(table)
    yield {table.name: changed_rows(new, stored, table)}
    confirmed: pa.Table | None = None
    if listed.is_clean:
        context.rejects.note_whole([table])
        gone = _unlisted(missing_rows(new, stored, table.key), listed.rows)
        gone = live(gone) if table.departure is Departure.MARKED else gone
        confirmed = _confirmed(context, gone, [(listed.rows, read)])
    if confirmed is None:
        context.skip(f"{table.name}: the list kept changing while it was read, so no deletion was believed")
        return False
    return (yield from departures(context, table, confirmed))


def _confirmed(context: Context, gone: pa.Table, lists: Iterable[tuple[list[object], ReadList]]) -> pa.Table | None:
    """Return the rows of `gone` that lists of several pages lack once more; None where those do not stand still.

    Where one row left and another came between two pages, a list seems whole and lacks one that is there.
    """
    for rows, read in lists:
        if gone.num_rows and len(rows) > settings.PER_PAGE:
            again = context.reader.run(read)
            if not again.is_clean:
                return None
            gone = _unlisted(gone, again.rows)
    return gone


def departures(context: Context, table: Table, gone: pa.Table) -> Generator[Batch, None, bool]:
    """Yield what becomes of rows that Linq no longer lists; return whether that they are gone was believed."""
    if table.departure is Departure.REMOVED:
        yield {table.name: with_value(gone, "is_removed", value=True)}
        return True
    gone = live(gone)
    if not gone.num_rows:
        return True
    if not context.may_delete(table, gone.num_rows):
        return False
    yield {table.name: with_value(gone, "deleted_at", context.now)}
    return True


def read_phone_numbers(context: Context) -> Listed:
    """Read our numbers, and note every number that is or was ours.

    Raises ConfigurationError where they prove that the tables hold another account.
    """
    stored = context.memory.rows(PHONE_NUMBERS)
    if context.options.gate.redactor:
        context.options.gate.redactor.learn(_texts(stored, "phone_number"))
    listed = context.reader.run(listing.phone_numbers)
    if not listed.rows or kinship(stored, listed) is not Kinship.SAME:
        # The list carries no totals that would prove it: ask again.
        listed = context.reader.run(listing.phone_numbers)
    if not context.options.allows_mass_delete:
        found = kinship(stored, listed)
        if found is Kinship.OTHER:
            refuse(context, numbers_proof(live(stored).num_rows))
        context.is_doubtful = found is Kinship.DOUBTFUL
    context.our_numbers = _texts(stored, "phone_number") | set(number_ids(listed))
    return listed


def _unlisted(gone: pa.Table, rows: Iterable[object]) -> pa.Table:
    """Return the rows of `gone` but for those that are listed all the same, with values that fit no column."""
    if not gone.num_rows:
        return gone
    listed = set(map(identity, rows))
    is_unlisted = [str(row_id) not in listed for row_id in gone["id"].to_pylist()]
    return gone.filter(pa.array(is_unlisted, type=pa.bool_()))


class ChatLists:
    """The chats of each of our numbers: started side by side, then mirrored into three tables."""

    def __init__(self, context: Context, numbers: Listed) -> None:
        self._context = context
        self._ids = number_ids(numbers)
        restricted = set(context.options.phone_numbers)
        if foreign := restricted - set(self._ids):
            raise ConfigurationError(
                f"Of the {len(restricted)} phone numbers asked for (phone_numbers, --phone-number) {len(foreign)} "
                f"are not among the organisation's {len(self._ids)}. Write each as Linq does, like +15550001111."
                if len(restricted) > 1
                else "The phone number asked for (phone_numbers, --phone-number) is not among the organisation's "
                f"{len(self._ids)}. Write it as Linq does, like +15550001111."
            )
        wanted = restricted or set(self._ids)
        self._is_restricted = bool(restricted)
        self._shard = context.options.shard
        # A number that was released lists nothing any more, and that is known without asking.
        is_believed = len(numbers.rows) == len(self._ids) and (self._ids or context.options.allows_mass_delete)
        self._examined = context.our_numbers - set(self._ids) if is_believed and not restricted else set()
        self._waiting = {
            number: context.reader.start(partial(listing.chats, phone_number=number)) for number in sorted(wanted)
        }

    def check_account(self) -> None:
        """Raise ConfigurationError where the lists prove that the tables hold another account.

        It waits for all of them. A list that fails proves nothing, and fails when its turn comes.
        """
        self._waiting = {number: _waited(wait) for number, wait in self._waiting.items()}
        try:
            lists = {number: wait() for number, wait in self._waiting.items()}
        except (LinqError, InterruptedReadError):
            return
        if all(listed.is_clean for listed in lists.values()):
            rows = {number: listed.rows for number, listed in lists.items()}
            if are_others_chats(self._context.memory, rows, is_restricted=self._is_restricted):
                refuse(self._context, CHATS_PROOF)

    def batches(self) -> Generator[Batch, None, list[Listing]]:
        """Yield what changed in the three tables; return what was listed of each chat."""
        context = self._context
        everything = self._collect()
        listed = self._own(everything)
        batch = context.shaper.chats(listed)
        chats = batch[CHATS.name]
        context.summary.chats_listed = chats.num_rows
        stored = {table: context.memory.rows(table) for table in (CHATS, CHAT_HANDLES, CHAT_PHONE_NUMBERS)}
        yield {
            table.name: changed_rows(batch[table.name], rows, table)
            for table, rows in sorted(stored.items(), key=lambda pair: pair[0].name)
        }
        here = set(integers(chats, "id"))
        gone = self._gone(chats, stored[CHATS], stored[CHAT_PHONE_NUMBERS])
        gone = self._confirmed(_unlisted(gone, (row for _, rows in everything for row in rows)), everything)
        departed = list(departures(context, CHATS, gone))
        yield from departed
        # The sets of a chat go with it; those of a chat whose departure was not believed stay.
        settled = here | (set(integers(gone, "id")) if departed else set())
        # Those of a chat that is marked already, or has no row, are there if a load was killed between the tables.
        settled |= set(integers(stored[CHATS], "id")) - set(integers(live(stored[CHATS]), "id"))
        settled |= self._orphans(stored, everything)
        context.rejects.note_whole([CHAT_HANDLES], settled)
        if not self._is_restricted and self._examined >= set(self._ids):
            context.rejects.note_chats(self._answers_for(listed, everything))
        for table in (CHAT_HANDLES, CHAT_PHONE_NUMBERS):
            left = missing_rows(batch[table.name], stored[table], table.key)
            keep = [chat_id in settled for chat_id in integers(left, "chat_id")]
            if table is CHAT_PHONE_NUMBERS:
                numbers = left["phone_number"].to_pylist()
                keep = [kept and number in self._examined for kept, number in zip(keep, numbers, strict=True)]
            yield from departures(context, table, left.filter(pa.array(keep, type=pa.bool_())))
        listings = (listing.listing_of(row) for _, rows in listed for row in rows)
        latest = {found.chat_id: found for found in listings if found}
        # A chat whose own row fits no column is read all the same.
        return [latest[chat_id] for chat_id in sorted(latest)]

    def _collect(self) -> Collected:
        collected: Collected = []
        for number in list(self._waiting):
            try:
                listed = self._waiting.pop(number)()  # what was waited for already is not kept
            except ForbiddenError:
                self._context.skip(f"phone number {self._ids[number]} (its id): Linq refused its chats (403)")
                continue
            collected.append((number, listed.rows))
            if listed.is_clean:
                self._examined.add(number)
            else:
                self._context.skip(
                    f"phone number {self._ids[number]} (its id): its chats kept changing while they were listed, "
                    "so no deletion among them was believed"
                )
        return collected

    def _confirmed(self, gone: pa.Table, everything: Collected) -> pa.Table:
        lists = ((rows, partial(listing.chats, phone_number=number)) for number, rows in everything)
        confirmed = _confirmed(self._context, gone, lists)
        if confirmed is None:
            self._context.skip("chats: lists kept changing while they were read, so no deletion was believed")
            return gone.slice(0, 0)
        return confirmed

    def _own(self, listed: Collected) -> Collected:
        """Return the chats of this shard: those whose first number, of all that list them, is its own.

        Every shard lists all numbers, since only so all of them agree on whose a chat of two numbers is.
        """
        if not self._shard:
            return listed
        owner: dict[str, str] = {}
        for number, rows in listed:
            for row in rows:
                owner.setdefault(identity(row), number)
        owns = {number: self._shard.owns(number) for number, _ in listed}
        return [(number, [row for row in rows if owns[owner[identity(row)]]]) for number, rows in listed]

    def _answers_for(self, own: Collected, everything: Collected) -> Callable[[str], bool]:
        """Return what tells by a chat's identity whether no other shard answers for it.

        A shard does for its own chats, and the first one also for those that nobody lists.
        """
        if not self._shard:
            return lambda _: True
        ours, listed = ({identity(row) for _, rows in each for row in rows} for each in (own, everything))
        is_first = self._shard.is_first
        return lambda chat: chat in ours or (is_first and chat not in listed)

    def _orphans(self, stored: dict[Table, pa.Table], everything: Collected) -> set[int]:
        """Return the chats of which something is stored but no row, and which for sure nobody lists."""
        pairs = stored[CHAT_PHONE_NUMBERS]
        children = {*integers(stored[CHAT_HANDLES], "chat_id"), *integers(pairs, "chat_id")}
        orphans = children - set(integers(stored[CHATS], "id"))
        if not orphans:
            return set()
        listed = {identity(row) for _, rows in everything for row in rows}
        numbers: dict[int, set[str]] = {chat_id: set() for chat_id in orphans if str(chat_id) not in listed}
        for chat_id, number in zip(integers(pairs, "chat_id"), pairs["phone_number"].to_pylist(), strict=True):
            if chat_id in numbers:
                numbers[chat_id].add(str(number))
        sees_all = not self._is_restricted and self._examined >= set(self._ids)
        return {chat_id for chat_id, its in numbers.items() if its <= self._examined and (its or sees_all)}

    def _gone(self, chats: pa.Table, stored: pa.Table, stored_numbers: pa.Table) -> pa.Table:
        """Return the stored chats that none of their numbers lists, as far as those were listed for sure."""
        gone = live(missing_rows(chats, stored, CHATS.key))
        if not gone.num_rows:
            return gone
        pairs = list(
            zip(integers(stored_numbers, "chat_id"), stored_numbers["phone_number"].to_pylist(), strict=True)
        )
        elsewhere = {chat_id for chat_id, number in pairs if number not in self._examined}
        known = {chat_id for chat_id, _ in pairs}
        if self._shard:
            owner: dict[int, str] = {}
            for chat_id, number in sorted(pairs):
                owner.setdefault(chat_id, str(number))
            # What is not listed any more belongs to the shard of its first stored number.
            elsewhere |= {chat_id for chat_id, number in owner.items() if not self._shard.owns(number)}
        # A sync of some numbers says nothing of a chat that was never stored with one.
        keeps_numberless = not self._is_restricted and (self._shard is None or self._shard.is_first)
        keep = [
            chat_id not in elsewhere and (chat_id in known or keeps_numberless) for chat_id in integers(gone, "id")
        ]
        return gone.filter(pa.array(keep, type=pa.bool_()))


def _waited(wait: Callable[[], Listed]) -> Callable[[], Listed]:
    """Wait now; return what tells the outcome, as often as it is asked."""
    try:
        listed = wait()
    except (LinqError, InterruptedReadError) as error:
        failure = error
    else:
        return lambda: listed

    def fail() -> Listed:
        raise failure

    return fail


def _texts(table: pa.Table, name: str) -> set[str]:
    return {text for text in table[name].to_pylist() if text}
