"""A sample of what `make accuracy` measures on all documents."""

from __future__ import annotations

import random

from tests.accuracy.citations import measured_rfcs
from tests.documents import rfc_pages

BOUND = 0.95


def test_citations_of_thirty_rfcs_are_those_of_their_own_links() -> None:
    chosen = random.Random(20261127).sample(sorted(rfc_pages()), 30)
    measures = measured_rfcs(chosen)

    assert [str(one) for one in measures if min(one.precision, one.recall) < BOUND] == []
    assert measures[0].right > 200
