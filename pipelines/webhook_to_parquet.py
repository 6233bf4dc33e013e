"""Receive Linq's webhooks and keep them as Parquet: each is answered 200 once it is durable, and not before.

python pipelines/webhook_to_parquet.py --directory webhook_events     # needs SOURCES__LINQ__WEBHOOK_SECRET
"""

import logging
import os
import sys
from collections.abc import Sequence

from linq_source.cli import Parser, journal_path, port, positive, positive_integer, run_command


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    options = parser().parse_args(arguments)

    from linq_source.redact import configured_redactor
    from linq_source.webhook.receiver import Receiver, ReceiverSettings, configured_secrets

    # Files of events are for their owner alone, whichever library makes them.
    os.umask(0o077)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("linq_source.webhook").setLevel(logging.INFO)
    receiver = Receiver(
        ReceiverSettings(
            directory=options.directory,
            secrets=configured_secrets(),
            host=options.host,
            port=options.port,
            journal=options.journal,
            metrics_host=options.metrics_host,
            metrics_port=options.metrics_port,
            flush_seconds=options.flush_seconds,
            flush_events=options.flush_events,
            max_body_bytes=options.max_body_bytes,
            allow_unsigned=options.allow_unsigned,
            redactor=configured_redactor(),
        )
    )
    receiver.run()
    return 0


def parser() -> Parser:
    """Return the parser of the options."""
    made = Parser(description="Receive Linq's webhooks and keep them as Parquet.", allow_abbrev=False)
    made.add_argument("--host", default="127.0.0.1", help="the address to listen on [%(default)s]")
    made.add_argument("--port", type=port, default=8080, help="the port to listen on; 0 = any [%(default)s]")
    made.add_argument(
        "--directory",
        default="webhook_events",
        metavar="DIR",
        help="where the Parquet files go: a folder, or a URL like s3://bucket/prefix [%(default)s]",
    )
    made.add_argument(
        "--journal",
        type=journal_path,
        metavar="DIR",
        help="the local folder that makes each event durable [journal in --directory; webhook_journal for a URL]",
    )
    made.add_argument(
        "--flush-seconds", type=positive, default=60.0, metavar="N", help="write a file every N seconds [%(default)g]"
    )
    made.add_argument(
        "--flush-events",
        type=positive_integer,
        default=10_000,
        metavar="N",
        help="write a file as soon as N events wait [%(default)s]",
    )
    made.add_argument(
        "--max-body-bytes",
        type=positive_integer,
        default=1024 * 1024,
        metavar="N",
        help="refuse bodies of more than N bytes [%(default)s]",
    )
    made.add_argument(
        "--metrics-host",
        default="127.0.0.1",
        metavar="HOST",
        help="the address to serve metrics on [%(default)s]",
    )
    made.add_argument("--metrics-port", type=port, metavar="PORT", help="serve Prometheus metrics on this port [off]")
    made.add_argument(
        "--allow-unsigned",
        action="store_true",
        help="accept events without a signature; needs no secret, and listens on this machine only",
    )
    return made


if __name__ == "__main__":
    run_command(main)
