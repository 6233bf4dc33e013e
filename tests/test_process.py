"""What a run holds in a folder that everyone can write to, as the temporary one is."""

from pathlib import Path

import pytest

from linq_source.errors import ConfigurationError
from linq_source.process import fresh_folder, locked


def test_a_link_that_lies_where_the_lock_is_to_be_is_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("of another program")
    lock = tmp_path / "linq.lock"
    lock.symlink_to(other)
    with pytest.raises(ConfigurationError, match="cannot be written"), locked(lock):
        pass
    assert other.read_text() == "of another program"


def test_the_folder_of_a_run_is_private_and_what_a_killed_one_left_goes_but_not_what_links_there_lead_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    lock, other = tmp_path / "linq.lock", tmp_path / "other"
    (other / "kept").mkdir(parents=True)
    with fresh_folder(lock) as killed:
        name = killed.name
        assert killed.stat().st_mode & 0o777 == 0o700
    (tmp_path / name).mkdir()
    (tmp_path / name / "inside").symlink_to(other)
    (tmp_path / f"{name}_link").symlink_to(other)
    with fresh_folder(lock) as folder:
        assert not (tmp_path / name).exists()
        assert folder.is_dir()
    assert (other / "kept").is_dir()
