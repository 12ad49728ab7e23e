"""Whoever changes what an algorithm says raises its revision: else documents from before keep what it said then."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict
from datetime import date

import pytest

from app.knowledge.author_grouping import Decisions, NameNode, group_names
from app.knowledge.author_lists import names_of
from app.knowledge.author_names import AuthorName, parse_name
from app.knowledge.citations.extraction import cited_works
from app.knowledge.citations.link import Link
from app.knowledge.quality import QualityInput, QualityWeights, score_quality
from app.knowledge.terms import terms_of
from app.models.derived import DerivedKind
from app.services.derived_states import REVISIONS

TEXT = """Stripes of zebras

As Lee [1] and Ray [2] have shown (doi:10.1234/zebra.7), zebras have stripes; see also RFC 2119, RFCs 7230 and 7231,
arXiv:1406.5823v2, hep-th/9901001, PMID: 123456, ISBN 0-387-95284-5 and https://www.example.org/a/?utm_source=x#top.
The code is at https://github.com/zebra/stripes and the data at https://zenodo.org/record/1234.

References

[1] A. Lee. On stripes. Journal of Zebras 7, 1999. doi:10.1000/182
[2] B. Ray and C. Fox. Against stripes. https://example.org/ray.pdf
[3] Nobody. A book that has no identifier. Press, 2001.
"""
LINKS = [Link(href="https://doi.org/10.5555/x(1)2", text="Lee", position=22)]
NAMES = (
    ["Lee, Ann", "A. Lee", "van der Berg, Jan", "Ray, Bob, Jr.", "Zo\u00eb Fox (0000-0002-1825-0097)", "R Core Team"],
    ["Ann Lee and Bob Ray; Carl Fox", "Ann Lee"],
)


def citations() -> object:
    return cited_works(TEXT, LINKS)


def authors() -> object:
    parsed = [[parse_name(name) for name in names_of(values)] for values in NAMES]
    return parsed, group_names([_node(name) for names in parsed for name in names if name], Decisions())


def _node(name: AuthorName) -> NameNode:
    return NameNode(
        key=f"{name.key}@{name.orcid}" if name.orcid else name.key,
        name_key=name.key,
        block=name.block,
        family_key=name.family_key,
        given=name.given_keys,
        suffix=name.suffix_key,
        orcid=name.orcid,
        is_group=name.is_group,
    )


def terms() -> object:
    return terms_of(TEXT)


def quality() -> object:
    given = QualityInput(
        text=TEXT,
        title="Stripes of zebras",
        description="What is known.",
        creators=("Ann Lee",),
        publisher="",
        subjects=("zebras",),
        language="en",
        source="https://example.org/a",
        identifier="",
        rights="",
        date_created=date(2020, 1, 2),
        date_modified=None,
        format="text/html",
        today=date(2026, 1, 2),
    )
    return asdict(score_quality(given, weights=QualityWeights()))


@pytest.mark.parametrize(
    ("kind", "algorithm", "revision", "said"),
    [
        (DerivedKind.CITATIONS, citations, 3, "a2991e6d39e9e6d3"),
        (DerivedKind.AUTHORS, authors, 3, "ea843b1ff06de286"),
        (DerivedKind.QUALITY, quality, 1, "b0741e92983a63f6"),
        (DerivedKind.SEARCH_INDEX, terms, 1, "d185a5cf685e202d"),
    ],
)
def test_an_algorithm_says_what_its_revision_said(
    kind: DerivedKind, algorithm: Callable[[], object], revision: int, said: str
) -> None:
    """If this fails and the change is meant: raise the number in `REVISIONS` and here, and put the new digest here."""
    digest = hashlib.sha256(repr(algorithm()).encode()).hexdigest()[:16]
    assert (REVISIONS[kind], digest) == (revision, said)
