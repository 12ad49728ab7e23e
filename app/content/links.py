"""Hyperlinks of a document: noted while it is read, and put where they stand in its text once that is final.

White space changes on the way to the final text, and nothing else does but a few rare characters. So an anchor is noted
by the number of visible characters before it, and then looked for about there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urldefrag, urljoin

from app.content.document import normalise_text
from app.knowledge.citations.link import Link

MAX_LINKS = 5000
_MAX_HREF_CHARS = 2000
_MAX_ANCHOR_CHARS = 300
_NEAR_CHARS = 2000
_WORDS = re.compile(r"\S+")
_KEPT_SCHEMES = ("http://", "https://", "ftp://")


@dataclass(slots=True, kw_only=True)
class Anchor:
    """A link as it was met, `visible_before` visible characters into what was read; `pieces` are what is clicked on."""

    href: str
    visible_before: int
    pieces: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """On one line."""
        return " ".join(normalise_text("".join(self.pieces)).split())[:_MAX_ANCHOR_CHARS]


class Trail:
    """Anchors in the order they are met, and how many visible characters were read."""

    def __init__(self) -> None:
        self.anchors: list[Anchor] = []
        self.visible = 0
        self._open: list[Anchor | None] = []

    def see(self, text: str) -> None:
        """Text that was read."""
        self.visible += sum(map(len, text.split()))
        if self._open and (anchor := self._open[-1]) is not None and len(anchor.pieces) < _MAX_ANCHOR_CHARS:
            anchor.pieces.append(text[:_MAX_ANCHOR_CHARS])

    def open(self, href: object) -> None:
        """An anchor begins; one without an address leads nowhere."""
        anchor = Anchor(href=href.strip(), visible_before=self.visible) if isinstance(href, str) and href else None
        self._open.append(anchor)
        if anchor is not None and len(self.anchors) < MAX_LINKS:
            self.anchors.append(anchor)

    def close(self) -> None:
        """An anchor ends, if one had begun."""
        if self._open:
            self._open.pop()


def placed(anchors: Iterable[Anchor], text: str, *, base: str | None) -> tuple[Link, ...]:
    """The anchors that lead out of the page, where they stand in its final text; those not found there are left out.

    A link within the page at `base` leads nowhere else, and without a base a relative one cannot be followed.
    """
    leading = [(anchor, href) for anchor in anchors if (href := _absolute(anchor.href, base=base))]
    leading.sort(key=lambda pair: pair[0].visible_before)
    estimates = _estimated([anchor.visible_before for anchor, _ in leading], text)
    found: list[Link] = []
    drift = 0
    for (anchor, href), estimate in zip(leading, estimates, strict=True):
        words = anchor.text
        position = _nearest(text, words.split(" ")[0], about=estimate + drift)
        if position is None:
            continue
        drift = position - estimate
        found.append(Link(href=href, text=words, position=position))
    return tuple(found)


def _absolute(href: str, *, base: str | None) -> str | None:
    if len(href) > _MAX_HREF_CHARS:
        return None
    try:
        address = urldefrag(urljoin(base or "", href)).url
        own = urldefrag(base).url if base else ""
    except ValueError:
        return None
    address = normalise_text(address)
    if (
        not address.lower().startswith(_KEPT_SCHEMES)
        or len(address) > _MAX_HREF_CHARS
        or any(map(str.isspace, address))
    ):
        return None
    return None if address == own else address


def _estimated(visible_before: list[int], text: str) -> list[int]:
    """For each of the rising numbers, where in the text so many visible characters have come before."""
    places: list[int] = []
    seen = 0
    wanted = iter(visible_before)
    next_wanted = next(wanted, None)
    for match in _WORDS.finditer(text):
        length = match.end() - match.start()
        while next_wanted is not None and next_wanted < seen + length:
            places.append(match.start() + next_wanted - seen)
            next_wanted = next(wanted, None)
        if next_wanted is None:
            break
        seen += length
    return places + [len(text)] * (len(visible_before) - len(places))


def _nearest(text: str, word: str, *, about: int) -> int | None:
    """Where `word` stands nearest to a place, not further than 2000 characters."""
    about = min(max(0, about), len(text))
    if not word or text.startswith(word, about):
        return about
    before = text.rfind(word, max(0, about - _NEAR_CHARS), about)
    after = text.find(word, about, about + _NEAR_CHARS + len(word))
    found = [place for place in (before, after) if place >= 0]
    return min(found, key=lambda place: abs(place - about)) if found else None
