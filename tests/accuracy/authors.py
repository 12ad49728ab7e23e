"""Authors and dates that ingestion finds on real documents, beside what others say of the same documents.

RFCs: authors by the catalogue's entry of each, dates by the index of the RFC editor. The dates of the entries are no
truth: the package made those of 92 of 197 a month too early (RFC 8259, December 2017, is right; RFC 3848, July 2004, is
June there), and the index, which comes with it, agrees with the pages themselves.

Names are the same when their family names are, without diacritics, and their first given names begin alike: the
catalogue has initials, the pages "J. Postel", "Bill Croft" or "Francis Dupont". Each name counts once.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable, Mapping
from datetime import date
from functools import cache
from pathlib import Path

from app.content.document import ExtractedDocument, ExtractionLimits
from app.content.extraction import extract
from app.knowledge.author_names import initials_agree, parse_name
from app.knowledge.by_lines import written_date
from tests.accuracy.measure import Measure
from tests.documents import RFC_PACKAGE, installed_files, r_vignettes, rfc_metadata, rfc_pages, unpacked

LIMITS = ExtractionLimits(max_bytes=10**8, max_pages=1000, max_text_chars=10**8, timeout_seconds=600)
# Read by hand on the first page of each; "Mayo Clinic" below some is a place of work.
THERNEAU = ("Terry Therneau",)
VIGNETTES: Mapping[str, tuple[str, ...]] = {
    "adjcurve.pdf": ("Terry M Therneau", "Cynthia S Crowson", "Elizabeth J Atkinson"),
    "approximate.pdf": ("Chenyang Zhong", "Robert Tibshirani", "Terry Therneau"),
    "compete.pdf": ("Terry Therneau", "Cynthia Crowson", "Elizabeth Atkinson"),
    "concordance.pdf": ("Terry Therneau", "Elizabeth Atkinson"),
    "discrim.pdf": THERNEAU,
    "multi.pdf": THERNEAU,
    "other.pdf": THERNEAU,
    "population.pdf": THERNEAU,
    "splines.pdf": THERNEAU,
    "survival.pdf": THERNEAU,
    "tiedtimes.pdf": THERNEAU,
    "timedep.pdf": ("Terry Therneau", "Cynthia Crowson", "Elizabeth Atkinson"),
    "validate.pdf": THERNEAU,
    "PLSvGLS.pdf": ("Douglas Bates",),  # its fonts have no letters: nothing of it can be read
    "Theory.pdf": ("Douglas Bates",),
    "lmer.pdf": ("Douglas Bates", "Martin Mächler", "Ben Bolker", "Steve Walker"),
    "zoo-design.pdf": ("zoo Development Team",),
    "zoo-faq.pdf": ("zoo Development Team",),
    "zoo-quickref.pdf": ("Ajay Shah", "Achim Zeileis", "Gabor Grothendieck"),
    "zoo-read.pdf": ("Gabor Grothendieck", "Achim Zeileis"),
    "zoo.pdf": ("Achim Zeileis", "Gabor Grothendieck"),
}
_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_ENTRY = re.compile(rf"(\d{{4,5}}) .*?\b((?:{_MONTHS}) \d{{4}})\. \(Format")


def measured_pages(numbers: Iterable[int]) -> tuple[Measure, Measure]:
    """Authors and dates of the HTML pages of these RFCs."""
    pages = rfc_pages()
    documents = {number: _read(unpacked(pages[number]), f"rfc{number}.html") for number in numbers}
    return _measured(documents, "HTML pages of RFCs")


def measured_texts() -> tuple[Measure, Measure]:
    """The same of their plain texts."""
    paths = {_number(path): path for path in installed_files(RFC_PACKAGE) if path.name.endswith(".txt.gz")}
    known = {number: path for number, path in paths.items() if number in rfc_metadata()}
    return _measured({n: _read(unpacked(path), f"rfc{n}.txt") for n, path in known.items()}, "plain texts of RFCs")


def measured_vignettes() -> Measure:
    """Authors of the R vignettes."""
    measure = Measure(name="authors of R vignettes")
    for path in r_vignettes():
        there = VIGNETTES[path.name]
        measure.add(_told(_read(path.read_bytes(), path.name).authors, there), there)
    return measure


@cache
def index_dates() -> dict[int, date]:
    """Month of publication by RFC, of the index that comes with the package; as its first day."""
    [index] = [path for path in installed_files(RFC_PACKAGE) if path.name == "rfc-index.txt.gz"]
    text = gzip.decompress(index.read_bytes()).decode()
    found: dict[int, date] = {}
    for entry in re.split(r"\n\n(?=\d{4,5} )", text):
        match = _ENTRY.match(" ".join(entry.split()))
        day = written_date(match[2]) if match else None
        if match and day:
            found[int(match[1])] = day
    return found


def _measured(documents: Mapping[int, ExtractedDocument], of: str) -> tuple[Measure, Measure]:
    authors, dates = Measure(name=f"authors of {of}"), Measure(name=f"months of {of}")
    for number, document in documents.items():
        there = rfc_metadata()[number].authors
        authors.add(_told(document.authors, there), there)
        day = document.date_created
        dates.add([day.replace(day=1)] if day else [], [index_dates()[number]])
    return authors, dates


def _told(found: Iterable[str], there: Iterable[str]) -> list[str]:
    """Each name that was found by the name there that it is, if it is one of those."""
    left, told = list(there), []
    for name in found:
        same = next((one for one in left if _is_same(name, one)), None)
        if same is not None:
            left.remove(same)
        told.append(same if same is not None else f"{name}, who is not there")
    return told


def _is_same(one: str, other: str) -> bool:
    left, right = parse_name(one), parse_name(other)
    if left is None or right is None or left.is_group or right.is_group:
        return left is not None and right is not None and left.key == right.key
    return left.family_key == right.family_key and initials_agree(left.given_keys[:1], right.given_keys[:1])


def _read(data: bytes, name: str) -> ExtractedDocument:
    return extract(data, declared_type=None, file_name=name, limits=LIMITS)


def _number(path: Path) -> int:
    digits = re.fullmatch(r"rfc(\d+)\.txt\.gz", path.name)
    return int(digits[1]) if digits else 0
