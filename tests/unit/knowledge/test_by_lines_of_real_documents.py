"""A small sample of what `make accuracy` measures on all of them."""

from __future__ import annotations

import random

from tests.accuracy.authors import measured_pages
from tests.documents import rfc_pages

SEED = 20261126


def test_authors_and_dates_of_a_sample_of_rfcs() -> None:
    sample = random.Random(SEED).sample(sorted(rfc_pages()), 12)

    authors, dates = measured_pages(sample)

    assert min(authors.precision, authors.recall) >= 0.95, authors
    assert min(dates.precision, dates.recall) >= 0.95, dates
