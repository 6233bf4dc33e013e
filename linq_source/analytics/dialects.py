"""What sqlglot does not translate of the views' functions, written in the ways of Snowflake and BigQuery."""

from collections.abc import Callable, Mapping

from sqlglot import exp, parse_one


def adapted(tree: exp.Expr, dialect: str) -> exp.Expr:
    """Return a statement of DuckDB's with what a dialect writes in another way replaced."""
    rewrite = _REWRITES.get(dialect)
    return tree.transform(rewrite) if rewrite else tree


def _for_snowflake(node: exp.Expr) -> exp.Expr:
    if _is_epoch(node):
        # Its EPOCH is of whole seconds.
        return _filled("date_part(epoch_microsecond, {0}) / 1000000", "snowflake", node.expression)
    if isinstance(node, exp.JSONExtractScalar):
        # dlt stores JSON as a text in a VARIANT; cast to VARCHAR, that is the text, and an object its spelling.
        return _filled("json_extract_path_text(cast({0} as varchar), {1})", "snowflake", *_json(node, ""))
    return _without_modifiers(node)


def _for_bigquery(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.Cast) and isinstance(node.this, exp.Sub) and _is_epoch(node.this.this):
        # Whole microseconds are exact, and need no decimal.
        later, earlier = node.this.this.expression, node.this.expression.expression
        return _filled("(unix_micros({0}) - unix_micros({1})) / 1000000", "bigquery", later, earlier)
    if isinstance(node, exp.JSONExtractScalar):
        # dlt stores JSON as a text in a JSON column.
        return _filled(
            "json_value(coalesce(json_value({0}), to_json_string({0})), {1})", "bigquery", *_json(node, "$.")
        )
    if isinstance(node, exp.WithinGroup) and isinstance(node.this, exp.PercentileCont):
        # A window function there, and none of a group: the two values about the place, and what lies between.
        share, value = node.this.this, node.expression.expressions[0].this
        return _filled(_INTERPOLATED, "bigquery", value, share)
    return _without_modifiers(node)


_INTERPOLATED = (
    "array_agg({0} ignore nulls order by {0})[safe_offset(cast(floor({1} * (count({0}) - 1)) as int64))]"
    " + ({1} * (count({0}) - 1) - floor({1} * (count({0}) - 1)))"
    " * (array_agg({0} ignore nulls order by {0})[safe_offset(cast(ceil({1} * (count({0}) - 1)) as int64))]"
    " - array_agg({0} ignore nulls order by {0})[safe_offset(cast(floor({1} * (count({0}) - 1)) as int64))])"
)


def _is_epoch(node: exp.Expr) -> bool:
    return isinstance(node, exp.Extract) and node.name.upper() == "EPOCH"


def _json(node: exp.JSONExtractScalar, before: str) -> tuple[exp.Expr, exp.Expr]:
    """The column that an extraction reads, without its cast, and the path as a text."""
    column = node.this.this if isinstance(node.this, exp.Cast) else node.this
    keys = [part.name for part in node.expression.find_all(exp.JSONPathKey)]
    return column, exp.Literal.string(before + ".".join(keys))


def _without_modifiers(node: exp.Expr) -> exp.Expr:
    # All that match are replaced in any case.
    if isinstance(node, exp.RegexpReplace):
        node.set("modifiers", None)
    return node


def _filled(template: str, dialect: str, *parts: exp.Expr) -> exp.Expr:
    sql = template.format(*(part.sql(dialect) for part in parts))
    return exp.Paren(this=parse_one(sql, read=dialect))


_REWRITES: Mapping[str, Callable[[exp.Expr], exp.Expr]] = {"snowflake": _for_snowflake, "bigquery": _for_bigquery}
