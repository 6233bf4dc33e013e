"""Sync a Linq account into any database or warehouse that dlt can merge into, or files; settings are as dlt has them.

python pipelines/linq_to_warehouse.py --destination postgres     # DESTINATION__POSTGRES__CREDENTIALS=postgresql://...
python pipelines/linq_to_warehouse.py --destination filesystem   # DESTINATION__FILESYSTEM__BUCKET_URL=file:///srv/lake
"""

from collections.abc import Sequence

from linq_source import settings
from linq_source.cli import run_command, sync_parser


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    parser = sync_parser("Sync a Linq account into a database, a warehouse or files.")
    parser.add_argument(
        "--destination",
        required=True,
        metavar="NAME",
        help="where to write, by dlt's name: postgres, snowflake, filesystem, ...",
    )
    parser.add_argument(
        "--dataset",
        default=settings.DATASET_NAME,
        metavar="NAME",
        help="the schema (or folder) of the tables [%(default)s]",
    )
    parser.add_argument("--shard", metavar="K/N", help="do the Kth of N parts of one sync, each a process of its own")
    parser.add_argument(
        "--table-format",
        choices=("delta", "iceberg"),
        help="with --destination filesystem: the format of the tables [plain Parquet files]",
    )
    options = parser.parse_args(arguments)

    # Imported late, so that --help and wrong options answer at once.
    from linq_source import sync_command
    from linq_source.shards import Shard
    from linq_source.warehouse import warehouse_target

    shard = Shard.parse(options.shard) if options.shard is not None else None
    if shard and not shard.is_first:
        options.events = None  # the first shard loads them for all
    how = {"commit_every": options.commit_every, "max_minutes": options.max_minutes, "shard": shard}
    target = warehouse_target(options.destination, options.dataset, table_format=options.table_format, **how)
    where = f"{options.destination}, dataset {options.dataset}" + (f", shard {shard}" if shard else "")
    return sync_command.run(options, target, where, shard=shard)


if __name__ == "__main__":
    run_command(main)
