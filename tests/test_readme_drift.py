"""What README and docs say of options, exit codes, events, extras and settings is what the code has, and no less."""

import argparse
import inspect
import json
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from linq_source.context import Summary
from linq_source.dlt_plugin import LinqCommand
from linq_source.errors import LinqError
from linq_source.runner import Result
from linq_source.simulator.__main__ import make_parser
from linq_source.source import linq_source, make_sync
from linq_source.sync_output import as_json
from linq_source.webhook.event import EVENT_TYPES
from tests.readme import README, manual, sections
from tests.support import ROOT, run_pipeline

SCHEDULING = ROOT / "docs" / "scheduling.md"
OPTION = r"(?<![\w-])--[a-z][a-z-]+"
OF_OTHER_PROGRAMS = {"--location", "--largest", "--kill-seconds"}
"""Of `dlt init` and of the tests' own commands."""

COMMANDS = sorted(path.name for path in (ROOT / "pipelines").glob("*.py") if "run_command(main)" in path.read_text())
WITH_A_TABLE = ["forget.py", "linq_to_duckdb.py", "report.py", "webhook_to_parquet.py"]
"""Commands whose options are listed in a table; the others' are in the text of their sections."""


@cache
def help_of(command: str) -> str:
    """What `--help` of a command says; the simulator's and the doctor's too."""
    if command == "linq_source.simulator":
        return make_parser().format_help()
    if command == "dlt linq doctor":
        LinqCommand().configure_parser(parser := argparse.ArgumentParser())
        return next(iter(parser._subparsers._group_actions[0].choices.values())).format_help()  # type: ignore[union-attr,index]
    return run_pipeline(command, "--help").stdout


def options_of(command: str) -> set[str]:
    return set(re.findall(OPTION, help_of(command))) - {"--help"}


def about(command: str) -> str:
    """The sections that name a command; what another one shares with the main one is told there."""
    named = [each for each in sections() if command in each]
    shared = about("linq_to_duckdb.py") if command == "linq_to_warehouse.py" else ""
    return "\n".join(named) + shared


def rows(text: str, header: str) -> Iterator[tuple[str, str]]:
    """The first two cells of each row of every Markdown table with this header."""
    for table in re.findall(rf"^\| {header} \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE):
        for row in table.splitlines():
            cells = [cell.strip() for cell in row.strip("|").split("|")]
            yield cells[0], cells[1]


def codes(path: Path) -> set[int]:
    return {int(code) for cell, _ in rows(path.read_text(), "exit code") for code in cell.split(",")}


@pytest.mark.parametrize("command", [*COMMANDS, "linq_source.simulator", "dlt linq doctor"])
def test_every_option_of_a_command_is_in_its_section(command: str) -> None:
    assert options_of(command) <= set(re.findall(OPTION, about(command)))


@pytest.mark.parametrize("command", WITH_A_TABLE)
def test_a_table_of_options_has_those_of_the_command_and_their_defaults(command: str) -> None:
    tables = [dict(rows(each, "option")) for each in sections() if command in each]
    [table] = [table for table in tables if table]
    assert set(re.findall(OPTION, "".join(table))) == options_of(command)
    for said in re.split(r"\n  (?=--)", " ".join(help_of(command).split("options:")[1:])):
        default = re.search(r"\[(\S+)\]", said)  # others are a sentence
        if default:
            [meaning] = [cell for name, cell in table.items() if said.split()[0] in re.findall(OPTION, name)]
            assert default[1] in meaning, said


def test_every_option_that_is_named_exists() -> None:
    known = set().union(*map(options_of, [*COMMANDS, "linq_source.simulator", "dlt linq doctor"]))
    named = set(re.findall(OPTION, re.sub(r"(?s)\n    .*?\n(?!    )", "\n", manual())))
    assert named - known - {"--help"} <= OF_OTHER_PROGRAMS


def test_exit_codes_are_those_of_the_errors_and_of_what_a_sync_returns() -> None:
    classes, raised = [LinqError], set[int]()
    while classes:
        raised.add((each := classes.pop()).exit_code)
        classes += each.__subclasses__()
    assert codes(README) == raised | {0, 3, 130, 143}
    assert codes(SCHEDULING) == raised | {0, 3}


def test_the_fields_of_json_are_those_that_a_sync_prints() -> None:
    [meaning] = [cell for name, cell in rows(about("linq_to_duckdb.py"), "option") if name == "`--json`"]
    printed = json.loads(as_json(Result(Summary(), seconds=1.0, requests=0, retries=0, exit_code=0)))
    assert re.findall(r"`(\w+)`", meaning) == list(printed)


def test_every_event_type_is_named_and_no_other() -> None:
    kinds = "|".join({name.partition(".")[0] for name in EVENT_TYPES})
    assert set(re.findall(rf"`((?:{kinds})\.[a-z_]+)`", manual())) == set(EVENT_TYPES)


def test_every_extra_is_named_and_no_other() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = manual()
    named = {
        name for list_ in re.findall(r"extras? ((?:`\w+`(?:, | and )?)+)", text) for name in list_.split("`")[1::2]
    }
    named |= {name for list_ in re.findall(r"'\.\[([\w,]+)\]'", text) for name in list_.split(",")}
    assert named == set(project["optional-dependencies"])


def test_every_setting_of_the_source_is_named_and_no_other() -> None:
    settings = set(inspect.signature(linq_source).parameters) - {"integration_token"}
    [section] = [each for each in sections() if "SOURCES__LINQ__CONCURRENCY" in each]
    told = "Settings " + section.partition("\nSettings ")[2]
    named = set(re.findall(r"`([a-z]\w+)`", told.split("\n\n")[0]))
    named |= {name.strip("`") for cell, _ in rows(told, "setting") for name in cell.split(", ")}
    assert named == settings
    documents = [manual(), *(path.read_text() for path in (ROOT / ".dlt").iterdir())]
    documents += [path.read_text() for path in (ROOT / "docs" / "examples").iterdir()]
    for name in re.findall(r"SOURCES__LINQ__([A-Z_]+)", "\n".join(documents)):
        assert name.lower() in settings | {"integration_token", "webhook_secret"}, name


def test_the_example_of_a_configuration_has_the_settings_and_their_defaults() -> None:
    parameters = inspect.signature(linq_source).parameters
    for name, value in re.findall(r"^# (\w+) = (\S+)", (ROOT / ".dlt" / "config.toml").read_text(), re.MULTILINE):
        default = parameters[name].default
        assert default is None or default == tomllib.loads(f"value = {value}")["value"], name


def test_the_source_takes_the_settings_of_a_sync_with_the_same_defaults() -> None:
    own, inner = inspect.signature(linq_source).parameters, inspect.signature(make_sync).parameters
    assert {name: each.default for name, each in own.items()} == {
        name: inner[name].default for name in inner if name not in ("shard", "limits")
    }


@pytest.mark.parametrize("script", ["dagster_linq.py", "airflow_linq.py"])
def test_the_variables_of_a_scheduler_are_named_where_it_is_told_of(script: str) -> None:
    read = set(re.findall(r"environ\.get\(.(LINQ_\w+)", (ROOT / "pipelines" / script).read_text()))
    assert read
    assert read <= set(re.findall(r"`(LINQ_\w+)`", SCHEDULING.read_text()))
