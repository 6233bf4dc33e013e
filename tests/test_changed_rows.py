"""What differs between rows just read and rows stored, against plain Python."""

from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from linq_source.changes import changed_rows, missing_rows
from linq_source.tables import CONTACTS, MESSAGES

values = st.tuples(st.sampled_from(["a", "b", None]), st.sampled_from(["x", None]))
rows = st.lists(st.tuples(st.integers(1, 4), values), unique_by=lambda row: row[0], max_size=4)


def table(some: list[tuple[int, Any]]) -> pa.Table:
    """Contacts of two columns beside the key, in this order."""
    return pa.table(
        {
            "id": pa.array([number for number, _ in some], type=pa.int64()),
            "first_name": pa.array([one for _, (one, _) in some], type=pa.string()),
            "title": pa.array([other for _, (_, other) in some], type=pa.string()),
        }
    )


@settings(derandomize=True, database=None)
@given(new=rows, stored=rows)
def test_what_is_new_or_differs_or_has_gone_is_found_whatever_the_order(new: Any, stored: Any) -> None:
    before, now = dict(stored), dict(new)
    changed = changed_rows(table(new), table(stored), CONTACTS)["id"].to_pylist()
    assert changed == [number for number, value in new if number not in before or before[number] != value]
    gone = missing_rows(table(new), table(stored), CONTACTS.key)["id"].to_pylist()
    assert gone == [number for number, _ in stored if number not in now]


def test_a_column_that_one_side_lacks_counts_as_null_there() -> None:
    stored = table([(1, ("a", "x")), (2, ("a", None))])
    new = stored.drop_columns(["title"])
    assert changed_rows(new, stored, CONTACTS)["id"].to_pylist() == [1]
    assert changed_rows(stored, new, CONTACTS)["id"].to_pylist() == [1]


def test_json_in_another_spelling_is_the_same() -> None:
    field = pa.field("events", pa.string(), metadata={"json": "1"})

    def messages(events: str, text: str) -> pa.Table:
        columns = [pa.array([7], type=pa.int64()), pa.array([events]), pa.array([text])]
        return pa.Table.from_arrays(columns, schema=pa.schema([("id", pa.int64()), field, ("text", pa.string())]))

    one, other = messages('{"a":[1, 2]}', "x"), messages('{ "a" : [1,2] }', "x")
    assert changed_rows(one, other, MESSAGES).num_rows == 0
    assert changed_rows(one, messages('{"a":[1, 2]}', "y"), MESSAGES).num_rows == 1
    assert changed_rows(messages('{"a":[2,1]}', "x"), one, MESSAGES).num_rows == 1
