"""`linq_source`: the dlt source, for the commands of this project and for anyone's own pipeline."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import dlt
from dlt.common import known_env
from dlt.common.configuration import with_config
from dlt.common.configuration.exceptions import ConfigFieldMissingException, ConfigValueCannotBeCoercedException
from dlt.common.typing import TSecretStrValue
from dlt.extract.resource import DltResource

from linq_source import settings
from linq_source.access import check_base_url, check_token
from linq_source.client import LinqClient
from linq_source.context import Options
from linq_source.errors import ConfigurationError
from linq_source.forgotten import Gate
from linq_source.limits import Limits
from linq_source.redact import make_redactor
from linq_source.resources import build_resources
from linq_source.setting_names import check_names, listed
from linq_source.shards import Shard
from linq_source.sync import Sync
from linq_source.times import parse_setting


@dlt.source(name="linq", section="linq")
def linq_source(
    integration_token: str = dlt.secrets.value,
    base_url: str = settings.BASE_URL,
    phone_numbers: str | Sequence[str] | None = None,
    start_date: str | None = None,
    end_date: str | None = None,
    lookback_days: float = settings.LOOKBACK_DAYS,
    recheck_hours: float = settings.RECHECK_HOURS,
    contacts_hours: float = settings.CONTACTS_HOURS,
    concurrency: int = settings.CONCURRENCY,
    requests_per_second: float | None = None,
    max_wait_seconds: float = settings.MAX_WAIT_SECONDS,
    full_refresh: bool = False,
    allow_mass_delete: bool = False,
    redact: str | Sequence[str] | None = None,
    redact_key: TSecretStrValue | None = None,
) -> tuple[DltResource, ...]:
    """Everything in a Linq account, as tables that mirror it.

    Building the source makes no request, and each run of it is a sync of its own. Every argument can come from
    dlt's configuration, section `sources.linq`.

    Raises ConfigurationError for settings that cannot be used. What else a sync gives up for (a LinqError) fails
    the run: dlt raises it inside its PipelineStepFailed.

    Args:
        integration_token: The token from your Linq representative.
        base_url: The API's address; https only, but for this machine.
        phone_numbers: Read only the chats of these of your numbers: a list, or a text with commas between.
        start_date: Read no message sent before this date or time (UTC).
        end_date: Read no message sent at or after this date or time (UTC).
        lookback_days: Chats whose newest message is younger than this are read at every sync.
        recheck_hours: Every chat is read whole at least this often; 0 means at every sync.
        contacts_hours: Hours between two full listings of contacts; 0 means at every sync.
        concurrency: Requests in flight at once.
        requests_per_second: No more, but for turns missed in the last quarter of a second; None for no limit of ours.
        max_wait_seconds: Longest time one sync spends waiting because Linq asks for it or fails.
        full_refresh: Read every chat whole, whatever is stored.
        allow_mass_delete: Believe it when more than a fifth of a table is gone.
        redact: What is not to be stored: texts, identifiers, or both with a comma between.
        redact_key: The secret key, of 32 characters or more, of what stands for identifiers.
    """
    make = partial(
        make_sync,
        integration_token=integration_token,
        base_url=base_url,
        phone_numbers=phone_numbers,
        start_date=start_date,
        end_date=end_date,
        lookback_days=lookback_days,
        recheck_hours=recheck_hours,
        contacts_hours=contacts_hours,
        concurrency=concurrency,
        requests_per_second=requests_per_second,
        max_wait_seconds=max_wait_seconds,
        full_refresh=full_refresh,
        allow_mass_delete=allow_mass_delete,
        redact=redact,
        redact_key=redact_key,
    )
    make()  # so that wrong settings are told at once
    return build_resources(make, commit_every=None, raises=True)


@dlt.source(name="linq", section="linq")
def sync_source(sync: Sync, commit_every: int | None) -> tuple[DltResource, ...]:
    """The same source around a sync that outlives one load: each run writes its next slice."""
    return build_resources(lambda: sync, commit_every=commit_every, raises=False)


def make_sync(
    integration_token: str = dlt.secrets.value,
    base_url: str = settings.BASE_URL,
    phone_numbers: str | Sequence[str] | None = None,
    start_date: str | None = None,
    end_date: str | None = None,
    lookback_days: float = settings.LOOKBACK_DAYS,
    recheck_hours: float = settings.RECHECK_HOURS,
    contacts_hours: float = settings.CONTACTS_HOURS,
    concurrency: int = settings.CONCURRENCY,
    requests_per_second: float | None = None,
    max_wait_seconds: float = settings.MAX_WAIT_SECONDS,
    full_refresh: bool = False,
    allow_mass_delete: bool = False,
    redact: str | Sequence[str] | None = None,
    redact_key: TSecretStrValue | None = None,
    shard: Shard | None = None,
    limits: Limits | None = None,
) -> Sync:
    """Return a sync of these settings, the same as linq_source takes, after checking them.

    With `shard` it is one of several that run side by side. `limits` takes the place of the three settings that
    make it, for callers that need its other fields.
    """
    check_names()
    limits = limits or Limits(
        concurrency=concurrency,
        requests_per_second=requests_per_second or None,
        max_wait_seconds=max_wait_seconds,
    )
    start, end = _interval(start_date, end_date)
    gate = Gate(make_redactor(redact, redact_key), redact_key)
    options = Options(
        phone_numbers=tuple(listed(phone_numbers)),
        start_date=start,
        end_date=end,
        lookback_days=lookback_days,
        recheck_hours=recheck_hours,
        contacts_hours=contacts_hours,
        shard=shard,
        is_full_refresh=full_refresh,
        allows_mass_delete=allow_mass_delete,
        gate=gate,
    )
    token, url = check_token(integration_token), check_base_url(base_url)
    return Sync(lambda: LinqClient(token, base_url=url, limits=limits, clean=gate.body), options)


def _interval(start_date: str | None, end_date: str | None) -> tuple[datetime | None, datetime | None]:
    """Return the dates given or, where neither is, the interval that a scheduler set in dlt's environment variables.

    What Airflow knows of its own accord is left alone: each run of a schedule would read its few minutes only.
    """
    given = ((start_date, "start_date"), (end_date, "end_date"))
    names = (known_env.DLT_INTERVAL_START, known_env.DLT_INTERVAL_END)
    if not (start_date or end_date) and (found := [name for name in names if os.environ.get(name)]):
        if len(found) == 1:
            (missing,) = set(names) - set(found)
            raise ConfigurationError(
                f"{found[0]} is set without {missing}: set both, or neither. One bound alone is "
                "start_date or end_date (--start-date, --end-date)."
            )
        given = tuple((os.environ[name], name) for name in names)  # type: ignore[assignment]
    start, end = (parse_setting(value, setting=name) for value, name in given)
    # East of UTC today's date begins in the future, and clocks differ.
    if start and start > datetime.now(UTC) + timedelta(days=1):
        raise ConfigurationError(
            f"{given[0][1]} is in the future ({start:%Y-%m-%d %H:%M} UTC), so no message "
            "would be read. Set an earlier one."
        )
    return start, end


def configured_sync(**settings_given: Any) -> Sync:
    """Return a sync whose settings come from dlt's configuration, section `sources.linq`, but for those given.

    Raises ConfigurationError, which names the setting, where one is missing or cannot be read.
    """
    try:
        sync: Sync = _configured(**settings_given)
    except ConfigFieldMissingException:
        check_token(None)
        raise
    except ConfigValueCannotBeCoercedException as error:
        kind = getattr(error.hint, "__name__", error.hint)
        raise ConfigurationError(
            f"{error.field_name} in the section sources.linq of dlt's configuration (or in the environment as "
            f"SOURCES__LINQ__{error.field_name.upper()}) must be {_KINDS.get(str(kind), f'readable as {kind}')}."
        ) from None
    return sync


_KINDS = {"int": "a whole number", "float": "a number", "bool": "true or false"}

_configured = with_config(make_sync, sections=("sources", "linq"))
