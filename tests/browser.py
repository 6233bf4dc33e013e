"""A report in a real Chromium, which must complain of nothing and ask for nothing."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from linq_source.analytics.report import write_report

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)


@dataclass
class Opened:
    """A report in a page of its own, and what the browser had to say of it."""

    page: "Page"
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def drawn(self, times: int = 1) -> None:
        self.page.wait_for_selector(f'html[data-drawn="{times}"]', state="attached", timeout=20_000)

    def value(self, name: str) -> float | None:
        text = self.page.get_attribute(f"#key-{name}", "data-value")
        return None if text in (None, "null") else float(text)

    def choose(self, times: int, **values: str) -> None:
        for name, value in values.items():
            if self.page.locator(f"#{name}").evaluate("field => field.tagName") == "SELECT":
                self.page.select_option(f"#{name}", value)
            else:
                self.page.fill(f"#{name}", value)
        self.drawn(times)


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """A headless Chromium with a profile of its own."""
    if not Path(CHROMIUM).exists():
        reason = f"needs a browser at {CHROMIUM}: apt-get install chromium"
        if os.environ.get("LINQ_REQUIRE_BROWSER"):
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS.split())
        yield running
        running.close()


@pytest.fixture(scope="module")
def report_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path, bool], Path]:
    """Write the report of a database, once for all tests that read the same."""

    @cache
    def written(database: Path, show_identities: bool, changed_at: int) -> Path:
        del changed_at  # another test's database may have had the same name
        output = tmp_path_factory.mktemp("report") / "report.html"
        write_report(database, output, show_identities=show_identities)
        return output

    return lambda database, show_identities: written(database, show_identities, database.stat().st_mtime_ns)


@pytest.fixture
def show(browser: "Browser", report_of: Callable[[Path, bool], Path]) -> Iterator[Callable[..., Opened]]:
    """Open the report of a database; afterwards nothing may have been complained of or asked for."""
    shown: list[Opened] = []

    def begin(database: Path, *, show_identities: bool = False, **options: Any) -> Opened:
        opened = Opened(browser.new_page(**({"viewport": {"width": 1440, "height": 900}} | options)))
        page = opened.page
        page.on("console", lambda message: opened.complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: opened.complaints.append(str(error)))
        page.on("dialog", lambda dialog: opened.complaints.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: opened.requests.append(request.url))
        page.goto(report_of(database, show_identities).as_uri())
        opened.drawn()
        shown.append(opened)
        return opened

    yield begin
    for opened in shown:
        opened.page.close()
        assert opened.complaints == []
        assert [url for url in opened.requests if not url.startswith(("file://", "data:"))] == []
