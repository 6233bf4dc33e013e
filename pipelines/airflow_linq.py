"""A DAG that syncs Linq every 15 minutes: a task for each shard, each the command in the connector's own environment.

Airflow imports this file and needs nothing of the connector: copy it into the folder of DAGs. Each worker needs the
connector, with a Python that has it installed, in the folder LINQ_HOME (/srv/linq unless set).

LINQ_HOME, LINQ_PYTHON, LINQ_DESTINATION, LINQ_DATASET and LINQ_SHARDS may be set in the environment of Airflow; the
command inherits it, so the token and the credentials of the destination may stand there too.
"""

import os
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

try:  # Airflow 3
    from airflow.providers.standard.hooks.subprocess import SubprocessHook
    from airflow.sdk import DAG, BaseOperator
    from airflow.sdk.exceptions import AirflowException, AirflowFailException
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.exceptions import AirflowException, AirflowFailException
    from airflow.hooks.subprocess import SubprocessHook
    from airflow.models.baseoperator import BaseOperator

HOME = os.environ.get("LINQ_HOME", "/srv/linq")
PYTHON = os.environ.get("LINQ_PYTHON", f"{HOME}/.venv/bin/python")
DESTINATION = os.environ.get("LINQ_DESTINATION", "duckdb")
DATASET = os.environ.get("LINQ_DATASET", "linq_data")
COUNT = int(os.environ.get("LINQ_SHARDS", "1"))
if COUNT < 1:
    raise AirflowException("LINQ_SHARDS: one shard is the least, and means the whole account.")
if COUNT > 1 and DESTINATION == "duckdb":
    raise AirflowException("LINQ_SHARDS: a DuckDB file takes one writing process; leave it out, or set it to 1.")


def command(shard: int) -> list[str]:
    """Return the command of one shard; all of an account is one shard of one."""
    if DESTINATION == "duckdb":
        return [PYTHON, "pipelines/linq_to_duckdb.py", "--quiet"]
    to_warehouse = [PYTHON, "pipelines/linq_to_warehouse.py", "--quiet"]
    part = ["--shard", f"{shard}/{COUNT}"] if COUNT > 1 else []
    return [*to_warehouse, "--destination", DESTINATION, "--dataset", DATASET, *part]


class LinqSync(BaseOperator):
    """Runs one command, and has Airflow do what its exit code asks for.

    A BashOperator would retry a refused token, and call a sync that left one row out a failure.
    """

    def __init__(self, *, arguments: list[str], **options: Any) -> None:
        super().__init__(**options)
        self.arguments = arguments

    @cached_property
    def process(self) -> Any:
        """What runs the command in a process group of its own."""
        return SubprocessHook()

    def execute(self, context: Any) -> None:  # noqa: ARG002  # Airflow's signature
        """Run the command; what it prints goes into the task's log."""
        code, last_line = self.process.run_command(self.arguments, cwd=HOME)
        if code == 3:
            self.log.warning("Done, but something was left out: %s", last_line)
        elif code == 2:
            raise AirflowFailException(f"Something must be changed, a retry would not help: {last_line}")
        elif code:
            raise AirflowException(f"Exit code {code}: {last_line}")

    def on_kill(self) -> None:
        """End the command as SIGTERM ends it: what was complete is stored."""
        self.process.send_sigterm()


with DAG(
    "linq_sync",
    description="Everything in a Linq account, as tables that mirror it.",
    schedule="*/15 * * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,  # no shard is synced twice at once; the command's lock holds on one machine only
    default_args={"retries": 3, "retry_delay": timedelta(minutes=1)},
    tags=["linq"],
) as dag:
    for number in range(1, COUNT + 1):
        LinqSync(task_id=f"shard_{number}_of_{COUNT}", arguments=command(number))
