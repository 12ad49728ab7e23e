"""How exactly titles are found, on every RFC of the package; `make accuracy` prints the numbers."""

from __future__ import annotations

import pytest

from tests.accuracy.measure import Measure
from tests.accuracy.titles import measured_pages, measured_texts
from tests.documents import rfc_pages

pytestmark = pytest.mark.timeout(1800)

BOUND = 0.95


def holds(measure: Measure) -> None:
    print(f"\n{measure}", end="")
    assert min(measure.precision, measure.recall) >= BOUND


def test_titles_of_all_rfc_pages_are_those_of_the_catalogue() -> None:
    holds(measured_pages(rfc_pages()))


def test_titles_of_all_rfc_texts_are_those_of_the_catalogue() -> None:
    holds(measured_texts())
