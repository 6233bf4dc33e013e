"""The report's data and file: sums that equal the views, masks, modes, and errors as sentences."""

import base64
import gzip
import json
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from linq_source.analytics.identities import chat_label, mask_number, our_label
from linq_source.analytics.report import MISSING, SCRIPTS, write_report
from linq_source.analytics.report_data import read_report
from linq_source.database import opened_for_reading
from linq_source.errors import ConfigurationError, DestinationError
from linq_source.simulator import Simulator, World
from tests.readme import README
from tests.support import OLD, ROOT, Warehouse, run_pipeline

Serve = Callable[..., Simulator]
Stored = Callable[..., Path]


PRIVATE = """
select display_name from chats
union select phone_number from chat_handles
union select full_name from contacts
union select phone_number from phone_numbers
union select text from messages where length(text) > 12
"""


def column_sums(columns: dict[str, list[Any]]) -> dict[str, int]:
    return {name: sum(values) for name, values in columns.items() if name not in ("day", "number", "service")}


def shown_in(page: Path) -> dict[str, Any]:
    """The data that a written report holds."""
    packed = re.search(r'id="data">([^<]*)<', page.read_text())
    assert packed
    data: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(packed[1])))
    return data


def test_the_sums_equal_those_of_the_views(stored: Stored) -> None:
    warehouse = Warehouse(stored(chats=30, messages=1500))
    data = read_report(warehouse.path)
    found = column_sums(data["facts"])
    for side, direction in (("our", "inbound"), ("their", "outbound")):
        [rates] = warehouse.query(
            "select sum(turns), sum(replied), sum(replied_1h), sum(replied_24h), sum(replied_72h), sum(pending_24h) "
            f"from response_rates_daily where direction = '{direction}'"
        )
        assert rates == tuple(found[f"{side}_{name}"] for name in ("turns", "replied", "1h", "24h", "72h", "pending"))
    [sent] = warehouse.query(
        "select sum(sent), sum(delivered), sum(pending), sum(failed_service_unavailable), sum(failed_paused), "
        "sum(failed_other), sum(unknown) from delivery_health"
    )
    names = ("sent", "delivered", "pending", "unavailable", "paused", "other", "unknown")
    assert sent == tuple(found[name] for name in names)
    assert found["sent"] + found["received"] == warehouse.query("select count(*) from live_messages")[0][0]
    [sms] = warehouse.query("select sum(messages), sum(segments), sum(over_160) from sms_risk")
    assert sms == tuple(sum(data["sms"][name]) for name in ("messages", "segments", "over_160"))
    waiting = warehouse.query("select count(*) from conversations where waiting_on = 'us'")[0][0]
    assert sum(row[age] for row in data["waiting_counts"] for age in ("hour", "day", "week", "older")) == waiting
    assert [row["since"] for row in data["waiting"]] == sorted(row["since"] for row in data["waiting"])
    replied = sum(len(steps) for steps in data["replies"]["steps"])
    assert replied == found["our_replied"] + found["their_replied"]
    written = sum(sum(counts) for counts, is_answer in zip(data["hours"]["counts"], data["hours"]["is_answer"], strict=True) if not is_answer)  # fmt: skip  # noqa: E501
    assert written == found["received"]


def test_the_page_holds_no_identity_unless_asked(stored: Stored, tmp_path: Path) -> None:
    warehouse = Warehouse(stored(chats=30, messages=1500))
    private = {text for (text,) in warehouse.query(PRIVATE) if text}
    private -= {name for (name,) in warehouse.query("select user__name from phone_numbers")}
    write_report(warehouse.path, tmp_path / "masked.html")
    masked = json.dumps(shown_in(tmp_path / "masked.html"), ensure_ascii=False)
    assert not [name for name in private if name in masked]
    assert not re.search(r"\+\d{7,}", masked)
    write_report(warehouse.path, tmp_path / "full.html", show_identities=True)
    full = shown_in(tmp_path / "full.html")
    assert {row["chat"] for row in full["waiting"]} & private
    assert any(row["text"] for row in full["waiting"])


def test_the_file_is_its_owners_alone_and_replaced_whole(stored: Stored, tmp_path: Path) -> None:
    output = tmp_path / "report.html"
    output.write_text("<!DOCTYPE html> an older one")
    output.chmod(0o644)
    write_report(stored(), output)
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    text = output.read_text()
    assert text.startswith("<!doctype html>")
    assert text.rstrip().endswith("</html>")
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
    assert output.stat().st_size < 1_500_000
    assert "default-src 'none'" in text
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", text.split("<script>")[0])


def test_nothing_but_a_page_is_overwritten(stored: Stored, tmp_path: Path) -> None:
    precious = tmp_path / "linq.duckdb"
    shutil.copyfile(stored(), precious)
    before = precious.read_bytes()
    with pytest.raises(ConfigurationError, match="not a web page"):
        write_report(precious, precious)
    assert precious.read_bytes() == before


@pytest.mark.parametrize("what", ["empty", "one message", "groups only", "no SMS"])
def test_an_empty_or_tiny_account_has_a_report(what: str, serve: Serve, warehouse: Warehouse) -> None:
    world = World.empty(phone_numbers=1)
    ours = ["+12025550100"]
    if what == "one message":
        world.receive(world.add_chat(["+12125550199"], ours=ours).id, "Hello?", sent_at=OLD)
    elif what == "groups only":
        group = world.add_chat(["+12125550198", "+12125550199"], ours=ours)
        world.receive(group.id, "Hello?", sent_at=OLD)
        world.send(group.id, "Yes.", sent_at=OLD)
    elif what == "no SMS":
        chat = world.add_chat(["+12125550199"], ours=ours)
        world.send(chat.id, "Yes.", sent_at=OLD)
    assert warehouse.sync(serve(world)).exit_code == 0
    data = read_report(warehouse.path)
    found = column_sums(data["facts"])
    messages = {"empty": 0, "one message": 1, "groups only": 2, "no SMS": 1}[what]
    assert found["received"] + found["sent"] == messages
    assert data["sms"]["day"] == []
    assert found["our_turns"] == (what == "one message")
    assert [number["label"].split(" · ")[1] for number in data["numbers"]] == ["+1 *** *** 0100"]
    assert len(data["waiting"]) == (what == "one message")


def test_ages_of_waiting_chats_count_from_the_moment_of_the_report(serve: Serve, warehouse: Warehouse) -> None:
    world = World.empty()
    chat = world.add_chat(["+12125550199"], ours=["+12025550100"])
    world.receive(chat.id, "Hello?", sent_at=datetime(2026, 2, 27, 12, tzinfo=UTC))
    warehouse.sync(serve(world))
    [row] = read_report(warehouse.path, now=OLD)["waiting_counts"]
    assert row == {"number": 0, "hour": 0, "day": 0, "week": 1, "older": 0}


@pytest.mark.parametrize(
    ("number", "masked"),
    [
        ("+12125550144", "+1 *** *** 0144"),
        ("+49 30 901820", "*** 1820"),
        ("+447700900123", "*** 0123"),
        ("72345", "***"),
        ("someone@example.com", "***@***"),
        ("hmac:3f85dd6b611c5cb754c4a504ff727ed437770928c012906d3ca2268f7f46aa21", "***"),
        (None, "***"),
        ("", "***"),
    ],
)
def test_a_number_is_masked_but_for_its_end(number: str | None, masked: str) -> None:
    assert mask_number(number) == masked


def test_labels_name_our_users_and_no_one_else() -> None:
    assert our_label("+12125550144", "Ana Souza", show_identities=False) == "Ana Souza · +1 *** *** 0144"
    assert our_label("+12125550144", None, show_identities=True) == "+12125550144"
    assert our_label(None, None, show_identities=False) == "No number of ours"
    assert chat_label(7, is_group=True, people=3, handle="+12125550199") == "Group of 4 · chat 7"
    assert chat_label(7, is_group=False, people=1, handle="+12125550199") == "+1 *** *** 0199 · chat 7"
    assert chat_label(7, is_group=False, people=None, handle=None) == "*** · chat 7"


def assert_sentence(*options: str, code: int, named: str) -> None:
    finished = run_pipeline("report.py", *options)
    everything = finished.stdout + finished.stderr
    assert finished.returncode == code, everything
    assert "Traceback" not in everything
    [line] = finished.stderr.strip().splitlines()
    assert named in line
    assert line.endswith(".")


def test_a_missing_database_and_a_wrong_option_are_sentences(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.duckdb"
    assert_sentence("--database", str(nothing), code=2, named=str(nothing))
    assert_sentence("--output", str(tmp_path), code=2, named=str(tmp_path))
    assert not nothing.exists()


def test_a_database_without_tables_or_views_or_of_another_program_is_a_sentence(
    stored: Stored, tmp_path: Path
) -> None:
    bare, old, other = tmp_path / "bare.duckdb", tmp_path / "old.duckdb", tmp_path / "other.db"
    duckdb.connect(str(bare)).close()
    shutil.copyfile(stored(), old)
    Warehouse(old).execute("drop view conversations")
    other.write_bytes(b"SQLite format 3\0" * 1000)
    for path, named in ((bare, "no Linq tables"), (old, "no views"), (other, "not a DuckDB database")):
        with pytest.raises(ConfigurationError, match=named):
            read_report(path)


def test_a_database_that_is_being_written_is_waited_for_then_a_sentence(stored: Stored, tmp_path: Path) -> None:
    path = tmp_path / "linq.duckdb"
    shutil.copyfile(stored(), path)
    code = f"import duckdb; c = duckdb.connect({str(path)!r}); print('open', flush=True); input()"
    waits: list[float] = []
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout
        assert writer.stdout.readline()
        with (
            pytest.raises(DestinationError, match="written by another program"),
            opened_for_reading(path, sleep=waits.append),
        ):
            pass
        writer.communicate(b"\n")
    assert sum(waits) == 5.0
    with opened_for_reading(path):
        pass


def test_a_report_without_its_libraries_says_what_to_install(
    stored: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(ConfigurationError, match=re.escape(MISSING)):
        write_report(stored(), tmp_path / "report.html")


def test_the_page_and_its_scripts_are_in_the_package() -> None:
    from importlib.resources import files

    names = {file.name for file in files("linq_source.analytics").joinpath("page").iterdir()}
    assert {"page.html.j2", "page.css", *SCRIPTS} <= names


def test_the_demo_writes_its_report_beside_its_database_or_says_why_not(
    stored: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from linq_source.demo import report

    database = tmp_path / "linq_demo.duckdb"
    shutil.copyfile(stored(), database)
    assert report(database) == f"A report of it is in {tmp_path / 'linq_demo_report.html'}: open it in a browser."
    assert (tmp_path / "linq_demo_report.html").is_file()
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    assert report(database) == f"No report was written. {MISSING}"


def test_the_command_writes_a_report_and_names_it(stored: Stored, tmp_path: Path) -> None:
    output = tmp_path / "account.html"
    finished = run_pipeline("report.py", "--database", str(stored()), "--output", str(output))
    assert (finished.returncode, finished.stderr) == (0, "")
    assert str(output) in finished.stdout
    assert output.is_file()


def test_every_option_of_the_command_is_in_readme() -> None:
    options = set(re.findall(r"--[a-z-]+", run_pipeline("report.py", "--help").stdout)) - {"--help"}
    assert {"--database", "--output", "--show-identities"} <= options
    assert options <= set(re.findall(r"--[a-z-]+", README.read_text()))
    assert (ROOT / "docs" / "report.png").stat().st_size < 300_000
    assert "](docs/report.png)" in README.read_text()
