"""Ranks of documents by who cites them."""

from __future__ import annotations

import pytest

from app.models.derived import Counter
from app.services import (
    citation_ranks,
    resources,
)
from app.services.library import Library
from tests.integration.citations.shelf import DOI, Shelf

pytestmark = pytest.mark.integration


def test_what_is_cited_most_has_the_highest_rank(library: Library, shelf: Shelf) -> None:
    target = shelf.put(doi=DOI)
    sources = [shelf.put(f"doi:{DOI} number {number}") for number in range(3)]
    shelf.put("Alone.")
    shelf.rank()

    ranks = shelf.ranks()
    assert set(ranks) == {target, *sources}
    assert sum(ranks.values()) == pytest.approx(1)
    assert max(ranks, key=lambda one: ranks[one]) == target
    overview = shelf.overview()
    assert (overview["resources"], overview["resolved"], overview["edges"]) == (5, 3, 3)
    assert overview["top"][0]["resource_id"] == target

    resources.delete(library, sources[0])
    shelf.resolve(sources[0])
    shelf.rank()
    assert set(shelf.ranks()) == {target, *sources[1:]}


def test_a_ranking_of_older_edges_replaces_none_of_newer_ones(library: Library, shelf: Shelf) -> None:
    shelf.put(doi=DOI)
    shelf.put(f"doi:{DOI}")
    shelf.rank()
    ranks = shelf.ranks()
    with library.work() as unit:
        unit.session.get_one(Counter, citation_ranks.RANKED).value += 10

    shelf.put(f"Another that cites doi:{DOI}")
    shelf.rank()

    assert shelf.ranks() == ranks
