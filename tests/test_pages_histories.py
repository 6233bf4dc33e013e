"""Lists that change while they are read: 10,000 random histories, and what a clean pass proves of each.

A pass is clean when its totals never fell and as many distinct rows came. That proves it unless a deletion and
an addition fall between the same two requests, where the total tells of neither: see the last test.
"""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linq_source.errors import UnavailableError
from linq_source.pages import Listed
from tests.rolls import Roll, ids
from tests.virtual_time import run

ADDED, DELETED = "added", "deleted"
KINDS = {"anywhere": ("insert", "delete"), "newest first": ("front", "delete"), "oldest first": ("append", "delete")}
Step = tuple[str, float]


@dataclass
class History:
    """A list, and what happens to it before each request but the first."""

    rows: int
    page_size: int
    steps: list[list[Step]]
    concurrency: int = 1
    seed: int = 0
    states: list[set[int]] = field(default_factory=list)
    happened: list[set[str]] = field(default_factory=list)
    roll: Roll = field(init=False)

    def __post_init__(self) -> None:
        self._fresh: Iterator[int] = count(1_000_000)
        self.roll = Roll(self.rows, page_size=self.page_size, change=self._change)
        if self.concurrency > 1:
            latency = random.Random(self.seed)
            self.roll.linq.latency = lambda _number: latency.random()

    def _change(self, number: int) -> None:
        steps = self.steps[number - 2] if 2 <= number <= len(self.steps) + 1 else []
        self.happened.append({self._take(kind, where) for kind, where in steps} - {""})
        self.states.append(set(self.roll.ids))

    def _take(self, kind: str, where: float) -> str:
        rows = self.roll.ids
        if kind == "delete":
            rows[int(where * len(rows)) : int(where * len(rows)) + 1] = []
            return DELETED
        position = {"front": 0, "append": len(rows)}.get(kind, int(where * (len(rows) + 1)))
        rows.insert(position, next(self._fresh))
        return ADDED

    async def outcome(self) -> str:
        """Read the list and say what came of it, after checking what must hold of every history."""
        try:
            listed = await self.roll.reading(concurrency=self.concurrency)
        except UnavailableError:
            return "an error"
        return self._judged(listed)

    def _judged(self, listed: Listed) -> str:
        found = set(ids(listed))
        assert len(found) == len(listed.rows), "a row came twice"
        assert found <= set.union(*self.states), "a row that never was"
        began = max(number for number, page in enumerate(self.roll.pages) if page == 1)
        changes = self.happened[began + 1 :]
        if not any(changes):
            assert listed.is_clean, "the last pass saw a list that stood still"
        if not listed.is_clean:
            return "not proven"
        if found == self.states[-1]:
            return "the final list"
        assert {ADDED, DELETED} in changes, "a clean pass without both changes at once is the final list"
        if any(found == state for state in self.states[began:]):
            return "an earlier state"
        return "a false proof"


def drawn(chance: random.Random, kinds: tuple[str, ...], *, most: int) -> History:
    """A random history of a short list: up to `most` changes at a time, and an end to them."""
    steps = [
        [(chance.choice(kinds), chance.random()) for _ in range(chance.randint(1, most))]
        if chance.random() < chance.choice((0.1, 0.5))
        else []
        for _ in range(chance.randint(0, 7))
    ]
    return History(chance.randint(0, 9), chance.randint(2, 4), steps, chance.choice((1, 4)), chance.randrange(99))


def played(histories: list[History]) -> Counter[str]:
    """How many histories came out how."""

    async def main() -> Counter[str]:
        return Counter([await history.outcome() for history in histories])

    return run(main)


@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("kind", KINDS)
def test_with_one_change_at_a_time_a_clean_pass_is_the_final_list(kind: str, part: int) -> None:
    chance = random.Random(f"{kind} {part}")
    outcomes = played([drawn(chance, KINDS[kind], most=1) for _ in range(500)])
    assert set(outcomes) <= {"the final list", "not proven", "an error"}
    assert outcomes["the final list"] > 400


@pytest.mark.parametrize("part", range(3))
@pytest.mark.parametrize("kind", KINDS)
def test_with_many_changes_at_a_time_a_false_proof_is_rare(kind: str, part: int) -> None:
    chance = random.Random(f"{kind} {part}")
    outcomes = played([drawn(chance, KINDS[kind], most=3) for _ in range(300)])
    assert outcomes["a false proof"] <= 15


@pytest.mark.parametrize("kind", ["append", "insert", "front"])
def test_a_list_that_only_gains_rows_is_never_short_in_silence(kind: str) -> None:
    chance = random.Random(kind)
    outcomes = played([drawn(chance, (kind,), most=5) for _ in range(300)])
    assert set(outcomes) <= {"the final list", "not proven", "an error"}


STEPS = st.lists(
    st.lists(
        st.tuples(st.sampled_from(["insert", "append", "front", "delete"]), st.floats(0, 1, exclude_max=True)),
        max_size=2,
    ),
    max_size=8,
)


@settings(max_examples=400, derandomize=True, database=None, deadline=None)
@given(rows=st.integers(0, 12), page_size=st.integers(1, 4), steps=STEPS, concurrency=st.sampled_from([1, 3]))
def test_any_history_is_proven_rightly_or_not_at_all(
    rows: int, page_size: int, steps: list[list[Step]], concurrency: int
) -> None:
    played([History(rows, page_size, steps, concurrency)])


def test_a_deletion_and_an_addition_between_the_same_two_requests_can_hide_a_row() -> None:
    """The limit of the proof: one more pass each time would be its price."""
    history = History(rows=9, page_size=3, steps=[[("delete", 0.0), ("append", 0.0)]])
    assert played([history]) == {"a false proof": 1}
    assert history.states[-1] == {1, 2, 3, 4, 5, 6, 7, 8, 1_000_000}, "the list; 3 moved to the page already read"
