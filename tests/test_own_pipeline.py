"""The source in a pipeline of anyone's own: run twice, and with settings as people write them."""

from typing import Any

import dlt
import pytest

from linq_source import linq_source
from linq_source.simulator import Simulator
from tests.mailbox import Mailbox, told
from tests.support import Warehouse, assert_mirrors, small_world


def pipeline_into(warehouse: Warehouse, folder: Any) -> dlt.Pipeline:
    return dlt.pipeline(
        "mine",
        destination=dlt.destinations.duckdb(str(warehouse.path)),
        dataset_name="linq_data",
        pipelines_dir=str(folder),
    )


def test_each_run_of_one_source_is_a_sync_of_its_own(serve: Any, warehouse: Warehouse, tmp_path: Any) -> None:
    world = small_world()
    linq: Simulator = serve(world)
    source, pipeline = linq_source("demo-token", base_url=linq.base_url), pipeline_into(warehouse, tmp_path)
    pipeline.run(source)
    world.receive(world.listed()["chats"][0]["id"], "One thing more")
    pipeline.run(source)
    assert_mirrors(warehouse, world)


def test_each_run_of_one_source_of_events_loads_what_came_since(warehouse: Warehouse, tmp_path: Any) -> None:
    from linq_source.webhook.event_source import linq_events

    box, pipeline = Mailbox(tmp_path / "events"), pipeline_into(warehouse, tmp_path / "dlt")
    box.write([told("message.received", {"id": "1", "chat_id": "7"}, "evt-1")])
    source = linq_events(str(box.folder))
    pipeline.run(source)
    box.write([told("message.received", {"id": "2", "chat_id": "7"}, "evt-2")])
    pipeline.run(source)
    assert warehouse.query("select event_id from linq_data.webhook_events order by 1") == [("evt-1",), ("evt-2",)]


@pytest.mark.parametrize("how", ["{0}", "{0},{1}", '["{0}", "{1}"]', " {0} , {1} "])
def test_phone_numbers_may_come_as_one_text(how: str, serve: Any, warehouse: Warehouse, tmp_path: Any) -> None:
    world = small_world(phone_numbers=3)
    linq: Simulator = serve(world)
    ours = sorted(row["phone_number"] for row in world.listed()["phone_numbers"])
    given = how.format(*ours)
    source = linq_source("demo-token", base_url=linq.base_url, phone_numbers=given).with_resources(
        "chat_phone_numbers"
    )
    pipeline_into(warehouse, tmp_path).run(source)
    stored = warehouse.query("select distinct phone_number from linq_data.chat_phone_numbers order by 1")
    assert [number for (number,) in stored] == [number for number in ours if number in given]
