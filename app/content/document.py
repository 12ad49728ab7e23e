"""The value every extractor returns, the limits it works within, and the one shape of stored text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from time import monotonic

from app.errors import DocumentTooLarge
from app.knowledge.citations.link import Link

_LINE_BREAKS = re.compile("\r\n|[\r\v\f\x1c\x1d\x1e\x85\u2028\u2029]")
_NOT_TEXT = re.compile("[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f\u00a0]")
_INVISIBLE = re.compile("[\u00ad\ufeff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_BLANK_LINES = re.compile("\n{4,}")
_SUBJECT_END = re.compile("[,;\uff0c\u3001\uff1b]")  # also as Chinese and Japanese write them
_MAX_SUBJECT_CHARS = 200
_MAX_SUBJECTS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractedDocument:
    """A document as text: what the bytes said about themselves, and nothing guessed from their source.

    `text` is normalised (see `normalise_text`) and never empty. `declared_language` is as it is written there,
    `language` is told from the text afterwards: ISO 639-1, `None` when unsure.
    A date known only to the month or the year is the first day of it. `page_count` is of paged formats. `links` lead
    out of the document, in the order they stand in the text. `doi` and `arxiv_id` are what it states as its own.
    """

    text: str
    title: str | None = None
    authors: tuple[str, ...] = ()
    publisher: str | None = None
    description: str | None = None
    subjects: tuple[str, ...] = ()
    date_created: date | None = None
    date_modified: date | None = None
    declared_language: str | None = None
    language: str | None = None
    media_type: str
    page_count: int | None = None
    links: tuple[Link, ...] = ()
    doi: str | None = None
    arxiv_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractionLimits:
    """What one document may cost; over any of them it is refused with `DocumentTooLarge`."""

    max_bytes: int
    max_pages: int
    max_text_chars: int
    timeout_seconds: float
    max_memory_bytes: int = 1024 * 1024 * 1024


class Deadline:
    """A point in time that long work looks at between its steps."""

    __slots__ = ("_at", "_seconds")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._at = monotonic() + seconds

    def check(self) -> None:
        """Raise `DocumentTooLarge` once the time is used up."""
        if monotonic() > self._at:
            raise out_of_time(self._seconds)


def out_of_time(seconds: float) -> DocumentTooLarge:
    """The error of a document that was not read within its time."""
    return DocumentTooLarge(f"reading the document took longer than {seconds:g} seconds")


def normalise_text(text: str) -> str:
    """The text in NFC with `\\n` line ends, no trailing spaces and at most two blank lines in a row.

    Control characters and no-break spaces become spaces, soft hyphens and byte-order marks vanish, lone
    surrogates become U+FFFD: the result can be encoded as UTF-8 and stored by every database.
    """
    text = _LINE_BREAKS.sub("\n", text)
    text = _NOT_TEXT.sub(" ", text)
    text = _INVISIBLE.sub("", text)
    text = _SURROGATE.sub("\ufffd", text)
    text = unicodedata.normalize("NFC", text)
    text = "\n".join(line.rstrip() for line in text.split("\n"))
    return _BLANK_LINES.sub("\n\n\n", text).strip("\n")


def one_line(text: str | None, *, max_chars: int = 1000) -> str | None:
    """A title, name or description on one line, or `None` when nothing is left of it."""
    if not text:
        return None
    line = " ".join(normalise_text(text[: 4 * max_chars]).split())
    return line[:max_chars].rstrip() or None


def split_subjects(values: Iterable[str]) -> tuple[str, ...]:
    """Keywords once each, parted at commas and semicolons: 50 at most, of 200 characters: an index takes no more."""
    parts = (one_line(part, max_chars=_MAX_SUBJECT_CHARS) for value in values for part in _SUBJECT_END.split(value))
    return tuple(dict.fromkeys(part for part in parts if part))[:_MAX_SUBJECTS]
