"""What is printed of texts that others wrote."""

from pathlib import Path

import pytest

from linq_source.printable import printable
from tests.support import run_pipeline


def test_what_a_terminal_would_obey_is_replaced_and_all_else_stays() -> None:
    assert printable("\x1b[2Ja\r\n\x07\u202eb\ud800") == "\ufffd[2Ja\ufffd\ufffd\ufffd\ufffdb\ufffd"
    assert printable("Größe 1 \U0001f600") == "Größe 1 \U0001f600"


@pytest.mark.parametrize("option", ["--database", "--a-wrong-one"])
def test_no_error_carries_signs_to_the_terminal(option: str, tmp_path: Path) -> None:
    finished = run_pipeline("report.py", option, str(tmp_path / "\x1b[2J\n.duckdb"))
    assert finished.returncode == 2
    assert "\x1b" not in finished.stderr
    assert "\ufffd[2J\ufffd.duckdb" in finished.stderr
