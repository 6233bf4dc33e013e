"""Have Linq send its events to a receiver: list, make, repair, remove and check webhook subscriptions.

python pipelines/webhook_subscribe.py                                              # list them
python pipelines/webhook_subscribe.py --url https://example.com/webhooks/linq      # make or repair it
python pipelines/webhook_subscribe.py --url https://example.com/webhooks/linq --check
"""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from linq_source.cli import Parser, journal_path, run_command

if TYPE_CHECKING:
    from linq_source.webhook.subscriptions import Subscription, SubscriptionsClient


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    options = parser().parse_args(arguments)

    from linq_source.errors import ConfigurationError
    from linq_source.webhook.subscriptions import check_events, check_url

    url = check_url(options.url) if options.url else None
    events = check_events([name for each in options.events for name in each.split(",") if name])
    if not url and (options.check or options.remove or options.set_secret or events):
        raise ConfigurationError("Name the receiver's address with --url, like https://example.com/webhooks/linq.")
    with connect() as client:
        if url and options.check:
            return check(client, url, events, options)
        if url:
            return change(client, url, events, options)
        return show(client.list(), options)


def connect() -> "SubscriptionsClient":
    """Return a client with the token and address of dlt's configuration."""
    import dlt

    from linq_source import settings
    from linq_source.webhook.subscriptions import SubscriptionsClient

    token = dlt.secrets.get("sources.linq.integration_token", str)
    base_url = dlt.config.get("sources.linq.base_url", str) or settings.BASE_URL
    return SubscriptionsClient(token or "", base_url=base_url)


def change(client: "SubscriptionsClient", url: str, events: Sequence[str], options: argparse.Namespace) -> int:
    """Make, repair or remove the subscription of a URL, and say what was done."""
    from linq_source.webhook.receiver import SECRET_SETTING, configured_secrets
    from linq_source.webhook.subscriptions import ensure, remove

    if options.remove:
        result = remove(client, url=url)
    else:
        secrets = configured_secrets()
        secret = secrets[0].decode("utf-8", "surrogateescape") if secrets else None
        result = ensure(client, url=url, events=events, secret=secret, sets_secret=options.set_secret)
    if options.json:
        shown = {"subscription_id": result.subscription_id, "done": result.done}
        print(json.dumps(shown | ({"secret": result.secret} if result.secret else {})))
        return 0
    nothing = (
        "There is none to remove" if options.remove else f"Subscription {result.subscription_id} is as it should be"
    )
    for sentence in result.done or [nothing]:
        print(f"{sentence}.")
    if result.secret:
        print("\nIts secret, which is shown this one time. Give it to the receiver:")
        print(f"  {SECRET_SETTING}={result.secret}")
    return 0


def check(client: "SubscriptionsClient", url: str, events: Sequence[str], options: argparse.Namespace) -> int:
    """Say why no events arrive; exit code 3 when there is a reason."""
    from linq_source.webhook.receiver import configured_secrets
    from linq_source.webhook.subscription_check import check as find_problems

    problems = find_problems(
        client.list(), url=url, events=events, secrets=configured_secrets(), journal=options.journal
    )
    if options.json:
        print(json.dumps({"problems": problems}))
    for problem in () if options.json else problems or [f"Nothing is wrong with {url}."]:
        print(problem)
    return 3 if problems else 0


def show(subscriptions: "Sequence[Subscription]", options: argparse.Namespace) -> int:
    """List all subscriptions."""
    from linq_source.printable import printable

    if options.json:
        print(json.dumps({"webhook_subscriptions": [as_json(each) for each in subscriptions]}))
        return 0
    if not subscriptions:
        print("There is no subscription: make one with --url.", file=sys.stderr)
    for each in subscriptions:
        url = printable(each.url)
        state = "active" if each.is_active else "not active"
        secret = "signed" if each.has_secret else "NOT SIGNED"
        last = f"{each.last_delivered_at:%Y-%m-%d %H:%M} UTC" if each.last_delivered_at else "never"
        print(f"{each.id}  {url}  {state}, {secret}, last delivered {last}, {each.delivery_attempts} attempts")
        print(f"    {printable(', '.join(each.events))}")
    return 0


def as_json(subscription: "Subscription") -> dict[str, Any]:
    """Return a subscription with Linq's names."""
    last = subscription.last_delivered_at
    return {
        "id": subscription.id,
        "webhook_url": subscription.url,
        "events": subscription.events,
        "version": subscription.version,
        "active": subscription.is_active,
        "secret_configured": subscription.has_secret,
        "delivery_attempts": subscription.delivery_attempts,
        "last_delivered_at": last.isoformat() if last else None,
    }


def parser() -> Parser:
    """Return the parser of the options."""
    made = Parser(
        description="List Linq's webhook subscriptions. With --url, make or repair that of your receiver.",
        allow_abbrev=False,
    )
    made.add_argument("--url", help="the receiver's address, like https://example.com/webhooks/linq")
    made.add_argument(
        "--events",
        nargs="+",
        default=[],
        metavar="TYPE",
        help="the event types to ask for [all; of an existing subscription, those it has]",
    )
    doing = made.add_mutually_exclusive_group()
    doing.add_argument("--check", action="store_true", help="say why no events arrive at --url, and change nothing")
    doing.add_argument("--remove", action="store_true", help="remove the subscriptions of --url")
    doing.add_argument(
        "--set-secret",
        action="store_true",
        help="replace the secret, by the first one in the configuration, or else by a new one",
    )
    made.add_argument(
        "--journal",
        type=journal_path,
        metavar="DIR",
        help="with --check: also look into the receiver's journal in this folder",
    )
    made.add_argument("--json", action="store_true", help="print the result as one JSON object")
    return made


if __name__ == "__main__":
    run_command(main)
