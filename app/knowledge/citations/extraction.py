"""Extraction: the works that a text and its links cite, each once, with where it is cited first and what stands there.

Time is linear in the text: every pattern is bounded, and no place is looked at again for each work found.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from app.knowledge.citations import reference_list
from app.knowledge.citations.addresses import addresses, page_key, url_key
from app.knowledge.citations.identifiers import SCHEMES, identifiers, rank_of
from app.knowledge.citations.link import Link
from app.knowledge.citations.reference_list import Entry
from app.knowledge.citations.source_types import CitationType, type_of

MAX_WORKS = 2000
MAX_MENTIONS = 1000
_MAX_PLACES = 20_000  # of each sort: a text with more is a table of addresses
RAW_CHARS = 600
_BEFORE_CHARS = 120
_AFTER_CHARS = 180


@dataclass(frozen=True, slots=True, kw_only=True)
class CitedWork:
    """A work that a text cites. `keys` are what it may be found by, the surest first; an entry of a list may have none.

    `position` is where it is mentioned first, in characters; `context` the text around that place on one line, `raw`
    the entry of the list of references, else the words of the mention. `work` tells it from the others of its text.
    """

    work: str
    type: CitationType
    keys: tuple[str, ...]
    doi: str | None
    arxiv_id: str | None
    rfc: int | None
    pmid: str | None
    isbn: str | None
    url: str | None
    label: str | None
    raw: str
    context: str
    position: int
    mentions: int


@dataclass(slots=True, kw_only=True)
class _Mention:
    start: int
    end: int
    keys: tuple[str, ...]
    url: str | None = None


@dataclass(slots=True, kw_only=True)
class _Work:
    """`places` are the starts of its mentions in running text, in order; `first` is the first of them with its end.

    `is_at_page_of_another`: its address is that of another entry too, so that it is no name of this work.
    """

    entry: Entry | None = None
    keys: dict[str, None] = field(default_factory=dict)
    urls: dict[str, None] = field(default_factory=dict)
    places: list[int] = field(default_factory=list)
    first: tuple[int, int] | None = None
    is_at_page_of_another: bool = False

    @property
    def span(self) -> tuple[int, int]:
        """Where it is mentioned first: in running text, else in its list."""
        if self.first is not None:
            return self.first
        return (self.entry.start, self.entry.end) if self.entry else (0, 0)

    def holds(self, scheme: str) -> bool:
        return any(key.startswith(f"{scheme}:") for key in self.keys)

    def mention(self, start: int, end: int) -> None:
        """The same place found twice, as text, as link and as label, is one mention; a thousand are counted at most."""
        if len(self.places) >= MAX_MENTIONS:
            return
        place = bisect_left(self.places, start)
        if place < len(self.places) and self.places[place] < end:
            return
        if self.first is not None and self.first[0] <= start < self.first[1]:
            return
        self.places.insert(place, start)
        if self.first is None or start < self.first[0]:
            self.first = (start, end)


def cited_works(text: str, links: Sequence[Link] = ()) -> list[CitedWork]:
    """The works cited, in the order of their first mention; at most `MAX_WORKS`, those in lists of references first."""
    listed = list(islice(reference_list.entries(text), MAX_WORKS))
    collected = _Collection(text)
    mentions = sorted(_mentions(text, links), key=lambda one: (one.start, -one.end))
    borders = [entry.border for entry in listed]
    outside: list[_Mention] = []
    within: dict[int, list[_Mention]] = {}
    for mention in mentions:
        place = bisect_left(borders, mention.start + 1) - 1
        if place >= 0 and mention.start < listed[place].end:
            within.setdefault(place, []).append(mention)
        else:
            outside.append(mention)
    for place, entry in enumerate(listed):
        collected.add_entry(entry, within.get(place, []))
    for mention in outside:
        collected.add(mention)
    collected.add_labels(text, listed)
    chosen = sorted(collected.works, key=lambda work: work.span)
    first_of: dict[str, CitedWork] = {}
    for work in chosen:
        described = _described(text, work)
        first_of.setdefault(described.work, described)
    return list(first_of.values())


class _Collection:
    """Works by their keys, as mentions come."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.works: list[_Work] = []
        self._by_key: dict[str, _Work] = {}
        self._by_label: dict[str, _Work] = {}

    def add_entry(self, entry: Entry, mentions: Iterable[_Mention]) -> None:
        """An entry is one work, whatever its identifiers; a second one of the same scheme is another.

        Two entries that say something else are two, though their one address is the same: that of a journal, or a list.
        """
        work: _Work | None = None
        for mention in sorted(mentions, key=lambda one: (rank_of(one.keys[0]), one.start)):
            scheme = mention.keys[0].partition(":")[0]
            known = self._known(mention)
            if work is None and known is not None and scheme == "url" and self._is_another(known.entry, entry):
                work = self._new()
                work.is_at_page_of_another = True
                work.keys |= dict.fromkeys(mention.keys)
                work.urls |= {mention.url: None} if mention.url else {}
                continue
            if work is None:
                work = known or self._new()
            elif known is None and scheme != "url" and work.holds(scheme):
                self.add(mention)
                continue
            if known is None or known is work:
                self._take(work, mention)
        work = work or self._new()
        work.entry = work.entry or entry
        if entry.label is not None:
            self._by_label.setdefault(entry.label, work)

    def add(self, mention: _Mention) -> None:
        """A mention in running text."""
        work = self._known(mention)
        if work is None:
            work = self._new()
            self._take(work, mention)
        elif mention.url:
            work.urls[mention.url] = None
        work.mention(mention.start, mention.end)

    def add_labels(self, text: str, listed: Sequence[Entry]) -> None:
        """`[12]` before the lists mentions the work of that label."""
        if not self._by_label:
            return
        first = min(entry.border for entry in listed)
        for label, start, end in islice(reference_list.labels(text), _MAX_PLACES):
            if start >= first:
                return
            if (work := self._by_label.get(label)) is not None:
                work.mention(start, end)

    def _is_another(self, one: Entry | None, other: Entry) -> bool:
        return one is not None and _said(self._text, one) != _said(self._text, other)

    def _known(self, mention: _Mention) -> _Work | None:
        return next((work for key in mention.keys if (work := self._by_key.get(key)) is not None), None)

    def _new(self) -> _Work:
        work = _Work()
        if len(self.works) < MAX_WORKS:
            self.works.append(work)
        return work

    def _take(self, work: _Work, mention: _Mention) -> None:
        for key in mention.keys:
            if self._by_key.setdefault(key, work) is work:
                work.keys[key] = None
        if mention.url:
            work.urls[mention.url] = None


def _mentions(text: str, links: Sequence[Link]) -> list[_Mention]:
    found = [
        _Mention(start=link.position, end=link.position + max(1, len(link.text)), keys=keys, url=link.href)
        for link in links
        if (keys := _keys_of(link.href))
    ]
    spans: list[tuple[int, int]] = []
    for address in islice(addresses(text), _MAX_PLACES):
        spans.append((address.start, address.end))
        if keys := _keys_of(address.url):
            found.append(_Mention(start=address.start, end=address.end, keys=keys, url=address.url))
    starts = [start for start, _ in spans]
    for one in islice(identifiers(text), _MAX_PLACES):
        place = bisect_left(starts, one.start + 1) - 1
        if place < 0 or one.start >= spans[place][1]:  # what stands in an address is the address's business
            found.append(_Mention(start=one.start, end=one.end, keys=(one.key,)))
    return found


def _keys_of(url: str) -> tuple[str, ...]:
    """Of the work the address stands for and, if that is another, of the page."""
    found = (url_key(url), page_key(url))
    return tuple(dict.fromkeys(key for key in found if key))


def _described(text: str, work: _Work) -> CitedWork:
    keys = tuple(sorted(work.keys, key=lambda key: (rank_of(key), key)))
    values = {
        scheme: next((key.partition(":")[2] for key in keys if key.startswith(f"{scheme}:")), None)
        for scheme in SCHEMES
    }
    urls = tuple(work.urls)
    entry = work.entry
    start, end = work.span
    raw = _said(text, entry) if entry else _one_line(text[start:end][: 2 * RAW_CHARS])[:RAW_CHARS]
    raw = raw or next(iter(urls), "")
    return CitedWork(
        work=_name(() if work.is_at_page_of_another else keys, raw),
        type=type_of(keys=keys, urls=urls, is_listed=entry is not None),
        keys=keys,
        doi=values["doi"],
        arxiv_id=values["arxiv"],
        rfc=int(values["rfc"]) if values["rfc"] else None,
        pmid=values["pmid"],
        isbn=values["isbn"],
        url=next(iter(urls), None),
        label=entry.label if entry else None,
        raw=raw,
        context=_context(text, start, end),
        position=start,
        mentions=len(work.places) or 1,
    )


def _name(keys: tuple[str, ...], raw: str) -> str:
    return keys[0] if keys else f"text:{hashlib.sha256(raw.encode('utf-8', 'replace')).hexdigest()[:32]}"


def _said(text: str, entry: Entry) -> str:
    return _one_line(text[entry.start : entry.end][: 2 * RAW_CHARS])[:RAW_CHARS]


def _context(text: str, start: int, end: int) -> str:
    """The words around a place; cut where a word ends."""
    end = min(end, start + _AFTER_CHARS)
    left, right = max(0, start - _BEFORE_CHARS), min(len(text), end + _AFTER_CHARS)
    before, after = text[left:start], text[end:right]
    if left and (cut := before.find(" ")) >= 0:
        before = before[cut:]
    if right < len(text) and (cut := after.rfind(" ")) >= 0:
        after = after[:cut]
    return _one_line(before + text[start:end] + after)


def _one_line(text: str) -> str:
    return " ".join(text.split())
