"""Consistency: whether the record and the text agree, and the text with itself.

Agreement of the fields with the text is the "coherence" of Ochoa & Duval (2009), here as the share of a
field's words that the text uses; the language profile compares function words, the oldest and most robust
trait of a language (Grefenstette, "Comparing two language identification schemes", JADT 1995). Repeated passages
are the repetition filter of Rae et al., "Scaling language models: methods, analysis & insights from training Gopher"
(2021), appendix A.1.1. Spelling and evenness are the "representational consistency" of Wang & Strong (1996): one form
throughout, the second measured by Flesch (1948). The order of dates is consistency as a rule between fields, and each
part a share without violations, as in Pipino, Lee & Wang, "Data quality assessment", CACM 45 (2002).

| part | weight | value | applies when |
|---|---|---|---|
| title | 0.25 | share of its content words found in the text | there is a title |
| description | 0.20 | the same for the description | there is one |
| language | 0.20 | function words of the declared language over those of the best one | declared and known |
| repetition | 0.15 | share of passages that are not word-for-word repeats | there are passages |
| spelling | 0.10 | 1 when all British or all American, 0 when half and half | such words occur |
| evenness | 0.10 | spread of reading ease between sections; halved by every 15 points | two sections or more |
| dates | 0.10 | created is not after modified, and neither after today | there is a date |
"""

from __future__ import annotations

from app.knowledge.dimensions.part import Part, Score, decayed, score_of
from app.knowledge.dimensions.spelling import spelling_counts
from app.knowledge.function_words import FUNCTION_WORDS
from app.knowledge.quality_input import QualityInput
from app.knowledge.readability import readability_of
from app.knowledge.text_profile import LANGUAGE_SHARE_MIN, PASSAGE_WORDS_MIN, TextProfile, content_stems

SECTIONS_MAX = 8
SECTION_LINES_MIN = 5
"""Reading ease of less text says more about the sentence than about the style."""


def consistency_of(document: QualityInput, profile: TextProfile) -> Score:
    """The consistency of a document with itself and its record, 0 to 1."""
    return score_of(
        [
            _agreement("title", document.title, profile, weight=0.25),
            _agreement("description", document.description, profile, weight=0.20),
            _language(document, profile),
            _repetition(profile),
            _spelling(profile),
            _evenness(profile),
            _dates(document),
        ]
    )


def _agreement(name: str, field: str, profile: TextProfile, *, weight: float) -> Part | None:
    wanted = content_stems(field, language=profile.language)
    if not wanted:
        return None
    found = sum(profile.count_of(stem) > 0 for stem in wanted)
    finding = f"the text uses {found} of the {len(wanted)} words of the {name}"
    return Part(value=found / len(wanted), weight=weight, finding=finding)


def _language(document: QualityInput, profile: TextProfile) -> Part | None:
    declared = document.language_code
    best = max(profile.function_word_shares.values())
    if declared not in FUNCTION_WORDS or best < LANGUAGE_SHARE_MIN:
        return None
    return Part(
        value=profile.function_word_shares[declared] / best,
        weight=0.20,
        finding=f"declared {declared}, but written as {profile.language} is",
    )


def _repetition(profile: TextProfile) -> Part | None:
    passages = [" ".join(line.lower().split()) for line in profile.lines if len(line.split()) >= PASSAGE_WORDS_MIN]
    if not passages:
        return None
    repeats = len(passages) - len(set(passages))
    finding = f"{repeats} of {len(passages)} passages repeat another one"
    return Part(value=1 - repeats / len(passages), weight=0.15, finding=finding)


def _spelling(profile: TextProfile) -> Part | None:
    british, american = spelling_counts(profile.word_counts)
    if not british + american:
        return None
    finding = f"{british} British and {american} American spellings"
    return Part(value=1 - 2 * min(british, american) / (british + american), weight=0.10, finding=finding)


def _evenness(profile: TextProfile) -> Part | None:
    count = min(SECTIONS_MAX, len(profile.lines) // SECTION_LINES_MIN)
    if count < 2:
        return None
    size = -(-len(profile.lines) // count)
    sections = ("\n".join(profile.lines[start : start + size]) for start in range(0, len(profile.lines), size))
    eases = [found.ease for section in sections if (found := readability_of(section, language=profile.language))]
    if len(eases) < 2:
        return None
    mean = sum(eases) / len(eases)
    spread = (sum((ease - mean) ** 2 for ease in eases) / len(eases)) ** 0.5
    finding = f"reading ease differs by {spread:.0f} points between sections"
    return Part(value=decayed(spread, half=15), weight=0.10, finding=finding)


def _dates(document: QualityInput) -> Part | None:
    dates = [day for day in (document.date_created, document.date_modified) if day is not None]
    if not dates:
        return None
    in_order = [*dates, document.today] == sorted([*dates, document.today])
    return Part(value=float(in_order), weight=0.10, finding="its dates are not in order")
