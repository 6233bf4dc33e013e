"""`dlt linq doctor`: what dlt's own command finds of this package, by the entry point of the group `dlt`."""

import argparse
import json
import os
from pathlib import Path
from typing import Any, Literal

from dlt.common.configuration import plugins

from linq_source import settings


@plugins.hookimpl(specname="plug_cli")
def plug_cli(host: str) -> Any:
    """Give the command `linq` to dlt's command line."""
    return LinqCommand if host == "dlt" else None


class LinqCommand:
    """`dlt linq ...`, as dlt's command line wants it."""

    command = "linq"
    help_string = "Checks syncs of Linq messaging data"
    description = (
        "Checks what a sync of Linq messaging data needs and what it left, and says what to do. Changes nothing."
    )
    docs_url = None
    parent = None
    compose: Literal["replace"] = "replace"

    def configure_parser(self, parser: argparse.ArgumentParser) -> None:
        """Add what follows `dlt linq`."""
        actions = parser.add_subparsers(dest="linq_action", metavar="doctor", required=True)
        what = "check token, numbers, destination, lock, subscriptions, versions"
        # Round brackets for defaults below: dlt takes square ones for markup.
        doctor = actions.add_parser("doctor", help=what, description=f"{what.capitalize()}. Changes nothing.")
        where = doctor.add_mutually_exclusive_group()
        where.add_argument("--database", metavar="PATH", help=f"the DuckDB file ({settings.DATABASE})")
        where.add_argument("--destination", metavar="NAME", help="dlt's name of another destination, like postgres")
        doctor.add_argument(
            "--dataset", default=settings.DATASET_NAME, metavar="NAME", help="the schema of the tables (%(default)s)"
        )
        doctor.add_argument("--json", action="store_true", help="print the findings as one JSON object")

    def execute(self, args: argparse.Namespace) -> None:
        """Run the doctor; exit code 3 where something is to be done."""
        from linq_source.cli import report_error
        from linq_source.errors import LinqError

        os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")
        try:
            code = run_doctor(args)
        except LinqError as error:
            code = report_error(error, as_json=args.json)
        raise SystemExit(code)


def run_doctor(args: argparse.Namespace) -> int:
    """Print what the doctor finds and return the exit code."""
    from linq_source.cli import database_path
    from linq_source.client import LinqClient
    from linq_source.doctor import examine
    from linq_source.printable import printable
    from linq_source.source import configured_sync
    from linq_source.warehouse import database_target, warehouse_target

    def make_client() -> LinqClient:
        return configured_sync().reader.make_client()

    database: Path | None = None
    if args.destination is not None:
        target = warehouse_target(args.destination, args.dataset)
    else:
        path = database = database_path(settings.DATABASE if args.database is None else args.database)
        target = database_target(path, dataset_name=args.dataset)
    findings = []
    for finding in examine(make_client, target, database=database, recheck_hours=_recheck_hours()):
        findings.append(finding)
        if not args.json:
            print(f"{'well ' if finding.is_well else 'TO DO'}  {finding.what}: {printable(finding.sentence)}")
            if finding.advice:
                print(f"       {printable(finding.advice)}")
    code = 0 if all(finding.is_well for finding in findings) else 3
    if args.json:
        print(json.dumps({"findings": [finding.as_json() for finding in findings], "exit_code": code}))
    return code


def _recheck_hours() -> float:
    import dlt

    try:
        hours = dlt.config.get("sources.linq.recheck_hours", float)
    except ValueError:  # which the finding about the token tells
        hours = None
    return settings.RECHECK_HOURS if hours is None else min(hours, 100_000.0)
