from __future__ import annotations

import pytest

from app.knowledge.page_rank import page_ranks


def test_the_example_of_the_equations_is_reproduced() -> None:
    """b and c cite a: x = 0.05 + 0.85·x(a)/3 for those that nobody cites, since a, citing none, gives to all three."""
    ranks = page_ranks([("b", "a"), ("c", "a")])
    base = 0.05 + 0.85 * ranks["a"] / 3

    assert ranks["b"] == ranks["c"] == pytest.approx(base, abs=1e-6)
    assert ranks["a"] == pytest.approx(base + 0.85 * 2 * base, abs=1e-6)
    assert sum(ranks.values()) == pytest.approx(1)


def test_nothing_linked_has_no_ranks() -> None:
    assert page_ranks([]) == {}
