"""Markdown to text with pulldown-cmark: the words as a reader sees them, without the marks; front matter as metadata.

Its time and its stack are bounded for any source, and it leaves nothing out however deeply a source is nested.
"""

from __future__ import annotations

import re
from typing import Any

import pyromark
from pyromark.event import Event

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

_FRONT_MATTER = re.compile(r"\ufeff?---[ \t]*\n(?![ \t]*\n)(.{0,20000}?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_FIELD = re.compile(r"([A-Za-z_][\w-]*)[ \t]*:[ \t]*(.*)")
_ITEM = re.compile(r"[ \t]*-[ \t]+(.*)")
_HTML_TAG = re.compile(r"<[!/?A-Za-z][^<>]{0,1000}>")
_HTML_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_HTML_BREAK = re.compile(r"<br\b", re.IGNORECASE)
_LINE_BREAKS = frozenset({"HardBreak", "SoftBreak"})
_WORDS = frozenset({"Code", "Text"})
# Within an item of a list, text need not be a paragraph: these break its line.
_ON_NEW_LINE = frozenset({"BlockQuote", "CodeBlock", "Heading", "HtmlBlock", "List", "Table"})
_AFTER = {"Paragraph": "\n\n", "Heading": "\n\n", "TableCell": " ", "TableHead": "\n", "TableRow": "\n"}
_AFTER |= dict.fromkeys(("BlockQuote", "CodeBlock", "HtmlBlock", "Item", "List", "Table"), "\n")
_OPTIONS = pyromark.Options.ENABLE_TABLES | pyromark.Options.ENABLE_STRIKETHROUGH
# A parser of HTML is started for each of these; of more, only the tags are taken out.
_MAX_PARSED_HTML_BLOCKS = 2_000


def extract_markdown(
    data: bytes, *, charset: str | None, source_url: str | None = None, deadline: Deadline
) -> ExtractedDocument:
    """The text, titled by the front matter, the first heading, or a short first line."""
    source = decode_text(data, charset=charset).replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "\ufffd")
    fields, body = front_matter(source)
    reader = _Reader()
    for event in pyromark.events(body, options=_OPTIONS):
        reader.read(event)
    deadline.check()
    text = normalise_text("".join(reader.pieces))
    doi, arxiv_id = stated_identifiers(
        (*_all(fields, "doi"), *(f"arXiv:{number}" for number in _all(fields, "arxiv", "eprint")))
    )
    return ExtractedDocument(
        text=text,
        title=_one(fields, "title") or reader.heading or first_line_title(text),
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
        links=placed(reader.trail.anchors, text, base=source_url),
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


class _Reader:
    """What the parser says, event by event, as pieces of text, with the first heading and the links among them."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.trail = Trail()
        self.heading: str | None = None
        self._heading_from = 0
        self._html: list[str] = []
        self._html_blocks = 0

    def read(self, event: Event) -> None:
        """The next event; HTML within a line leaves no text, but a `<br>` parts words, as a rule parts lines."""
        if isinstance(event, str):
            if event in _LINE_BREAKS:
                self._see("\n")
            elif event == "Rule":
                self._end_line()
            return
        [(kind, said)] = event.items()
        if kind in _WORDS:
            self._see(str(said))
        elif kind == "Html":
            self._html.append(str(said))
        elif kind == "InlineHtml":
            self._see("\n" if _HTML_BREAK.match(str(said)) else "")
        elif kind == "Start":
            self._begin(*_tag(said))
        elif kind == "End":
            self._end(_tag(said)[0])

    def _begin(self, tag: str, about: Any) -> None:
        if tag == "Link":
            self.trail.open(_address(about))
        elif tag in _ON_NEW_LINE:
            self._end_line()
        if tag == "Heading":
            self._heading_from = len(self.pieces)

    def _end_line(self) -> None:
        if self.pieces and not self.pieces[-1].endswith("\n"):
            self.pieces.append("\n")

    def _see(self, text: str) -> None:
        self.trail.see(text)
        self.pieces.append(text)

    def _end(self, tag: str) -> None:
        if tag == "Link":
            self.trail.close()
        elif tag == "HtmlBlock":
            self._end_html()
        elif tag == "Heading" and self.heading is None:
            self.heading = one_line("".join(self.pieces[self._heading_from :]))
        self.pieces.append(_AFTER.get(tag, ""))

    def _end_html(self) -> None:
        markup = "".join(self._html)
        self._html.clear()
        self._html_blocks += 1
        is_parsed = self._html_blocks <= _MAX_PARSED_HTML_BLOCKS
        self._see(_without_tags(markup) if is_parsed else _only_tags_out(markup))


def _tag(said: Any) -> tuple[str, Any]:
    """Its name, and what else is known of it."""
    return (said, None) if isinstance(said, str) else next(iter(said.items()))


def _address(link: dict[str, Any]) -> str:
    address: str = link["dest_url"].replace(" ", "%20")
    return f"mailto:{address}" if link["link_type"] == "Email" else address


def _without_tags(markup: str) -> str:
    try:
        page = parse_html(markup)
        return flat_text(markup) if page.is_cut else joined(visible_blocks(page.tree))
    except BrokenDocument:  # a comment alone, or nothing that a parser calls an element
        return _only_tags_out(markup)


def _only_tags_out(markup: str) -> str:
    """Without its tags and comments; a comment that does not end is none."""
    ended = markup.rfind("-->") + len("-->") if "-->" in markup else 0  # so that no search for an end is in vain
    return _HTML_TAG.sub(" ", _HTML_COMMENT.sub(" ", markup[:ended]) + markup[ended:])
