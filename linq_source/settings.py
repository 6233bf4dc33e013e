"""Constants that more than one room needs: addresses, limits and defaults."""

BASE_URL = "https://api.linqapp.com"
"""The production server (https://apidocs.linqapp.com, Authentication)."""

TOKEN_HEADER = "X-LINQ-INTEGRATION-TOKEN"  # noqa: S105  # a header's name, not a secret

PHONE_NUMBERS = "/api/partner/v2/phone_numbers"
CHATS = "/api/partner/v2/chats"
CONTACTS = "/api/partner/v2/contacts"
WEBHOOK_SUBSCRIPTIONS = "/api/partner/v2/webhook_subscriptions"


def chat_path(chat_id: int) -> str:
    """Path of one chat."""
    return f"{CHATS}/{chat_id}"


def chat_messages_path(chat_id: int) -> str:
    """Path of the messages of one chat."""
    return f"{CHATS}/{chat_id}/chat_messages"


PER_PAGE = 100
"""Rows asked for per page; more is refused by the vendor."""

CONCURRENCY = 16
LOOKBACK_DAYS = 7.0
RECHECK_HOURS = 24.0
CONTACTS_HOURS = 0.0
COMMIT_EVERY = 100_000
MAX_WAIT_SECONDS = 900.0

PIPELINE_NAME = "linq"
DATASET_NAME = "linq_data"
DATABASE = "linq.duckdb"
