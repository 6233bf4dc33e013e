"""What runs beside the syncs of `make demo-live`: people who write, and the receiver in a process of its own."""

import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from time import monotonic, sleep

from linq_source.errors import DestinationError
from linq_source.simulator import World, happen
from linq_source.webhook.receiver import SECRET_SETTING
from linq_source.webhook.subscriptions import SubscriptionsClient, ensure

_START_SECONDS = 30.0
_STOP_SECONDS = 15.0


@contextmanager
def life(world: World, *, per_second: float) -> Iterator[None]:
    """Have people write, react, call and read in a world, so often, for the length of the block."""
    rng, end = Random(12), threading.Event()  # noqa: S311  # makes a world, no secret

    def live() -> None:
        while not end.wait(1 / per_second):
            happen(world, rng)

    thread = threading.Thread(target=live, name="linq-life", daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


@dataclass
class Receiver:
    """The process of a receiver."""

    process: subprocess.Popen[bytes]
    directory: Path
    """Where it writes its Parquet files."""
    log: Path
    secret: str

    def subscribe(self, token: str, base_url: str) -> None:
        """Have Linq deliver every type of event to it, as webhook_subscribe.py does."""
        url = self._url()
        with SubscriptionsClient(token, base_url=base_url) as client:
            ensure(client, url=url, secret=self.secret)

    def _url(self) -> str:
        deadline = monotonic() + _START_SECONDS
        while monotonic() < deadline:
            _, begun, rest = self.log.read_text().partition("Receiving on ")
            if begun and "\n" in rest:
                return rest.split()[0]
            self.check()
            sleep(0.05)
        raise DestinationError(f"The receiver did not begin to listen within {_START_SECONDS:.0f} seconds.")

    def check(self) -> None:
        """Raise DestinationError unless it runs."""
        code = self.process.poll()
        if code is not None:
            raise self._ended(code)

    def stop(self) -> None:
        """Have it write what it holds and end, as SIGTERM does; raises DestinationError where it does not."""
        self.check()
        self.process.terminate()
        try:
            code = self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise DestinationError(f"The receiver did not end within {_STOP_SECONDS:.0f} seconds.") from None
        if code:
            raise self._ended(code)

    def _ended(self, code: int) -> DestinationError:
        if code < 0:
            return DestinationError(f"The receiver was killed by signal {-code}.")
        said = (self.log.read_text().strip().splitlines() or ["it said nothing"])[-1].rstrip(".")
        return DestinationError(f"The receiver ended with exit code {code}: {said}.")


@contextmanager
def receiving(command: Path, folder: Path) -> Iterator[Receiver]:
    """Run `command`, which is webhook_to_parquet.py, with a secret of its own on a free port, for the block."""
    directory, log, secret = folder / "webhook_events", folder / "receiver.log", secrets.token_urlsafe(32)
    directory.mkdir()
    options = ("--port", "0", "--directory", str(directory), "--flush-seconds", "1")
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603  # our own command
            [sys.executable, str(command), *options],
            env=os.environ | {SECRET_SETTING: secret},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield Receiver(process, directory, log, secret)
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        finally:
            process.kill()
            process.wait()
