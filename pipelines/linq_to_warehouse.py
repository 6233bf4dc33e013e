"""Sync a Linq account into any database or warehouse that dlt can merge into; credentials are set as dlt has them.

python pipelines/linq_to_warehouse.py --destination postgres     # DESTINATION__POSTGRES__CREDENTIALS=postgresql://...
"""

from collections.abc import Sequence

from linq_source import settings
from linq_source.cli import run_command, sync_parser


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    parser = sync_parser("Sync a Linq account into a database or warehouse.")
    parser.add_argument("--destination", required=True, metavar="NAME", help="dlt's name of it, like postgres")
    parser.add_argument(
        "--dataset", default=settings.DATASET_NAME, metavar="NAME", help="the schema of the tables [%(default)s]"
    )
    options = parser.parse_args(arguments)

    # Imported late, so that --help and wrong options answer at once.
    from linq_source import sync_command
    from linq_source.warehouse import warehouse_target

    how = {"commit_every": options.commit_every, "max_minutes": options.max_minutes}
    target = warehouse_target(options.destination, options.dataset, **how)
    return sync_command.run(options, target, f"{options.destination}, dataset {options.dataset}")


if __name__ == "__main__":
    run_command(main)
