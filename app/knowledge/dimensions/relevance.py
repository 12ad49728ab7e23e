"""Relevance: whether the text is about what its title and subjects promise, and is content at all.

Salience is the share of a term among all words, saturated as in BM25 (Robertson & Zaragoza, "The
probabilistic relevance framework", 2009). Lexical density is Ure, "Lexical density and register
differentiation" (1971): words that carry content among all words. Boilerplate is told by short lines
(Kohlschütter, Fankhauser & Nejdl, "Boilerplate detection using shallow text features", WSDM 2010).

| part | weight | value | applies when |
|---|---|---|---|
| title | 0.35 | mean salience of its content words; half at 2 in 1000 words | there is a title |
| subjects | 0.25 | the same, meaned over the subjects | there are subjects |
| content lines | 0.25 | share of words that stand in running text, not in scraps or notices | always |
| density | 0.15 | lexical density from 0.3 (0) to 0.6 (1) | the language is told |
| no promise | 0.40 | 0 | there is neither a title nor a subject |
"""

from __future__ import annotations

import re

from app.knowledge.dimensions.part import Part, Score, saturated, score_of
from app.knowledge.quality_input import QualityInput
from app.knowledge.text_profile import TextProfile, content_stems

SALIENT_PER_THOUSAND = 2.0
SCRAP_WORDS_MAX = 3
"""Words of a line that is a button, a cell or a menu entry."""
SPARSE_DENSITY, DENSE_DENSITY = 0.3, 0.6
_NOTICE = re.compile(
    r"\b(?:cookies?|sign in|log in|subscribe|newsletter|all rights reserved|privacy policy|terms of (?:use|service)"
    r"|share this|click here|accept all|skip to|advertisement|follow us|javascript is (?:disabled|required))\b",
    re.IGNORECASE,
)


def relevance_of(document: QualityInput, profile: TextProfile) -> Score:
    """The relevance of a document's text to what its record promises, 0 to 1."""
    title, subjects = _title(document, profile), _subjects(document, profile)
    nothing = None
    if title is None and subjects is None:
        nothing = Part(value=0, weight=0.40, finding="neither title nor subjects say what it is about")
    return score_of([title, subjects, nothing, _content_lines(profile), _density(profile)])


def _title(document: QualityInput, profile: TextProfile) -> Part | None:
    wanted = content_stems(document.title, language=profile.language)
    if not wanted:
        return None
    return Part(value=_salience(wanted, profile), weight=0.35, finding="the words of the title are rare in the text")


def _subjects(document: QualityInput, profile: TextProfile) -> Part | None:
    wanted = [stems for subject in document.subjects if (stems := content_stems(subject, language=profile.language))]
    if not wanted:
        return None
    value = sum(_salience(stems, profile) for stems in wanted) / len(wanted)
    return Part(value=value, weight=0.25, finding="the subjects are rare in the text")


def _salience(stems: set[str], profile: TextProfile) -> float:
    rates = (profile.per_thousand_words(profile.count_of(stem)) for stem in stems)
    return sum(saturated(rate, half=SALIENT_PER_THOUSAND) for rate in rates) / len(stems)


def _content_lines(profile: TextProfile) -> Part:
    running = total = 0
    for line in profile.lines:
        words = len(line.split())
        total += words
        if words > SCRAP_WORDS_MAX and not _NOTICE.search(line):
            running += words
    share = running / total if total else 0.0
    return Part(value=share, weight=0.25, finding=f"{1 - share:.0%} of the words are menus, scraps or notices")


def _density(profile: TextProfile) -> Part | None:
    if profile.language is None:
        return None
    density = 1 - profile.function_word_shares[profile.language]
    value = (density - SPARSE_DENSITY) / (DENSE_DENSITY - SPARSE_DENSITY)
    return Part(value=value, weight=0.15, finding=f"only {density:.0%} of the words carry content")
