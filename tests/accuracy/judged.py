"""Real documents, judged: what the zero-shot classifier says of each, and what people say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.embedding.onnx import OnnxEmbedder
from app.knowledge.calibration import confidence_bins, expected_calibration_error
from app.knowledge.category_scores import Verdict, cosines_of_codes, judge, zero_shot_probabilities
from app.knowledge.category_tree import Category, CategoryTree
from app.services.classifying import phrase_vectors
from tests.subject_documents import SubjectDocument, documents_named

SURE = 0.7
ROOT = Path(__file__).parents[2]
TRUTH = Path(__file__).with_name("classification_truth.json")
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One document of the hand-labelled sample. The first of `codes` is where it belongs; the others are right too."""

    document: SubjectDocument
    codes: Sequence[str]
    verdict: Verdict

    @property
    def confidence(self) -> float:
        return self.verdict.best.confidence if self.verdict.best else 0.0

    @property
    def is_right(self) -> bool:
        """At the level of the ten classes."""
        return self.verdict.best is not None and self.verdict.best.code[0] in {code[0] for code in self.codes}

    @property
    def is_right_division(self) -> bool:
        """To the division; a class that says no division is not."""
        return self.verdict.best is not None and self.verdict.best.code in self.codes


@cache
def first_tree() -> CategoryTree:
    """The codes that a new library begins with."""
    rows = json.loads((ROOT / "migrations/classification_codes.json").read_text(encoding="utf-8"))
    return CategoryTree(Category(**row) for row in rows)


def mean_vector(embedder: OnnxEmbedder, text: str) -> Floats:
    """What the library stores of a text: the mean of its passages, of unit length."""
    mean = embedder.embed(embedder.passages(text)).mean(axis=0)
    return np.asarray(mean / np.linalg.norm(mean), dtype=np.float32)


def zero_shot(embedder: OnnxEmbedder, vector: Floats) -> dict[str, float]:
    """How probable each code is."""
    tree = first_tree()
    return zero_shot_probabilities(tree, cosines_of_codes(vector, phrase_vectors(tree, embedder)))


def judge_sample(embedder: OnnxEmbedder, *, every: int = 1) -> list[Judged]:
    """The hand-labelled sample, or one document of `every` so many."""
    truth = json.loads(TRUTH.read_text(encoding="utf-8"))[::every]
    judged = []
    for origin in dict.fromkeys(row["origin"] for row in truth):
        rows = [row for row in truth if row["origin"] == origin]
        for row, document in zip(rows, documents_named(origin, [row["name"] for row in rows]), strict=True):
            probabilities = zero_shot(embedder, mean_vector(embedder, document.text))
            verdict = judge(first_tree(), probabilities, sure=SURE)
            judged.append(Judged(document=document, codes=row["codes"], verdict=verdict))
    return judged


def table_of(confidences: Sequence[float], right: Sequence[bool]) -> str:
    """Accuracy by confidence, as `docs/accuracy.md` has it."""
    lines = ["| confidence | documents | mean confidence | right |", "|---|---|---|---|"]
    lines += [
        f"| {one.low:.1f} to {one.high:.1f} | {one.count} | {one.confidence:.2f} | {one.accuracy:.2f} |"
        for one in confidence_bins(confidences, right)
    ]
    return "\n".join([*lines, f"calibration error {expected_calibration_error(confidences, right):.3f}"])
