"""A real S3 server (moto, in a process of its own), and how dlt and s3fs are told of it."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import s3fs

KEY, VALUE = "a-key", "a-secret-key"
CREDENTIALS = "DESTINATION__FILESYSTEM__CREDENTIALS__"


@contextmanager
def running_s3(bucket: str) -> Iterator[str]:
    """Run an S3 server with an empty bucket, and give its address."""
    command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    child = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert child.stderr
    for line in child.stderr:
        if match := re.search(r"Running on (http://\S+)", line):
            break
    else:
        raise AssertionError("moto does not start")
    drain = threading.Thread(target=child.stderr.read)
    drain.start()
    try:
        filesystem(match[1]).mkdir(bucket)
        yield match[1]
    finally:
        child.terminate()
        child.wait(10)
        drain.join()
        child.stderr.close()


def filesystem(url: str) -> "s3fs.S3FileSystem":
    """A client of the server."""
    import s3fs

    return s3fs.S3FileSystem(
        key=KEY, secret=VALUE, endpoint_url=url, skip_instance_cache=True, use_listings_cache=False
    )


def settings(url: str) -> dict[str, str]:
    """The settings under which dlt reaches the server."""
    return {
        f"{CREDENTIALS}AWS_ACCESS_KEY_ID": KEY,
        f"{CREDENTIALS}AWS_SECRET_ACCESS_KEY": VALUE,
        f"{CREDENTIALS}ENDPOINT_URL": url,
        f"{CREDENTIALS}REGION_NAME": "us-east-1",
    }
