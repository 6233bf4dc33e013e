"""cron and systemd: the line and the units in the documentation run the same syncs."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from linq_source.simulator import Simulator
from tests.schedulers import EXAMPLES, FORGIVING, Serve, home, settings_of
from tests.support import Warehouse, assert_mirrors, small_world

__all__ = ["home"]  # a fixture

pytestmark = FORGIVING


def write_settings(home: Path, linq: Simulator) -> None:
    lines = [f"{name}={value}\n" for name, value in settings_of(linq).items()]
    (home / "linq.env").write_text("".join(lines))


@pytest.mark.slow
def test_the_line_for_cron_syncs_and_says_nothing(serve: Serve, home: Path) -> None:
    world = small_world(messages=60, contacts=5)
    write_settings(home, serve(world))
    (line,) = [line for line in (EXAMPLES / "linq.cron").read_text().splitlines() if not line.startswith("#")]
    *when, command = line.split(maxsplit=5)
    assert (when, "%" in command) == (["*/15", "*", "*", "*", "*"], False)
    here = {"PATH": "/usr/bin:/bin", "RUNTIME__DLTHUB_TELEMETRY": "false"}  # what cron gives
    command = command.replace("/srv/linq", str(home))
    done = subprocess.run(["/bin/sh", "-c", command], env=here, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert_mirrors(Warehouse(home / "linq.duckdb"), world)


@pytest.mark.slow
def test_the_units_are_what_systemd_takes_and_their_command_syncs(serve: Serve, home: Path, tmp_path: Path) -> None:
    units = tmp_path / "units"
    units.mkdir()
    for name in ("linq.service", "linq.timer"):
        text = (EXAMPLES / name).read_text().replace("/srv/linq", str(home)).replace("User=linq", "User=root")
        (units / name).write_text(text)
    if analyze := shutil.which("systemd-analyze"):
        check = [analyze, "verify", "--man=no", *map(str, sorted(units.iterdir()))]
        checked = subprocess.run(check, capture_output=True, text=True)
        assert (checked.returncode, checked.stderr) == (0, "")
    service = dict(re.findall(r"^(\w+)=(.*)$", (units / "linq.service").read_text(), re.MULTILINE))
    assert {"3", "75"} <= set(service["SuccessExitStatus"].split())
    world = small_world(messages=60, contacts=5)
    environment = dict(os.environ) | settings_of(serve(world))
    done = subprocess.run(service["ExecStart"].split(), cwd=service["WorkingDirectory"], env=environment, timeout=100)
    assert done.returncode == 0
    assert_mirrors(Warehouse(home / "linq.duckdb"), world)
