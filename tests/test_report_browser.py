"""The report in a real Chromium: figures that equal DuckDB's, filters, no request, no error, nothing but text."""

import math
import re
import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from linq_source.simulator import Simulator, World
from tests.browser import Opened, browser, report_of, show
from tests.support import OLD, TOKEN, Warehouse

__all__ = ["browser", "report_of", "show"]  # fixtures

EVIL = "</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def recent(made_once: Callable[..., Path]) -> Path:
    """A database of three numbers whose messages go on until an hour ago."""

    def fill(folder: Path) -> None:
        now = datetime.now(UTC)
        # No turn may become a day old, and so missed, between a report and the views that it is compared with.
        world = World.make(seed=4, phone_numbers=3, chats=40, messages=3000, days=100, end=now - timedelta(hours=25))
        for chat in [chat for chat in world.listed()["chats"] if not chat["is_group"]][:3]:
            world.receive(chat["id"], "Are you there?", sent_at=now - timedelta(hours=1))
        with Simulator(world, token=TOKEN) as linq:
            assert Warehouse(folder / "linq.duckdb").sync(linq).exit_code == 0

    return made_once("recent", fill) / "linq.duckdb"


def day_of(opened: Opened) -> date:
    """The day on which a report was made; another may have begun since."""
    return date.fromisoformat(opened.page.input_value("#to"))


RATES = """
select sum(turns), sum(replied_24h), sum(pending_24h),
  sum(replied_24h) / (sum(turns) - sum(pending_24h)), sum(replied_1h) / (sum(turns) - sum(pending_24h))
from response_rates_daily where direction = '{direction}' and {where}
"""


def assert_equals_the_views(
    opened: Opened, warehouse: Warehouse, first: date, last: date, number: str | None
) -> None:
    where = f"day between date '{first}' and date '{last}'" + (f" and phone_number = '{number}'" if number else "")
    [(turns, answered, pending, rate, within_1h)] = warehouse.query(RATES.format(direction="inbound", where=where))
    [(_, _, _, their_rate, _)] = warehouse.query(RATES.format(direction="outbound", where=where))
    [(sent, delivered)] = warehouse.query(f"select sum(sent), sum(delivered) from delivery_health where {where}")
    on_day = where.replace("day", "cast(sent_at as date)", 1)
    [(received,)] = warehouse.query(f"select count(*) from live_messages where direction = 'inbound' and {on_day}")
    [(median,)] = warehouse.query(
        "select quantile_cont(reply_seconds, 0.5) from replies where direction = 'inbound' and not is_group and "
        + where.replace("day", "cast(ended_at as date)", 1)
    )
    names = ("received", "sent", "our_rate", "our_1h", "their_rate", "delivered")
    expected = (received, sent, rate, within_1h, their_rate, delivered / sent)
    assert tuple(opened.value(name) for name in names) == expected
    assert opened.value("our_median") == pytest.approx(median, rel=0.003)
    note = opened.page.inner_text("#key-note")
    assert f"People took {turns:,.0f} turn" in note
    assert f"we answered {answered:,.0f} within 24 hours" in note
    assert (f". {pending:,.0f} turn" in note) == (pending > 0)


def test_the_figures_of_any_period_and_number_equal_those_of_the_views(
    show: Callable[..., Opened], recent: Path
) -> None:
    warehouse = Warehouse(recent)
    opened = show(recent)
    today = day_of(opened)
    month = today - timedelta(days=29)
    assert_equals_the_views(opened, warehouse, month, today, None)
    numbers = [
        number for (number,) in warehouse.query("select phone_number from phone_numbers order by user__name, 1")
    ]
    opened.choose(2, number="1")
    assert_equals_the_views(opened, warehouse, month, today, numbers[1])
    assert numbers[1][-4:] in opened.page.inner_text("#shown")
    assert opened.page.locator("#numbers tbody tr").count() == 1
    opened.choose(3, period="all")
    assert_equals_the_views(opened, warehouse, date(2000, 1, 1), date(2100, 1, 1), numbers[1])
    opened.choose(4, period="own")
    first, last = today - timedelta(days=60), today - timedelta(days=41)
    opened.choose(5, **{"from": first.isoformat()})
    opened.choose(6, to=last.isoformat())
    opened.choose(7, number="")
    assert_equals_the_views(opened, warehouse, first, last, None)
    waiting = warehouse.query("select count(*) from conversations where waiting_on = 'us'")[0][0]
    assert opened.value("waiting") == waiting


def test_the_change_is_against_the_period_of_the_same_length_before(
    show: Callable[..., Opened], recent: Path
) -> None:
    opened = show(recent)
    last = day_of(opened) - timedelta(days=30)
    first = last - timedelta(days=29)
    sql = f"select count(*) from live_messages where direction = 'inbound' and cast(sent_at as date) between '{first}' and '{last}'"  # noqa: E501
    [(before,)] = Warehouse(recent).query(sql)
    now = opened.value("received")
    assert now
    change = opened.page.inner_text("#key-received + dd")
    shown = math.floor(abs(now - before) / before * 100 + 0.5)  # a half goes up in JavaScript
    assert re.sub(r"[^0-9]", "", change.split("%")[0]) == str(shown)
    assert ("▲" in change, "▼" in change) == (shown > 0 and now > before, shown > 0 and now < before)
    opened.choose(2, period="365")
    assert "no period before" in opened.page.inner_text("#key-received + dd")


def test_of_choices_in_quick_succession_the_last_is_drawn(show: Callable[..., Opened], recent: Path) -> None:
    opened = show(recent)
    opened.page.evaluate("""() => {
        for (const value of ["7", "90", "all", "30", "7"]) {
            const period = document.getElementById("period");
            period.value = value;
            period.dispatchEvent(new Event("change"));
        }
    }""")
    opened.drawn(3)
    assert opened.page.locator("#written h3").count() == 1
    days = opened.page.locator("#rate tbody tr").count()
    assert 0 < days <= 7


def test_users_of_several_numbers_can_be_put_together(show: Callable[..., Opened], recent: Path) -> None:
    opened = show(recent)
    assert opened.page.locator("#numbers tbody tr").count() == 3
    opened.choose(2, grouping="user")
    users = {name for (name,) in Warehouse(recent).query("select user__name from phone_numbers")}
    assert set(opened.page.locator("#numbers tbody th").all_inner_texts()) == users


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_every_chart_fits_the_screen_and_is_a_sentence_and_a_table_too(
    width: int, scheme: str, show: Callable[..., Opened], recent: Path
) -> None:
    opened = show(recent, viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = opened.page
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.locator(".chart svg").count() == 8
    for chart in page.locator("figure").all():
        assert len(chart.locator(".chart").get_attribute("aria-label") or "") > 40
        assert chart.locator("tbody tr").count() > 0
        box = chart.locator("svg").bounding_box()
        assert box
        assert box["width"] > width * 0.2
    assert page.locator("table").count() == page.locator("table > caption").count()
    assert page.evaluate(
        "[...document.querySelectorAll('#delivery .scroll')].every(a => a.scrollWidth === a.clientWidth)"
    )
    for place in ("#numbers tbody th", "#waiting tbody th", "#waiting td[data-label='Our number']"):
        texts = page.locator(place).all_inner_texts()
        assert any("*\N{NO-BREAK SPACE}***\N{NO-BREAK SPACE}" in text for text in texts), place
        assert not any("* *" in text for text in texts), place
    assert "\N{NO-BREAK SPACE}UTC" in page.inner_text("#waiting td[data-label='Waiting since'] >> nth=0")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (int(re.findall(r"\d+", dark)[0]) < 50) == (scheme == "dark")
    headings = page.locator("h1, main h2").all_inner_texts()
    assert len(headings) == len(set(headings)) == 12


def test_the_filters_are_reached_and_changed_by_keyboard(show: Callable[..., Opened], recent: Path) -> None:
    opened = show(recent)
    page = opened.page
    focused = "document.activeElement.id || document.activeElement.className"
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "skip"
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "period"
    page.keyboard.press("ArrowDown")
    opened.drawn(2)
    assert page.input_value("#period") == "90"
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "number"


def test_markup_in_names_and_texts_stays_text(show: Callable[..., Opened], recent: Path, tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path / "evil.duckdb")
    shutil.copyfile(recent, warehouse.path)
    warehouse.execute(f"update chats set display_name = '{EVIL}'")
    warehouse.execute(f"update messages set text = '{EVIL}'")
    warehouse.execute(f"update phone_numbers set user__name = '{EVIL}'")
    opened = show(warehouse.path, show_identities=True)
    opened.choose(2, grouping="user")
    page = opened.page
    assert page.locator("img").count() == 0
    assert EVIL in page.inner_text("#waiting tbody th >> nth=0")
    assert page.inner_text("#waiting tbody td.message >> nth=0") == EVIL
    assert page.inner_text("#numbers tbody th >> nth=0") == EVIL
    assert opened.complaints == []
    injected = "window.injected = 1"
    page.evaluate("text => document.body.append(Object.assign(document.createElement('script'), {text}))", injected)
    assert page.evaluate("window.injected") is None
    [refusal] = opened.complaints
    assert "Content Security Policy" in refusal
    opened.complaints.clear()


OBJECTS_OWN = ("__proto__", "constructor", "hasOwnProperty", "toString")
"""What every object of JavaScript has by itself."""


def test_names_that_javascript_has_on_every_object_are_names_like_others(
    show: Callable[..., Opened], recent: Path, tmp_path: Path
) -> None:
    warehouse = Warehouse(tmp_path / "own.duckdb")
    shutil.copyfile(recent, warehouse.path)
    warehouse.execute(f"update chats set service = {list(OBJECTS_OWN)}[1 + id % 4]")
    warehouse.execute("update phone_numbers set user__name = '__proto__'")
    page = show(warehouse.path).page
    assert set(page.locator("#delivery tbody th").all_inner_texts()) == set(OBJECTS_OWN)
    labels = page.locator("#delivery svg .role-axis-label text").all_text_contents()
    assert set(OBJECTS_OWN) <= set(labels)
    bars = page.locator("#delivery svg .mark-rect path").all()
    assert len(bars) == 4 * len(OBJECTS_OWN)
    ends = [box["x"] + box["width"] for box in (bar.bounding_box() for bar in bars) if box]
    axis = page.locator("#delivery svg .role-axis-grid").first.bounding_box()
    assert axis
    assert max(ends) == pytest.approx(axis["x"] + axis["width"], abs=2)
    page.locator("#delivery svg .mark-rect path").first.hover()
    assert page.inner_text("#vg-tooltip-element").split()[1] in OBJECTS_OWN
    opened = show(warehouse.path)
    opened.choose(2, grouping="user")
    assert opened.page.locator("#numbers tbody th").all_inner_texts() == ["__proto__"]


DECIDED = """
select cast(sum(case when direction = 'inbound' then turns - pending_24h else 0 end) as integer),
  cast(sum(case when direction = 'outbound' then turns - pending_24h else 0 end) as integer)
from response_rates_daily
where phone_number = '{number}' and day > date '{today}' - 30
group by day
"""


def test_days_of_few_turns_are_in_the_table_and_not_in_the_line(show: Callable[..., Opened], recent: Path) -> None:
    warehouse = Warehouse(recent)
    opened = show(recent)
    opened.choose(2, number="1")
    [(number,)] = warehouse.query("select phone_number from phone_numbers order by user__name, 1 limit 1 offset 1")
    days = [day for day in warehouse.query(DECIDED.format(number=number, today=day_of(opened))) if any(day)]
    thin = sum(any(0 < turns < 5 for turns in day) for day in days)
    assert thin > 3
    rate = opened.page.locator("#rate")
    assert rate.locator("tbody tr").count() == len(days)
    theirs, ours = (group.locator("path").count() for group in rate.locator("svg .mark-symbol.role-mark").all())
    assert (ours, theirs) == tuple(sum(day[side] >= 5 for day in days) for side in (0, 1))
    said = f"On {thin} days a side had fewer than 5 turns to answer: its line leaves them out, the table has them."
    assert said in rate.locator("figcaption").inner_text()


def test_where_no_day_has_turns_enough_the_rates_are_a_sentence_and_a_table(
    show: Callable[..., Opened], serve: Callable[..., Simulator], warehouse: Warehouse
) -> None:
    world = World.empty()
    chat = world.add_chat(["+12125550199"], ours=["+12025550100"])
    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=9)
    for day in range(3):
        world.receive(chat.id, "Hello?", sent_at=noon + timedelta(days=day))
        world.send(chat.id, "Hello!", sent_at=noon + timedelta(days=day, minutes=1))
    warehouse.sync(serve(world))
    rate = show(warehouse.path).page.locator("#rate")
    assert rate.locator("svg").count() == 0
    assert rate.locator("tbody tr").count() == 3
    assert rate.locator("p").inner_text().endswith("too little to draw.")


def test_of_chats_that_differ_it_promises_no_repair(
    show: Callable[..., Opened], recent: Path, tmp_path: Path
) -> None:
    warehouse = Warehouse(tmp_path / "differs.duckdb")
    shutil.copyfile(recent, warehouse.path)
    warehouse.execute("delete from messages where id = (select min(id) from messages)")
    said = show(warehouse.path).page.inner_text("#sync")
    [(differing,)] = warehouse.query("select count(*) from sync_health where status = 'differs'")
    assert differing
    assert said.startswith(f"{differing} chat")
    assert "goes on where a chat is unfinished or was never read; where one differs," in said


@pytest.mark.parametrize("messages", [0, 1, 3])
def test_an_empty_or_tiny_account_shows_sentences(
    messages: int, show: Callable[..., Opened], serve: Callable[..., Simulator], warehouse: Warehouse
) -> None:
    world = World.empty()
    if messages:
        chat = world.add_chat(["+12125550199"], ours=["+12025550100"])
        world.receive(chat.id, "Hello?", sent_at=OLD)
        for minute in range(1, messages):
            world.send(chat.id, "Hello!", sent_at=OLD + timedelta(minutes=minute))
    warehouse.sync(serve(world))
    opened = show(warehouse.path)
    page = opened.page
    assert page.input_value("#period") == ("all" if messages else "30")
    assert "NaN" not in page.inner_text("body")
    assert "undefined" not in page.inner_text("body")
    for section in ("rate", "median", "volume", "times", "written", "answered", "sms"):
        assert page.inner_text(f"#{section}").endswith("."), section
        assert page.locator(f"#{section} svg").count() == 0
    if not messages:
        assert "no messages in this account yet" in page.inner_text("#about")
        assert "Nobody is waiting" in page.inner_text("#waiting")
    if messages == 3:
        assert opened.value("our_rate") == 1
        assert "1 min" in page.inner_text("#median").replace("\N{NO-BREAK SPACE}", " ")


def test_it_prints_light_without_filters_and_with_every_chart(
    show: Callable[..., Opened], recent: Path, tmp_path: Path
) -> None:
    page = show(recent, color_scheme="dark").page
    page.emulate_media(media="print")
    assert not page.locator("#period").is_visible()
    assert page.locator("#shown").is_visible()
    assert page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--ink')").strip() == "#16202c"
    assert page.locator(".chart svg >> visible=true").count() == 8
    assert page.pdf(path=tmp_path / "report.pdf").startswith(b"%PDF")
