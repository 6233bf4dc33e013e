"""What befalls events between the world and a subscription: lost, doubled, overtaken. Pure, the same for a seed."""

from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from random import Random
from uuid import UUID

_OVERTAKERS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Disorder:
    """How deliveries go wrong; all of it 0 is every event once, at once and in order.

    `shuffled`: the probability that an event waits until one to five later ones have overtaken it.
    `twice`: the probability that it is delivered twice, in the same bytes.
    `lost`: the probability that it is never sent. `late_seconds`: how long after its happening it is.
    """

    shuffled: float = 0.0
    twice: float = 0.0
    late_seconds: float = 0.0
    lost: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is no probability, or no delay."""
        for probability in (self.shuffled, self.twice, self.lost):
            if not 0 <= probability <= 1:
                raise ValueError(f"{probability} is no probability")
        if not self.late_seconds >= 0:
            raise ValueError(f"{self.late_seconds} is no delay")


ORDERLY = Disorder()


class Line:
    """The events of one subscription, in as they happen, out as they are to be sent."""

    def __init__(self, disorder: Disorder, seed: int | str) -> None:
        self.lost = 0
        self._disorder = disorder
        self._seed = seed
        self._happened = 0
        self._pushed = 0
        self._held: list[tuple[float, int, bytes]] = []

    def __len__(self) -> int:
        """How many are held back."""
        return len(self._held)

    def put(self, make: Callable[[str], bytes]) -> list[bytes]:
        """What is to be sent after one more event; `make` gives its body for an event id (a UUID)."""
        # All is drawn for each event, so that one probability changes nothing about the others.
        rng = Random(f"{self._seed}/{self._happened}")
        self._happened += 1
        event_id = str(UUID(int=rng.getrandbits(128), version=4))
        is_lost, is_twice = rng.random() < self._disorder.lost, rng.random() < self._disorder.twice
        if is_lost:
            self.lost += 1
        else:
            body = make(event_id)
            for _ in range(1 + is_twice):
                self._hold(rng, body)
        return self._leave(self._happened)

    def flush(self) -> list[bytes]:
        """All that is held back, since no later event comes."""
        return self._leave(float("inf"))

    def _hold(self, rng: Random, body: bytes) -> None:
        waits = rng.random() < self._disorder.shuffled
        # The half puts an event behind the last of those that overtake it.
        position = self._happened + (rng.randint(1, _OVERTAKERS) + 0.5 if waits else 0)
        self._pushed += 1
        heappush(self._held, (position, self._pushed, body))

    def _leave(self, position: float) -> list[bytes]:
        left = []
        while self._held and self._held[0][0] <= position + 0.5:
            left.append(heappop(self._held)[2])
        return left
