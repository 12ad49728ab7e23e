"""The real documents of the main job, and the words a reader sees in them, read by nothing of ours."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import lxml.html
import pypdf

from tests.documents import r_vignettes
from tests.semantic_questions import library_pages

SEED = 20261123
PAGES = 500
PHRASE_WORDS = 8
_MAIN_PARTS = ("//*[@role='main']", "//main", "//div[@class='sect1']", "//div[@class='refentry']", "//body")


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words in a row from one document."""

    file: Path
    text: str


@cache
def html_pages() -> tuple[Path, ...]:
    """The pages that the questions ask about, and others drawn by the seed."""
    return tuple(library_pages(total=PAGES, seed=SEED))


@cache
def pdfs() -> tuple[Path, ...]:
    """Ten papers, the smallest first."""
    return tuple(sorted(sorted(r_vignettes(), key=lambda path: path.stat().st_size)[:10]))


@cache
def seeded_phrases(count: int = 100) -> tuple[Phrase, ...]:
    """One phrase from the middle of each of `count` pages."""
    pages = list(html_pages())
    random.Random(SEED + 1).shuffle(pages)
    seen = Counter(
        phrase for page in html_pages() for phrase in {_bare(text) for text in _phrases(_words_of_page(page))}
    )
    found = [Phrase(page, text) for page in pages if (text := _unique_near_middle(_words_of_page(page), seen))]
    return tuple(found[:count])


@cache
def pdf_phrases() -> tuple[Phrase, ...]:
    """One phrase from the middle of each paper."""
    return tuple(Phrase(path, _plain_phrase(_words_of_pdf(path))) for path in pdfs())


@cache
def _words_of_page(page: Path) -> tuple[str, ...]:
    tree = lxml.html.fromstring(page.read_bytes())
    main = next(found[0] for path in _MAIN_PARTS if (found := tree.xpath(path)))
    for hidden in main.xpath(".//script | .//style | .//a[@class='headerlink'] | .//div[@class='navheader']"):
        hidden.drop_tree()
    words = " ".join(main.itertext()).split()  # a space where an element ends, as a reader sees one
    return tuple(word for word in words if any(char.isalnum() for char in word))


def _phrases(words: tuple[str, ...]) -> list[str]:
    return [" ".join(words[at : at + PHRASE_WORDS]) for at in range(len(words) - PHRASE_WORDS)]


def _bare(text: str) -> str:
    """Without case and punctuation, which no search tells apart."""
    return "".join(char for char in text.lower() if char.isalnum() or char == " ")


def _unique_near_middle(words: tuple[str, ...], seen: Counter[str]) -> str | None:
    phrases = _phrases(words)
    nearest = sorted(range(len(phrases)), key=lambda at: abs(at - len(phrases) // 2))
    return next((phrases[at] for at in nearest if seen[_bare(phrases[at])] == 1 and '"' not in phrases[at]), None)


def _words_of_pdf(path: Path) -> list[str]:
    return [word for page in pypdf.PdfReader(path).pages for word in page.extract_text().split()]


def _plain_phrase(words: list[str]) -> str:
    """The run of plain words nearest to the middle: formulas and hyphenation are no phrases.

    A paper whose fonts name no letters has none: its phrase is what stands in the middle, as its reader sees it.
    """
    middle = len(words) // 2
    for at in sorted(range(len(words) - PHRASE_WORDS), key=lambda at: abs(at - middle)):
        run = words[at : at + PHRASE_WORDS]
        if all(word.strip(".,;:()").isalpha() and word.isascii() for word in run):
            return " ".join(run)
    return " ".join(words[middle : middle + PHRASE_WORDS])
