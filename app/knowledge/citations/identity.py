"""Identity: the keys by which a document of the library is found when others cite it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from app.knowledge.citations.addresses import page_key, url_key
from app.knowledge.citations.identifiers import key_of

# A document that is an RFC says so where its title begins: "RFC 9110: HTTP Semantics", "RFC 9110 - HTTP Semantics".
_RFC_TITLE = re.compile(r"\s*RFC[\s-]?0{0,4}([1-9]\d{0,4})(?:\s*[:\u2013\u2014-]|\s*$)")
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


def _of_scheme(scheme: str, value: str | None) -> str | None:
    """A DOI of an RFC or of arXiv has the key of that; anything of another scheme is a mistake."""
    key = (url_key(value.strip()) or key_of(value)) if value else None
    return key if key and (key.startswith(f"{scheme}:") or (scheme == "doi" and not key.startswith("url:"))) else None
