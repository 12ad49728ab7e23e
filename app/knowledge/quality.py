"""Quality: five dimensions of a document, each in [0, 1], and their weighted mean.

The dimensions are those of Wang & Strong, "Beyond accuracy: what data quality means to data consumers", J. of
MIS 12 (1996), that a document can answer for by itself. Each module of `knowledge.dimensions` states the
definition, parts, weights and sources of its own. The weighted mean over them is the "weighted average" of Pipino,
Lee & Wang, "Data quality assessment", CACM 45 (2002). All is computed from the document; nothing is assumed.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.knowledge.dimensions.accuracy import accuracy_of
from app.knowledge.dimensions.completeness import completeness_of
from app.knowledge.dimensions.consistency import consistency_of
from app.knowledge.dimensions.part import Score, clamped
from app.knowledge.dimensions.relevance import relevance_of
from app.knowledge.dimensions.timeliness import timeliness_of
from app.knowledge.quality_input import QualityInput
from app.knowledge.text_profile import TextProfile

__all__ = ["DEFAULT_WEIGHTS", "QualityInput", "QualityReport", "QualityWeights", "score_quality"]


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityWeights:
    """How much each dimension counts overall; only the proportions matter.

    The defaults put what can be checked first, then what is there and agrees, then age and fit.
    """

    accuracy: float = 0.30
    completeness: float = 0.20
    consistency: float = 0.20
    timeliness: float = 0.15
    relevance: float = 0.15

    def __post_init__(self) -> None:
        parts = (self.accuracy, self.completeness, self.consistency, self.timeliness, self.relevance)
        if min(parts) < 0 or sum(parts) <= 0:
            raise ValueError("quality weights are not negative, and one of them is above 0")


DEFAULT_WEIGHTS = QualityWeights()


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityReport:
    """Five dimensions and `overall`, each in [0, 1]; `reasons` say what pulled each one down."""

    accuracy: float
    completeness: float
    consistency: float
    timeliness: float
    relevance: float
    overall: float
    reasons: tuple[str, ...]


def score_quality(document: QualityInput, *, weights: QualityWeights = DEFAULT_WEIGHTS) -> QualityReport:
    """The quality of a document, in time linear in its text. Any text has one; nothing is raised."""
    profile = TextProfile(document.text)
    scores = {
        "accuracy": accuracy_of(document, profile),
        "completeness": completeness_of(document, profile),
        "consistency": consistency_of(document, profile),
        "timeliness": timeliness_of(document, profile),
        "relevance": relevance_of(document, profile),
    }
    reasons = tuple(f"{name}: {reason}" for name, score in scores.items() for reason in score.reasons)
    values = {name: score.value for name, score in scores.items()}
    return QualityReport(**values, overall=_overall(scores, weights), reasons=reasons)


def _overall(scores: dict[str, Score], weights: QualityWeights) -> float:
    share = {name: float(getattr(weights, name)) for name in scores}
    return clamped(sum(share[name] * score.value for name, score in scores.items()) / sum(share.values()))
