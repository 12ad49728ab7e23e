"""Titles that ingestion finds in RFCs, beside those of the RFC editor's catalogue.

Titles are the same without capitals, marks and a first article: the catalogue files "A Standard for the Transmission of
IP Datagrams over FDDI Networks" under "Standard", and writes few of them as they are printed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from app.content.document import ExtractionLimits
from app.content.extraction import extract
from tests.accuracy.measure import Measure
from tests.documents import RFC_PACKAGE, installed_files, rfc_metadata, rfc_pages, unpacked

_LIMITS = ExtractionLimits(max_bytes=10**8, max_pages=1000, max_text_chars=10**8, timeout_seconds=600)
_TEXT_NAME = re.compile(r"rfc(\d+)\.txt\.gz")
_ARTICLE = re.compile(r"^(?:an?|the) ")


def measured_pages(numbers: Iterable[int]) -> Measure:
    """Titles of the HTML pages of these RFCs."""
    pages = rfc_pages()
    return _measured({number: pages[number] for number in numbers}, ending="html", of="HTML pages of RFCs")


def measured_texts() -> Measure:
    """Titles of their plain texts."""
    named = ((_TEXT_NAME.fullmatch(path.name), path) for path in installed_files(RFC_PACKAGE))
    texts = {int(match[1]): path for match, path in named if match and int(match[1]) in rfc_metadata()}
    return _measured(texts, ending="txt", of="plain texts of RFCs")


def _measured(paths: Mapping[int, Path], *, ending: str, of: str) -> Measure:
    measure = Measure(name=f"titles of {of}")
    for number, path in paths.items():
        data, name = unpacked(path), f"rfc{number}.{ending}"
        title = extract(data, declared_type=None, file_name=name, limits=_LIMITS).title
        measure.add([_bare(title)] if title else [], [_bare(rfc_metadata()[number].title)])
    return measure


def _bare(title: str) -> str:
    return " ".join(re.findall(r"\w+", _ARTICLE.sub("", title.casefold().strip(), count=1)))
