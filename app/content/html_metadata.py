"""What an HTML page says about itself: meta tags (Dublin Core, Open Graph, Highwire), JSON-LD, and its bylines."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from email.utils import parsedate_to_datetime

from lxml.html import HtmlElement

from app.content.document import one_line, split_subjects
from app.knowledge.author_lists import split_names
from app.knowledge.author_names import parse_name
from app.knowledge.citations.identity import stated_identifiers

_NUMBER_ID, _TITLE_ID = "rfcnum", "title"  # of the two headings that xml2rfc writes: "RFC 9110" and what it is about
_TITLE = ("citation_title", "dc.title", "dcterms.title", "og:title", "twitter:title")
_AUTHORS = ("citation_author", "dc.creator", "dcterms.creator", "author", "article:author")
_PUBLISHER = ("citation_publisher", "dc.publisher", "dcterms.publisher", "og:site_name")
_DESCRIPTION = ("description", "dc.description", "dcterms.description", "dcterms.abstract", "og:description")
_SUBJECTS = ("keywords", "citation_keywords", "dc.subject", "dcterms.subject", "article:tag")
_CREATED_WORDS = (
    "citation_publication_date citation_date citation_online_date dc.date.issued dcterms.issued dc.date.created "
    "dcterms.created dc.date dcterms.date article:published_time date"
)
_CREATED = tuple(_CREATED_WORDS.split())
_MODIFIED = ("dc.date.modified", "dcterms.modified", "article:modified_time", "og:updated_time", "last-modified")
_IDENTIFIERS = ("citation_doi", "prism.doi", "bepress_citation_doi", "dc.identifier", "dcterms.identifier")
_ARXIV = "citation_arxiv_id"
_ISO_DATE = re.compile(r"(\d{4})(?:[-/](\d{1,2})(?:[-/](\d{1,2}))?)?(?![\d:])")
_PUBLISHED = frozenset(("published", "pubdate", "dt-published", "datepublished"))
_MAX_JSON_LD_CHARS = 500_000
_MAX_VALUES = 50
_AUTHOR_FIELD = re.compile(r"\s*authors?\s*:?\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class PageMetadata:
    """Fields as in `ExtractedDocument`; `language` is the tag the page declares, unchecked."""

    title: str | None
    authors: tuple[str, ...]
    publisher: str | None
    description: str | None
    subjects: tuple[str, ...]
    date_created: date | None
    date_modified: date | None
    language: str | None
    doi: str | None
    arxiv_id: str | None


def read_metadata(tree: HtmlElement, *, main: HtmlElement) -> PageMetadata:
    """Read the page's own statements; a date is never guessed from its prose.

    The heading of `main` is the title when `<title>` only adds the site's name to it.
    """
    meta = _meta_tags(tree)
    linked = _json_ld(tree)
    doi, arxiv_id = stated_identifiers(_stated_identifiers(meta))
    authors = _values(meta, _AUTHORS) or _names(linked.get("author")) or _bylines(main)
    return PageMetadata(
        title=_first(meta, _TITLE) or _title(tree, main=main) or _text(linked.get("headline")),
        authors=tuple(name for name in authors if "://" not in name),
        publisher=_first(meta, _PUBLISHER) or next(iter(_names(linked.get("publisher"))), None),
        description=_first(meta, _DESCRIPTION) or _text(linked.get("description")),
        subjects=split_subjects(_values(meta, _SUBJECTS)),
        date_created=_date(meta, _CREATED, linked.get("datePublished") or linked.get("dateCreated"))
        or _marked_date(tree),
        date_modified=_date(meta, _MODIFIED, linked.get("dateModified")),
        language=_language(tree, meta),
        doi=doi,
        arxiv_id=arxiv_id,
    )


def parse_date(text: str) -> date | None:
    """ISO 8601 (also with slashes, also without day or month) or RFC 5322; `None` for anything else."""
    if match := _ISO_DATE.match(text.strip()):
        try:
            return date(int(match[1]), int(match[2] or 1), int(match[3] or 1))
        except ValueError:
            return None
    try:
        return parsedate_to_datetime(text).date()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def heading_text(element: HtmlElement) -> str | None:
    """The words of a heading without the sign that links to it."""
    parts = element.xpath(".//text()[not(ancestor::a[contains(@class, 'headerlink') or contains(@class, 'anchor')])]")
    return one_line("".join(parts).rstrip(" ¶#"))


def _meta_tags(tree: HtmlElement) -> dict[str, list[str]]:
    tags: dict[str, list[str]] = defaultdict(list)
    for tag in tree.iter("meta"):
        name = tag.get("name") or tag.get("property") or tag.get("http-equiv")
        value = one_line(tag.get("content"))
        if name and value and len(tags[name.lower()]) < _MAX_VALUES:
            tags[name.lower()].append(value)
    return tags


def _first(meta: dict[str, list[str]], names: tuple[str, ...]) -> str | None:
    return next((meta[name][0] for name in names if meta.get(name)), None)


def _values(meta: dict[str, list[str]], names: tuple[str, ...]) -> tuple[str, ...]:
    """The values of the first of `names` that the page uses: sites repeat the same under several."""
    return next((tuple(dict.fromkeys(meta[name])) for name in names if meta.get(name)), ())


def _stated_identifiers(meta: dict[str, list[str]]) -> Iterator[str]:
    for name in _IDENTIFIERS:
        yield from meta.get(name, ())
    yield from (f"arXiv:{number}" for number in meta.get(_ARXIV, ()))


def _title(tree: HtmlElement, *, main: HtmlElement) -> str | None:
    title = next((one_line(element.text) for element in tree.iter("title") if element.text), None)
    headings = [text for element in main.iter("h1") if (text := heading_text(element))]
    is_memo = any(element.get("id") == _NUMBER_ID for element in main.iter("h1"))
    called = (element for element in main.iter("h1") if is_memo and element.get("id") == _TITLE_ID)
    named = next((text for element in called if (text := heading_text(element))), None)
    if named is not None and (title is None or named in title):
        return named
    if headings and (title is None or headings[0] in title):
        return headings[0]
    if title is None:
        title = _styled_heading(main)
    return title or next((text for element in main.iter("h2") if (text := heading_text(element))), None)


def _styled_heading(main: HtmlElement) -> str | None:
    """In a `<pre>`: the first element of class `h1`, and those after it with but space between, each a line of it."""
    lines: list[str] = []
    element = next(iter(main.xpath("(.//pre//*[@class='h1'])[1]")), None)
    while element is not None and element.get("class") == "h1" and len(lines) < _MAX_VALUES:
        lines.append(heading_text(element) or "")
        element = element.getnext() if not (element.tail or "").strip() else None
    return one_line(" ".join(lines))


def _bylines(main: HtmlElement) -> tuple[str, ...]:
    marked = main.xpath(".//*[@rel='author' or @itemprop='author'][position() <= 20]")
    lines = (one_line("".join(element.itertext()), max_chars=200) for element in marked)
    names = tuple(dict.fromkeys(line for line in lines if line and len(line) <= 80))
    return names or tuple(dict.fromkeys(_field_names(main)))


def _field_names(main: HtmlElement) -> Iterator[str]:
    """Of a list of fields, as Docutils and Sphinx write `:Author:`, without the addresses there."""
    for value in _field(main, _AUTHOR_FIELD):
        for name in split_names(one_line(value.text_content()) or ""):
            parsed = parse_name(name)
            if parsed is not None:
                yield parsed.display


def _field(main: HtmlElement, name: re.Pattern[str]) -> list[HtmlElement]:
    """The value of the first such field, if there is one."""
    for term in main.iter("dt"):
        value = term.getnext()
        if value is not None and value.tag == "dd" and name.fullmatch((term.text_content() or "")[:40]):
            return [value]
    return []


def _json_ld(tree: HtmlElement) -> dict[str, object]:
    """The first JSON-LD object that has a date, an author or a headline."""
    for script in tree.iter("script"):
        if script.get("type") != "application/ld+json" or not script.text or len(script.text) > _MAX_JSON_LD_CHARS:
            continue
        try:
            loaded: object = json.loads(script.text, strict=False)
        except (ValueError, RecursionError):
            continue
        for item in _items(loaded):
            if item.keys() & {"datePublished", "author", "headline"}:
                return item
    return {}


def _items(loaded: object) -> Iterator[dict[str, object]]:
    for item in loaded if isinstance(loaded, list) else [loaded]:
        if isinstance(item, dict):
            yield item
            graph = item.get("@graph")
            yield from (node for node in graph if isinstance(node, dict)) if isinstance(graph, list) else ()


def _text(value: object) -> str | None:
    return one_line(value) if isinstance(value, str) else None


def _names(value: object) -> tuple[str, ...]:
    people = value if isinstance(value, list) else [value]
    names = (_text(person.get("name") if isinstance(person, dict) else person) for person in people[:_MAX_VALUES])
    return tuple(dict.fromkeys(name for name in names if name))


def _date(meta: dict[str, list[str]], names: tuple[str, ...], linked: object) -> date | None:
    stated = [value for name in names for value in meta.get(name, [])]
    if isinstance(linked, str):
        stated.append(linked)
    return next((day for value in stated if (day := parse_date(value))), None)


def _marked_date(tree: HtmlElement) -> date | None:
    """The first `<time>` that the page calls its day of publication: by class, or as a microdata property."""
    for element in tree.iter("time"):
        names = f"{element.get('class', '')} {element.get('itemprop', '')}".lower().split()
        if not _PUBLISHED.isdisjoint(names) and (day := parse_date(element.get("datetime") or "")):
            return day
    return None


def _language(tree: HtmlElement, meta: dict[str, list[str]]) -> str | None:
    tag = tree.get("lang") or tree.get("xml:lang") or tree.get("{http://www.w3.org/XML/1998/namespace}lang")
    return tag or _first(meta, ("content-language", "dc.language", "dcterms.language", "og:locale"))
