"""Forged bodies take a bounded share of the receiver's time, and what is genuine is taken or asked for again."""

import json
from typing import Any, cast

import pytest

from linq_source.webhook import signature
from linq_source.webhook.allowance import Allowance
from linq_source.webhook.app import CHECK_BODY, WEBHOOK_PATH, WebhookApp
from linq_source.webhook.http_messages import Head, Response
from tests.webhook.support import SECRET, signed

FORGED = b'{"a":[' + b"1.5," * 16_000 + b"1]}"
SPELLED = json.dumps(json.loads(CHECK_BODY), indent=2).encode()
"""What `webhook_subscribe.py --check` sends, in another spelling than the one that is signed."""


class Desk:
    """An app whose canonical attempts each take `seconds` of a clock that nothing else moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
        self.now = 0.0
        self.attempts = 0
        self._seconds = seconds
        self._real = signature.verify_canonical
        monkeypatch.setattr(signature, "verify_canonical", self._attempt)
        self._app = WebhookApp(
            cast("Any", None), secrets=[SECRET.encode()], allowance=Allowance(clock=lambda: self.now)
        )

    def status(self, body: bytes, covered: bytes = b"something else") -> int:
        answers: list[Response] = []
        header = signed(covered)["X-Webhook-Signature"].encode()
        self._app.respond(Head("POST", WEBHOOK_PATH, [(b"x-webhook-signature", header)]), body, answers.append)
        (answer,) = answers
        assert (answer.status == 503) == ("Retry-After" in answer.headers)
        return answer.status

    def _attempt(self, body: bytes, **keywords: Any) -> Any:
        self.attempts += 1
        self.now += self._seconds
        return self._real(body, **keywords)


def test_a_burst_of_forged_bodies_is_looked_at_a_few_times_only(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch, 0.03)
    statuses = [desk.status(FORGED) for _ in range(60)]
    assert desk.attempts == statuses.count(401) <= 8
    assert statuses.count(503) == 60 - desk.attempts


def test_forged_bodies_take_a_fifth_of_the_time_however_long_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch, 0.03)
    while desk.now < 100:
        desk.status(FORGED)
        desk.now += 0.001
    assert 15 < desk.attempts * 0.03 < 21


def test_a_genuine_body_is_taken_whatever_is_forged_and_one_in_another_spelling_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk, spelled = Desk(monkeypatch, 0.03), SPELLED.ljust(len(FORGED))
    assert 503 in [desk.status(FORGED) for _ in range(20)]
    assert desk.status(CHECK_BODY, CHECK_BODY) == 200
    assert desk.status(spelled, CHECK_BODY) == 503
    desk.now += 1
    assert desk.status(spelled, CHECK_BODY) == 200


def test_a_flood_of_large_bodies_leaves_small_ones_their_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch, 0.03)
    assert 503 in [desk.status(FORGED) for _ in range(20)]
    assert desk.status(SPELLED, CHECK_BODY) == 200


def test_what_is_genuine_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch, 1.0)
    assert {desk.status(SPELLED, CHECK_BODY) for _ in range(100)} == {200}


def test_a_body_larger_than_any_event_is_refused_without_an_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch, 1.0)
    assert {desk.status(b" " * signature.MAX_CANONICAL_BYTES + SPELLED, CHECK_BODY) for _ in range(9)} == {401}
    assert desk.attempts == 0


def test_what_other_threads_take_is_not_charged() -> None:
    now = [0.0]
    allowance = Allowance(clock=lambda: now[0])

    def held_up() -> None:
        now[0] += 60

    for _ in range(100):
        allowance.attempt(300, held_up)
    now[0] = 0.0
    assert allowance.covers(300)
