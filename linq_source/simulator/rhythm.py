"""When people write: conversations on working days, replies after minutes, hours or days, quiet nights.

Everything here is in whole milliseconds since 1970, for speed: a large world asks millions of times.
"""

from dataclasses import dataclass
from random import Random

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

# How much starts in each local hour, from midnight on.
_HOURS = (0, 0, 0, 0, 0, 0, 1, 4, 10, 16, 18, 16, 13, 15, 16, 15, 14, 12, 8, 6, 5, 3, 1, 0)
_HOUR_DRAWS = tuple(hour for hour, weight in enumerate(_HOURS) for _ in range(weight))
_THURSDAY = 3  # what the first of January 1970 was, counting from Monday
_SPREAD_DRAWS = 4096


@dataclass(slots=True)
class Habits:
    """How one of our numbers is served: its zone, how soon it answers, what share it never answers."""

    zone_offset: int
    reply: int
    unanswered: float
    weight: float


@dataclass(slots=True)
class Turn:
    """One message to be written: when, by whom, in which part of a conversation."""

    at: int
    ours: bool
    opening: bool


def habits(rng: Random, index: int) -> Habits:
    """Of the number with this index: from prompt to careless, over four US time zones (in summer time)."""
    reply, unanswered = ((4, 0.26), (35, 0.42), (150, 0.62), (12, 0.34), (70, 0.5))[index % 5]
    return Habits(
        zone_offset=-(7 - index % 4) * HOUR,
        reply=int(reply * MINUTE * rng.uniform(0.8, 1.25)),
        unanswered=unanswered * rng.uniform(0.95, 1.05),
        weight=rng.uniform(0.7, 1.3),
    )


class Rhythm:
    """Draws the instants of conversations from one stream of randomness."""

    def __init__(self, rng: Random) -> None:
        self._random = rng.random
        self._exponential = rng.expovariate
        # Drawing from a table is ten times faster than drawing from the distribution.
        self._spread = [rng.lognormvariate(0, 1.25) for _ in range(_SPREAD_DRAWS)]

    def timeline(self, size: int, habit: Habits, start: int, end: int) -> list[list[Turn]]:
        """The conversations of one chat: `size` turns in all, each after the one before, none after `end`."""
        plan: list[tuple[int, bool]] = []
        while size:
            ignored = self._random() < habit.unanswered
            wanted = 1 + int(self._random() * 1.6) if ignored else 2 + int(self._exponential(0.22))
            length = min(size, wanted)
            plan.append((length, ignored))
            size -= length
        starts = sorted(self._opening(habit, start, end) for _ in plan)
        # A conversation is over before the next begins, in busy chats by quicker replies.
        limits = [*starts[1:], end][: len(starts)]
        return [
            self._conversation(opening, length, ignored, habit, limit)
            for opening, limit, (length, ignored) in zip(starts, limits, plan, strict=True)
        ]

    def _conversation(self, first: int, length: int, ignored: bool, habit: Habits, limit: int) -> list[Turn]:
        random = self._random
        at, ours = first, not ignored and random() < 0.38
        turns = [Turn(at, ours, True)]
        for left in range(length - 1, 0, -1):
            # A conversation that we take part in mostly ends with us.
            again = 0.28 if left > 1 else 0.75 if ours else 0.05
            if ignored or random() < again:
                later = at + 4 * SECOND + int(random() * 90 * SECOND)
            else:
                ours = not ours
                later = at + SECOND + self._gap(habit.reply if ours else 6 * MINUTE)
                later = self._awake(later, habit, ours=ours)
            at = later if later < limit else at + int((limit - at) * 0.6 * random())
            turns.append(Turn(at, ours, False))
        return turns

    def _gap(self, typical: int) -> int:
        return int(typical * self._spread[int(self._random() * _SPREAD_DRAWS)])

    def _opening(self, habit: Habits, start: int, end: int) -> int:
        random = self._random
        at = start
        for _ in range(20):
            local_day = (start + int(random() * (end - start)) + habit.zone_offset) // DAY
            if (local_day + _THURSDAY) % 7 >= 5 and random() < 0.8:
                continue
            hour = _HOUR_DRAWS[int(random() * len(_HOUR_DRAWS))]
            at = local_day * DAY + hour * HOUR + int(random() * HOUR) - habit.zone_offset
            if start <= at < end:
                return at
        # A period of minutes, or of one weekend, leaves no better choice.
        return start + int(random() * (end - start))

    def _awake(self, at: int, habit: Habits, *, ours: bool) -> int:
        day, of_day = divmod(at + habit.zone_offset, DAY)
        opens, closes = (8 * HOUR, 20 * HOUR) if ours else (7 * HOUR, 23 * HOUR)
        if opens <= of_day < closes and not (ours and (day + _THURSDAY) % 7 >= 5):
            return at
        if self._random() < 0.12:
            return at
        if of_day >= closes:
            day += 1
        if ours:
            day += max(0, 7 - (day + _THURSDAY) % 7) % 7 if (day + _THURSDAY) % 7 >= 5 else 0
        return day * DAY + opens + int(self._random() * 2 * HOUR) - habit.zone_offset
