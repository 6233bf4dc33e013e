"""Whatever goes wrong on the wire, and wherever: the tables equal a clean sync's, or a sentence says what failed."""

from collections.abc import Iterator

import pytest

from tests.faults.cells import PLACES, Cell, Place, is_passing, play
from tests.faults.kinds import KINDS, Kind
from tests.faults.stage import ENDPOINTS, POSITIONS, Stage

pytestmark = pytest.mark.without_dlt

COMMON = [kind for kind in KINDS if not kind.is_rare]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Stage(tmp_path_factory.mktemp("faults")) as stage:
        yield stage


def test_the_matrix_is_as_large_as_promised() -> None:
    assert len(COMMON) >= 36
    assert len({kind.name for kind in KINDS}) * len(PLACES) >= 36 * 12


def places(kind: Kind) -> list[Place]:
    """Every endpoint, each at another page; the next kind meets them at the next page."""
    turn = KINDS.index(kind)
    return [Place(endpoint, POSITIONS[(turn + index) % 3]) for index, endpoint in enumerate(ENDPOINTS)]


@pytest.mark.parametrize("kind", [kind for kind in COMMON if kind.heals], ids=lambda kind: kind.name)
def test_a_fault_that_lasts_is_named_and_one_that_passes_leaves_no_trace(kind: Kind, stage: Stage) -> None:
    turn, everywhere = KINDS.index(kind), places(kind)
    cell = Cell(stage, kind, is_fresh=turn % 2 == 0)
    if turn % 2:  # the others last in the whole matrix alone
        cell.lasts(everywhere[turn // 2 % len(everywhere)])
    cell.passes(*(place for place in everywhere if is_passing(kind, place)))


@pytest.mark.parametrize("kind", [kind for kind in COMMON if not kind.heals], ids=lambda kind: kind.name)
def test_a_refusal_is_named_wherever_it_comes_and_nothing_of_it_is_left_when_it_is_over(
    kind: Kind, stage: Stage
) -> None:
    turn, everywhere = KINDS.index(kind), places(kind)
    cell = Cell(stage, kind, is_fresh=turn % 2 == 0)
    cell.lasts(everywhere[turn % len(everywhere)])
    cell.is_over()


@pytest.mark.soak
@pytest.mark.parametrize("place", PLACES, ids=str)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_fault_at_every_endpoint_and_page(kind: Kind, place: Place, stage: Stage) -> None:
    play(stage, kind, place)
