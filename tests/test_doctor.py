"""The doctor finds what keeps a sync from working, says what to do, and changes nothing."""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import duckdb
import pytest
from dlt.extract.reference import SourceReference

from linq_source import doctor
from linq_source.database import lock_path
from linq_source.dlt_plugin import LinqCommand, plug_cli
from linq_source.process import locked
from linq_source.simulator import Fault, Simulator, World
from tests.support import TOKEN, Warehouse, small_world

Serve = Callable[..., Simulator]
Known = Callable[..., tuple[World, Simulator]]


@pytest.fixture
def examined(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run `dlt linq doctor --json` and return its exit code and the findings by what they are about."""

    def run(linq: Simulator, *options: str, token: str = TOKEN) -> tuple[int, dict[str, dict[str, Any]]]:
        monkeypatch.setenv("SOURCES__LINQ__INTEGRATION_TOKEN", token)
        monkeypatch.setenv("SOURCES__LINQ__BASE_URL", linq.base_url)
        code, said = command("--database", str(warehouse.path), "--json", *options, capsys=capsys)
        document = json.loads(said)
        assert document["exit_code"] == code
        return code, {finding["what"]: finding for finding in document["findings"]}

    return run


def command(*options: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    parser = argparse.ArgumentParser()
    linq = LinqCommand()
    linq.configure_parser(parser)
    with pytest.raises(SystemExit) as end:
        linq.execute(parser.parse_args(["doctor", *options]))
    assert isinstance(end.value.code, int)
    return end.value.code, capsys.readouterr().out


def to_do(findings: dict[str, dict[str, Any]]) -> set[str]:
    assert all(finding["sentence"].endswith(".") for finding in findings.values())
    assert all(bool(finding["advice"]) != finding["is_well"] for finding in findings.values())
    return {what for what, finding in findings.items() if not finding["is_well"]}


def test_after_a_sync_all_is_well_and_nothing_is_changed(known: Known, warehouse: Warehouse, examined: Any) -> None:
    _, linq = known()
    before = warehouse.everything()
    code, findings = examined(linq)
    assert (code, to_do(findings)) == (0, set())
    assert findings["destination"]["sentence"].endswith("2 phone numbers, 12 chats, 400 messages, 12 contacts.")
    assert warehouse.everything() == before


def test_before_the_first_sync_it_says_to_run_one_and_creates_no_file(
    serve: Serve, warehouse: Warehouse, examined: Any
) -> None:
    code, findings = examined(serve(small_world()))
    assert (code, to_do(findings)) == (3, {"destination"})
    assert list(warehouse.path.parent.glob("linq.duckdb*")) == []
    duckdb.connect(str(warehouse.path)).close()
    assert "no tables yet" in examined(serve(small_world()))[1]["destination"]["sentence"]


def test_what_waits_is_counted(known: Known, warehouse: Warehouse, examined: Any) -> None:
    world, linq = known()
    warehouse.execute("delete from chat_syncs where chat_id = (select min(chat_id) from chat_syncs)")
    world.add_webhook_subscription("https://example.com/hook", ["message.sent"])
    code, findings = examined(linq)
    assert (code, to_do(findings)) == (3, {"pending work"})
    assert "not read to its end: 1 chat." in findings["pending work"]["sentence"]
    assert findings["subscriptions"]["sentence"] == "1 webhook subscription, active."


def test_messages_that_are_missing_are_told_of(known: Known, warehouse: Warehouse, examined: Any) -> None:
    _, linq = known()
    warehouse.execute("delete from messages where id in (select id from messages order by id limit 3)")
    code, findings = examined(linq)
    assert (code, to_do(findings)) == (3, {"counts"})
    assert "audit.py" in findings["counts"]["advice"]


def test_a_hint_that_names_a_command_names_the_database_too(
    known: Known, warehouse: Warehouse, examined: Any
) -> None:
    _, linq = known()
    named = f"--database {warehouse.path}"
    warehouse.execute("delete from messages where id = (select min(id) from messages)")
    warehouse.execute("delete from chat_syncs where chat_id = (select max(chat_id) from chat_syncs)")
    findings = examined(linq)[1]
    assert f"pipelines/audit.py {named}" in findings["counts"]["advice"]
    assert f"pipelines/linq_to_duckdb.py {named}" in findings["pending work"]["advice"]


@pytest.mark.parametrize("other", [{"seed": 6}, {"seed": 5}])
def test_the_tables_of_another_account_are_told_of_and_nothing_is_changed(
    other: dict[str, int], known: Known, serve: Serve, warehouse: Warehouse, examined: Any
) -> None:
    known()
    before = warehouse.everything()
    code, findings = examined(serve(small_world(**other, id_offset=5_000_000_000)))
    assert (code, to_do(findings)) == (3, {"account"})
    assert "another account" in findings["account"]["sentence"]
    assert "--allow-mass-delete" in findings["account"]["advice"]
    assert warehouse.everything() == before


def test_an_account_that_is_known_by_its_contacts_alone_is_no_other(known: Known, examined: Any) -> None:
    world, linq = known()
    for number in world.listed_numbers():
        world.release_number(number.phone_number)
        world.add_number(f"+1202555{number.id:04}")
    assert "account" not in examined(linq)[1]
    for contact_id in list(world.contacts):
        world.delete_contact(contact_id)
    assert "account" in to_do(examined(linq)[1])


def test_tables_of_a_sync_that_failed_are_not_called_well(serve: Serve, warehouse: Warehouse, examined: Any) -> None:
    linq = serve(small_world())
    assert warehouse.sync(linq, integration_token="wrong").exit_code == 2
    code, findings = examined(linq)
    assert (code, to_do(findings)) == (3, {"destination"})
    assert "no sync has come to its end yet" in findings["destination"]["sentence"]


def test_a_scheduler_that_stopped_is_noticed(known: Known, warehouse: Warehouse, examined: Any) -> None:
    _, linq = known()
    warehouse.execute("update chat_syncs set synced_at = synced_at - interval 3 days")
    assert "scheduler" in examined(linq)[1]["pending work"]["advice"]


def test_a_sync_that_rechecks_once_a_week_is_not_called_stale_before_two(
    known: Known, warehouse: Warehouse, examined: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, linq = known()
    monkeypatch.setenv("SOURCES__LINQ__RECHECK_HOURS", "168")
    warehouse.execute("update chat_syncs set synced_at = synced_at - interval 13 days")
    assert examined(linq)[1]["pending work"]["is_well"]
    warehouse.execute("update chat_syncs set synced_at = synced_at - interval 2 days")
    assert "each is due every 168 hours" in examined(linq)[1]["pending work"]["sentence"]
    monkeypatch.setenv("SOURCES__LINQ__RECHECK_HOURS", "soon")
    assert "recheck_hours" in examined(linq)[1]["token"]["sentence"]


def test_rows_that_fit_no_column_are_counted(known: Known, warehouse: Warehouse, examined: Any) -> None:
    _, linq = known()
    loads = "(select max(load_id) from _dlt_loads)"
    warehouse.execute(f"insert into rejected_rows (row_hash, _dlt_load_id) values ('a', {loads}), ('b', {loads})")
    assert to_do(examined(linq)[1]) == {"rejected rows"}


@pytest.mark.parametrize("token", ["", "wrong-secret-token"])
def test_a_bad_token_is_one_finding_among_others_and_never_shown(token: str, known: Known, examined: Any) -> None:
    _, linq = known()
    code, findings = examined(linq, token=token)
    assert (code, to_do(findings)) == (3, {"token"})
    assert "SOURCES__LINQ__INTEGRATION_TOKEN" in findings["token"]["sentence"]
    assert "wrong-secret-token" not in json.dumps(findings)


def test_an_inactive_subscription_and_no_number_are_named(known: Known, examined: Any) -> None:
    world, linq = known()
    world.add_webhook_subscription("https://example.com/hook", ["message.sent"])

    def asleep(answer: Any) -> Any:
        answer["webhook_subscriptions"][0]["active"] = False
        return answer

    linq.faults = [
        Fault(path="/webhook_subscriptions$", kind="mutate", mutate=asleep),
        Fault(path="/phone_numbers$", kind="mutate", mutate=lambda answer: answer | {"phone_numbers": []}),
    ]
    assert to_do(examined(linq)[1]) == {"subscriptions", "numbers"}


def test_a_run_at_work_and_a_database_open_elsewhere_are_told_apart(
    known: Known, warehouse: Warehouse, examined: Any, tmp_path: Path
) -> None:
    _, linq = known()
    with locked(lock_path(warehouse.path)):
        code, findings = examined(linq)
    assert code == 0
    assert findings["lock"]["sentence"].startswith("A run is at work")
    warehouse.path.write_bytes(b"no database at all")
    assert "is not a DuckDB database" in examined(linq)[1]["destination"]["sentence"]


def test_a_destination_that_lacks_its_credentials_is_a_finding(
    known: Known, examined: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    _, linq = known()
    examined(linq)  # sets token and address
    code, said = command("--destination", "postgres", "--json", capsys=capsys)
    findings = {finding["what"]: finding for finding in json.loads(said)["findings"]}
    assert (code, to_do(findings)) == (3, {"destination"})
    assert "credentials" in findings["destination"]["sentence"]


def test_an_unfit_version_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.versions().is_well
    real = doctor.metadata.version
    monkeypatch.setattr(doctor.metadata, "version", lambda name: "9.9" if name == "duckdb" else real(name))
    finding = doctor.versions()
    assert not finding.is_well
    assert "duckdb 9.9 (wanted " in finding.sentence


def test_dlt_finds_the_command_and_the_source_by_their_names() -> None:
    (entry,) = (each for each in entry_points(group="dlt") if each.name == "linq")
    assert entry.load().plug_cli is plug_cli
    assert plug_cli(host="dlt") is LinqCommand
    assert plug_cli(host="dlthub") is None
    source = SourceReference.find("linq")(integration_token=TOKEN)
    assert "messages" in source.resources


def test_dlts_own_command_explains_the_doctor_without_a_warning() -> None:
    dlt_command = str(Path(sys.executable).with_name("dlt"))
    said = subprocess.run([dlt_command, "linq", "doctor", "--help"], capture_output=True, text=True, check=True)
    assert said.stderr == ""
    assert all(option in said.stdout for option in ("--database", "(linq.duckdb)", "--dataset", "(linq_data)"))


def test_the_id_of_a_subscription_is_shown_only_where_it_is_a_number() -> None:
    found = doctor._subscriptions([{"id": each, "active": False} for each in (7, "8", "\x1b[2J")])
    assert "not active: 7, 8, unknown." in found.sentence
