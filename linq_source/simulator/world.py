"""An organisation's Linq account: its data, everything that can happen to it, and what Linq would list."""

from datetime import UTC, datetime
from typing import Self

from .history import Fillable, fill
from .oracle import Precision, Rows, listed
from .people import FIRST_NAMES, LAST_NAMES


class World(Fillable):
    """The account that a `Simulator` serves.

    Change it by its methods (`send`, `edit`, `add_chat`, `delete_contact`, ...), from any thread. After
    changing a `Message` by hand call `touch(chat_id)`, since rendered pages are kept.
    """

    @classmethod
    def make(
        cls,
        *,
        seed: int = 1,
        phone_numbers: int = 3,
        chats: int = 90,
        messages: int = 11_700,
        contacts: int | None = None,
        end: datetime | None = None,
        days: int = 180,
        id_offset: int = 0,
    ) -> Self:
        """A believable organisation with exactly these numbers of rows.

        The same for the same arguments. `end` is the instant that no message is newer than (None: now),
        `days` how far the history goes back; `contacts` None means as many as fit the chats. `id_offset` is added
        to every id, since no two accounts of Linq have one in common.
        """
        if phone_numbers < 1 or (messages and not chats):
            raise ValueError("A world needs at least one phone number, and a chat if it has messages")
        world = cls()
        world.begin_ids_after(id_offset)
        fill(
            world,
            seed=seed,
            phone_numbers=phone_numbers,
            chats=chats,
            messages=messages,
            contacts=contacts,
            end=(end or datetime.now(UTC)).astimezone(UTC),
            days=days,
        )
        return world

    @classmethod
    def empty(cls, *, phone_numbers: int = 1) -> Self:
        """Numbers `+12025550100`, `+12025550101`, ... with an owner each, and nothing else."""
        world = cls()
        for index in range(phone_numbers):
            user = world.add_user(FIRST_NAMES[index % len(FIRST_NAMES)], LAST_NAMES[index % len(LAST_NAMES)])
            world.add_number(f"+1202555{100 + index:04}", user=user)
        return world

    def listed(self, precision: Precision = "seconds") -> Rows:
        """What the API would list now, as flat rows per table: the oracle of tests.

        Instants are UTC datetimes cut to `precision`, because that is all the API shows
        (milliseconds with `Quirks(time_style="milliseconds")`).
        """
        with self.lock:
            return listed(self, precision)
