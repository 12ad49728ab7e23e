"""Wording: what people read in place of the names that programs use."""

from __future__ import annotations

from datetime import date, datetime
from urllib.parse import urlsplit

from app.models.base import now

FORMATS = {
    "text/html": "Web page",
    "application/xhtml+xml": "Web page (XHTML)",
    "application/pdf": "PDF",
    "text/markdown": "Markdown",
    "text/plain": "Text",
}
_LANGUAGES_WORDS = (
    "ar:Arabic bg:Bulgarian bn:Bengali ca:Catalan cs:Czech da:Danish de:German el:Greek en:English "
    "es:Spanish et:Estonian eu:Basque fa:Persian fi:Finnish fr:French ga:Irish gl:Galician he:Hebrew "
    "hi:Hindi hr:Croatian hu:Hungarian hy:Armenian id:Indonesian is:Icelandic it:Italian ja:Japanese "
    "ka:Georgian ko:Korean la:Latin lt:Lithuanian lv:Latvian mk:Macedonian ms:Malay nb:Norwegian nl:Dutch "
    "no:Norwegian pl:Polish pt:Portuguese ro:Romanian ru:Russian sk:Slovak sl:Slovenian sq:Albanian "
    "sr:Serbian sv:Swedish sw:Swahili ta:Tamil th:Thai tr:Turkish uk:Ukrainian ur:Urdu vi:Vietnamese "
    "zh:Chinese"
)
LANGUAGES = dict(pair.split(":") for pair in _LANGUAGES_WORDS.split())
INGESTION = {"pending": "waiting", "running": "reading", "completed": "in the library", "failed": "failed"}
DERIVED = {
    "search_index": "Search index",
    "embedding": "Meaning",
    "quality": "Quality",
    "authors": "Authors",
    "classification": "Class",
    "citations": "Citations",
}
DERIVED_STATES = {"fresh": "fresh", "stale": "stale", "running": "being built", "failed": "failed"}
FACETS = {
    "format": "Type of document",
    "type": "Genre",
    "language": "Language",
    "publication_year": "Year",
    "creator": "Author",
    "subject": "Subject",
    "classification_code": "Class",
}
MERGE_REASONS = {
    "only_name": "",
    "same_orcid": "the same ORCID iD",
    "same_name": "the same name",
    "initials": "initials of it, with a fellow author of both",
    "by_hand": "joined by hand",
}
MODES = {
    "hybrid": ("Hybrid", "what has your words, or means the same"),
    "keyword": ("Keyword", "what has every word you type"),
    "semantic": ("Semantic", "what means the same in other words"),
}
_SECONDS_OF = (("day", 86_400), ("hour", 3_600), ("minute", 60))
_A_WEEK_SECONDS = 7 * 86_400


def format_name(media_type: str | None) -> str:
    """What kind of document it is."""
    return FORMATS.get(media_type or "", media_type or "")


def language_name(tag: str | None) -> str:
    """The English name of a BCP 47 tag, or the tag."""
    return LANGUAGES.get((tag or "").split("-")[0].lower(), tag or "")


def facet_value(facet: str, value: str) -> str:
    """One value of a facet."""
    if facet == "format":
        return format_name(value)
    return language_name(value) if facet == "language" else value


def day(moment: date | None) -> str:
    """`23 November 2025`."""
    return f"{moment.day} {moment:%B %Y}" if moment else ""


def ago(moment: datetime) -> str:
    """`3 minutes ago`; the day when it is more than a week."""
    seconds = (now() - moment).total_seconds()
    if seconds > _A_WEEK_SECONDS:
        return f"on {day(moment)}"
    for unit, length in _SECONDS_OF:
        if seconds >= length:
            return f"{counted(int(seconds // length), unit)} ago"
    return "just now"


def until(moment: datetime) -> str:
    """`in 4 s`, `in 3 min`, or `now` when it is due."""
    seconds = (moment - now()).total_seconds()
    if seconds <= 0:
        return "now"
    return f"in {seconds:.0f} s" if seconds < 60 else f"in {seconds / 60:.0f} min"


def counted(number: int, noun: str) -> str:
    """`1 document`, `2,000 documents`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def host_of(url: str | None) -> str:
    """The host of a web address; empty for what is not one."""
    try:
        parts = urlsplit(url or "")
    except ValueError:
        return ""
    return parts.hostname or "" if parts.scheme in {"http", "https"} else ""


def sentence(text: str) -> str:
    """A reason as a sentence of its own. A name that begins it (`text/css`, `.zip`) stays as it is written."""
    text = text.strip()
    if not text:
        return ""
    first = text.split(maxsplit=1)[0]
    begins_with_name = any(mark in first.rstrip(".,:;") for mark in "/.")
    start = text[0] if begins_with_name else text[0].upper()
    return f"{start}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}"
