"""What the progress bar says, and what a sync tells of that was left out."""

from collections import Counter

import pytest

from linq_source.context import Summary
from linq_source.runner import Result
from linq_source.sync_output import describe, left_out, print_result, retried
from linq_source.webhook.event_loader import EventSummary


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


def test_the_progress_bar_tells_that_requests_are_sent_again() -> None:
    assert [retried(count) for count in (0, 1, 20)] == ["", "(1 request sent again)", "(20 requests sent again)"]


def test_all_that_was_left_out_is_told_in_a_sentence_each() -> None:
    summary = Summary(skipped=["chat 7: gone (404)"], rejected=2, unread_times=3)
    result = Result(summary, seconds=1.0, requests=5, retries=0, exit_code=3, events=EventSummary(misfits=4))
    assert left_out(result) == [
        "Skipped: chat 7: gone (404).",
        "2 rows could not be fitted to a column; the table rejected_rows says which, and why.",
        "3 times could not be read: null stands there.",
        "4 values of events could not be fitted to a column: null stands there, and webhook_events.data has all.",
    ]


def test_of_what_was_left_out_one_is_told_as_one() -> None:
    summary = Summary(rejected=1, unread_times=1)
    result = Result(summary, seconds=1.0, requests=5, retries=0, exit_code=3, events=EventSummary(misfits=1))
    begun = [sentence.split(" could not be ")[0] for sentence in left_out(result)]
    assert begun == ["1 row", "1 time", "1 value of events"]


def test_a_sync_that_left_out_nothing_tells_nothing() -> None:
    assert left_out(Result(Summary(), seconds=1.0, requests=5, retries=0, exit_code=0)) == []


@pytest.mark.parametrize(
    ("summary", "said"),
    [
        (
            Summary(chats_listed=400, chats_read=61, reasons=Counter(new=400), rows=Counter(messages=1483)),
            "Listed 400 chats, read 61 of the 400 that were due (400 new), and wrote 1,483 rows to linq.duckdb in",
        ),
        (
            Summary(chats_listed=1, chats_read=1, reasons=Counter(recent=1), rows=Counter(messages=1)),
            "Listed 1 chat, read 1 of them (1 recent), and wrote 1 row to linq.duckdb in",
        ),
    ],
)
def test_a_result_says_how_far_a_sync_came(summary: Summary, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_result(Result(summary, seconds=1.0, requests=5, retries=0, exit_code=0), "linq.duckdb")
    assert capsys.readouterr().out.startswith(said)
