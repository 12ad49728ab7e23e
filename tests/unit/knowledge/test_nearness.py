from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.knowledge.category_tree import Category, CategoryTree
from app.knowledge.nearness import is_same_class, jaccard, nearness

shares = st.floats(0, 1)


def test_the_weights_are_those_of_the_design() -> None:
    assert nearness(cosine=1, tags=0, same_class=False, hops=None) == pytest.approx(0.6)
    assert nearness(cosine=0, tags=1, same_class=False, hops=None) == pytest.approx(0.3)
    assert nearness(cosine=0, tags=0, same_class=True, hops=None) == pytest.approx(0.1)
    assert [nearness(cosine=0, tags=0, same_class=False, hops=hops) for hops in (1, 2, 3)] == [0.5, 0.25, 0.125]


@given(shares, shares, st.booleans(), st.sampled_from([None, 1, 2, 3]))
def test_a_citation_only_ever_brings_nearer(cosine: float, tags: float, same_class: bool, hops: int | None) -> None:
    alone = nearness(cosine=cosine, tags=tags, same_class=same_class, hops=None)
    linked = nearness(cosine=cosine, tags=tags, same_class=same_class, hops=hops)

    assert 0 <= alone <= linked + 1e-12 <= 1 + 1e-9


def test_tags_compare_without_case() -> None:
    assert jaccard(["Zebra", "grass"], ["zebra"]) == 0.5
    assert jaccard([], []) == 0


def test_classes_compare_by_their_branch_of_the_tree() -> None:
    above = {"000": None, "020": "000", "500": None, "510": "500", "520": "500", "ML": "510", "5": None}
    tree = CategoryTree(Category(code=code, parent=parent, label=code) for code, parent in above.items())

    relatives: list[tuple[str | None, str | None]] = [
        ("510", "500"),
        ("020", "000"),
        ("ML", "510"),
        ("ML", "500"),
        ("QA76", "QA76"),
    ]
    for one, other in relatives:
        assert is_same_class(tree, one, other)
        assert is_same_class(tree, other, one)
    strangers: list[tuple[str | None, str | None]] = [
        ("510", "520"),
        ("5", "500"),
        ("ML", "520"),
        ("QA", "QA76"),
        ("510", None),
        (None, None),
    ]
    for one, other in strangers:
        assert not is_same_class(tree, one, other)
        assert not is_same_class(tree, other, one)
