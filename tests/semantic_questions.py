"""The hand-written questions of `semantic_questions.json`, the rule that they keep, and a library to ask them of.

Each question asks for its passage in other words: the two share no content word, whatever its ending.
"""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass
from pathlib import Path

import lxml.html

CORPORA = {
    "python3.11-doc": Path("/usr/share/doc/python3.11/html"),
    "postgresql-doc-15": Path("/usr/share/doc/postgresql-doc-15/html"),
}

# Every page of python3.11-doc carries about 15 kB of navigation.
MAX_PAGE_BYTES = {"python3.11-doc": 25_000, "postgresql-doc-15": 6_000}

STOP_WORD_LINES = """
    a about after again all also am an and another any anyone are as at be because been before being between both but
    by can cannot could did do does doing done each either ever every for from get given gives had has have having he
    her here him his how i if in into is it its itself just let lets like make makes many may me means might more most
    must my neither no nor not of off on once one only or other others our out over own rather same say shall she
    should so some somebody someone something still such than that the their them then there these they this those
    through thus to too two under up upon us very was we well were what whatever when where whether which while who
    whose why will with within without would you your
"""
STOP_WORDS = frozenset(STOP_WORD_LINES.split())

# Longest first; what is left keeps at least two letters. Cruder than Porter's stemmer: it joins more words,
# so a question that passes here shares no stem by any gentler rule.
SUFFIX_LINES = """
    ization isation ations ational fulness ousness iveness ation ition ator ment ness able ible ance ence ancy ency
    ally
    ized ises izes izing ised ising ize ise ical ings ing edly ed ies ied ily er ers or ors est ly ion ions sion tion al
    als ive ity ous ful less ism ist es s e y i
"""
SUFFIXES = sorted(SUFFIX_LINES.split(), key=len, reverse=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class SemanticQuestion:
    """One question, and the place that answers it: `page` is relative to the HTML root of the Debian package."""

    question: str
    corpus: str
    page: str
    passage: str

    @property
    def path(self) -> Path:
        return CORPORA[self.corpus] / self.page


def load_semantic_questions() -> list[SemanticQuestion]:
    rows = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
    return [SemanticQuestion(**row) for row in rows]


def page_text(path: Path) -> str:
    """All text of an HTML page, runs of white space as one space."""
    return " ".join(lxml.html.parse(str(path)).getroot().text_content().split())


def content_stems(text: str) -> set[str]:
    """The stems of the words of `text` that are not stop words; numbers and code names count as words."""
    words = re.findall(r"[^\W_]+", re.sub(r"['\u2019]s\b", "", text.lower()))
    return {stem(word) for word in words if word not in STOP_WORDS}


def stem(word: str) -> str:
    """`word` without its endings: compute, computer, computing and computations are one."""
    while True:
        ending = next((suffix for suffix in SUFFIXES if word.endswith(suffix) and len(word) - len(suffix) >= 2), "")
        if not ending:
            return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word
        word = word.removesuffix(ending)


def library_pages(*, total: int, seed: int) -> list[Path]:
    """`total` real pages: those of the questions, and others drawn by `seed` from each package's shorter ones.

    Pages of more than `MAX_PAGE_BYTES` are drawn only as the answer to a question: 520 pages then make about
    1110 passages, 80 CPU seconds of embedding.
    """
    asked = {question.path for question in load_semantic_questions()}
    small = {
        page
        for corpus, root in CORPORA.items()
        for page in root.rglob("*.html")
        if page.stat().st_size <= MAX_PAGE_BYTES[corpus]
    }
    return sorted(asked.union(random.Random(seed).sample(sorted(small - asked), k=total - len(asked))))
