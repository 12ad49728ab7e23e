"""Web addresses in a text, in the one form in which two of the same page are equal, and the works they stand for."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote, urlsplit

from app.knowledge.citations.identifiers import WIDE_MARKS, arxiv_key, doi_key, without_closing

_MAX_CHARS = 2000
_KEY_CHARS = 300
_LABEL_CHARS = 63  # of a host (RFC 1035); what is longer is none
_ADDRESS = re.compile(
    rf"""(?:https?|ftp):\n?//\n?[^\s"<>{{}}|\\^`\u201c\u201d{WIDE_MARKS}]{{1,{_MAX_CHARS}}}"""
    rf"""|(?a:(?<![\w@/.]))www\.[^\s"<>{{}}|\\^`{WIDE_MARKS}]{{3,{_MAX_CHARS}}}"""
)
# RFC 3986, appendix C: between angle brackets a line end is none of the address.
_BRACKETED = re.compile(r"[ \t]{0,3}\n[ \t]{0,20}([^\s\"<>{}|\\^`]{1,500})>")
# As PDFs break them: after a mark, and what follows is no word.
_BROKEN = re.compile(r"[ \t]?\n[ \t]{0,8}((?=[^\s\"<>]{0,200}[/=?&])[\w~%][^\s\"<>{}|\\^`\u201c\u201d]{1,500})")
_GOES_ON = (".", "/", "-", "_", "=", "?", "&")
_HOST = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{1,62}\.?|\[[0-9a-f:.]+\]|\d{1,3}(?:\.\d{1,3}){3}|localhost"
)
_DEFAULT_PORTS = {"http": 80, "https": 443, "ftp": 21}
_TRACKING = re.compile(r"(?:utm_\w+|fbclid|gclid|mc_cid|mc_eid)(?:=.*)?", re.IGNORECASE)
_RFC_HOSTS = re.compile(r"(?:www\.|datatracker\.|tools\.)?(?:rfc-editor|ietf)\.org|(?:www\.)?(?:faqs|rfc-archive)\.org")
_RFC_PATH = re.compile(r"/(?:[\w.-]+/){0,4}rfc0*([1-9]\d{0,4})(?:\.\w{2,5})?/?", re.IGNORECASE)
_ARXIV_PATH = re.compile(
    r"/(?:abs|pdf|html|format)/((?:[a-z-]{2,12}(?:\.[A-Za-z]{2})?/)?[\d.]{4,12}(?:v\d{1,3})?)(?:\.pdf)?/?"
)
_PUBMED_PATH = re.compile(r"(?:/pubmed)?/(\d{1,8})/?")
# Atypon's publishers; Springer, Frontiers, BMC, OUP and others that name the sort of work there.
_DOI_IN_PATH = re.compile(
    r"(?:/doi(?:/(?:abs|full|pdf|epdf|pdfplus|book|ref|suppl|figure|citedby|full-xml))?|/(?:articles?|chapter|book))"
    r"/(10\.\d{4,9}/.{1,250})"
)
_AFTER_DOI = re.compile(r"/(?:abstract|full|pdf|epdf|fulltext|summary|references|html|meta)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    scheme: str
    host: str
    port: int | None
    path: str
    query: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """An address at `start..end` of a text; `url` has a scheme."""

    url: str
    start: int
    end: int


def addresses(text: str) -> Iterator[Address]:
    """Every address in the text, without the punctuation around it."""
    for match in _ADDRESS.finditer(text):
        found, end = match[0], match.end()
        rest = None
        if text[max(0, match.start() - 5) : match.start()].upper().removesuffix("URL:").endswith("<"):
            rest = _BRACKETED.match(text, end)
        elif found.endswith(_GOES_ON):
            rest = _BROKEN.match(text, end)
        if rest:
            found, end = found + rest[1], rest.end(1)
        url = without_closing(found)
        end -= len(found) - len(url)
        url = url.replace("\n", "")
        url = url if "://" in url else f"http://{url}"
        if host_of(url):
            yield Address(url=url, start=match.start(), end=end)


def host_of(url: str) -> str:
    """The host in lower case; empty when this is no address of the web."""
    parts = _parsed(url)
    return parts.host if parts else ""


def url_key(url: str) -> str | None:
    """The key of the work that an address stands for: of its DOI and the like, or of the page; None for no address.

    Pages compare without scheme, `www.`, default port, fragment, tracking parameters and a slash at the end.
    """
    parts = _parsed(url)
    return (_work_key(parts.host, parts.path) or page_key(url)) if parts else None


def page_key(url: str) -> str | None:
    """The key of the page itself, whatever work it is about."""
    parts = _parsed(url)
    if parts is None:
        return None
    port = f":{parts.port}" if parts.port and parts.port != _DEFAULT_PORTS[parts.scheme] else ""
    query = "&".join(part for part in parts.query.split("&") if part and not _TRACKING.fullmatch(part))
    path = _unquoted(parts.path).rstrip("/")
    key = f"url:{parts.host.removeprefix('www.')}{port}{path}{'?' + query if query else ''}"
    if len(key) <= _KEY_CHARS:
        return key
    return f"url:sha256-{hashlib.sha256(key.encode('utf-8', 'replace')).hexdigest()}"


@lru_cache(maxsize=64)  # each address is asked about three times in a row
def _parsed(url: str) -> _Parts | None:
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme.lower(), _in_letters_of_dns(parts.hostname or ""), parts.port
    except ValueError:
        return None
    if scheme not in _DEFAULT_PORTS or not _HOST.fullmatch(f"[{host}]" if ":" in host else host):
        return None
    return _Parts(scheme=scheme, host=host, port=port, path=parts.path, query=parts.query)


def _in_letters_of_dns(host: str) -> str:
    """As servers are asked for it and as libraries store it: `例え.jp` is `xn--r8jz45g.jp` (RFC 3492).

    Without the tables of IDNA: they would take half a second for as many hosts as one text may name.
    """
    if host.isascii():
        return host.lower()
    labels = unicodedata.normalize("NFKC", host).lower().split(".")
    return ".".join(
        label if label.isascii() or len(label) > _LABEL_CHARS else f"xn--{label.encode('punycode').decode('ascii')}"
        for label in labels
    )


def _work_key(host: str, path: str) -> str | None:
    path = _unquoted(path)
    if host in {"doi.org", "dx.doi.org", "www.doi.org"}:
        doi = without_closing(path.lstrip("/").removeprefix("doi:"))
        return doi_key(doi) if re.match(r"10\.\d{4,9}/.", doi) else None
    if host.removeprefix("www.").removeprefix("export.") == "arxiv.org" and (match := _ARXIV_PATH.fullmatch(path)):
        return arxiv_key(match[1].rstrip("."))
    if _RFC_HOSTS.fullmatch(host) and (match := _RFC_PATH.fullmatch(path)):
        return f"rfc:{match[1]}"
    if host == "pubmed.ncbi.nlm.nih.gov" or (host == "www.ncbi.nlm.nih.gov" and path.startswith("/pubmed/")):
        match = _PUBMED_PATH.fullmatch(path)
        return f"pmid:{int(match[1])}" if match else None
    if match := _DOI_IN_PATH.fullmatch(path):
        return doi_key(_AFTER_DOI.sub("", without_closing(match[1])))
    return None


def _unquoted(path: str) -> str:
    """Percent signs of characters that need none, undone once; what is no UTF-8 stays as it is written."""
    if "%" not in path:
        return path
    try:
        plain = unquote(path, errors="strict")
    except UnicodeDecodeError:
        return path
    return plain if plain.isprintable() else path
