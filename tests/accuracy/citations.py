"""Citations held against three truths: the links of the RFCs' own pages, their catalogue, and a sample read by hand.

The pages of the RFCs were given their links by a program that is not ours, and ours reads the pages twice: with their
links, and as a plain text would have them, without. What an RFC says of itself is left out on both sides.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from pathlib import Path

from app.content.document import Deadline, ExtractedDocument, ExtractionLimits
from app.content.html import extract_html
from app.content.pdf import extract_pdf
from app.knowledge.citations.addresses import url_key
from app.knowledge.citations.extraction import CitedWork, cited_works
from app.knowledge.citations.identifiers import key_of
from app.knowledge.citations.link import Link
from tests.accuracy.measure import Measure
from tests.documents import RFC_ADDRESS, r_vignettes, rfc_metadata, rfc_pages, unpacked

SAMPLE = Path(__file__).with_name("vignette_citations.json")
# By sight of the tag and not by our own reading of addresses.
_LINK_TO_RFC = re.compile(
    rb"<a [^>]*?href=[\"'](?:\./|https?://(?:www\.rfc-editor|datatracker\.ietf|tools\.ietf|www\.ietf)\.org/(?:[\w-]+/)*)"
    rb"rfc0*(\d+)(?:\.\w+)?(?:#[^\"']*)?[\"']",
    re.IGNORECASE,
)
_RFC_COUNT = 9999  # the catalogue of 2023 has a few numbers of five digits, which are none of an RFC
_PDF_LIMITS = ExtractionLimits(max_bytes=10**8, max_pages=1000, max_text_chars=10**7, timeout_seconds=300)


def measured_rfcs(numbers: Collection[int]) -> tuple[Measure, Measure, Measure]:
    """With links, without, and what the catalogue says that each obsoletes or updates: of the last only the recall."""
    with_links = Measure(name="RFCs cited by RFCs, page with its links")
    text_alone = Measure(name="RFCs cited by RFCs, text alone")
    catalogue = Measure(name="RFCs obsoleted or updated, by the catalogue, text alone")
    pages = rfc_pages()
    for number in sorted(numbers):
        data = unpacked(pages[number])
        linked = {int(one) for one in _LINK_TO_RFC.findall(data)} - {number}
        document = _read_page(data, number)
        found = _rfcs(document.text, (), own=number)
        with_links.add(_rfcs(document.text, document.links, own=number), linked)
        text_alone.add(found, linked)
        entry = rfc_metadata()[number]
        replaced = {one for one in entry.obsoletes | entry.updates if one <= _RFC_COUNT}
        catalogue.add(found & replaced, replaced)
    return with_links, text_alone, catalogue


def measured_vignettes() -> tuple[Measure, Measure]:
    """Identifiers and addresses, and numbered references, of the vignettes in the sample."""
    sample = json.loads(SAMPLE.read_text(encoding="utf-8"))
    identifiers = Measure(name="identifiers and addresses in R vignettes, read by hand")
    numbered = Measure(name="numbered references in R vignettes, read by hand")
    for name in sorted({*sample["identifiers"], *sample["numbered"]}):
        works = _works_of_vignette(name)
        if name in sample["identifiers"]:
            there = {_key(text) for text in sample["identifiers"][name]}
            identifiers.add({work.keys[0] for work in works if work.keys}, there)
        if name in sample["numbered"]:
            begins_of: dict[str | None, str] = sample["numbered"][name]
            entries = set(begins_of.items())
            found = {(w.label, w.raw[: len(begins_of.get(w.label, w.raw))]) for w in works if w.label is not None}
            numbered.add(found, entries)
    return identifiers, numbered


def _read_page(data: bytes, number: int) -> ExtractedDocument:
    address = RFC_ADDRESS.format(number=number)
    return extract_html(data, charset=None, source_url=address, deadline=Deadline(300))


def _rfcs(text: str, links: tuple[Link, ...], *, own: int) -> set[int]:
    return {work.rfc for work in cited_works(text, links) if work.rfc is not None} - {own}


def _works_of_vignette(name: str) -> list[CitedWork]:
    [path] = [path for path in r_vignettes() if path.name == name]
    return cited_works(extract_pdf(path.read_bytes(), limits=_PDF_LIMITS, deadline=Deadline(300)).text)


def _key(text: str) -> str:
    """The key; the printed ISBN with a wrong check digit has none, and counts as missing."""
    return url_key(text) or key_of(text) or text
