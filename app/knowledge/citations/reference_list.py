"""Lists of references at the end of a text: entries with a label (`[12]`, `[Knuth84]`), a number (`12.`), or neither.

Pages and Markdown number a list by its place there (`<ol>`), and their text has no numbers: each entry is a line of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, groupby, islice, pairwise, takewhile

_HEADING = re.compile(
    r"^[ \t]{0,12}(?:#{1,6}[ \t]{1,4})?(?:(?:\d{1,2}(?:\.\d{1,2}){0,3}|[A-Z])\.?[ \t]{1,6})?"
    r"(?:(?:normative|informative|non-normative|selected|cited|other|additional|further)[ \t]{1,3})?"
    r"(?:references?(?:[ \t]{1,3}and[ \t]{1,3}notes)?|bibliography|literature(?:[ \t]{1,3}cited)?|works[ \t]{1,3}cited)"
    r"[ \t]{0,3}:?[ \t]{0,3}$",
    re.IGNORECASE | re.MULTILINE,
)
_LABELLED = re.compile(r"^[ \t]{0,12}\[([^\[\]\n]{1,40})\]:?[ \t]{0,20}(?=\S|\n[ \t]{0,20}\S)", re.MULTILINE)
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
_CITED_BY_NUMBER = re.compile(r"\[1[\],;\u2013-]")
# What hardly a line lacks that names a work: its year, or where it is found.
_NAMES_A_WORK = re.compile(
    r"(?<!\d)(?:1[5-9]|20)\d\d(?!\d)|\b10\.\d{4,9}/\S|https?://|\barxiv:|\bisbn\b|\bRFC \d", re.IGNORECASE
)
_BARE_CHARS = range(15, 1001)
_BARE_LINES_MAX = 5000
_Span = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry at `start..end`, without its label, which is at `border`; None where nothing says what it would be."""

    label: str | None
    border: int
    start: int
    end: int


def before_references(text: str) -> str:
    """The text up to its first heading of a list of references; all of it when there is none."""
    heading = _HEADING.search(text)
    return text[: heading.start()] if heading else text


def entries(text: str) -> list[Entry]:
    """The entries of every list of references in the text, in their order."""
    headings = [match.end() for match in _HEADING.finditer(text)]
    found: list[Entry] = []
    by_number = _CITED_BY_NUMBER.search(text) if headings else None
    for start, following in pairwise([*headings, len(text)]):
        is_numbered = by_number is not None and by_number.start() < start
        found.extend(_entries_within(text, start, following) or _bare(text, start, following, is_numbered=is_numbered))
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


def _bare(text: str, start: int, end: int, *, is_numbered: bool) -> list[Entry]:
    """Entries that are a line each: the lines of one paragraph, most of which name a work, or paragraphs of one line.

    Broken lines are none of that: where a line is a piece of an entry, most lack a year, or begin in the middle.
    `is_numbered`: the text cites by number, so an entry's place is its label.
    """
    lines = islice(_lines(text, start, end), _BARE_LINES_MAX)
    paragraphs = (list(some) for is_said, some in groupby(lines, key=_is_said) if is_said)
    first = next(paragraphs, [])
    if len(first) > 1:
        named = sum(1 for line in first if _names_a_work(text, line))
        chosen = first if 3 * named >= 2 * len(first) and all(_may_be_entry(text, line) for line in first) else []
    else:
        single = takewhile(lambda lines: len(lines) == 1, chain([first], paragraphs))
        chosen = [*takewhile(lambda line: _may_be_entry(text, line) and _names_a_work(text, line), chain(*single))]
    labels_of = (str(number) if is_numbered else None for number in range(1, len(chosen) + 1))
    entries_of = [
        Entry(label=label, border=at, start=at, end=to) for label, (at, to) in zip(labels_of, chosen, strict=True)
    ]
    return entries_of if len(entries_of) > 1 else []


def _lines(text: str, start: int, end: int) -> Iterator[_Span]:
    """Each line without the white space around it; an empty one ends where it starts."""
    at = start
    while at < end:
        following = text.find("\n", at, end)
        following = end if following < 0 else following
        line = text[at:following]
        indent = len(line) - len(line.lstrip())
        yield at + indent, at + max(indent, len(line.rstrip()))
        at = following + 1


def _is_said(line: _Span) -> bool:
    return line[0] < line[1]


def _may_be_entry(text: str, line: _Span) -> bool:
    return line[1] - line[0] in _BARE_CHARS and not text[line[0]].islower()


def _names_a_work(text: str, line: _Span) -> bool:
    return _NAMES_A_WORK.search(text, *line) is not None
