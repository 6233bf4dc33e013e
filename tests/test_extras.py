"""Fields that Linq adds: each gets a column, under a name dlt leaves alone, and no value is lost on the way."""

import json
from typing import Any

import pyarrow as pa
import pytest
from dlt.common.normalizers.naming.snake_case import NamingConvention
from hypothesis import example, given, settings
from hypothesis import strategies as st

from linq_source.extras import ARROW_TYPES, FURTHER, MOST, ExtraColumns, column_name, infer
from linq_source.tables import CONTACTS, MESSAGES, TABLES, Table
from tests.test_values import JSON


def columns(extras: ExtraColumns, table: Table = CONTACTS, **fields: list[Any]) -> dict[str, list[Any]]:
    """The columns that hold these fields, by name."""
    return named(extras.columns(table, fields))


def named(found: list[tuple[Any, Any]]) -> dict[str, list[Any]]:
    names = [field.name for field, _ in found]
    assert len(names) == len(set(names)), "a column came twice"
    for field, array in found:
        assert field.type == array.type
    return {field.name: array.to_pylist() for field, array in found}


def types(extras: ExtraColumns, **fields: list[Any]) -> dict[str, pa.DataType]:
    """The types of those columns."""
    return {field.name: field.type for field, _ in extras.columns(CONTACTS, fields)}


def test_beyond_two_hundred_columns_further_fields_are_kept_together() -> None:
    extras = ExtraColumns()
    many = {f"field_{number:04}": [number, None, None] for number in range(MOST + 3)}
    stored = columns(extras, **many)
    assert len(stored) == MOST + 1
    assert [None if text is None else json.loads(text) for text in stored[FURTHER]] == [
        {f"field_{number:04}": number for number in range(MOST, MOST + 3)}, None, None,
    ]  # fmt: skip
    again = columns(extras, field_0000=[1], one_more=["text"])
    assert (again["field_0000"], json.loads(again[FURTHER][0])) == ([1], {"one_more": "text"})


@pytest.mark.parametrize(
    ("name", "values", "kind", "stored"),
    [
        ("score", [1, None, 2**63 - 1], "bigint", [1, None, 2**63 - 1]),
        ("score", [1, 1.5], "double", [1.0, 1.5]),
        ("is_vip", [True, None, False], "bool", [True, None, False]),
        ("tier", ["gold", None], "text", ["gold", None]),
        ("tier", ["gol\ud83d", "a\0"], "text", ["gol\ufffd", "a\ufffd"]),
        ("huge", [2**70, 2**64], "text", [str(2**70), str(2**64)]),
        ("tags", [["a"], []], "json", ['["a"]', "[]"]),
        ("place", [{"b": 1, "a": None}, None], "json", ['{"a":null,"b":1}', None]),
        ("any", [1, "a"], "json", ["1", '"a"']),
        ("any", [True, 0], "json", ["true", "0"]),
    ],
)
def test_a_new_field_becomes_a_column_of_the_type_its_values_have(
    name: str, values: list[Any], kind: str, stored: list[Any]
) -> None:
    extras = ExtraColumns()
    [(field, array)] = extras.columns(CONTACTS, {name: values})
    assert (field.name, field.type, array.to_pylist()) == (name, ARROW_TYPES[kind], stored)
    assert (field.metadata or {}).get(b"json") == (b"yes" if kind == "json" else None)


def test_a_field_named_like_a_time_is_one_only_where_its_values_are() -> None:
    assert types(ExtraColumns(), seen_at=["2025-05-21 09:30:00 -0600", None]) == {"seen_at": ARROW_TYPES["timestamp"]}
    assert types(ExtraColumns(), seen_at=["2025-05-21T15:30:00Z", "never"]) == {"seen_at": ARROW_TYPES["text"]}
    assert types(ExtraColumns(), seen=["2025-05-21T15:30:00Z"]) == {"seen": ARROW_TYPES["text"]}
    assert types(ExtraColumns(), seen_at=[1747841400]) == {"seen_at": ARROW_TYPES["bigint"]}


def test_a_field_that_holds_nothing_yet_has_no_column() -> None:
    assert columns(ExtraColumns(), tier=[None, None], score=[]) == {}


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (1, "a", {"x": [None], "x__v_text": ["a"]}),
        (1, 1.5, {"x": [None], "x__v_double": [1.5]}),
        (1, True, {"x": [None], "x__v_bool": [True]}),
        (1, 2**70, {"x": [None], "x__v_text": [str(2**70)]}),
        (1, {"a": 1}, {"x": [None], "x__v_json": ['{"a":1}']}),
        (1.5, 2, {"x": [2.0]}),
        (1.5, 2**53 + 1, {"x": [None], "x__v_bigint": [2**53 + 1]}),
        (True, 1, {"x": [None], "x__v_bigint": [1]}),
        (True, "true", {"x": [None], "x__v_text": ["true"]}),
        ("a", 1, {"x": ["1"]}),
        ("a", False, {"x": ["false"]}),
        ("a", [1], {"x": [None], "x__v_json": ["[1]"]}),
        ([1], 5, {"x": ["5"]}),
        ({}, "a", {"x": ['"a"']}),
    ],
)
def test_a_value_of_another_type_goes_to_a_column_beside_it(
    first: Any, second: Any, expected: dict[str, Any]
) -> None:
    extras = ExtraColumns()
    columns(extras, x=[first])
    assert columns(extras, x=[second]) == expected
    assert columns(extras, x=[second]) == expected, "and there again"
    assert columns(extras, x=[first]) == columns(extras, x=[first])


def test_a_time_that_is_none_goes_beside_the_others() -> None:
    extras = ExtraColumns()
    columns(extras, seen_at=["2025-05-21T15:30:00Z"])
    assert columns(extras, seen_at=["never", 5, None]) == {
        "seen_at": [None, None, None], "seen_at__v_json": ['"never"', "5", None],
    }  # fmt: skip
    assert columns(extras, seen_at=["never"]) == {"seen_at": [None], "seen_at__v_text": ["never"]}


def test_what_earlier_syncs_made_of_a_field_is_kept() -> None:
    known = {"contacts": {"x": "bigint", "x__v_text": "text", "seen_at": "text"}}
    assert columns(ExtraColumns(known), x=["a"], seen_at=["2025-05-21T15:30:00Z"]) == {
        "seen_at": ["2025-05-21T15:30:00Z"], "x": [None], "x__v_text": ["a"],
    }  # fmt: skip
    assert columns(ExtraColumns(known), MESSAGES, x=["a"]) == {"x": ["a"]}, "another table has its own"


@pytest.mark.parametrize(
    "known",
    [
        {"x": "bigint", "x__v_text": "bigint"},
        {"x": "bool", "x__v_text": "bool", "x__v_text_x": "bool", "x__v_json": "bool"},
        {"x": "timestamp", "x__v_text": "timestamp", "x__v_json": "timestamp"},
    ],
)
def test_columns_of_misleading_names_and_types_end_in_no_loop(known: dict[str, str]) -> None:
    values = ["a", {"b": 1}, 2**70, True, 1.5, None]
    found = columns(ExtraColumns({"contacts": known}), x=values)
    held = [[column[row] for column in found.values() if column[row] is not None] for row in range(len(values))]
    assert [len(each) for each in held] == [1, 1, 1, 1, 1, 0]


def test_fields_that_look_like_the_columns_beside_others_get_their_own() -> None:
    extras = ExtraColumns()
    columns(extras, a=[1])
    assert columns(extras, a=["text"], a__v_text=[5], a__v_x=[True]) == {
        "a": [None], "a__v_text": ["text"], "a__v_text_x": [5], "a__v_x": [True],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("score", "score"), ("deletedAt", "deleted_at"), ("leadScore2", "lead_score2"), ("HTTPStatus", "httpstatus"),
        ("a-b.c d", "a_b_c_d"), ("a__b", "a__b"), ("a_____b", "a__b"), ("_x_", "x"), ("2fa", "_2fa"), ("a__1", "a_1"),
        ("_dlt_id", "dlt_id"), ("_dlt_load_id", "dlt_load_id"), ("a\0b", "a_b"), ("é1", "_1"),
    ],
)  # fmt: skip
def test_a_name_becomes_snake_case(field: str, name: str) -> None:
    assert column_name(field) == name


@settings(derandomize=True, database=None, max_examples=1_500)
@given(st.text(st.characters(categories=None)) | st.text("aB_1-. é", max_size=90))
@example("a" * 59 + "_b" * 60)
@example("")
def test_dlt_leaves_every_name_as_it_is(field: str) -> None:
    name = column_name(field)
    assert NamingConvention().normalize_path(name) == name
    assert 0 < len(name) <= 70
    assert not name.startswith("_dlt")


def test_names_that_say_nothing_or_too_much_stay_apart() -> None:
    odd = ["", "日本", "名前", "_", "\ud83d", *("a" * 100 + end for end in "xyz")]
    assert len({column_name(field) for field in odd}) == len(odd)


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_no_field_can_take_the_place_of_a_column_of_ours(table: Table) -> None:
    ours = [column.name for column in table.columns]
    lookalikes = [name.upper() for name in ours] + [f" {name} " for name in ours] + ["Id", "deletedAt", "isRemoved"]
    found = named(ExtraColumns().columns(table, {field: ["theirs"] for field in [*ours, *lookalikes]}))
    assert not set(found) & set(ours)
    assert list(found.values()) == [["theirs"]] * len({*ours, *lookalikes})


def test_the_narrowest_type_that_holds_all_values_is_inferred() -> None:
    assert infer("x", [1, 2.5]) == "double"
    assert infer("x", [1, True]) == "json"
    assert infer("x_at", ["2025-05-21", "2025-05-21T15:30:00Z"]) == "timestamp"


@settings(derandomize=True, database=None, max_examples=150, deadline=None)
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["x", "x_at", "X", "x__v_text", "id", ""]), st.lists(JSON, min_size=2, max_size=2)
        ),
        max_size=4,
    )
)
def test_every_value_of_every_batch_is_in_exactly_one_column(batches: list[dict[str, list[Any]]]) -> None:
    extras = ExtraColumns()
    for fields in batches:
        found = extras.columns(CONTACTS, fields)
        named(found)
        for row in range(2):
            given_ones = [values[row] for values in fields.values() if values[row] is not None]
            held = [array[row].as_py() for _, array in found if array[row].is_valid]
            assert len(held) == len(given_ones)
            texts = {json.dumps(value) for value in given_ones if isinstance(value, int)}
            assert texts <= {json.dumps(value) for value in held} | {str(value) for value in held} | {
                json.dumps(int(value)) for value in held if isinstance(value, float)
            }
