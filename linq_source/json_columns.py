"""JSON columns through SQLAlchemy: what arrives as text is stored as the JSON that it spells."""

import json
from typing import Any

from dlt.common.libs.sql_alchemy import sa


class ParsedJson(sa.TypeDecorator[Any]):  # type: ignore[misc,name-defined,unused-ignore]  # it is optional
    """JSON that arrives as text, which is how Arrow carries it: SQLAlchemy alone would quote it once more."""

    impl = sa.JSON
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:  # noqa: ARG002  # SQLAlchemy passes it
        """Return the value that a text spells."""
        return json.loads(value) if isinstance(value, str) else value


def parsing(type_mapper: Any) -> Any:
    """Return one of dlt's type mappers for SQLAlchemy, with JSON columns of ours."""

    class TypeMapper(type_mapper):  # type: ignore[misc]
        def db_type_from_json_type(self, column: Any, table: Any) -> Any:  # noqa: ARG002  # dlt passes them
            return ParsedJson()

    return TypeMapper
