"""Accuracy: how far a reader could check what the document says, and whether its text is undamaged.

Nobody can compute truth from a text. What can be computed is the evidence that people use for it:
references and named sources (Wikipedia's featured articles are told apart by references per length:
Warncke-Wang, Cosley & Riedl, "Tell me more", WikiSym 2013; Stvilia et al., JASIST 2007), precise figures,
an author who answers for it (Fogg et al., "What makes web sites credible?", CHI 2001), a sober tone, and
text that came through extraction unharmed.

| part | weight | value |
|---|---|---|
| references | 0.30 | distinct links, DOIs, arXiv ids and citations per 1000 words; half at 4 |
| attribution | 0.25 | creator 0.5, publisher 0.2, a source or identifier that can be resolved 0.3 |
| sound text | 0.20 | replacement marks, mis-decoded letters, broken words per 1000 words; halved by every 5 |
| figures | 0.15 | numbers with a unit, per cent, dates per 1000 words; half at 4 |
| sober tone | 0.10 | shouted words and repeated marks per 1000 words; halved by every 10 |
"""

from __future__ import annotations

import re

from app.knowledge.dimensions.part import Part, Score, decayed, saturated, score_of
from app.knowledge.quality_input import QualityInput
from app.knowledge.text_profile import TextProfile

_REFERENCES = (
    re.compile(r"https?://[^\s<>\"')\]}]{4,500}"),
    re.compile(r"\b10\.\d{4,9}/[^\s<>\"')\]}]{2,200}"),
    re.compile(r"\barxiv:\s?\d{4}\.\d{4,5}", re.IGNORECASE),
    re.compile(r"(?:(?<=[.,;])|(?<=[a-z.,;)] ))\[[1-9]\d{0,2}(?:[,–-] ?\d{1,3}){0,9}\]"),  # noqa: RUF001  # an en dash is what ranges are written with
    re.compile(r"\([A-Z][^()\n]{1,80}?\b(?:1[89]|20)\d\d[a-z]?\)"),
    re.compile(r"\b(?:RFC|ISO|PEP|IEEE|CVE)[ -]?\d[\d-]{1,15}"),
)
_UNITS = (
    "[kmµnMGT]?[gmsVAWJNB]|[KMGT]i?B|bits?|bytes?|bps|[kMG]?Hz|[kcm]m|[mµn]s|[km]g|ml|ha|€|£"
    "|years?|days?|hours?|minutes?|seconds?|million|billion"
)
_FIGURES = re.compile(
    rf"(?<![\w.,])\d[\d.,]{{0,20}}+ ?(?:[%‰]|°[CFK]?|per ?cent\b|(?:{_UNITS})\b)|[$€£]\d|\b\d{{4}}-\d\d-\d\d\b"
)
_DAMAGE = re.compile(
    "[\ufffd\ue000-\uf8ff\x00-\x08\x0e-\x1f\x7f]"
    "|[\u00c3\u00c2][\u0080-\u00bf]|\u00e2\u20ac"  # UTF-8 that was read as Latin-1 or Windows-1252
    r"|[a-z]{2}-[ \n][a-z]{2}"  # hyphens of the end of a line, left in the middle of words
    r"|\b[A-Za-z]{1,20}\d[A-Za-z]{1,20}\d|[bcdfghjklmnpqrstvwxz]{7,30}"  # letters read as digits, no vowels
)
_SHOUTED = re.compile(r"\b[A-Z]{4,40}(?: [A-Z]{2,40}){2,20}\b|[!?]{2,40}")
_RESOLVABLE = re.compile(r"\s*(?:https?://|doi:|10\.\d{4}|urn:|arxiv:|isbn)", re.IGNORECASE)


def accuracy_of(document: QualityInput, profile: TextProfile) -> Score:
    """The accuracy of a document, 0 to 1."""
    return score_of(
        [
            _references(profile),
            _attribution(document),
            _sound_text(profile),
            _figures(profile),
            _sober_tone(profile),
        ]
    )


def _references(profile: TextProfile) -> Part:
    found = {match for pattern in _REFERENCES for match in pattern.findall(profile.text)}
    rate = profile.per_thousand_words(len(found))
    finding = f"{len(found)} references in {len(profile.words)} words"
    return Part(value=saturated(rate, half=4), weight=0.30, finding=finding)


def _attribution(document: QualityInput) -> Part:
    resolvable = any(_RESOLVABLE.match(name) for name in (document.source, document.identifier))
    present = {
        "author": (0.5, any(name.strip() for name in document.creators)),
        "publisher": (0.2, bool(document.publisher.strip())),
        "source that can be resolved": (0.3, resolvable),
    }
    missing = ", no ".join(name for name, (_, is_there) in present.items() if not is_there)
    value = sum(share for share, is_there in present.values() if is_there)
    return Part(value=value, weight=0.25, finding=f"nobody answers for it: no {missing}")


def _sound_text(profile: TextProfile) -> Part:
    if not profile.words:
        return Part(value=0, weight=0.20, finding="there is no text")
    spots = len(_DAMAGE.findall(profile.text))
    return Part(
        value=decayed(profile.per_thousand_words(spots), half=5),
        weight=0.20,
        finding=f"{spots} damaged places in {len(profile.words)} words",
    )


def _figures(profile: TextProfile) -> Part:
    found = len(_FIGURES.findall(profile.text))
    rate = profile.per_thousand_words(found)
    finding = f"{found} figures with a unit or a date in {len(profile.words)} words"
    return Part(value=saturated(rate, half=4), weight=0.15, finding=finding)


def _sober_tone(profile: TextProfile) -> Part | None:
    if not profile.words:
        return None
    shouts = len(_SHOUTED.findall(profile.text))
    rate = profile.per_thousand_words(shouts)
    return Part(value=decayed(rate, half=10), weight=0.10, finding=f"{shouts} shouted words or repeated marks")
