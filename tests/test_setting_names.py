"""A setting that is misspelt is told before anything is read or written."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from linq_source.errors import ConfigurationError
from linq_source.redact import configured
from linq_source.setting_names import NAMES
from linq_source.source import linq_source, make_sync
from tests.support import ROOT, TOKEN, run_pipeline

PREFIX = "SOURCES__LINQ__"


def test_every_setting_is_known() -> None:
    ours = {*inspect.signature(make_sync).parameters, *inspect.signature(linq_source).parameters}
    assert ours - {"shard", "limits"} == NAMES - {"webhook_secret"}


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("REDACTION", "REDACT"), ("REDACTS", "REDACT"), ("REDACT_KEYS", "REDACT_KEY"), ("CONCURENCY", "CONCURRENCY"),
        ("PHONE_NUMBER", "PHONE_NUMBERS"), ("LOOKBACK", "LOOKBACK_DAYS"), ("BASEURL", "BASE_URL"),
        ("WEBHOOK_SECRETS", "WEBHOOK_SECRET"), ("MAX_WAIT", "MAX_WAIT_SECONDS"), ("START", "START_DATE"),
    ],
)  # fmt: skip
def test_a_variable_that_is_misspelt_is_told_with_the_name_that_was_meant(
    name: str, meant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{PREFIX}{name}", "texts")
    for ask in (lambda: make_sync(TOKEN), configured):
        with pytest.raises(ConfigurationError) as told:
            ask()
        problem = f"{PREFIX}{name} is no setting, so it would do nothing: did you mean {PREFIX}{meant}?"
        assert str(told.value) == problem


def test_a_sync_with_one_ends_before_it_reads_or_writes_anything(tmp_path: Path) -> None:
    database = tmp_path / "linq.duckdb"
    given = {f"{PREFIX}REDACTION": "texts", f"{PREFIX}INTEGRATION_TOKEN": TOKEN}
    finished = run_pipeline("linq_to_duckdb.py", "--database", str(database), **given)
    assert (finished.returncode, finished.stdout, finished.stderr.count("\n")) == (2, "", 1)
    assert not database.exists()


def test_one_in_dlts_files_is_told_too_and_by_receivers_and_loaders_alike(tmp_path: Path) -> None:
    (tmp_path / ".dlt").mkdir()
    file = tmp_path / ".dlt" / "config.toml"
    file.write_text("[sources.linq]\nredaction = 'texts'\n")
    for command, option in (("webhook_to_parquet.py", "--port=0"), ("events_to_duckdb.py", "--database=x.duckdb")):
        script = [sys.executable, str(ROOT / "pipelines" / command), option, "--directory", "."]
        finished = subprocess.run(script, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
        assert finished.returncode == 2
        assert f"redaction under [sources.linq] in .dlt/{file.name} is no setting" in finished.stderr
        assert "did you mean redact under" in finished.stderr
        file = file.rename(file.with_name("secrets.toml"))


@pytest.mark.parametrize("name", ["SCHEMA_CONTRACT", "MAX_TABLE_NESTING", "MESSAGES__WRITE_DISPOSITION", "ROOT_KEY"])
def test_dlts_own_settings_are_left_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}{name}", "1")
    make_sync(TOKEN)
    configured()
