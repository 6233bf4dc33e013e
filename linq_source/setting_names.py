"""Settings as people write them: a misspelt name is told, which dlt would pass over in silence; lists in any form."""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from difflib import get_close_matches
from typing import Any

import orjson

from linq_source.errors import ConfigurationError

NAMES = frozenset(
    {
        "integration_token", "base_url", "phone_numbers", "start_date", "end_date", "lookback_days", "recheck_hours",
        "contacts_hours", "concurrency", "requests_per_second", "max_wait_seconds", "full_refresh",
        "allow_mass_delete", "redact", "redact_key", "webhook_secret",
    }
)  # fmt: skip
"""Every setting in the section `sources.linq`."""

_ENVIRONMENT = "SOURCES__LINQ__"


def check_names() -> None:
    """Raise ConfigurationError for a name under `sources.linq` that is none of ours but much like one.

    Names that are like none are left alone: dlt has settings of its own there.
    """
    for name, shown in _names_set():
        if name in NAMES:
            continue
        near = get_close_matches(name, sorted(NAMES), n=1, cutoff=0.75)
        if alike := near or sorted(known for known in NAMES if known.startswith(name) or name.startswith(known)):
            raise ConfigurationError(
                f"{shown} is no setting, so it would do nothing: did you mean {_like(shown, name, alike[0])}?"
            )


def _names_set() -> Iterator[tuple[str, str]]:
    """Yield each name that is set, and as what it stands there."""
    for variable in os.environ:
        name = variable.removeprefix(_ENVIRONMENT)
        if name != variable and "__" not in name:
            yield name.lower(), variable
    from dlt.common.configuration.container import Container
    from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext

    for provider in Container()[PluggableRunContext].providers.providers:
        if provider.name.endswith(".toml"):
            section, _ = provider.get_value("linq", dict, "", "sources")
            for name, value in section.items() if isinstance(section, dict) else ():
                if not isinstance(value, dict):
                    yield name, f"{name} under [sources.linq] in .dlt/{provider.name}"


def _like(shown: str, name: str, meant: str) -> str:
    return f"{_ENVIRONMENT}{meant.upper()}" if shown.startswith(_ENVIRONMENT) else shown.replace(name, meant, 1)


def listed(setting: str | Sequence[str] | None) -> list[str]:
    """Return the parts that a setting names: one, several with commas between, or a list (in JSON, from dlt)."""
    parts: Any = setting if isinstance(setting, list | tuple) else [setting] if setting else []
    if isinstance(setting, str):
        parts = setting.split(",")
        with suppress(ValueError):
            found = orjson.loads(setting)
            parts = found if isinstance(found, list) else parts
    return [text for each in parts if (text := str(each).strip())]
