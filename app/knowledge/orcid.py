"""ORCID iDs: found in text, and told from numbers that only look like one by their check digit."""

from __future__ import annotations

import re

# As ORCID writes them: four groups of four, the last character may be X (ORCID Support, "Structure of the ORCID
# Identifier"). Sixteen characters in a row are also written; more digits around them are another number.
_WRITTEN = re.compile(
    r"(?<![0-9A-Za-z])(?:https?://(?:www\.)?orcid\.org/|orcid\s{0,3}:\s{0,3})?"
    r"(\d{4}-?\d{4}-?\d{4}-?\d{3}[\dXx])(?![0-9A-Za-z])",
    re.IGNORECASE,
)


def find_orcid(text: str) -> str | None:
    """The first ORCID iD in `text` whose check digit is right, as `0000-0002-1825-0097`."""
    return next((orcid for match in _WRITTEN.finditer(text) if (orcid := canonical_orcid(match[1]))), None)


def without_orcids(text: str) -> str:
    """`text` without whatever is written as an ORCID iD, right or wrong: it is no part of a name."""
    return _WRITTEN.sub(" ", text)


def canonical_orcid(written: str) -> str | None:
    """The iD in its usual form, or None when its check digit is wrong."""
    digits = written.replace("-", "").upper()
    if len(digits) != 16 or not digits[:15].isascii() or not digits[:15].isdigit() or digits[15] != check_digit(digits):
        return None
    return "-".join(digits[start : start + 4] for start in range(0, 16, 4))


def check_digit(digits: str) -> str:
    """ISO 7064 MOD 11-2 over the first fifteen digits: what the sixteenth must be."""
    total = 0
    for digit in digits[:15]:
        total = (total + int(digit)) * 2
    remainder = (12 - total % 11) % 11
    return "X" if remainder == 10 else str(remainder)
