"""A hyperlink of a document, and where in its text it stands."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """`href` is absolute, without a fragment; `text` is what is clicked on, `position` characters into the text."""

    href: str
    text: str
    position: int
