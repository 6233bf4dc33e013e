"""Delivers what happens in a world to its webhook subscriptions: signed, tried again, in disorder on request.

World.on_event -> Line (id, body, disorder) -> a queue and a thread per subscription -> POST
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from time import monotonic
from types import TracebackType
from typing import Self

from .disorder import ORDERLY, Disorder, Line
from .entities import WebhookSubscription
from .envelopes import ENVELOPES, SIGNATURE_HEADER, Envelope, signature, wrapped
from .posting import Post
from .recorder import listen
from .store import Event
from .world import World

TIMEOUT_SECONDS = 10.0
"""Within which an endpoint must answer (vendor's "Integration Steps")."""

_PATIENCE_SECONDS = 2.0  # after which an event that waits to be overtaken goes, as none overtakes it
_JOIN_SECONDS = 2.0


@dataclass(order=True, slots=True)
class _Job:
    """A body to be posted at `due_at` (monotonic seconds), after `tries` attempts in vain."""

    due_at: float
    number: int
    body: bytes = field(compare=False)
    tries: int = field(default=0, compare=False)


@dataclass(slots=True)
class _Lane:
    """One subscription's deliveries, one at a time, so that they keep their order."""

    subscription_id: int
    line: Line
    jobs: list[_Job] = field(default_factory=list)
    heard_at: float = 0.0
    is_busy: bool = False
    post: Post | None = None
    thread: threading.Thread | None = None


class Deliveries:
    """Posts each event of a world to every active subscription to its type, from background threads.

    Used as a context manager, or by `start` and `stop`. Any answer but 2xx, or none within `timeout_seconds`, is
    tried again, `attempts` times in all, after `backoff_seconds`, then twice that, and so on up to
    `max_backoff_seconds`. Each subscription's copy of an event has an event id of its own, by `seed`; a retry and a
    double are the same bytes. A subscription that was deleted or made inactive since gets no more.

    Counted are bodies: `delivered`, `retried` (attempts after the first), `given_up`, `lost` (by the disorder),
    `dropped` (by `stop`, or because the subscription went).
    """

    def __init__(
        self,
        world: World,
        *,
        envelope: Envelope = "reference",
        disorder: Disorder = ORDERLY,
        seed: int | str = 0,
        attempts: int = 10,
        backoff_seconds: float = 0.5,
        max_backoff_seconds: float = 30.0,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        if envelope not in ENVELOPES:
            raise ValueError(f"No such envelope: {envelope}")
        if attempts < 1:
            raise ValueError("attempts must be at least 1")
        self.world = world
        self.delivered = 0
        self.retried = 0
        self.given_up = 0
        self.dropped = 0
        self._envelope: Envelope = envelope
        self._disorder = disorder
        self._seed = seed
        self._attempts = attempts
        self._backoff_seconds = backoff_seconds
        self._max_backoff_seconds = max_backoff_seconds
        self._timeout_seconds = timeout_seconds
        self._lanes: dict[int, _Lane] = {}
        self._numbered = 0
        self._is_running = False
        self._end: Callable[[], None] | None = None
        # Taken under the world's lock, so the world's is never taken under this one.
        self._changed = threading.Condition()

    @property
    def lost(self) -> int:
        """How many events the disorder kept from being sent."""
        with self._changed:
            return sum(lane.line.lost for lane in self._lanes.values())

    def start(self) -> Self:
        """Deliver whatever happens from now on."""
        if self._end is not None:
            raise RuntimeError("The deliveries have been started already")
        self._is_running = True
        self._end = listen(self.world, self._heard)
        return self

    def wait(self, seconds: float) -> bool:
        """Wait until all is delivered or given up; False when that takes longer.

        Events that wait to be overtaken go at once. Not to be called under the world's lock.
        """
        with self._changed:
            for lane in self._lanes.values():
                self._add(lane, lane.line.flush())
            self._changed.notify_all()
            return self._changed.wait_for(self._is_idle, seconds)

    def stop(self, *, drain: bool = True, seconds: float = 10.0) -> None:
        """Listen no more; deliver what there is for at most so many seconds (`drain`), and drop the rest."""
        if self._end is None:
            return
        self._end()
        self._end = None
        if drain:
            self.wait(seconds)
        with self._changed:
            self._is_running = False
            threads = [lane.thread for lane in self._lanes.values() if lane.thread is not None]
            for lane in self._lanes.values():
                self.dropped += len(lane.jobs) + len(lane.line.flush())
                lane.jobs.clear()
                if lane.post is not None:
                    lane.post.abort()
                lane.thread, lane.is_busy, lane.post = None, False, None
            self._changed.notify_all()
        for thread in threads:
            thread.join(_JOIN_SECONDS)

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, and drain unless the block failed."""
        self.stop(drain=error is None)

    def _heard(self, event_type: str, data: Event) -> None:
        """Queue an event; called under the world's lock, so it waits for nothing."""
        now = self.world.clock()

        def body(event_id: str) -> bytes:
            return wrapped(self.world, event_type, data, event_id=event_id, created_at=now, envelope=self._envelope)

        with self._changed:
            if not self._is_running:
                return
            for subscription in self.world.webhook_subscriptions.values():
                if subscription.active and event_type in subscription.events:
                    lane = self._lane(subscription)
                    lane.heard_at = monotonic()
                    self._add(lane, lane.line.put(body))
            self._changed.notify_all()

    def _lane(self, subscription: WebhookSubscription) -> _Lane:
        lane = self._lanes.get(subscription.id)
        if lane is None:
            lane = _Lane(subscription.id, Line(self._disorder, f"{self._seed}/{subscription.id}"))
            self._lanes[subscription.id] = lane
        if lane.thread is None:
            lane.thread = threading.Thread(
                target=self._work, args=(lane,), name=f"linq-deliveries-{lane.subscription_id}", daemon=True
            )
            lane.thread.start()
        return lane

    def _add(self, lane: _Lane, bodies: list[bytes]) -> None:
        due_at = monotonic() + self._disorder.late_seconds
        for body in bodies:
            self._numbered += 1
            heappush(lane.jobs, _Job(due_at, self._numbered, body))

    def _is_idle(self) -> bool:
        return not any(lane.jobs or lane.is_busy or lane.line for lane in self._lanes.values())

    def _work(self, lane: _Lane) -> None:
        while (taken := self._next(lane)) is not None:
            job, post = taken
            outcome = self._posted(lane.subscription_id, job.body, post)
            with self._changed:
                if lane.thread is not threading.current_thread():
                    # Stopped meanwhile, perhaps started again, with another thread.
                    outcome = outcome or None
                else:
                    lane.is_busy, lane.post = False, None
                self._settle(lane, job, outcome)
                self._changed.notify_all()

    def _next(self, lane: _Lane) -> tuple[_Job, Post] | None:
        """The next job when it is due, and the post to do it with; None once this thread is not wanted."""
        with self._changed:
            while lane.thread is threading.current_thread():
                now = monotonic()
                wakes_at = [lane.heard_at + _PATIENCE_SECONDS] if lane.line else []
                if wakes_at and wakes_at[0] <= now:
                    self._add(lane, lane.line.flush())
                    continue
                if lane.jobs and lane.jobs[0].due_at <= now:
                    lane.is_busy, lane.post = True, Post(self._timeout_seconds)
                    return heappop(lane.jobs), lane.post
                wakes_at += [job.due_at for job in lane.jobs[:1]]
                self._changed.wait(min(wakes_at) - now if wakes_at else None)
        return None

    def _posted(self, subscription_id: int, body: bytes, post: Post) -> bool | None:
        """Whether the subscription took a body; None when there is no such subscription any more."""
        with self.world.lock:
            subscription = self.world.webhook_subscriptions.get(subscription_id)
            if subscription is None or not subscription.active:
                return None
            subscription.delivery_attempts += 1
            url, secret = subscription.webhook_url, subscription.secret
        headers = {"Content-Type": "application/json"}
        if secret:
            headers[SIGNATURE_HEADER] = signature(body, secret)
        if not 200 <= post.status(url, body, headers) < 300:
            return False
        with self.world.lock:
            subscription.last_delivered_at = self.world.clock()
        return True

    def _settle(self, lane: _Lane, job: _Job, outcome: bool | None) -> None:
        job.tries += 1
        if outcome:
            self.delivered += 1
        elif outcome is None:
            self.dropped += 1
        elif job.tries >= self._attempts:
            self.given_up += 1
        else:
            self.retried += 1
            # The exponent is bounded, as a float that grows too large raises.
            pause = self._backoff_seconds * 2.0 ** min(job.tries - 1, 60)
            job.due_at = monotonic() + min(pause, self._max_backoff_seconds)
            heappush(lane.jobs, job)
