"""Calibration: a confidence that means what it says.

Temperature scaling and the expected calibration error are those of Guo et al., "On calibration of modern neural
networks", ICML 2017.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.knowledge.category_scores import softmax

Doubles = NDArray[np.float64]

BINS = 10
_TEMPERATURES = np.geomspace(0.05, 20.0, 241)  # steps of 2.5 %
_LEAST_PROBABILITY = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfidenceBin:
    """Answers whose confidence is from `low` to below `high`: how many, their mean confidence, how many were right."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


def fit_temperature(logits: Doubles, right: NDArray[np.int64]) -> float:
    """The temperature with the least log loss; `logits` (documents, classes), `right` the columns that were right."""
    each = np.arange(len(right))
    losses = [log_loss(softmax(logits / one)[each, right].astype(np.float64)) for one in _TEMPERATURES]
    return float(_TEMPERATURES[int(np.argmin(losses))])


def log_loss(of_the_right: Doubles) -> float:
    """The mean of -ln p over the probabilities that were given to what was right."""
    return float(-np.log(np.clip(of_the_right, _LEAST_PROBABILITY, 1.0)).mean())


def confidence_bins(confidences: Sequence[float], right: Sequence[bool]) -> list[ConfidenceBin]:
    """Ten bins of equal width, without the empty ones."""
    confidence, is_right = np.asarray(confidences, dtype=np.float64), np.asarray(right, dtype=np.float64)
    place = np.clip((confidence * BINS).astype(np.int64), 0, BINS - 1)
    return [
        ConfidenceBin(
            low=number / BINS,
            high=(number + 1) / BINS,
            count=int(here.sum()),
            confidence=float(confidence[here].mean()),
            accuracy=float(is_right[here].mean()),
        )
        for number in range(BINS)
        if (here := place == number).any()
    ]


def expected_calibration_error(confidences: Sequence[float], right: Sequence[bool]) -> float:
    """The mean distance of confidence and accuracy over `confidence_bins`, weighted by their counts; 0: no answers."""
    bins = confidence_bins(confidences, right)
    total = sum(one.count for one in bins)
    return sum(one.count * abs(one.confidence - one.accuracy) for one in bins) / total if total else 0.0
