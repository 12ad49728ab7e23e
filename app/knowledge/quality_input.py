"""Quality input: one document and what its metadata say, as the quality formula reads it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityInput:
    """Text and Dublin Core fields; an empty string or tuple is a field that is not filled.

    `language` is a BCP 47 tag, `source` and `identifier` are URLs or names, `today` is the day the
    document is judged on.
    """

    text: str
    title: str = ""
    description: str = ""
    creators: tuple[str, ...] = ()
    publisher: str = ""
    subjects: tuple[str, ...] = ()
    language: str = ""
    source: str = ""
    identifier: str = ""
    rights: str = ""
    format: str = ""
    date_created: date | None = None
    date_modified: date | None = None
    today: date

    @property
    def language_code(self) -> str:
        """The declared language as two lower-case letters, or empty."""
        return self.language.strip().lower()[:2]
