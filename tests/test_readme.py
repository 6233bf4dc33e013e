"""README, docs and the code say the same."""

import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from dlt.common.destination.reference import Destination

import linq_source
from linq_source.analytics.views import models
from linq_source.simulator import Simulator
from tests.mailbox import Mailbox, told
from tests.readme import DOCUMENTS, README, anchors, links, manual, prose, written
from tests.support import ROOT, Warehouse, run_pipeline, small_world


def test_the_tables_in_readme_are_those_of_the_code() -> None:
    assert README.read_text() == written(), "run make readme"


def credentials() -> dict[str, str]:
    """The blocks of credentials in docs/warehouses.md, by the name of the destination."""
    blocks = re.findall(r"```toml\n(.*?)```", manual(), re.DOTALL)
    return {block.split(".")[1].split("]")[0]: block for block in blocks}


def _environment(settings: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _environment(value, (*path, name))
        else:
            yield "__".join((*path, name)).upper(), str(value)


@pytest.mark.parametrize("name", sorted(credentials()))
def test_the_credentials_in_docs_are_what_dlt_wants(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in _environment(tomllib.loads(credentials()[name])):
        monkeypatch.setenv(variable, value)
    destination = Destination.from_reference(name)
    initial = destination.spec()
    initial.dataset_name = "linq_data"
    assert destination.configuration(initial).credentials.is_resolved()


def test_every_view_is_in_readme() -> None:
    text = README.read_text()
    for name in models():
        assert f"| `{name}` |" in text, name


def test_every_command_and_file_that_is_named_exists() -> None:
    text = manual()
    for file in set(re.findall(r"(?<![\w/])(?:pipelines|tests|linq_source|docs)/[\w/]+\.\w+", text)):
        assert (ROOT / file).is_file(), file
    for module in set(re.findall(r"python -m ((?:tests|linq_source)[\w.]*)", text)):
        place = ROOT / module.replace(".", "/")
        assert place.with_suffix(".py").is_file() or (place / "__main__.py").is_file(), module
    targets = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"(?:`|^)make ([a-z-]+)", text, re.MULTILINE)):
        assert re.search(rf"^{target}:", targets, re.MULTILINE), target


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_to_a_file_and_to_a_heading_in_it(path: Path) -> None:
    for link in links(path):
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.is_relative_to(ROOT), link
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_readme_leads_to_every_document_and_each_leads_back() -> None:
    for path in DOCUMENTS[1:]:
        assert f"docs/{path.name}" in {link.partition("#")[0] for link in links(README)}, path.name
        assert "../README.md" in {link.partition("#")[0] for link in links(path)}, path.name


def test_readme_is_short_enough_to_be_read() -> None:
    assert len(README.read_text().splitlines()) <= 730, "move to docs what few readers need"


def test_readme_has_its_parts_in_the_order_in_which_a_stranger_needs_them() -> None:
    headings = re.findall(r"^## (.+)$", prose(README.read_text()), re.MULTILINE)
    order = ["Try it", "Set it up", "The tables", "What a sync promises", "The command", "Webhooks", "Warehouses"]
    order += ["On a schedule", "Speed", "Dependencies"]
    places = [next(at for at, each in enumerate(headings) if each.startswith(name)) for name in order]
    assert places == sorted(places)


def test_every_dependency_is_explained_in_readme() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    table = README.read_text().split("## Dependencies")[1]
    extras = {name: needs for name, needs in project["optional-dependencies"].items() if name != "dev"}
    for requirement in [*project["dependencies"], *chain.from_iterable(extras.values())]:
        name = re.split(r"[\[<>=]", requirement)[0]
        assert name == project["name"] or re.search(rf"^\|[^|]*`{name}`", table, re.MULTILINE), name


def test_all_names_what_the_package_really_exports() -> None:
    assert linq_source.__all__ == sorted(linq_source.__all__)
    for name in linq_source.__all__:
        assert getattr(linq_source, name) is not None


def test_no_file_names_a_host_of_a_package_registry_or_a_path_of_one_machine() -> None:
    lock = Path(ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    assert "--hash=" in lock


def test_the_line_that_reads_with_dlt_works_where_events_were_loaded_too(
    serve: Callable[..., Simulator], warehouse: Warehouse, tmp_path: Path
) -> None:
    warehouse.sync(serve(small_world()))
    box = Mailbox(tmp_path / "events")
    box.write([told("message.received", {"id": "1", "chat_id": "7"}, "evt-1")])
    loaded = run_pipeline("events_to_duckdb.py", "--database", str(warehouse.path), "--directory", str(box.folder))
    assert loaded.returncode == 0, loaded.stderr
    (line,) = (line for line in manual().splitlines() if "dlt.dataset(" in line)
    python, *rest = shlex.split(line.replace("linq.duckdb", str(warehouse.path)))
    assert python == "python"
    shown = subprocess.run([sys.executable, *rest], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert shown.count("iMessage") + shown.count("SMS") + shown.count("RCS") >= 5
