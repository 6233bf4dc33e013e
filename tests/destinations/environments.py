"""`python -m tests.destinations.environments [NAME ...]`: each destination's tests, in an environment of its own.

What plays Snowflake and BigQuery here, and what reads a lake or a bucket, want versions of packages that exclude
each other's.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.destinations.store import REQUIRED

ROOT = Path(__file__).parent.parent.parent

TESTED_WITH = ("pytest>=8.3", "pytest-timeout>=2.3")

ENVIRONMENTS: dict[str, tuple[str, ...]] = {
    "filesystem": (
        "dlt[deltalake,pyiceberg,s3]>=1.31,<1.32",
        "duckdb==1.5.5",
        "duckdb-extensions==1.5.5",
        "duckdb-extension-httpfs==1.5.5",
        "duckdb-extension-delta==1.5.5",
        "duckdb-extension-avro==1.5.5",
        "duckdb-extension-iceberg==1.5.5",
        "pyiceberg<0.10",
        "moto[s3]>=5,<6",
        "flask>=3",
        "flask-cors>=4",
    ),
    "ducklake": ("duckdb==1.5.5", "duckdb-extensions==1.5.5", "duckdb-extension-ducklake==1.5.5"),
    "sqlalchemy": ("dlt[sqlalchemy]>=1.31,<1.32", "sqlalchemy==2.1.9"),
    "snowflake": ("dlt[snowflake]>=1.31,<1.32", "fakesnow==0.11.20", "snowflake-connector-python<5"),
    "bigquery": (
        "dlt[bigquery]>=1.31,<1.32",
        "bqemulator==1.4.0",
        "duckdb==1.5.5",
        "duckdb-extensions==1.5.5",
        "duckdb-extension-spatial==1.5.5",
        "numpy",
    ),
}
"""What each destination needs beside linq-source; the one that takes longest comes first."""


def main(names: Sequence[str]) -> int:
    """Run the tests of the environments named, or of all, two at a time; the exit code is 0 if none failed."""
    with ThreadPoolExecutor(2) as pool:
        return max(pool.map(tried, names or ENVIRONMENTS))


def tried(name: str) -> int:
    """Build an environment, run its tests there and say what they said; return their exit code."""
    with tempfile.TemporaryDirectory(prefix=f"linq_{name}_") as folder:
        python = Path(folder) / "bin" / "python"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        install = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", str(python)]
        subprocess.run([*install, "-e", str(ROOT), *ENVIRONMENTS[name], *TESTED_WITH], check=True)
        # The emulator of BigQuery brings fixtures for pytest that want Docker.
        tests = [
            "tests/test_destinations.py",
            "tests/test_destination_views.py",
            "tests/test_files.py",
            "tests/test_side_by_side.py",
            "-p",
            "no:bqemulator",
            "-p",
            "no:cacheprovider",
            "-k",
            name,
        ]
        done = subprocess.run(
            [python, "-m", "pytest", *tests],
            cwd=ROOT, env=os.environ | {REQUIRED: name}, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        sys.stdout.write(f"{name}:\n{done.stdout}\n")
        return abs(done.returncode)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
