"""The language of a text, by py3langid; a declared one counts unless the text clearly speaks another."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Protocol

from py3langid.langid import MODEL_FILE, LanguageIdentifier

MIN_CHARS = 20  # py3langid is unsure below
_SURE = 0.6
_SURE_AGAINST_A_DECLARATION = 0.95
_MIN_CHARS_AGAINST_A_DECLARATION = 400
_SAMPLE_CHARS = 1000
_DECLARED = re.compile(r"([A-Za-z]{2})(?:[-_].*)?", re.DOTALL)


class _Identifier(Protocol):
    def classify(self, text: str) -> tuple[str, float]: ...


def language_of(text: str, *, declared: str | None = None) -> str | None:
    """ISO 639-1 code, or `None` when unsure. `declared` is a BCP 47 tag such as `en-GB`."""
    tag = _DECLARED.fullmatch((declared or "").strip())
    stated = tag[1].lower() if tag else None
    sample = _sample(text)
    if sum(character.isalpha() for character in sample) < MIN_CHARS:
        return stated
    code, confidence = _identifier().classify(sample)
    needed = _SURE
    if stated is not None:
        needed = _SURE_AGAINST_A_DECLARATION if len(sample) >= _MIN_CHARS_AGAINST_A_DECLARATION else 2.0
    return code if len(code) == 2 and confidence >= needed else stated


def load() -> None:
    """Load the model now: processes forked from here on share it, and their first document waits for nothing."""
    _identifier()


def _sample(text: str) -> str:
    """Beginning, middle and end: a licence or an index in another language does not decide alone."""
    if len(text) <= 3 * _SAMPLE_CHARS:
        return text
    middle = len(text) // 2
    parts = (text[:_SAMPLE_CHARS], text[middle : middle + _SAMPLE_CHARS], text[-_SAMPLE_CHARS:])
    return "\n".join(parts)


@lru_cache(maxsize=1)
def _identifier() -> _Identifier:
    """Loaded on first use: 1.5 s and the model's memory, once a process."""
    identifier: _Identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    return identifier
