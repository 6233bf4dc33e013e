"""Shards: one account read by several processes side by side, each the chats of its own numbers."""

import hashlib
import re
from dataclasses import dataclass
from typing import Self

from linq_source.errors import ConfigurationError

MAX_SHARDS = 256


@dataclass(frozen=True)
class Shard:
    """One of `count` parts of an account, numbered from 1. The first also keeps what all parts share."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the shard that a text like 2/4 names. Raises ConfigurationError for any other."""
        found = re.fullmatch(r"(\d{1,3})/(\d{1,3})", text.strip(), re.ASCII)
        index, count = (int(found[1]), int(found[2])) if found else (0, 0)
        if not 1 <= index <= count <= MAX_SHARDS:
            raise ConfigurationError(
                f"--shard {text[:20]!r} is no shard: write K/N, like 2/4 for the second of four."
            )
        return cls(index, count)

    @property
    def is_first(self) -> bool:
        """Whether it keeps the tables that belong to no chat, loads the events and creates the views."""
        return self.index == 1

    @property
    def name(self) -> str:
        """What tells its pipeline and its staging tables from those of the others."""
        return f"{self.index}_of_{self.count}"

    def owns(self, phone_number: str) -> bool:
        """Whether the chats of this number are its own: the same on every machine, at every time."""
        digest = hashlib.sha256(phone_number.encode()).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.index - 1

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"
