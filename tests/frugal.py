"""What a small sync does over and over though the answer stays: in tests done once, which saves a third of its time.

With `--long-way` dlt and DuckDB are left as they are.
"""

import sys
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import orjson
from dlt.common import validation
from dlt.common.configuration import resolve
from dlt.common.configuration.container import Container
from dlt.common.configuration.providers import environ
from dlt.common.configuration.specs import base_configuration
from dlt.common.configuration.specs.config_section_context import ConfigSectionContext
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from dlt.common.normalizers.json import relational
from dlt.common.schema import schema
from dlt.common.schema import utils as schema_utils
from dlt.extract import extract
from dlt.extract import hints as resource_hints

Function = Callable[..., Any]


def begin() -> None:
    """Be so from now on, in this process and those that it forks."""
    _read_type_hints_once()
    _look_for_settings_once()
    _check_schemas_once()
    # Of each resource's columns dlt writes YAML into its trace, where nobody looks.
    extract.yaml = SimpleNamespace(dump=lambda columns, **_: repr(columns))  # type: ignore[attr-defined]
    if not find_spec("pandas"):
        sys.meta_path.insert(0, _NoPandas())


def open_duckdb_with_one_thread() -> None:
    """More of them take a tenth of a small sync's CPU time. A process that is to fork must not even import DuckDB."""
    import duckdb

    open_database = duckdb.connect

    def connect(*given: Any, **named: Any) -> duckdb.DuckDBPyConnection:
        connection = open_database(*given, **named)
        connection.execute("set threads = 1")
        return connection

    duckdb.connect = connect


def _read_type_hints_once() -> None:
    """dlt asks some ten thousand times a sync what a type hint means, as whether a setting is secret."""
    for name in ("is_secret_hint", "extract_inner_hint"):
        remembered = _remembered(getattr(base_configuration, name))
        for module in (base_configuration, resolve, environ):
            if hasattr(module, name):
                setattr(module, name, remembered)
    _ask_of_all(base_configuration.BaseConfiguration)
    read = validation.get_type_hints

    @cache
    def hints_of(spec: type) -> dict[str, Any]:
        return read(spec, globalns=vars(sys.modules[spec.__module__]))

    validation.get_type_hints = lambda spec, globalns: hints_of(spec)  # type: ignore[attr-defined]

    configuration = base_configuration.BaseConfiguration
    fields: dict[type, tuple[str, ...]] = {}
    fields_of = configuration.__iter__

    def names(settings: Any) -> tuple[str, ...]:
        if (spec := type(settings)) not in fields:
            fields[spec] = tuple(fields_of(settings))
        return fields[spec]

    configuration.__iter__ = lambda self: iter(names(self))  # type: ignore[method-assign]
    configuration.__len__ = lambda self: len(names(self))  # type: ignore[method-assign]


def _ask_of_all(spec: Any) -> None:
    """Ask what the hints of all settings mean, so that forks need not."""
    for hint in spec.get_resolvable_fields().values() if hasattr(spec, "__configspec__") else ():
        base_configuration.is_secret_hint(hint)
        for how in ({"preserve_literal": True}, {"preserve_annotated": True, "preserve_new_types": True}):
            base_configuration.extract_inner_hint(hint, **how)
    for narrower in spec.__subclasses__():
        _ask_of_all(narrower)


def _look_for_settings_once() -> None:
    """dlt looks for each of some three hundred settings in every place; until the environment changes, in vain."""
    found: dict[Any, Any] = {}
    look = resolve._resolve_single_value

    def forget(event: str, _: Any) -> None:
        if event in ("os.putenv", "os.unsetenv"):
            found.clear()

    def answer(key: str, hint: Any, inner_hint: Any, *sections: Any) -> Any:
        if resolve.is_context_inner_hint(inner_hint):
            return look(key, hint, inner_hint, *sections)
        around = Container()[ConfigSectionContext]
        places = id(Container()[PluggableRunContext].providers)
        about = (key, hint, inner_hint, sections, around.pipeline_name, around.sections, places)
        try:
            if about not in found:
                found[about] = look(key, hint, inner_hint, *sections)
            return found[about]
        except TypeError:  # a hint that cannot be a key
            return look(key, hint, inner_hint, *sections)

    sys.addaudithook(forget)
    resolve._resolve_single_value = answer


def _check_schemas_once() -> None:
    """dlt checks the same schema some two hundred times a sync."""
    for module in (schema, relational):
        module.validate_dict = _remembered_by_content(module.validate_dict)  # type: ignore[attr-defined]
    for module in (schema_utils, resource_hints):
        check = module.validate_dict_ignoring_xkeys  # type: ignore[attr-defined]
        module.validate_dict_ignoring_xkeys = _remembered_by_content(check)  # type: ignore[attr-defined]


class _NoPandas:
    """Where there is none, DuckDB looks through all folders for it at each of its queries."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Tell it so at once."""
        if name == "pandas":
            raise ModuleNotFoundError("No module named 'pandas'", name="pandas")


def _remembered(function: Function) -> Function:
    kept = cache(function)

    def answer(*given: Any, **named: Any) -> Any:
        try:
            return kept(*given, **named)
        except TypeError:  # a hint that cannot be a key
            return function(*given, **named)

    return answer


def _remembered_by_content(function: Function) -> Function:
    """A function of plain JSON, and of others that are the same at every call."""
    kept: dict[Any, Any] = {}

    def answer(*given: Any, **named: Any) -> Any:
        try:
            key = orjson.dumps(given, default=_name)
        except TypeError:  # no JSON
            return function(*given, **named)
        if key not in kept:
            kept[key] = function(*given, **named)
        return kept[key]

    return answer


def _name(thing: Any) -> str:
    if not isinstance(thing, type):
        raise TypeError
    return f"{thing.__module__}.{thing.__qualname__}"
