"""The text of an HTML tree as a reader sees it: blocks on lines of their own, words whole, menus left out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from lxml.html import HtmlElement

from app.content.links import Anchor, Trail

_UNSEEN_WORDS = (
    "script style noscript template head svg canvas object iframe audio video select button textarea datalist dialog "
    "annotation annotation-xml map rp"
)
_UNSEEN = frozenset(_UNSEEN_WORDS.split())
_BOILERPLATE_TAGS = frozenset(("nav", "footer"))
_BOILERPLATE_ROLES = frozenset(
    ("navigation", "search", "banner", "contentinfo", "menu", "menubar", "toolbar", "dialog")
)
_BOILERPLATE_NAME = re.compile(
    r"(?:^|\s)(?:(?:site|page|main|top|global|wiki|sphinx)?[-_]?"
    r"(?:nav|navbar|navheader|navfooter|navigation|sidebar|breadcrumbs?|menu|footer|cookie-?(?:banner|notice|consent)|"
    r"skip-?link|share-?buttons?)|related|headerlink|permalink|pilcrow|anchorjs-link|mw-editsection)(?:\s|$)",
    re.IGNORECASE,
)
_HIDDEN_STYLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
# Blocks with a blank line around them, and blocks that only begin a new line.
_SPACED_WORDS = "p h1 h2 h3 h4 h5 h6 pre ul ol dl table blockquote section article main figure details fieldset hr"
_SPACED = frozenset(_SPACED_WORDS.split())
_LINES_WORDS = (
    "div li dt dd tr caption thead tbody tfoot figcaption header footer aside address center form summary legend body "
    "hgroup nav optgroup option search menu html"
)
_LINES = frozenset(_LINES_WORDS.split())
_PREFORMATTED = frozenset(("pre", "listing", "xmp", "plaintext"))


@dataclass(slots=True)
class Block:
    """One run of text between block borders. `spaced`: a blank line comes before it.

    `visible_before` are the visible characters read before it, and `anchors` those that begin in it.
    """

    text: str
    linked_chars: int
    spaced: bool
    visible_before: int = 0
    visible: int = 0
    anchors: list[Anchor] = field(default_factory=list)

    @property
    def is_menu_like(self) -> bool:
        """Most of it is links."""
        return self.linked_chars > 0.6 * len(self.text)


def is_boilerplate(element: HtmlElement) -> bool:
    """Whether the page itself marks the element as navigation, as a footer, or as not to be seen."""
    if element.tag in _UNSEEN or element.tag in _BOILERPLATE_TAGS:
        return True
    attributes = element.attrib
    if not attributes:
        return False
    if (
        attributes.get("role") in _BOILERPLATE_ROLES
        or attributes.get("aria-hidden") == "true"
        or "hidden" in attributes
    ):
        return True
    if _HIDDEN_STYLE.search(attributes.get("style", "")):
        return True
    names = f"{attributes.get('class', '')} {attributes.get('id', '')}"
    return names != " " and element.tag not in {"html", "body", "main"} and bool(_BOILERPLATE_NAME.search(names))


def visible_blocks(root: HtmlElement) -> list[Block]:
    """The blocks under `root` in reading order. Walks with a stack of its own, so depth costs no recursion."""
    writer = BlockWriter()
    for step, element in _walk(root):
        if step == "open":
            writer.open(element.tag, href=element.get("href"))
            writer.write(element.text)
            continue
        if step == "close":
            writer.close(element.tag)
        if element is not root:
            writer.write(element.tail)
    writer.end_block(spaced=False)
    return writer.blocks


def joined(blocks: list[Block]) -> str:
    """The blocks as one text, blank lines between the spaced ones."""
    return "".join(("\n\n" if block.spaced else "\n") + block.text for block in blocks).strip("\n")


def anchors_of(blocks: Iterable[Block]) -> list[Anchor]:
    """The anchors of these blocks, counted from the first of them on as if nothing had been left out between."""
    found: list[Anchor] = []
    seen = 0
    for block in blocks:
        shift = seen - block.visible_before
        found += [replace(anchor, visible_before=anchor.visible_before + shift) for anchor in block.anchors]
        seen += block.visible
    return found


def _walk(root: HtmlElement) -> Iterator[tuple[str, HtmlElement]]:
    """Open and close of every element to be read; `skip` for one whose inside is not."""
    stack: list[tuple[HtmlElement, Iterator[HtmlElement]]] = [(root, iter(root))]
    yield "open", root
    while stack:
        element, children = stack[-1]
        child = next(children, None)
        if child is None:
            stack.pop()
            yield "close", element
        elif not isinstance(child.tag, str) or is_boilerplate(child):
            yield "skip", child
        else:
            stack.append((child, iter(child)))
            yield "open", child


class BlockWriter:
    """Collects pieces of text into blocks, as an HTML renderer breaks lines and collapses spaces."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self._pieces: list[str] = []
        self._linked_chars = 0
        self._links = 0
        self._preformatted = 0
        self._spaced = False
        self._trail = Trail()
        self._visible_before = 0
        self._anchors_before = 0

    def open(self, tag: str, *, href: str | None = None) -> None:
        """An element begins; `href` is what an anchor leads to."""
        self._border(tag)
        if tag == "br":
            self._pieces.append("\n")
        elif tag in {"td", "th"}:
            self._pieces.append(" ")
        elif tag == "a":
            self._links += 1
            self._trail.open(href)
        elif tag in _PREFORMATTED:
            self._preformatted += 1

    def close(self, tag: str) -> None:
        """An element ends, if it had begun."""
        self._border(tag)
        if tag == "a":
            self._links = max(0, self._links - 1)
            self._trail.close()
        elif tag in _PREFORMATTED:
            self._preformatted = max(0, self._preformatted - 1)

    def write(self, text: str | None) -> None:
        """Text where the page is now."""
        if text:
            piece = text if self._preformatted else re.sub(r"\s+", " ", text)
            self._pieces.append(piece)
            self._trail.see(piece)
            if self._links:
                self._linked_chars += len(piece)

    def end_block(self, *, spaced: bool) -> None:
        """A border between blocks, or the end of the page."""
        raw = "".join(self._pieces)
        text = raw.strip("\n") if self._preformatted else _collapsed(raw)
        if text.strip():
            block = Block(text=text, linked_chars=self._linked_chars, spaced=self._spaced)
            block.visible_before, block.visible = self._visible_before, self._trail.visible - self._visible_before
            block.anchors = self._trail.anchors[self._anchors_before :]
            self.blocks.append(block)
            self._spaced = False
            self._visible_before, self._anchors_before = self._trail.visible, len(self._trail.anchors)
        self._pieces.clear()
        self._linked_chars = 0
        self._spaced = self._spaced or spaced

    def _border(self, tag: str) -> None:
        if tag in _SPACED:
            self.end_block(spaced=True)
        elif tag in _LINES:
            self.end_block(spaced=False)


def _collapsed(raw: str) -> str:
    lines = (" ".join(line.split()) for line in raw.split("\n"))
    return "\n".join(line for line in lines if line)
