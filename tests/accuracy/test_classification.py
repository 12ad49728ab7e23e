"""How right the classes are, on real documents: `make accuracy` prints what `docs/accuracy.md` says.

The truth: 99 documents labelled by hand from their texts (`classification_truth.json`), none of them among those the
temperature and the phrases were chosen on; and for the trained model where a document comes from.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest

from app.embedding.onnx import OnnxEmbedder
from app.knowledge.calibration import expected_calibration_error
from app.knowledge.category_scores import judge
from app.knowledge.text_features import counted_terms
from app.models.base import new_id
from app.services.classifier_training import fit, measure
from app.services.training_set import LabelledDocument
from tests.accuracy.judged import SURE, Judged, first_tree, judge_sample, mean_vector, table_of, zero_shot
from tests.subject_documents import some_documents

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

LABELS = {
    **dict.fromkeys(("python", "postgresql", "rfc"), "000"),
    "bible": "220",
    "anarchism": "320",
    "homebank": "330",
    "r": "510",
    "elements": "540",
    "qbrew": "660",
    "solfege": "780",
    "gnugo": "790",
    "austen": "820",
}
STRANGERS = ("bible", "elements", "solfege")
EACH = 16
HELD_OUT = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    origin: str
    document: LabelledDocument
    terms: Counter[str]


@pytest.fixture(scope="module")
def embedder() -> OnnxEmbedder:
    return OnnxEmbedder(threads=0, max_passages=8)


@pytest.fixture(scope="module")
def judged(embedder: OnnxEmbedder) -> list[Judged]:
    return judge_sample(embedder)


@pytest.fixture(scope="module")
def examples(embedder: OnnxEmbedder) -> list[Example]:
    return [
        Example(
            origin=origin,
            terms=counted_terms(one.text),
            document=LabelledDocument(
                resource_id=new_id(),
                content_version=1,
                code=label,
                label=label,
                vector=mean_vector(embedder, one.text),
            ),
        )
        for origin, label in LABELS.items()
        for one in some_documents(origin, most=EACH, seed=4)
    ]


def test_zero_shot_finds_the_class_of_documents_that_people_labelled(judged: list[Judged]) -> None:
    confidences, right = [one.confidence for one in judged], [one.is_right for one in judged]
    sure = [one for one in judged if one.confidence >= SURE]
    narrow = [one for one in judged if one.verdict.best and not one.verdict.best.code.endswith("00")]
    print(f"\nzero-shot: {np.mean(right):.3f} of {len(judged)} in the right class")
    print(f"{len(sure)} without review, {np.mean([one.is_right for one in sure]):.3f} right")
    print(f"{len(narrow)} to a division, {np.mean([one.is_right_division for one in narrow]):.3f} right")
    print(table_of(confidences, right))
    for one in judged:
        if not one.is_right:
            print(f"  {one.document.origin} {one.document.name}: {one.verdict.best}, not {one.codes}")

    assert len(judged) >= 60
    assert np.mean(right) >= 0.95
    assert np.mean([one.is_right for one in sure]) >= 0.95
    assert len(sure) >= 0.8 * len(judged)
    assert expected_calibration_error(confidences, right) <= 0.1


def test_a_trained_model_finds_the_class_of_documents_it_has_not_seen(
    embedder: OnnxEmbedder, examples: list[Example]
) -> None:
    chosen = random.Random(4).sample(range(len(examples)), round(HELD_OUT * len(examples)))
    unseen = [examples[number] for number in chosen]
    taught = [one for number, one in enumerate(examples) if number not in set(chosen)]

    model = fit([one.document for one in taught], [one.terms for one in taught])

    right = [one.document.label for one in unseen]
    said = [model.probabilities(one.document.vector, one.terms) for one in unseen]
    of_model = measure(said, right, model.labels)
    of_zero_shot = measure([zero_shot(embedder, one.document.vector) for one in unseen], right, model.labels)
    best = [max(one, key=one.__getitem__) for one in said]
    print(f"\ntrained on {len(taught)}, judged on {len(unseen)}: {of_model}")
    print(f"zero-shot on the same: {of_zero_shot}")
    print(
        table_of(
            [one[label] for one, label in zip(said, best, strict=True)],
            [label == wanted for label, wanted in zip(best, right, strict=True)],
        )
    )
    assert of_model.accuracy >= 0.95
    assert of_model.accuracy >= of_zero_shot.accuracy
    assert of_model.calibration_error <= 0.05


def test_a_trained_model_leaves_what_it_was_not_taught_to_the_descriptions(
    embedder: OnnxEmbedder, examples: list[Example]
) -> None:
    strangers = [one for one in examples if one.origin in STRANGERS]
    taught = [one for one in examples if one.origin not in STRANGERS]

    model = fit([one.document for one in taught], [one.terms for one in taught])

    unfamiliar = [one for one in strangers if not model.is_familiar(one.document.vector)]
    verdicts = [judge(first_tree(), zero_shot(embedder, one.document.vector), sure=SURE) for one in unfamiliar]
    right = [
        verdict.best is not None and verdict.best.code[0] == one.document.label[0]
        for verdict, one in zip(verdicts, unfamiliar, strict=True)
    ]
    known = np.mean([model.is_familiar(one.document.vector) for one in taught])
    print(
        f"\n{len(unfamiliar)} of {len(strangers)} of subjects not taught are told to be so, {np.mean(right):.3f} right"
    )
    print(f"{known:.3f} of what was taught is familiar")
    assert len(unfamiliar) >= 0.8 * len(strangers)
    assert np.mean(right) >= 0.9
