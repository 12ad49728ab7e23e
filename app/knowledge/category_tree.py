"""Category tree: codes below codes, each with the phrases that say in common words what belongs there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

_BETWEEN_PHRASES = re.compile(r"[,;\n]+")
PHRASES_MAX = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """One code; `parent` None: a class of its own."""

    code: str
    parent: str | None
    label: str
    description: str = ""

    @property
    def phrases(self) -> list[str]:
        """Label and description, phrase by phrase; the first `PHRASES_MAX` of them."""
        parts = (self.label, *_BETWEEN_PHRASES.split(self.description))
        return list(dict.fromkeys(part.strip() for part in parts if part.strip()))[:PHRASES_MAX]


class CategoryTree:
    """All codes. No code is its own ancestor: who changes the tree sees to that."""

    def __init__(self, categories: Iterable[Category]) -> None:
        self.categories: Mapping[str, Category] = {one.code: one for one in sorted(categories, key=lambda c: c.code)}
        self._children: dict[str, list[str]] = {code: [] for code in self.categories}
        self.roots: list[str] = []
        for one in self.categories.values():
            siblings = self.roots if one.parent is None else self._children[one.parent]
            siblings.append(one.code)

    def __iter__(self) -> Iterator[str]:
        return iter(self.categories)

    def __contains__(self, code: object) -> bool:
        return code in self.categories

    def children(self, code: str) -> list[str]:
        """The codes right below, in order."""
        return self._children[code]

    def path(self, code: str) -> list[str]:
        """From the code up to its class."""
        found = [code]
        while (parent := self.categories[found[-1]].parent) is not None:
            found.append(parent)
        return found

    def root_of(self, code: str) -> str:
        """The class that a code belongs to."""
        return self.path(code)[-1]

    def subtree(self, code: str) -> list[str]:
        """The code and all below it."""
        return [code, *(below for child in self.children(code) for below in self.subtree(child))]
