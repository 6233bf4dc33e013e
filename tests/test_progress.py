"""What the progress bar says."""

import pytest

from linq_source.context import Summary
from linq_source.sync_output import describe


@pytest.mark.parametrize(
    ("summary", "said"),
    [
        (Summary(), "Reading lists"),
        (Summary(chats_to_read=160), "0 of 160 chats, 0 messages, 2 requests/s, starting"),
        (
            Summary(chats_to_read=160, chats_done=40, messages_read=4603),
            "40 of 160 chats, 4,603 messages, 2 requests/s, 1:30 left",
        ),
        (Summary(chats_to_read=160, chats_done=160, messages_read=14_000), "Storing, 14,000 messages read"),
    ],
)
def test_the_progress_bar_tells_chats_messages_pace_and_time_left(summary: Summary, said: str) -> None:
    assert describe(summary, requests=60, seconds=30.0) == said
