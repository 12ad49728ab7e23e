"""How exactly authors and dates are found, on every document with a known truth; `make accuracy` prints the numbers."""

from __future__ import annotations

import pytest

from tests.accuracy.authors import index_dates, measured_pages, measured_texts, measured_vignettes
from tests.accuracy.measure import Measure
from tests.documents import rfc_metadata, rfc_pages

pytestmark = pytest.mark.timeout(1800)

BOUND = 0.95


def holds(*measures: Measure) -> None:
    for measure in measures:
        print(f"\n{measure}", end="")
    assert [str(one) for one in measures if min(one.precision, one.recall) < BOUND] == []


def test_the_index_dates_every_rfc_of_the_package() -> None:
    assert set(rfc_metadata()) <= set(index_dates())


def test_authors_and_dates_of_all_rfc_pages_are_those_of_the_catalogue() -> None:
    holds(*measured_pages(rfc_pages()))


def test_authors_and_dates_of_all_rfc_texts_are_those_of_the_catalogue() -> None:
    holds(*measured_texts())


def test_authors_of_vignettes_are_those_that_were_read_by_hand() -> None:
    holds(measured_vignettes())
