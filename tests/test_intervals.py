"""A backfill in chunks, by dates or by the interval a scheduler sets: chunks add up, and a plain sync ends it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from linq_source.errors import ConfigurationError
from linq_source.simulator import Simulator
from linq_source.source import make_sync
from tests.support import OLD, TOKEN, Warehouse, assert_mirrors, small_world

pytestmark = pytest.mark.without_dlt

START, END = "DLT_INTERVAL_START", "DLT_INTERVAL_END"


def test_chunks_of_a_backfill_add_up_and_the_first_plain_sync_mirrors_all(
    serve: Callable[..., Simulator], warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = small_world(messages=900)
    linq = serve(world)
    sent = sorted(row["sent_at"] for row in world.listed()["messages"])
    cuts = [sent[0], sent[250], sent[600], OLD + timedelta(days=1)]
    for start, end in pairwise(cuts):
        monkeypatch.setenv(START, start.isoformat())
        monkeypatch.setenv(END, end.isoformat())
        for _ in range(2):  # a chunk that is run again changes nothing
            assert warehouse.sync(linq).exit_code == 0
            assert sorted(row["sent_at"] for row in warehouse.live("messages")) == [at for at in sent if at < end]
    monkeypatch.delenv(START)
    monkeypatch.delenv(END)
    assert warehouse.sync(linq).exit_code == 0
    assert_mirrors(warehouse, world)
    assert warehouse.sync(linq).loads == []


def test_dates_that_are_given_come_before_the_interval_of_a_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(START, "2026-01-01T00:00:00Z")
    monkeypatch.setenv(END, "2026-02-01T00:00:00+02:00")
    options = make_sync(TOKEN).options
    assert [str(options.start_date), str(options.end_date)] == [
        "2026-01-01 00:00:00+00:00", "2026-01-31 22:00:00+00:00",
    ]  # fmt: skip
    options = make_sync(TOKEN, end_date="2025-06-01").options
    assert (options.start_date, str(options.end_date)) == (None, "2025-06-01 00:00:00+00:00")
    monkeypatch.setenv(START, "yesterday")
    with pytest.raises(ConfigurationError, match=f"{START} is not a date"):
        make_sync(TOKEN)


@pytest.mark.parametrize(("name", "missing"), [(START, END), (END, START)])
def test_half_an_interval_is_refused_unless_dates_are_given(
    name: str, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "2026-01-01T00:00:00Z")
    with pytest.raises(ConfigurationError, match=f"{name} is set without {missing}: set both, or neither"):
        make_sync(TOKEN)
    monkeypatch.setenv(missing, "")
    with pytest.raises(ConfigurationError, match=missing):
        make_sync(TOKEN)
    assert str(make_sync(TOKEN, start_date="2025-06-01").options.start_date) == "2025-06-01 00:00:00+00:00"


def test_a_start_in_the_future_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    later = (datetime.now(UTC) + timedelta(hours=26)).isoformat()
    with pytest.raises(ConfigurationError, match=r"start_date is in the future .*no message"):
        make_sync(TOKEN, start_date=later)
    monkeypatch.setenv(START, later)
    monkeypatch.setenv(END, "2100-01-01")
    with pytest.raises(ConfigurationError, match=f"{START} is in the future"):
        make_sync(TOKEN)


def test_today_in_the_east_is_a_start() -> None:
    today_in_kiritimati = (datetime.now(UTC) + timedelta(hours=14)).date()
    start = make_sync(TOKEN, start_date=str(today_in_kiritimati)).options.start_date
    assert start
    assert start.date() == today_in_kiritimati
