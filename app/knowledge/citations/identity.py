"""Identity: the keys by which a document of the library is found when others cite it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from app.knowledge.citations.addresses import addresses, page_key, url_key
from app.knowledge.citations.identifiers import Identifier, identifiers, key_of
from app.knowledge.citations.reference_list import before_references

# A document that is an RFC says so where its title begins: "RFC 9110: HTTP Semantics", "RFC 9110 - HTTP Semantics".
_RFC_TITLE = re.compile(r"\s*RFC[\s-]?0{0,4}([1-9]\d{0,4})(?:\s*[:\u2013\u2014-]|\s*$)")
# How a line begins where a paper states its own identifier, and how it may end: arXiv's stamp has a subject class and a
# day there.
_STATES = re.compile(
    r"[ \t]*(?:doi[ \t]*:?[ \t]*(?=10\.|https?:)|(?=arxiv[ \t]*[:.])|(?=https?://(?:dx\.)?doi\.org/))", re.IGNORECASE
)
_STATED = re.compile(r"[ \t]*\.?[ \t]*(?:\[[\w.-]{1,20}\](?:[ \t]+[\w ]{1,20})?)?[ \t]*")
_FIRST_PAGE_CHARS = 20_000
_ARXIV_PREFIX = re.compile(r"\s*arxiv\s*:\s*", re.IGNORECASE)


def identity_keys(
    *, doi: str | None, arxiv_id: str | None, identifier: str | None, addresses: tuple[str | None, ...], title: str
) -> frozenset[str]:
    """The keys of a document with this metadata; what is no identifier gives none."""
    found = {
        _of_scheme("doi", doi),
        _of_scheme("arxiv", f"arXiv:{_ARXIV_PREFIX.sub('', arxiv_id)}" if arxiv_id else None),
    }
    if identifier:
        found |= {url_key(identifier.strip()), key_of(identifier)}
    for address in addresses:
        if address:
            found |= {url_key(address), page_key(address)}
    if match := _RFC_TITLE.match(title):
        found.add(f"rfc:{match[1]}")
    return frozenset(key for key in found if key)


def stated_identifiers(values: Iterable[str]) -> tuple[str | None, str | None]:
    """DOI and arXiv number among what a document states as its own identifiers; the first of each."""
    found: dict[str, str] = {}
    for value in values:
        scheme, _, number = (url_key(value.strip()) or key_of(value) or "").partition(":")
        found.setdefault(scheme, number)
    doi = found.get("doi") or (f"10.17487/RFC{int(found['rfc']):04}" if "rfc" in found else None)
    return doi, found.get("arxiv")


def printed_identifiers(first_page: str) -> tuple[str | None, str | None]:
    """DOI and arXiv number that a paper prints on its first page as its own, before any list of references.

    On a line of its own, and as the only one of its scheme on the page: of two, either may be of a cited work.
    """
    page = before_references(first_page[:_FIRST_PAGE_CHARS])
    found = [*identifiers(page), *_in_addresses(page)]
    own: dict[str, str] = {}
    for scheme in ("doi", "arxiv"):
        of_scheme = [one for one in found if one.key.startswith(f"{scheme}:")]
        if len({one.key for one in of_scheme}) == 1 and any(_is_stated(page, one) for one in of_scheme):
            own[scheme] = of_scheme[0].key.partition(":")[2]
    return own.get("doi"), own.get("arxiv")


def _is_stated(page: str, one: Identifier) -> bool:
    """A line that goes on from the one before is none of its own."""
    begin = page.rfind("\n", 0, one.start) + 1
    end = page.find("\n", one.end)
    before, states = page[max(0, begin - 200) : begin].rstrip(), _STATES.match(page, begin)
    stands_alone = (
        states and states.end() == one.start and _STATED.fullmatch(page, one.end, end if end >= 0 else len(page))
    )
    return bool(stands_alone) and not before.endswith((",", ";", ":"))


def _in_addresses(page: str) -> Iterator[Identifier]:
    for one in addresses(page):
        if key := url_key(one.url):
            yield Identifier(key=key, start=one.start, end=one.end)


def _of_scheme(scheme: str, value: str | None) -> str | None:
    """A DOI of an RFC or of arXiv has the key of that; anything of another scheme is a mistake."""
    key = (url_key(value.strip()) or key_of(value)) if value else None
    return key if key and (key.startswith(f"{scheme}:") or (scheme == "doi" and not key.startswith("url:"))) else None
