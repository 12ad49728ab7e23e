"""Real documents of many subjects, by where they come from: manuals, a Bible, novels, a political FAQ, music theory, …

None is copied here. `setup/unpacked_documents.sh` brings those that no installed package has.
"""

from __future__ import annotations

import gzip
import os
import random
import re
import subprocess
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice
from pathlib import Path

from app.content.document import ExtractionLimits
from app.content.extraction import extract
from app.errors import DocumentError
from tests.documents import DocumentsMissing, installed_files, postgresql_doc_pages, python_doc_pages, r_vignettes

CHARS_MIN = 300
LIMITS = ExtractionLimits(
    max_bytes=50 << 20, max_pages=2000, max_text_chars=5_000_000, timeout_seconds=120, max_memory_bytes=1 << 30
)
BIBLE_CHAPTERS = (
    "Gen1 Gen7 Exo14 Lev11 Num22 Deu5 Jos6 Jdg16 1Sam17 2Sam11 1Ki3 2Ki2 Job38 Ps23 Ps119 Pro10 Ecc3 Isa53 Jer31 Dan6 "
    "Jonah1 Mat5 Mark4 Luke15 John3 Acts9 Rom8 1Cor13 Heb11 Rev21 Gen3 Exo20 Ruth1 Ps51 Isa40 Mat6 Luke2 Rev1"
)
STRING = re.compile(rb"\x00[\x00-\xff]\x00\x09(....)", re.DOTALL)  # R's serialisation: flags, then the length
R_OTHER = ("r-cran-gstat", "r-cran-psych", "r-cran-sp")
Named = Iterator[tuple[str, Callable[[], str]]]
"""Documents by name, each read when it is called for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectDocument:
    """`name` is the document's own within its origin."""

    origin: str
    name: str
    text: str


@cache
def folder() -> Path:
    """Where the unpacked packages are."""
    at = Path("/var/cache") if os.geteuid() == 0 else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    found = at / "neo-alexandria/documents"
    if not found.is_dir():
        raise DocumentsMissing(f"{found} is not there: setup/unpacked_documents.sh")
    return found


def _under(package: str, pattern: str) -> list[Path]:
    return sorted((folder() / package).glob(pattern))


def _pages(paths: Iterable[Path]) -> Named:
    for path in paths:
        yield path.name, partial(_text_of, path)


def _text_of(path: Path) -> str:
    """As the library reads it; nothing for a page that has no text."""
    try:
        return extract(path.read_bytes(), declared_type=None, file_name=path.name, limits=LIMITS).text
    except DocumentError:
        return ""


def _rfcs() -> Named:
    for path in installed_files("doc-rfc-std"):
        if re.fullmatch(r"rfc\d+\.txt\.gz", path.name):
            yield path.name, partial(_unpacked, path)


def _unpacked(path: Path) -> str:
    return gzip.decompress(path.read_bytes()).decode("utf-8", "replace")


def _elements() -> Named:
    entries = gzip.decompress((folder() / "dict-elements/usr/share/dictd/elements.dict.dz").read_bytes())
    for entry in re.split(r"\n\n+", entries.decode("latin-1")):
        if "Atomic number" in entry:
            yield entry.split("\n")[0], partial(str, entry)


def _chapters_of_the_bible() -> Named:
    for chapter in BIBLE_CHAPTERS.split():
        yield chapter, partial(_chapter, chapter)


def _chapter(name: str) -> str:
    program, data = folder() / "bible-kjv/usr/bin/bible", folder() / "bible-kjv-text/usr/lib"
    command = [str(program), "-p", str(data), f"{name}:1-99"]
    said = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout
    return re.sub(r"^ *\d+ ", "", said, flags=re.MULTILINE)


def _chapters_of_austen() -> Named:
    [stored] = _under("r-cran-janeaustenr", "usr/lib/R/site-library/janeaustenr/data/Rdata.rdb")
    rest, novel = stored.read_bytes(), 0
    while rest:
        block = zlib.decompressobj()
        lines = _strings(block.decompress(rest[4:]))  # after the length of what is packed
        rest, novel = block.unused_data, novel + 1
        parts = re.split(r"\n(?=(?:CHAPTER|Chapter|VOLUME|Letter) ?[0-9IVXL]+)", "\n".join(lines))
        for number, part in enumerate(parts):
            yield f"{novel}-{number}", partial(str, part[:20_000] if len(part) > 2_500 else "")


def _strings(serialised: bytes) -> list[str]:
    found = []
    for match in STRING.finditer(serialised):
        length = int.from_bytes(match.group(1), "big")
        if length < 400:
            found.append(serialised[match.end() : match.end() + length].decode("utf-8", "replace"))
    return found


R_MANUALS = "usr/lib/R/site-library/*/doc/*.pdf"
ORIGINS: dict[str, Callable[[], Named]] = {
    "python": lambda: _pages(python_doc_pages()),
    "postgresql": lambda: _pages(postgresql_doc_pages()),
    "rfc": _rfcs,
    "r": lambda: _pages(r_vignettes()),
    "r-other": lambda: _pages(path for one in R_OTHER for path in _under(one, R_MANUALS)),
    "anarchism": lambda: _pages(_under("anarchism", "usr/share/doc/anarchism/html/*.html")),
    "solfege": lambda: _pages(_under("solfege-doc", "usr/share/doc/solfege/help/C/**/*.html")),
    "gnugo": lambda: _pages(_under("gnugo", "usr/share/doc/gnugo/html/*.html")),
    "qbrew": lambda: _pages(_under("qbrew", "usr/share/doc/qbrew/*/*.html")),
    "homebank": lambda: _pages(_under("homebank-data", "usr/share/doc/homebank-data/help/*.html")),
    "bible": _chapters_of_the_bible,
    "austen": _chapters_of_austen,
    "elements": _elements,
}


def some_documents(origin: str, *, most: int, seed: int = 1) -> list[SubjectDocument]:
    """Up to `most` documents of an origin with text enough, chosen by the seed."""
    named = list(ORIGINS[origin]())
    random.Random(seed).shuffle(named)
    documents = (SubjectDocument(origin=origin, name=name, text=read()) for name, read in named)
    found = list(islice((one for one in documents if len(one.text) >= CHARS_MIN), most))
    if len(found) < min(most, 8):
        raise DocumentsMissing(f"{len(found)} documents of {origin} are here: setup/test_servers.sh")
    return found


def documents_named(origin: str, names: Iterable[str]) -> list[SubjectDocument]:
    """The documents of these names, in order; of several with one name the first."""
    readers: dict[str, Callable[[], str]] = {}
    for name, read in ORIGINS[origin]():
        readers.setdefault(name, read)
    wanted = list(names)
    if missing := [name for name in wanted if name not in readers]:
        raise DocumentsMissing(f"{origin} has no {', '.join(missing)}: setup/test_servers.sh")
    return [SubjectDocument(origin=origin, name=name, text=readers[name]()) for name in wanted]
