"""HTML to text: what the page marks as its main part, else all but what it marks as navigation, else trafilatura.

Where a page says which part is which, that is taken word for word: trafilatura loses headings, code blocks,
definition lists or tables on most pages of software manuals. Its sense for menus and teasers is for pages that mark
nothing, and there its text is taken only when no passage that reads like content is missing from it.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from urllib.parse import urljoin

import trafilatura
from lxml import etree
from lxml.html import HtmlElement, HTMLParser, document_fromstring

from app.content.document import Deadline, ExtractedDocument, normalise_text
from app.content.flat_html import flat_blocks
from app.content.html_metadata import read_metadata
from app.content.links import placed
from app.content.media_types import HTML
from app.content.plain_text import decode_text
from app.content.visible_text import Block, anchors_of, is_boilerplate, joined, visible_blocks
from app.errors import BrokenDocument, DocumentTooLarge

logging.getLogger("trafilatura").setLevel(logging.CRITICAL)  # it calls an empty page an error; we have our own

_CHARSET = re.compile(
    rb"<(?:meta|\?xml)[^>]{0,300}?(?:charset|encoding)\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]{2,40})", re.IGNORECASE
)
_CHARSET_WITHIN_BYTES = 4096
_WORD = re.compile(r"\w+")
_MAX_ELEMENTS = 1_000_000  # about 400 bytes each in memory
_MAX_ELEMENTS_FOR_TRAFILATURA = 20_000  # it takes 1 s for about that many
_INTERNAL_SUBSET = re.compile(r"(<!DOCTYPE[^\[>]{0,500})\[.{0,100000}?\]\s*(?=>)", re.IGNORECASE | re.DOTALL)
_DOCTYPE_WITHIN_CHARS = 110_000
_MIN_SHARE_OF_MAIN = 0.5
_PASSAGE_WORDS = 10
_MIN_KEPT_SHARE = 0.98


def extract_html(
    data: bytes,
    *,
    charset: str | None,
    media_type: str = HTML,
    source_url: str | None = None,
    deadline: Deadline,
) -> ExtractedDocument:
    """The main text, the metadata and the links of a page; `charset` is the one its server declared.

    Raises `BrokenDocument` for bytes that no HTML parser can read, `DocumentTooLarge` over a million elements.
    """
    markup = decode_text(data, charset=charset or _declared_charset(data))
    page = parse_html(markup)
    deadline.check()
    main = None if page.is_cut else _marked_main(page.tree)
    text, blocks = _text_of(page, main, markup=markup, deadline=deadline)
    text = normalise_text(text)
    about = read_metadata(page.tree, main=main if main is not None else page.tree)
    return ExtractedDocument(
        text=text,
        title=about.title,
        authors=about.authors,
        publisher=about.publisher,
        description=about.description,
        subjects=about.subjects,
        date_created=about.date_created,
        date_modified=about.date_modified,
        declared_language=about.language,
        media_type=media_type,
        doi=about.doi,
        arxiv_id=about.arxiv_id,
        links=placed(anchors_of(blocks), text, base=_base(page.tree, source_url)),
    )


def _declared_charset(data: bytes) -> str | None:
    match = _CHARSET.search(data, 0, _CHARSET_WITHIN_BYTES)
    return match[1].decode("ascii") if match else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedPage:
    """A tree. `is_cut`: the page is nested deeper than a tree can be, and what comes after that place is not in it."""

    tree: HtmlElement
    is_cut: bool


def parse_html(markup: str) -> ParsedPage:
    """The tree of a page or a piece of one; raises `BrokenDocument`, `DocumentTooLarge`, `MemoryError`."""
    # huge_tree: 2048 levels instead of 256, and no limit of 10 MB for one script, attribute or text.
    parser = HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, huge_tree=True)
    markup = _INTERNAL_SUBSET.sub(r"\1", markup[:_DOCTYPE_WITHIN_CHARS], count=1) + markup[_DOCTYPE_WITHIN_CHARS:]
    cleaned = markup.replace("\x00", "\ufffd").encode("utf-8", "replace")
    try:
        tree: HtmlElement = document_fromstring(cleaned, parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError) as error:
        if getattr(error, "code", None) == etree.ErrorTypes.ERR_NO_MEMORY:
            raise MemoryError from error
        raise BrokenDocument(f"the page cannot be parsed: {str(error)[:200]}") from error
    if sum(1 for _ in tree.iter()) > _MAX_ELEMENTS:
        raise DocumentTooLarge(f"the page has more than {_MAX_ELEMENTS} elements")
    is_cut = any(entry.level == etree.ErrorLevels.FATAL for entry in parser.error_log)
    return ParsedPage(tree=tree, is_cut=is_cut)


def _base(tree: HtmlElement, source_url: str | None) -> str | None:
    """What relative links of the page are relative to: its `base` element, else its address."""
    declared: str | None = next((element.get("href") for element in tree.iter("base") if element.get("href")), None)
    if declared is None:
        return source_url
    try:
        return urljoin(source_url or "", declared.strip())
    except ValueError:
        return source_url


def _text_of(page: ParsedPage, main: HtmlElement | None, *, markup: str, deadline: Deadline) -> tuple[str, list[Block]]:
    """The text, and the blocks whose links are in it."""
    if page.is_cut:
        blocks = flat_blocks(markup)
        return joined(blocks), blocks
    if main is not None:
        blocks = visible_blocks(main)
        return joined(blocks), blocks
    return _text_around_navigation(page.tree, deadline=deadline)


def _marked_main(tree: HtmlElement) -> HtmlElement | None:
    """The element that the page calls its main part; of several articles, the one with half of all their text."""
    for path in ("//main | //*[@role='main']", "//article[not(ancestor::article)]"):
        found = [element for element in tree.xpath(path) if not is_boilerplate(element)]
        sizes = [len(element.text_content()) for element in found]
        if found and max(sizes) > _MIN_SHARE_OF_MAIN * sum(sizes):
            return found[sizes.index(max(sizes))]
    return None


def _text_around_navigation(tree: HtmlElement, *, deadline: Deadline) -> tuple[str, list[Block]]:
    body = tree.find("body")
    root = body if body is not None else tree
    blocks = visible_blocks(root)
    if _marks_navigation(root):
        return joined(blocks), blocks
    deadline.check()
    blocks = without_menus(blocks)
    if sum(1 for _ in root.iter()) > _MAX_ELEMENTS_FOR_TRAFILATURA:
        return joined(blocks), blocks
    chosen = trafilatura.bare_extraction(tree, fast=True, include_comments=False, include_tables=True)
    text: str = getattr(chosen, "text", None) or ""
    return (text if kept_share(blocks, text) >= _MIN_KEPT_SHARE else joined(blocks)), blocks


def _marks_navigation(root: HtmlElement) -> bool:
    return any(
        is_boilerplate(element) for element in root.iter("div", "nav", "footer", "header", "ul", "table", "aside")
    )


def without_menus(blocks: list[Block]) -> list[Block]:
    """The blocks without the runs of four or more links before and after everything else."""
    if all(block.is_menu_like for block in blocks):
        return blocks
    first = next(index for index, block in enumerate(blocks) if not block.is_menu_like)
    last = next(index for index, block in enumerate(reversed(blocks)) if not block.is_menu_like)
    start = first if first >= 4 else 0
    end = len(blocks) - last if last >= 4 else len(blocks)
    return blocks[start:end]


def kept_share(blocks: list[Block], text: str) -> float:
    """The share of words, in passages of ten words or more that are not links, whose passage is in `text`."""
    kept = total = 0
    within = " ".join(_WORD.findall(text))
    for block in blocks:
        words = _WORD.findall(block.text)
        if len(words) >= _PASSAGE_WORDS and not block.is_menu_like:
            total += len(words)
            kept += len(words) if " ".join(words) in within else 0
    return kept / total if total else float(bool(within) or not blocks)
