"""Completeness: how much of what a record can say is there, and how much document there is.

Filled fields are the weighted completeness of Ochoa & Duval, "Automatic evaluation of metadata quality in
digital repositories", Int. J. on Digital Libraries 10 (2009), over Dublin Core; length and headings are
the "completeness" and "organisation" features of Warncke-Wang, Cosley & Riedl (WikiSym 2013).

| part | weight | value |
|---|---|---|
| fields | 0.5 | weighted share of the Dublin Core fields that are filled (`FIELD_WEIGHTS`) |
| length | 0.3 | words; half at 300 |
| structure | 0.2 | headings found among those expected, one for 300 words and at least one |
"""

from __future__ import annotations

from collections.abc import Mapping

from app.knowledge.dimensions.part import Part, Score, clamped, saturated, score_of
from app.knowledge.quality_input import QualityInput
from app.knowledge.text_profile import TextProfile

FIELD_WEIGHTS: Mapping[str, int] = {
    "title": 3,
    "description": 3,
    "creators": 3,
    "subjects": 2,
    "date": 2,
    "source": 2,
    "publisher": 1,
    "language": 1,
    "identifier": 1,
    "rights": 1,
    "format": 1,
}
"""What people search and judge by weighs most."""
WORDS_A_HEADING = 300


def completeness_of(document: QualityInput, profile: TextProfile) -> Score:
    """The completeness of a document and its record, 0 to 1."""
    return score_of([_fields(document), _length(profile), _structure(profile)])


def _fields(document: QualityInput) -> Part:
    filled = {
        "title": document.title.strip(),
        "description": document.description.strip(),
        "creators": any(name.strip() for name in document.creators),
        "subjects": any(subject.strip() for subject in document.subjects),
        "date": document.date_created or document.date_modified,
        "source": document.source.strip(),
        "publisher": document.publisher.strip(),
        "language": document.language.strip(),
        "identifier": document.identifier.strip(),
        "rights": document.rights.strip(),
        "format": document.format.strip(),
    }
    missing = [name for name in FIELD_WEIGHTS if not filled[name]]
    value = 1 - sum(FIELD_WEIGHTS[name] for name in missing) / sum(FIELD_WEIGHTS.values())
    return Part(value=value, weight=0.5, finding=f"fields not filled: {', '.join(missing)}")


def _length(profile: TextProfile) -> Part:
    words = len(profile.words)
    return Part(value=saturated(words, half=300), weight=0.3, finding=f"only {words} words")


def _structure(profile: TextProfile) -> Part:
    expected = max(1, round(len(profile.words) / WORDS_A_HEADING))
    finding = f"{profile.headings} headings where {expected} would help"
    return Part(value=clamped(profile.headings / expected), weight=0.2, finding=finding)
