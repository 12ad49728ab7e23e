"""How exactly citations are found, on every document there is a truth for; `make accuracy` prints the numbers."""

from __future__ import annotations

import pytest

from tests.accuracy.citations import measured_rfcs, measured_vignettes
from tests.accuracy.measure import Measure
from tests.documents import rfc_pages

pytestmark = pytest.mark.timeout(1800)

BOUND = 0.95


def holds(*measures: Measure) -> None:
    for measure in measures:
        print(f"\n{measure}", end="")
    assert [str(one) for one in measures if min(one.precision, one.recall) < BOUND] == []


def test_citations_of_all_rfcs_are_those_of_their_own_links_and_of_their_catalogue() -> None:
    holds(*measured_rfcs(rfc_pages()))


def test_citations_of_vignettes_are_those_that_were_read_by_hand() -> None:
    holds(*measured_vignettes())
