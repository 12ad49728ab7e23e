"""Real documents from Debian packages, for every test that needs text nobody made up."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PYTHON_DOC = "python3.11-doc"
POSTGRESQL_DOC = "postgresql-doc-15"
R_PACKAGES = ("r-cran-survival", "r-cran-zoo", "r-cran-lme4")
RFC_PACKAGE = "doc-rfc-std"  # of the component non-free: RFCs may not be changed
RFC_FOLDERS = ("standard", "draft-standard")  # a third one, "links", holds links to the files of these two
RFC_ADDRESS = (
    "https://datatracker.ietf.org/doc/html/rfc{number}"  # where these pages were made; links are relative to it
)
DPKG_LISTS = Path("/var/lib/dpkg/info")


class DocumentsMissing(AssertionError):
    """The test set-up did not install the packages that the tests read."""


@cache
def installed_files(package: str) -> tuple[Path, ...]:
    """The files of an installed Debian package that exist; an image may have left documentation out."""
    lists = [path for path in (DPKG_LISTS / f"{package}.list", *DPKG_LISTS.glob(f"{package}:*.list")) if path.exists()]
    paths = (Path(line) for listing in lists for line in listing.read_text(encoding="utf-8").splitlines())
    return tuple(sorted(path for path in paths if path.is_file()))


def python_doc_pages() -> list[Path]:
    """The HTML pages of the Python 3.11 manual."""
    return _files_ending((PYTHON_DOC,), ".html", at_least=400)


def postgresql_doc_pages() -> list[Path]:
    """The HTML pages of the PostgreSQL 15 manual."""
    return _files_ending((POSTGRESQL_DOC,), ".html", at_least=800)


def r_vignettes() -> list[Path]:
    """PDFs typeset by LaTeX, each with mathematics, tables and code."""
    return _files_ending(R_PACKAGES, ".pdf", at_least=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class RfcMetadata:
    """What the RFC editor's catalogue says of one RFC: a truth that does not come from its text."""

    number: int
    title: str
    authors: tuple[str, ...]  # as printed: "R. Fielding, Ed."
    published: str  # month and year: "December 2004"
    doi: str
    abstract: str
    keywords: tuple[str, ...]
    status: str
    obsoletes: frozenset[int]
    updates: frozenset[int]


def rfc_pages() -> dict[int, Path]:
    """The packed HTML pages (``unpacked`` reads one) of 190 RFCs that are or may become standards, by number."""
    pages = _files_ending((RFC_PACKAGE,), ".html.gz", at_least=180, under=RFC_FOLDERS)
    return {_rfc_number(path.name): path for path in pages}


@cache
def rfc_metadata() -> Mapping[int, RfcMetadata]:
    """The catalogue's entry of each RFC of the package, by number: 197, of which seven have no HTML page."""
    entries = _files_ending((RFC_PACKAGE,), ".json", at_least=180, under=RFC_FOLDERS)
    return {entry.number: entry for entry in map(_rfc_entry, entries)}


def unpacked(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes())


def _rfc_entry(path: Path) -> RfcMetadata:
    fields = json.loads(path.read_text(encoding="utf-8"))
    return RfcMetadata(
        number=_rfc_number(fields["doc_id"]),
        title=" ".join(fields["title"].split()),
        authors=tuple(fields["authors"]),
        published=fields["pub_date"],
        doi=fields["doi"],
        abstract=" ".join(fields["abstract"].split()),
        keywords=tuple(fields["keywords"]),
        status=fields["status"],
        obsoletes=frozenset(map(_rfc_number, fields["obsoletes"])),
        updates=frozenset(map(_rfc_number, fields["updates"])),
    )


def _rfc_number(name: str) -> int:
    """5322 of "RFC5322" or "rfc5322.html.gz"."""
    return int(name.partition(".")[0][len("rfc") :])


def _files_ending(packages: Iterable[str], ending: str, *, at_least: int, under: tuple[str, ...] = ()) -> list[Path]:
    names = tuple(packages)
    found = [
        path
        for name in names
        for path in installed_files(name)
        if path.name.endswith(ending) and (not under or path.parent.name in under)
    ]
    if len(found) < at_least:
        raise DocumentsMissing(
            f"{len(found)} {ending} files of {' '.join(names)} are here, {at_least} are needed:"
            f" apt-get install --no-install-recommends {' '.join(names)}"
        )
    return sorted(found)
