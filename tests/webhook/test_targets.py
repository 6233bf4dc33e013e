"""What --directory and --events name: folders and URLs, and a sentence for what is neither."""

from pathlib import Path

import pytest

from linq_source.errors import LinqError
from linq_source.webhook.targets import LocalFolder, ObjectStore, open_target, place_of
from tests.support import run_pipeline
from tests.test_command import assert_one_sentence


def opened(directory: str) -> None:
    """Open what --events names."""
    target = open_target(directory, "--events")
    assert isinstance(target, ObjectStore)
    target.check()


def test_targets_by_their_names(tmp_path: Path) -> None:
    assert isinstance(open_target(str(tmp_path)), LocalFolder)
    assert open_target(f"file://{tmp_path}").name == str(tmp_path)
    assert isinstance(open_target("s3://bucket/prefix"), ObjectStore)


@pytest.mark.parametrize(
    ("directory", "code", "said"),
    [
        (" ", 2, "--events needs a folder or a URL"),
        ("s3://[::1/x", 2, "--events is not a URL"),
        ("file://[::1/x", 2, "--events is not a URL"),
        ("s3://", 2, "--events s3:// names no bucket"),
        ("foo://bar", 2, "nothing here reads foo"),
        ("dropbox://x/y", 2, "not installed"),
        ("github://x:hunter2@/", 1, "cannot be opened: [A-Z]"),
    ],
)
def test_what_cannot_be_opened_is_named_by_its_option_and_its_cause(directory: str, code: int, said: str) -> None:
    with pytest.raises(LinqError, match=said) as refused:
        opened(directory)
    assert refused.value.exit_code == code
    assert "hunter2" not in str(refused.value)
    assert "None" not in str(refused.value)


@pytest.mark.parametrize(
    ("script", "option"),
    [("events_to_duckdb.py", "--directory"), ("webhook_to_parquet.py", "--directory"), ("forget.py", "--events")],
)
def test_a_url_that_is_none_ends_a_command_in_a_sentence(script: str, option: str, tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    rest = ("--database", str(tmp_path / "x"), "--phone-number", "+15550001111") if option == "--events" else ()
    finished = run_pipeline(script, option, "s3://[::1/x", *rest, SOURCES__LINQ__WEBHOOK_SECRET="s" * 20)
    assert assert_one_sentence(finished, 2).startswith(f"{option} is not a URL")


def test_what_looks_like_a_url_and_is_none_is_a_folder() -> None:
    for name in ("1s3://[x", "a://[x"):
        assert isinstance(open_target(name), LocalFolder)
        assert place_of(name) == name
