"""Writes the report: one HTML file with everything in it, readable to its owner only."""

import base64
import gzip
import hashlib
import json
import os
import re
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from linq_source.errors import ConfigurationError, DestinationError
from linq_source.paths import is_refused

MISSING = "The report needs jinja2 and vl-convert-python: pip install 'linq-source[report]'."

SCRIPTS = ("sums.js", "words.js", "charts.js", "sections.js", "page.js")
"""Our own scripts, in the order they run in, after Vega's."""

_BEGINNING = b"<!doctype html>"

_EXPORTS = "window.vegaEmbed = vegaEmbed;"


def write_report(database: Path, output: Path, *, show_identities: bool = False) -> dict[str, Any]:
    """Write the report of a database and return the data that it shows.

    Raises ConfigurationError when a library or the database is missing, DestinationError when the database
    cannot be read or the file not be written.
    """
    _check_libraries()
    _check_output(output)
    from linq_source.analytics.report_data import read_report

    # The two take seconds each and share nothing.
    with ThreadPoolExecutor(1) as pool:
        scripts = pool.submit(vega_script)
        data = read_report(database, show_identities=show_identities)
        page = render(data, scripts.result())
    _write(output, page)
    return data


def render(data: dict[str, Any], vega: str) -> str:
    """Return the page that shows `data`, with the library's script in it."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    loader = PackageLoader("linq_source.analytics", "page")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    scripts = [_inline(text) for text in (vega, *(_file(name) for name in SCRIPTS))]
    packed = base64.b64encode(gzip.compress(json.dumps(data, separators=(",", ":")).encode(), 6, mtime=0)).decode()
    return environment.get_template("page.html.j2").render(
        css=Markup(_file("page.css")),  # noqa: S704  # our own file
        scripts=[Markup(text) for text in scripts],  # noqa: S704  # our own files and the library
        hashes=Markup(" ".join(_hash(text) for text in scripts)),  # noqa: S704  # base64
        data=packed,
        show_identities=data["show_identities"],
    )


@cache
def vega_script() -> str:
    """Return the JavaScript of Vega, Vega-Lite and Vega-Embed; it is worked out on this machine, from no network."""
    import vl_convert

    # Its short global names would be in the way of ours.
    return f"(() => {{\n{vl_convert.javascript_bundle(_EXPORTS)}\n}})();"


def _check_libraries() -> None:
    try:
        import jinja2  # noqa: F401
        import vl_convert  # noqa: F401
    except ImportError:
        raise ConfigurationError(MISSING) from None


def _file(name: str) -> str:
    return files("linq_source.analytics").joinpath("page", name).read_text(encoding="utf-8")


def _inline(script: str) -> str:
    """Return a script that nothing in it can end before its end, as a browser reads it."""
    return (
        "\n" + re.sub(r"<(?=/script|!--)", r"\\x3c", script, flags=re.IGNORECASE).replace("\r\n", "\n").strip() + "\n"
    )


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _check_output(output: Path) -> None:
    if output.is_dir():
        raise ConfigurationError(f"The output {output} is a folder: name a file, like report.html.")
    if not output.parent.is_dir():
        raise ConfigurationError(f"The folder {output.parent} of the report does not exist: create it first.")
    if output.is_file() and output.stat().st_size and not _is_page(output):
        raise ConfigurationError(f"The file {output} is not a web page: name another one with --output.")


def _is_page(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            return opened.read(len(_BEGINNING)).lower() == _BEGINNING
    except OSError:
        return True  # what cannot be read may still be replaced, or not, and _write says so


def _write(output: Path, page: str) -> None:
    """Write the file whole or not at all; mkstemp makes it readable to the owner only."""
    try:
        handle, name = tempfile.mkstemp(dir=output.parent, prefix=f".{output.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
                file.write(page)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(output)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        problem = f"The report {output} cannot be written: {error.strerror or 'unknown error'}"
        if is_refused(error):
            raise ConfigurationError(f"{problem}. Name another file with --output.") from None
        raise DestinationError(f"{problem}.") from None
