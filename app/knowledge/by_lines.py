"""By-lines: authors, date and, of an RFC, the title that the first lines of a text name, where nothing else says them.

Three layouts are read, and nothing is guessed from any other: the two columns on top of an RFC, the lines between
title and abstract of a paper, and a date on a line of its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import takewhile

from app.knowledge.author_lists import split_names
from app.knowledge.author_names import looks_like_group, parse_name

_HEAD_CHARS = 6000
_HEAD_LINES = 60
_LINE_CHARS = 200
_GAP = re.compile(r"\S(\s{3,})(?=\S)")
_MEMO = re.compile(
    r"\s*(?:network working group|internet engineering task force|request for comments|rfc:?\s*\d+)", re.IGNORECASE
)
_LABEL = re.compile(r"[A-Z][\w ./-]{1,40}(?::.{0,60})?")
_OF_AN_EARLIER_ONE = re.compile(r"authors? of (?:the )?previous version", re.IGNORECASE)
_BESIDE_A_NAME = re.compile(r"\s+-\s+.*")
_RIGHT_COLUMN_FROM = 30
_MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
_MONTH = "|".join(f"{month[:3]}(?:{month[3:]})?" for month in _MONTHS if month != "may") + "|may"
_DATE = re.compile(
    rf"(?:(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\s+)?(?P<month>{_MONTH})\.?,?\s+(?:(?P<day_after>\d{{1,2}})(?:st|nd|rd|th)?,?\s+)?"
    r"(?P<year>[12l]\d{3})(?:\s*\(\w{1,12}\))?",
    re.IGNORECASE,
)
_INITIALS_FIRST = re.compile(r"(?:[A-Z]\.[ -]?){1,4}\s*\S")
_FULL_NAME = re.compile(
    r"[A-Z][\w'\u2019-]+(?:\s(?:[A-Z]\.?|[A-Z][\w'\u2019-]+|van|von|de|der|den|del|la|di|da|du|dos)){1,4}"
)
_END_OF_TITLE_PAGE = re.compile(
    r"\s*(?:abstract|(?:table of )?contents|status of this memo|(?:1\.?\s+)?introduction|keywords|summary)\b",
    re.IGNORECASE,
)
_TITLE_LINES = 3
_MEMO_LINE = re.compile(rf"^{_MEMO.pattern}", re.IGNORECASE | re.MULTILINE)
_MAX_TITLE_LINES = 6
_MAX_TITLE_CHARS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class ByLine:
    """What the top of a document says. A month or year stands for its first day."""

    authors: tuple[str, ...] = ()
    date_created: date | None = None
    memo_title: str | None = None


def read_by_line(text: str, *, is_paper: bool = False) -> ByLine:
    """Authors and date from the first lines; `is_paper`: it is laid out in pages, with a title first. Never raises."""
    lines = [line[:_LINE_CHARS].rstrip() for line in text[:_HEAD_CHARS].split("\n") if line.strip()][:_HEAD_LINES]
    if any(_MEMO.match(line) for line in lines[:3]):
        return replace(_of_memo(lines), memo_title=_title_of_memo(text[:_HEAD_CHARS]))
    return _of_paper(lines) if is_paper else ByLine()


def written_date(text: str) -> date | None:
    """`October 1990`, `6 February 2023`, `May 3, 2019` and nothing else on the line."""
    match = _DATE.fullmatch(text.strip())
    if match is None:
        return None
    month = next(number for number, name in enumerate(_MONTHS, 1) if name.startswith(match["month"][:3].lower()))
    try:
        return date(int(match["year"].replace("l", "1")), month, int(match["day"] or match["day_after"] or 1))
    except ValueError:
        return None


def _of_memo(lines: Sequence[str]) -> ByLine:
    """An RFC: labels in the left column; names, each above its organisation, and then the date in the right one."""
    entries = _right_column(lines)
    dated = next((day for entry in reversed(entries) if (day := written_date(entry))), None)
    said = [_BESIDE_A_NAME.sub("", entry) for entry in entries if written_date(entry) is None]
    with_initials = [entry for entry in said if _INITIALS_FIRST.match(entry) and not looks_like_group(_bare(entry))]
    found = with_initials or [entry for entry in said[:4] if all(map(_is_full_name, split_names(entry)))]
    names = [name for entry in found for name in split_names(entry)]
    return ByLine(authors=tuple(dict.fromkeys(_tidied(names))), date_created=dated)


def _title_of_memo(text: str) -> str | None:
    """What stands indented below the heading, up to the first line that does not: `Status of this Memo`, `Abstract`."""
    title: list[str] = []
    heading = _MEMO_LINE.search(text)
    for block in re.split(r"\n\s*?\n", text[heading.end() :])[1:] if heading else []:
        lines = [line for line in block.split("\n") if line.strip()]
        if not title and not _is_beside_title(lines):
            title = list(takewhile(lambda line: line[0].isspace(), lines))
            if len(title) < len(lines):  # what begins at the margin is the text, also of one that only speaks of RFCs
                break
        elif title and (_ends_title(lines) or len(title) + len(lines) > _MAX_TITLE_LINES):
            break
        elif not _is_beside_title(lines):
            title += lines
    joined = " ".join(" ".join(title).split())
    return joined if 0 < len(joined) <= _MAX_TITLE_CHARS else None


def _ends_title(lines: Sequence[str]) -> bool:
    return any(not line.startswith("  ") or _END_OF_TITLE_PAGE.match(line) or written_date(line) for line in lines)


def _is_beside_title(lines: Sequence[str]) -> bool:
    """More of the heading: a date, labels, or a name at the right margin."""
    return all(
        written_date(line) or _MEMO.match(line) or (_LABEL.fullmatch(line) and ":" in line) or _has_gap(line)
        for line in lines
    )


def _has_gap(line: str) -> bool:
    return any(match.end() >= _RIGHT_COLUMN_FROM for match in _GAP.finditer(line))


def _right_column(lines: Sequence[str]) -> list[str]:
    """What stands on the right of the heading, line by line; of an earlier version only the date below it."""
    entries: list[str] = []
    is_earlier = False
    for line in lines:
        gaps = [match for match in _GAP.finditer(line) if match.end() >= _RIGHT_COLUMN_FROM]
        indent = len(line) - len(line.lstrip())
        if not gaps and indent < _RIGHT_COLUMN_FROM:
            if indent or not _LABEL.fullmatch(line):
                break
            continue
        entry = line[gaps[-1].end() :].strip() if gaps else line.strip()
        is_earlier = is_earlier or _OF_AN_EARLIER_ONE.match(entry) is not None
        if not is_earlier or written_date(entry):
            entries.append(entry)
    return entries


def _of_paper(lines: Sequence[str]) -> ByLine:
    """Lines that hold names and nothing else, after the title and before the date, the abstract or a section."""
    names: list[str] = []
    dated: date | None = None
    for number, line in enumerate(lines[:15]):
        dated = written_date(line)
        if dated or _END_OF_TITLE_PAGE.match(line):
            break
        if number and (found := _names_on(line)):
            names += found
        elif number >= _TITLE_LINES and not names:
            return ByLine()
    else:
        return ByLine()
    return ByLine(authors=tuple(dict.fromkeys(names)), date_created=dated)


def _names_on(line: str) -> list[str]:
    names = split_names(line)
    if all(_is_full_name(name) for name in names):
        return _tidied(names)
    return _in_pairs(line)


def _in_pairs(line: str) -> list[str]:
    """Three or more names beside each other, parted by space only: each a given and a family name."""
    words = line.split()
    if len(words) < 6 or len(words) % 2 or not all(re.fullmatch(r"[A-Z][a-z\u00e0-\u024f'-]+", word) for word in words):
        return []
    return [f"{given} {family}" for given, family in zip(words[::2], words[1::2], strict=True)]


def _is_full_name(text: str) -> bool:
    bare = _bare(text)
    return _FULL_NAME.fullmatch(bare) is not None and not looks_like_group(bare)


def _bare(text: str) -> str:
    return text.partition("(")[0].strip(" ,*\u2020\u2021")


def _tidied(names: Sequence[str]) -> list[str]:
    """As they are written, without what stands beside them."""
    return [name.display for one in names if (name := parse_name(one)) is not None]
