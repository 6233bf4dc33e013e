"""dlt asks some ten thousand times a sync what a type hint means, as whether a setting is secret: here only once.

A fifth of a small sync's time goes into that. With `--long-way` dlt is left as it is.
"""

import sys
from collections.abc import Callable
from functools import cache
from typing import Any

from dlt.common import validation
from dlt.common.configuration import resolve
from dlt.common.configuration.providers import environ
from dlt.common.configuration.specs import base_configuration


def remember() -> None:
    """Keep what dlt's functions that read type hints answer."""
    for name in ("is_secret_hint", "extract_inner_hint"):
        remembered = _remembered(getattr(base_configuration, name))
        for module in (base_configuration, resolve, environ):
            if hasattr(module, name):
                setattr(module, name, remembered)
    read = validation.get_type_hints

    @cache
    def hints_of(spec: type) -> dict[str, Any]:
        return read(spec, globalns=vars(sys.modules[spec.__module__]))

    validation.get_type_hints = lambda spec, globalns: hints_of(spec)  # type: ignore[attr-defined]


def _remembered(function: Callable[..., Any]) -> Callable[..., Any]:
    kept = cache(function)

    def answer(*given: Any, **named: Any) -> Any:
        try:
            return kept(*given, **named)
        except TypeError:  # a hint that cannot be a key
            return function(*given, **named)

    return answer
