"""What --destination takes, and what reaches a warehouse besides rows."""

from collections.abc import Callable

import pytest

from linq_source.errors import ConfigurationError
from linq_source.simulator import Simulator
from linq_source.tables import MESSAGES
from linq_source.warehouse import warehouse_target
from tests.destinations.postgresql import Postgresql, dataset, server
from tests.support import run_pipeline, small_world

__all__ = ["dataset", "server"]  # fixtures


def test_tables_and_columns_carry_their_descriptions(serve: Callable[..., Simulator], dataset: Postgresql) -> None:
    assert dataset.sync(serve(small_world(chats=2, messages=10))).exit_code == 0
    described = "select obj_description('messages'::regclass), col_description('messages'::regclass, 1)"
    assert dataset.query(described) == [(MESSAGES.description, MESSAGES.columns[0].description)]


def test_a_destination_that_cannot_be_used_is_named() -> None:
    with pytest.raises(ConfigurationError, match="knows no such destination"):
        warehouse_target("nonsense")
    with pytest.raises(ConfigurationError, match="cannot replace rows"):
        warehouse_target("destination")  # a function of one's own
    with pytest.raises(ConfigurationError, match="cannot be read by SQL"):
        warehouse_target("dummy")


@pytest.mark.parametrize(
    ("destination", "setting"),
    [
        ("postgres", "DESTINATION__POSTGRES__CREDENTIALS"),
        ("snowflake", "DESTINATION__SNOWFLAKE__CREDENTIALS"),
        ("filesystem", "DESTINATION__FILESYSTEM__BUCKET_URL"),
    ],
)
def test_a_destination_without_settings_is_told_which_to_set(
    destination: str, setting: str, serve: Callable[..., Simulator]
) -> None:
    linq = serve(small_world())
    finished = run_pipeline("linq_to_warehouse.py", "--destination", destination, linq=linq)
    assert finished.returncode == 2
    assert f"set {setting} in the environment, or {setting.lower().replace('__', '.')} in" in finished.stderr
