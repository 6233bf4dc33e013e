"""Random rows of the base tables for the tests of the views: small, odd in every way that the SQL must stand."""

import random
from datetime import UTC, datetime, timedelta

from tests.views_oracle import Rows

DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)
OURS = ("+12125550100", "+12125550101", "+12125550102")
GONE = "+12125550109"
OTHERS = ("+12025550101", "+12025550102", "+442079460018", "+6561234567", "+16561234567", "12025550101@example.com")
SPELLINGS = (
    "+12025550101", "2025550101", "(202) 555-0102", "1 202 555 0101", "202.555.0101", "+1-202-555-0102",
    " +44 20 7123 4567", "+65 6123 4567", "656 123 4567", OURS[0], "none", "", None,
)  # fmt: skip
GAPS = [
    *(timedelta(seconds=length) + part for length in (3_600, 86_400, 259_200) for part in (-TICK, 0 * TICK, TICK)),
    timedelta(0), timedelta(0), TICK, timedelta(milliseconds=300), timedelta(seconds=1),
]  # fmt: skip
TEXTS = (
    "Yes", "", None, "line\nline", "a\fb", "a\tb", "It's 5\u00a0pm", "naïve", "Ça va", "ça va", "C:\\temp ^_^",
    "100%",    *("a" * length for length in (160, 161, 306, 307)),
    *("€" * length for length in (80, 81, 153, 154)), "[" + "b" * 158, "[" + "b" * 159,
    *("ж" * length for length in (70, 71, 134, 135)), *("😀" * length for length in (35, 36, 67, 68)),
    "a" * 159 + "😀", "\uffff", "\U00010000" * 36, "\U0010fffd" * 36, "🏳️‍🌈" * 12, "e\u0301" * 36,
    "https://example.com/a", "https://example.com/a and http://example.com/b", "a://b://c://",
    "https://bit.ly/x", "HTTPS://BIT.LY/X", "see bit.ly/x", "(tinyurl.com/x)", "http://www.is.gd/x", "t.co/x",
    "https://orbit.ly/x", "this.gd/x", "bot.ly/x", "https://example.com/t.co/x", "http://bit.lyx/", "bit.ly",
)  # fmt: skip


class Maker:
    """Makes one world; the same for the same seed and `now`."""

    def __init__(self, seed: int, now: datetime) -> None:
        self.rng = random.Random(seed)
        self.now = now
        names = ("phone_numbers", "chats", "chat_phone_numbers", "chat_handles", "messages", "message_reactions",
                 "contacts", "calls", "chat_syncs")  # fmt: skip
        self.rows: Rows = {name: [] for name in names}
        self.ids = self.rng.sample(range(1, 10_000), 400)

    def world(self) -> Rows:
        """The rows of each base table, in random order."""
        self.numbers()
        for _ in range(self.rng.randint(0, 7)):
            self.chat()
        for _ in range(self.rng.randint(0, 8)):
            self.contact()
        for _ in range(self.rng.randint(0, 6)):
            self.call()
        for _ in range(self.rng.randint(0, 12)):
            self.reaction()
        for rows in self.rows.values():
            self.rng.shuffle(rows)
        return self.rows

    def instant(self) -> datetime:
        """A time that is worth a test, and not so near to a limit that it passes while the test runs."""
        rng, now = self.rng, self.now
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) - rng.randint(0, 65) * DAY
        return self.clear(
            rng.choice(
                (
                    now - timedelta(seconds=rng.randint(0, 70 * 86_400)),
                    now - timedelta(microseconds=rng.randint(0, 2 * 86_400_000_000)),
                    now - timedelta(seconds=rng.randint(0, 2 * 86_400)),
                    now + timedelta(seconds=rng.randint(0, 86_400)),
                    midnight + rng.choice((-TICK, 0 * TICK, TICK)),
                    now - rng.choice((1, 30, 60)) * DAY + timedelta(seconds=rng.randint(-3_500, 3_500)),
                )
            )
        )

    def clear(self, instant: datetime) -> datetime:
        """The instant, moved away from where rows grow old."""
        for days in (1, 30, 60):
            if abs(self.now - days * DAY - instant) < timedelta(seconds=90):
                instant -= timedelta(seconds=200)
        return instant

    def perhaps(self, instant: datetime) -> datetime | None:
        return self.rng.choice((None, instant, instant))

    def numbers(self) -> None:
        for index, number in enumerate((*OURS, GONE)):
            gone = self.now if number == GONE or self.rng.random() < 0.1 else None
            name = self.rng.choice((None, f"User {index}"))
            row = {"id": index, "phone_number": number, "user__name": name, "user__email": f"{index}@example.com"}
            self.rows["phone_numbers"].append({**row, "deleted_at": gone})

    def chat(self) -> None:
        rng, chat_id = self.rng, self.ids.pop()
        ours = rng.sample((*OURS, GONE), rng.choice((0, 1, 1, 1, 2)))
        others = rng.sample(OTHERS, rng.choice((1, 1, 1, 2)))
        count = rng.choice((0, 1, 2, 5, 10, 20))
        self.rows["chats"].append(
            {
                "id": chat_id,
                "display_name": rng.choice((None, f"Chat {chat_id}")),
                "service": rng.choice(("iMessage", "SMS", "SMS", "RCS", None)),
                "is_group": rng.choice((None, False, False, False, True)),
                "message_count": rng.choice((None, count, count, count + 1)),
                "deleted_at": self.now if rng.random() < 0.1 else None,
            }
        )
        self.rows["chat_phone_numbers"] += [{"chat_id": chat_id, "phone_number": number} for number in ours]
        for number in (*ours, *others, None):
            row = {"id": self.ids.pop(), "chat_id": chat_id, "phone_number": number}
            self.rows["chat_handles"].append(row)
        self.messages(chat_id, count)
        if rng.random() < 0.8:
            self.rows["chat_syncs"].append(
                {
                    "chat_id": chat_id,
                    "listing_hash": rng.choice((None, "hash")),
                    "synced_at": self.instant(),
                    "read_whole_at": self.perhaps(self.instant()),
                }
            )

    def messages(self, chat_id: int, count: int) -> None:
        rng = self.rng
        inbound = rng.choice((0.0, 0.2, 0.5, 0.5, 0.5, 1.0))
        at = self.instant()
        for _ in range(count):
            delay = timedelta(microseconds=rng.choice((-1, 0, 1, 1_500_000, 60_000_000, -5_000_000)))
            outbound = rng.random() >= inbound
            self.rows["messages"].append(
                {
                    "id": self.ids.pop(),
                    "chat_id": chat_id,
                    "text": rng.choice(TEXTS),
                    "sent_at": None if rng.random() < 0.05 else at,
                    "delivered_at": self.perhaps(at + delay),
                    "delivery_status": rng.choice(
                        ("delivered", "delivered", "pending", "service_unavailable", "paused", "new", None)
                    ),
                    "sent_from": OURS[0] if outbound else OTHERS[0],
                    "direction": "outbound" if outbound else "inbound",
                    "deleted_at": self.now if rng.random() < 0.1 else None,
                }
            )
            at = self.clear(at + rng.choice(GAPS)) if rng.random() < 0.75 else self.instant()

    def reaction(self) -> None:
        rng = self.rng
        known = [row["id"] for row in self.rows["messages"]]
        self.rows["message_reactions"].append(
            {
                "id": self.ids.pop(),
                "chat_message_id": rng.choice([*known[:4], *known[-4:], 0]),
                "reaction": rng.choice(("love", "like", "wave")),
                "is_from_me": rng.choice((True, False, None)),
                "sent_at": self.perhaps(self.instant()),
            }
        )

    def contact(self) -> None:
        rng = self.rng
        row = {
            "id": self.ids.pop(),
            "full_name": rng.choice((None, "Ann Lee")),
            "company": rng.choice((None, "Acme")),
        }
        gone = self.now if rng.random() < 0.1 else None
        self.rows["contacts"].append({**row, "phone_number": rng.choice(SPELLINGS), "deleted_at": gone})

    def call(self) -> None:
        rng = self.rng
        self.rows["calls"].append(
            {
                "id": f"call-{self.ids.pop()}",
                "from_phone": rng.choice((OURS[0], OTHERS[0])),
                "to_phone": rng.choice((OURS[1], OTHERS[1])),
                "direction": rng.choice(("inbound", "outbound", None)),
                "start_time": self.perhaps(self.instant()),
                "duration": rng.choice((None, 0.0, 61.5, 0.1, 0.2, 1e6)),
                "answered_by": rng.choice((None, OURS[0])),
                "voicemail": rng.choice((None, True, False)),
                "has_recording": rng.choice((None, True, False)),
            }
        )


def make_world(seed: int) -> tuple[Rows, datetime]:
    """A world, and the time that its rows are relative to."""
    now = datetime.now(UTC)
    return Maker(seed, now).world(), now
