"""Markdown to text with markdown-it: the words as a reader sees them, without the marks; front matter as metadata."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.token import Token

from app.content.document import Deadline, ExtractedDocument, normalise_text, one_line, split_subjects
from app.content.flat_html import flat_text
from app.content.html import parse_html
from app.content.html_metadata import parse_date
from app.content.links import Trail, placed
from app.content.media_types import MARKDOWN
from app.content.plain_text import decode_text, first_line_title
from app.content.visible_text import joined, visible_blocks
from app.errors import BrokenDocument
from app.knowledge.citations.identity import stated_identifiers

_FRONT_MATTER = re.compile(r"\ufeff?---[ \t]*\n(.{0,20000}?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_FIELD = re.compile(r"([A-Za-z_][\w-]*)[ \t]*:[ \t]*(.*)")
_ITEM = re.compile(r"[ \t]*-[ \t]+(.*)")
# markdown-it reads about 1 MB a second and cannot be stopped; longer sources are kept as they are written.
_MAX_PARSED_CHARS = 2_000_000
_HTML_TAG = re.compile(r"<[!/?A-Za-z][^<>]{0,1000}>")
# markdown-it leaves out blocks that are nested deeper than this, and without it Python's stack would end. Inside a line
# it leaves nothing out, and only takes longer.
_MAX_NESTING = 100
_LINES = MarkdownIt("commonmark").enable("strikethrough")


def _read_lines(state: StateCore) -> None:
    for token in state.tokens:
        if token.type == "inline":
            token.children = token.children or []
            _LINES.inline.parse(token.content, _LINES, state.env, token.children)


_PARSER = MarkdownIt("commonmark", {"maxNesting": _MAX_NESTING}).enable("table")
_PARSER.core.ruler.at("inline", _read_lines)


def extract_markdown(
    data: bytes, *, charset: str | None, source_url: str | None = None, deadline: Deadline
) -> ExtractedDocument:
    """The text, titled by the front matter, the first heading, or a short first line."""
    source = decode_text(data, charset=charset).replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "\ufffd")
    fields, body = front_matter(source)
    heading: str | None = None
    trail = Trail()
    if len(body) <= _MAX_PARSED_CHARS:
        tokens = _PARSER.parse(body)
        deadline.check()
        heading = _first_heading(tokens)
        if all(token.level < _MAX_NESTING - 1 for token in tokens):  # else something may be missing: kept as written
            body = "".join(_pieces(tokens, trail))
    text = normalise_text(body)
    doi, arxiv_id = stated_identifiers(
        (*_all(fields, "doi"), *(f"arXiv:{number}" for number in _all(fields, "arxiv", "eprint")))
    )
    return ExtractedDocument(
        text=text,
        title=_one(fields, "title") or heading or first_line_title(text),
        authors=_all(fields, "author", "authors"),
        publisher=_one(fields, "publisher"),
        description=_one(fields, "description", "summary", "abstract"),
        subjects=split_subjects(_all(fields, "tags", "keywords", "categories")),
        date_created=parse_date(_one(fields, "date", "created") or ""),
        date_modified=parse_date(_one(fields, "updated", "modified", "lastmod") or ""),
        declared_language=_one(fields, "lang", "language"),
        media_type=MARKDOWN,
        doi=doi,
        arxiv_id=arxiv_id,
        links=placed(trail.anchors, text, base=source_url),
    )


def front_matter(source: str) -> tuple[dict[str, list[str]], str]:
    """The `key: value` and `- item` lines between two `---` at the top, and the rest; nested values are left out."""
    match = _FRONT_MATTER.match(source)
    if match is None:
        return {}, source
    fields: dict[str, list[str]] = {}
    current: list[str] = []
    for line in match[1].split("\n"):
        if field := _FIELD.match(line):
            current = fields.setdefault(field[1].lower(), [])
            current.extend(_scalars(field[2]))
        elif item := _ITEM.match(line):
            current.extend(_scalars(item[1]))
    return fields, source[match.end() :]


def _scalars(value: str) -> list[str]:
    value = value.strip()
    parts = value[1:-1].split(",") if value.startswith("[") and value.endswith("]") else [value]
    cleaned = (one_line(part.strip().strip("\"'")) for part in parts)
    return [part for part in cleaned if part and part not in {"|", ">", "|-", ">-"}]


def _one(fields: dict[str, list[str]], *names: str) -> str | None:
    return next((fields[name][0] for name in names if fields.get(name)), None)


def _all(fields: dict[str, list[str]], *names: str) -> tuple[str, ...]:
    return next((tuple(dict.fromkeys(fields[name])) for name in names if fields.get(name)), ())


def _first_heading(tokens: list[Token]) -> str | None:
    for token, following in pairwise(tokens):
        if token.type == "heading_open":
            return one_line("".join(_inline(following, Trail())))
    return None


def _pieces(tokens: list[Token], trail: Trail) -> Iterator[str]:
    for token in tokens:
        if token.type == "inline":
            yield from _inline(token, trail)
            yield "\n"
        elif token.type in {"fence", "code_block"}:
            trail.see(token.content)
            yield token.content + "\n"
        elif token.type == "html_block":
            text = _without_tags(token.content)
            trail.see(text)
            yield text + "\n"
        elif token.nesting == -1 and (token.level == 0 or token.type == "paragraph_close"):
            yield "" if token.hidden else "\n"


def _inline(token: Token, trail: Trail) -> Iterator[str]:
    for child in token.children or ():
        if child.type in {"softbreak", "hardbreak"}:
            trail.see("\n")
            yield "\n"
        elif child.type in {"text", "code_inline", "image"}:  # of an image, its description
            trail.see(child.content)
            yield child.content
        elif child.type == "link_open":
            trail.open(child.attrGet("href"))
        elif child.type == "link_close":
            trail.close()


def _without_tags(markup: str) -> str:
    try:
        page = parse_html(markup)
        return flat_text(markup) if page.is_cut else joined(visible_blocks(page.tree))
    except BrokenDocument:  # a comment alone, or nothing that a parser calls an element
        return _HTML_TAG.sub(" ", markup)
