"""Lists of references at the end of a text: entries with a label (`[12]`, `[Knuth84]`) or a number (`12.`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

_HEADING = re.compile(
    r"^[ \t]{0,12}(?:#{1,6}[ \t]{1,4})?(?:(?:\d{1,2}(?:\.\d{1,2}){0,3}|[A-Z])\.?[ \t]{1,6})?"
    r"(?:(?:normative|informative|non-normative|selected|cited|other|additional|further)[ \t]{1,3})?"
    r"(?:references?(?:[ \t]{1,3}and[ \t]{1,3}notes)?|bibliography|literature(?:[ \t]{1,3}cited)?|works[ \t]{1,3}cited)"
    r"[ \t]{0,3}:?[ \t]{0,3}$",
    re.IGNORECASE | re.MULTILINE,
)
_LABELLED = re.compile(r"^[ \t]{0,12}\[([^\[\]\n]{1,40})\][ \t]{0,20}(?=\S|\n[ \t]{0,20}\S)", re.MULTILINE)
_NUMBERED = re.compile(r"^[ \t]{0,12}(\d{1,3})[.)][ \t]{1,12}(?=\S)", re.MULTILINE)
_SECTION = re.compile(
    r"^[ \t]{0,4}(?:#{1,6}[ \t]{1,4}\S|(?:appendix|appendices|annex|acknowledge?ments?|authors?['\u2019]?s?['\u2019]?"
    r"[ \t]{1,3}(?:address(?:es)?|information)|index|contributors?"
    r"|full copyright|intellectual property|affiliation)\b)",
    re.IGNORECASE | re.MULTILINE,
)
_LABEL = re.compile(r"\[([^\[\]\n]{1,60})\]")
_LABEL_PARTS = re.compile(r"\s{0,3}[,;]\s{0,3}")
_RANGE = re.compile(r"(\d{1,3})\s{0,2}[-\u2013]\s{0,2}(\d{1,3})")
_MAX_ENTRY_CHARS = 1500
_MAX_RANGE = 30
_FIRST_WITHIN_CHARS = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry at `start..end`, without its label, which is at `border`."""

    label: str
    border: int
    start: int
    end: int


def entries(text: str) -> list[Entry]:
    """The entries of every list of references in the text, in their order."""
    headings = [match.end() for match in _HEADING.finditer(text)]
    found: list[Entry] = []
    for start, following in pairwise([*headings, len(text)]):
        found.extend(_entries_within(text, start, following))
    return found


def labels(text: str) -> Iterator[tuple[str, int, int]]:
    """Labels in brackets, each with where it stands: `[1, 3-5]` is of four."""
    for match in _LABEL.finditer(text):
        for part in _LABEL_PARTS.split(match[1]):
            if span := _RANGE.fullmatch(part):
                first, last = int(span[1]), int(span[2])
                for number in range(first, min(last, first + _MAX_RANGE) + 1):
                    yield str(number), match.start(), match.end()
            elif part:
                yield part, match.start(), match.end()


def _entries_within(text: str, start: int, end: int) -> list[Entry]:
    """Labels in brackets if there are any, else numbers that count from 1: other numbers head sections."""
    starts = [(match[1].strip(), match.end()) for match in _LABELLED.finditer(text, start, end)]
    borders = [match.start() for match in _LABELLED.finditer(text, start, end)]
    if not starts:
        starts, borders = _counted(text, start, end)
    if (
        not borders or borders[0] > start + _FIRST_WITHIN_CHARS
    ):  # the list has no labels, and these are of something else
        return []
    found = []
    for (label, at), (border, following) in zip(starts, pairwise([*borders, end]), strict=True):
        section = _SECTION.search(text, at, following)
        last = min(section.start() if section else following, at + _MAX_ENTRY_CHARS)
        if section is None or section.start() > at:
            found.append(Entry(label=label, border=border, start=at, end=at + len(text[at:last].rstrip())))
        if section is not None:
            break
    return found


def _counted(text: str, start: int, end: int) -> tuple[list[tuple[str, int]], list[int]]:
    starts: list[tuple[str, int]] = []
    borders: list[int] = []
    for match in _NUMBERED.finditer(text, start, end):
        if int(match[1]) == len(starts) + 1:
            starts.append((match[1], match.end()))
            borders.append(match.start())
    return (starts, borders) if len(starts) > 1 else ([], [])
