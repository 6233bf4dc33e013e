"""What a user of dlt would write without us: dlt's own `rest_api` source, into a DuckDB file.

python -m tests.benchmarks.rest_api BASE_URL DATABASE [--parquet]
"""

import argparse
import tempfile
from typing import Any

import dlt
from dlt.sources.rest_api import rest_api_source

from tests.benchmarks.local_linq import TOKEN


def config(base_url: str) -> dict[str, Any]:
    """The endpoints that a sync reads, as a REST API configuration of dlt's."""
    pages = {"type": "page_number", "base_page": 1, "page_param": "page"}
    by_meta = {"paginator": {**pages, "total_path": "meta.total_pages"}, "data_selector": "data"}
    by_pagination = {"paginator": {**pages, "total_path": "pagination.total_pages"}, "data_selector": "contacts"}
    whole = {"paginator": "single_page"}
    return {
        "client": {"base_url": f"{base_url}/api/partner/v2/", "headers": {"X-LINQ-INTEGRATION-TOKEN": TOKEN}},
        "resource_defaults": {"primary_key": "id", "write_disposition": "merge"},
        "resources": [
            {
                "name": "phone_numbers",
                "endpoint": {"path": "phone_numbers", "data_selector": "phone_numbers", **whole},
            },
            {
                "name": "webhook_subscriptions",
                "endpoint": {"path": "webhook_subscriptions", "data_selector": "webhook_subscriptions", **whole},
            },
            {"name": "contacts", "endpoint": {"path": "contacts", "params": {"per_page": 100}, **by_pagination}},
            {
                "name": "chats",
                "endpoint": {
                    "path": "chats",
                    "params": {"per_page": 100, "phone_number": "{resources.phone_numbers.phone_number}"},
                    **by_meta,
                },
            },
            {
                "name": "messages",
                "endpoint": {
                    "path": "chats/{resources.chats.id}/chat_messages",
                    "params": {"per_page": 100, "sort": "asc"},
                    **by_meta,
                },
            },
        ],
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("base_url")
    parser.add_argument("database")
    parser.add_argument("--parquet", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pipeline = dlt.pipeline(
            "plain_linq",
            destination=dlt.destinations.duckdb(options.database),
            dataset_name="plain_linq",
            pipelines_dir=folder,
        )
        source = rest_api_source(config(options.base_url))  # type: ignore[arg-type]  # a plain dict reads better
        print(pipeline.run(source, loader_file_format="parquet" if options.parquet else None))
