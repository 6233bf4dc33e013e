"""One sync as a command runs it, whatever its target: events first, progress, result, problems, exit code."""

import argparse
from collections.abc import Callable
from typing import Any

from linq_source.cli import settings_given
from linq_source.forgotten import Gate
from linq_source.runner import Target, run_sync
from linq_source.source import configured_sync
from linq_source.sync_output import as_json, print_problems, print_result, progress
from linq_source.webhook.event_loader import EventLoader


def run(
    options: argparse.Namespace,
    target: Target,
    where: str,
    *,
    count_rows: Callable[[], dict[str, int]] = dict,
    **given: Any,
) -> int:
    """Run one sync and say what it did; `given` settings come before those of the options and the configuration."""
    talks = not (options.quiet or options.json)
    events: EventLoader | None = None
    if options.events is not None:
        events = EventLoader(
            options.events, Gate.configured(), may_redact_otherwise=options.full_refresh, option="--events"
        )
    linq_sync = configured_sync(**settings_given(options), **given)
    with progress(linq_sync, shown=talks):
        result = run_sync(linq_sync, target, events)
    if talks and not result.summary.failure:
        print_result(result, where, count_rows())
    print_problems(result)
    if options.json:
        print(as_json(result))  # noqa: T201
    return result.exit_code
