"""`python -m tests.destinations.command NAME ...`: linq_to_warehouse.py, with what plays that destination."""

import runpy
import sys
from unittest.mock import patch

from linq_source import warehouse
from linq_source.cli import run_command
from linq_source.loading import Target
from tests.destinations.fixtures import STORES
from tests.support import ROOT


def main(destination: str) -> None:
    """Run the command; it ends the process."""
    (kind,) = (store for store in STORES if store.destination == destination)
    make = warehouse.warehouse_target

    def adapted(*args: object, **how: object) -> Target:
        return kind.adapted(make(*args, **how))  # type: ignore[arg-type]

    command = runpy.run_path(str(ROOT / "pipelines" / "linq_to_warehouse.py"))["main"]
    with kind.stand_in(), patch.object(warehouse, "warehouse_target", adapted):
        run_command(command)


if __name__ == "__main__":
    main(sys.argv.pop(1))
