"""Real documents from Debian packages, for every test that needs text nobody made up."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

PYTHON_DOC = "python3.11-doc"
POSTGRESQL_DOC = "postgresql-doc-15"
R_PACKAGES = ("r-cran-survival", "r-cran-zoo", "r-cran-lme4")
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


def _files_ending(packages: Iterable[str], ending: str, *, at_least: int) -> list[Path]:
    names = tuple(packages)
    found = [path for name in names for path in installed_files(name) if path.name.endswith(ending)]
    if len(found) < at_least:
        raise DocumentsMissing(
            f"{len(found)} {ending} files of {' '.join(names)} are here, {at_least} are needed:"
            f" apt-get install --no-install-recommends {' '.join(names)}"
        )
    return sorted(found)
