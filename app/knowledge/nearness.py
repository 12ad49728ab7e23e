"""Nearness of two documents: what they say, how they are labelled, and whether citations lead from one to the other.

    content = 0.6 · cosine of the mean vectors + 0.3 · Jaccard index of the tags + 0.1 · same class
    linked  = 0.5 · 0.5^(hops - 1), or 0
    nearness = 1 - (1 - content) · (1 - linked)

The weights of the first line are the project's own. A citation is evidence of another kind, so it is joined as
independent evidence is, by the noisy-or of Pearl, "Probabilistic Reasoning in Intelligent Systems", 1988, section 4.3:
nearness stays in 0..1, and neither kind can take away from the other. A direct citation counts as much as a cosine of
0.83 does, and each further hop half as much as the one before.
"""

from __future__ import annotations

from collections.abc import Sequence

from app.knowledge.category_tree import CategoryTree

VECTOR_WEIGHT = 0.6
TAGS_WEIGHT = 0.3
CLASS_WEIGHT = 0.1
LINKED_AT_ONE_HOP = 0.5


def nearness(*, cosine: float, tags: float, same_class: bool, hops: int | None) -> float:
    """All arguments and the result in 0..1, but for `hops`: 1, 2, … along citations, None where none leads."""
    content = VECTOR_WEIGHT * max(0.0, min(1.0, cosine)) + TAGS_WEIGHT * tags + CLASS_WEIGHT * same_class
    linked = LINKED_AT_ONE_HOP**hops if hops else 0.0
    return 1 - (1 - content) * (1 - linked)


def jaccard(one: Sequence[str], other: Sequence[str]) -> float:
    """Common tags by all tags, ignoring case; 0 without any (Jaccard 1901)."""
    first, second = ({tag.casefold() for tag in tags} for tags in (one, other))
    return len(first & second) / len(first | second) if first or second else 0.0


def is_same_class(tree: CategoryTree, one: str | None, other: str | None) -> bool:
    """The same category, or one above the other. A code that is not in the tree is above and below none."""
    if not one or not other:
        return False
    return one == other or (one in tree and other in tree.path(one)) or (other in tree and one in tree.path(other))
