"""What the parts of one sync share: its options, its clock, its summary, and where it reads and remembers."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from linq_source import settings
from linq_source.errors import ConfigurationError, LinqError
from linq_source.forgotten import Gate
from linq_source.memory import Memory
from linq_source.plan import Policy
from linq_source.reader import Reader
from linq_source.rejects import Rejects
from linq_source.rows import Shaper
from linq_source.shards import Shard
from linq_source.tables import PHONE_NUMBERS, Table

GUARDED_ROWS = 50
GUARDED_SHARE = 0.2


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a sync reads. Times are UTC."""

    phone_numbers: tuple[str, ...] = ()
    """Restrict chats to these of our numbers; empty for all."""
    start_date: datetime | None = None
    end_date: datetime | None = None
    lookback_days: float = settings.LOOKBACK_DAYS
    recheck_hours: float = settings.RECHECK_HOURS
    contacts_hours: float = settings.CONTACTS_HOURS
    shard: Shard | None = None
    """Which part of the account; None for all of it."""
    is_full_refresh: bool = False
    allows_mass_delete: bool = False
    gate: Gate = field(default_factory=Gate)
    """What all answers come through, before anything else sees them."""

    @property
    def redaction(self) -> str | None:
        """How rows are redacted, as `chat_syncs` tells it; None for not at all."""
        return self.gate.label

    def __post_init__(self) -> None:
        for name in ("lookback_days", "recheck_hours", "contacts_hours"):
            if not 0 <= getattr(self, name) < 100_000:
                raise ConfigurationError(f"{name} must be from 0 to 100000, not {getattr(self, name)}.")
        if self.start_date and self.end_date and self.start_date >= self.end_date:
            raise ConfigurationError("start_date must be before end_date.")

    def policy(self, now: datetime) -> Policy:
        """The part of the options that the plan needs."""
        return Policy(
            now=now,
            lookback=timedelta(days=self.lookback_days),
            recheck=timedelta(hours=self.recheck_hours),
            start=self.start_date,
            end=self.end_date,
            is_full_refresh=self.is_full_refresh,
            redaction=self.redaction,
        )


@dataclass
class Summary:
    """What a sync did."""

    chats_listed: int = 0
    chats_to_read: int = 0
    chats_done: int = 0
    """Chats dealt with so far, for a progress bar."""
    chats_read: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    """How many chats were to be read for which reason."""
    messages_read: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    """Rows written, removals included, by table."""
    rejected: int = 0
    unread_times: int = 0
    skipped: list[str] = field(default_factory=list)
    """What was left out, a sentence each."""
    failure: LinqError | None = None
    """Why the sync gave up before its end; what was complete by then is kept."""


@dataclass
class Context:
    """One sync's shared state."""

    options: Options
    now: datetime
    reader: Reader
    memory: Memory
    shaper: Shaper
    rejects: Rejects
    summary: Summary
    on_progress: Callable[[], None]
    our_numbers: set[str] = field(default_factory=set)
    """Every number that is or was ours: who sends from one of them sends outbound."""
    is_doubtful: bool = False
    """Whether the numbers leave open if the tables hold another account."""

    def skip(self, sentence: str) -> None:
        """Name something that is left out."""
        if sentence not in self.summary.skipped:
            self.summary.skipped.append(sentence)

    def may_delete(self, table: Table, count: int) -> bool:
        """Whether so many rows of a table may be marked as deleted; names the refusal where not."""
        known = self.memory.live_count(table) if count else 0
        # The list of numbers carries no totals: none at all may be a broken answer as well as the truth.
        is_doubtful = table is PHONE_NUMBERS and count == known > 0
        is_much = known > GUARDED_ROWS and count > GUARDED_SHARE * known
        if self.options.allows_mass_delete or not (is_doubtful or is_much):
            return True
        self.skip(
            f"{table.name}: Linq no longer lists {count} of {known} rows; so many are marked as deleted only "
            "when --allow-mass-delete says that it is meant (or is this the database of another account?)"
        )
        return False
