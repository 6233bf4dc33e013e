"""Collects what a subscription would be sent, without threads or sockets."""

from collections.abc import Callable, Collection

from .disorder import ORDERLY, Disorder, Line
from .entities import EVENT_TYPES
from .envelopes import ENVELOPES, Envelope, wrapped
from .store import Event
from .world import World


def listen(world: World, listener: Callable[[str, Event], None]) -> Callable[[], None]:
    """Have `listener` told of the world's events, after whoever is told already; call the result to end it."""
    with world.lock:
        before = world.on_event

        def both(event_type: str, data: Event) -> None:
            if before is not None:
                before(event_type, data)
            listener(event_type, data)

        def end() -> None:
            with world.lock:
                if world.on_event is both:
                    world.on_event = before

        world.on_event = both
    return end


class Recorder:
    """What one subscription to `events` would be sent from now on, in the order of a disorder.

    `arrived` holds the bodies that have been sent; `late_seconds` means nothing here.
    """

    def __init__(
        self,
        world: World,
        *,
        events: Collection[str] = EVENT_TYPES,
        envelope: Envelope = "reference",
        disorder: Disorder = ORDERLY,
        seed: int | str = 0,
    ) -> None:
        if envelope not in ENVELOPES:
            raise ValueError(f"No such envelope: {envelope}")
        self.arrived: list[bytes] = []
        self._world = world
        self._events = events
        self._envelope: Envelope = envelope
        self._line = Line(disorder, seed)
        self._is_recording = True
        self._end = listen(world, self._heard)

    @property
    def lost(self) -> int:
        """How many events were never sent."""
        return self._line.lost

    def bodies(self) -> list[bytes]:
        """All bodies so far, with those that were held back for later ones to overtake them."""
        with self._world.lock:
            self.arrived += self._line.flush()
            return list(self.arrived)

    def stop(self) -> None:
        """Listen no more."""
        self._is_recording = False
        self._end()

    def _heard(self, event_type: str, data: Event) -> None:
        if not self._is_recording or event_type not in self._events:
            return
        now = self._world.clock()
        self.arrived += self._line.put(
            lambda event_id: wrapped(
                self._world, event_type, data, event_id=event_id, created_at=now, envelope=self._envelope
            )
        )
