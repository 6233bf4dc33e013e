"""One account in one set of tables: what proves that a token reads another, and the sentence that refuses it."""

from collections.abc import Mapping, Sequence
from enum import Enum

import pyarrow as pa

from linq_source import listing
from linq_source.changes import integers, live
from linq_source.context import Context
from linq_source.errors import ConfigurationError, ForbiddenError
from linq_source.memory import Memory
from linq_source.pages import Listed, identity
from linq_source.redact import normal
from linq_source.tables import CHAT_PHONE_NUMBERS, CHATS, CONTACTS, TEXT
from linq_source.values import integer_or_none, to_column

ENOUGH_CHATS = 5
"""Fewer stored chats than these prove nothing by not being listed."""


class Kinship(Enum):
    """What the stored and the listed numbers say of each other."""

    SAME = "at least one stored number is listed as it was, or nothing can be told"
    DOUBTFUL = "ids or numbers are listed again, or numbers given up before, but none as it was: the chats must tell"
    OTHER = "no number that was ever stored is listed, neither its id nor the number"


def kinship(stored: pa.Table, numbers: Listed) -> Kinship:
    """Compare the rows of PHONE_NUMBERS with the list of numbers.

    The list carries no totals. None at all, or a row that cannot be read, may be a broken answer and proves nothing.
    """
    ids = number_ids(numbers)
    ever, before = _pairs(stored), _pairs(live(stored))
    now = {(number_id, normal(number)) for number, number_id in ids.items()}
    is_whole = len(ids) == len(numbers.rows) and all(number_id is not None for number_id in ids.values())
    if not before or not now or not is_whole or before & now:
        return Kinship.SAME
    is_known = any({pair[place] for pair in ever} & {pair[place] for pair in now} for place in (0, 1))
    return Kinship.DOUBTFUL if is_known else Kinship.OTHER


def _pairs(stored: pa.Table) -> set[tuple[int, str]]:
    texts = [normal(text) if text else "" for text in stored["phone_number"].to_pylist()]
    return set(zip(integers(stored, "id"), texts, strict=True))


def number_ids(numbers: Listed) -> dict[str, int | None]:
    """Return each number listed with its id: its chats can be read even where its own row does not fit."""
    rows = [row for row in numbers.rows if isinstance(row, dict)]
    found = to_column([row.get("phone_number") for row in rows], TEXT).array.to_pylist()
    ids = [integer_or_none(row.get("id")) for row in rows]
    return {number: number_id for number, number_id in zip(found, ids, strict=True) if number}


def are_others_chats(memory: Memory, listed: Mapping[str, Sequence[object]], *, is_restricted: bool = False) -> bool:
    """Return whether chats are listed and none of the many stored ones is; `listed` are all chats of each number.

    Where a sync is restricted to some numbers, only chats that were stored with them count.
    """
    stored = memory.live_ids(CHATS)
    if is_restricted:
        pairs = memory.rows(CHAT_PHONE_NUMBERS)
        numbers = pairs["phone_number"].to_pylist()
        stored &= {chat for chat, number in zip(integers(pairs, "chat_id"), numbers, strict=True) if number in listed}
    found = {identity(row) for rows in listed.values() for row in rows}
    return len(stored) >= ENOUGH_CHATS and bool(found) and found.isdisjoint(map(str, stored))


def are_known_contacts(memory: Memory, contacts: Listed) -> bool:
    """Return whether a stored contact is listed: it is the same account then, whatever became of its numbers."""
    return not {identity(row) for row in contacts.rows}.isdisjoint(map(str, memory.live_ids(CONTACTS)))


def refuse(context: Context, proof: str) -> None:
    """Raise ConfigurationError with what proves another account, unless contacts prove that it is the same."""
    try:
        if are_known_contacts(context.memory, context.reader.run(listing.contacts)):
            return
    except ForbiddenError:
        pass
    raise ConfigurationError(
        f"The tables hold another account than the one that this token reads: {proof}. None of it was written. "
        f"{ADVICE}"
    )


ADVICE = (
    "Name another --database (or --dataset), or set the token of the account that is stored; where the same account "
    "has been given other phone numbers, sync once with --allow-mass-delete."
)


def numbers_proof(count: int) -> str:
    """Say what the numbers prove."""
    return "of the phone numbers stored, Linq lists none" if count != 1 else "the phone number stored is not listed"


CHATS_PROOF = "no phone number stored is listed with its id, and of the chats stored Linq lists none"
