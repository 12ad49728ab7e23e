"""Trained classifier: multinomial logistic regression over embedding and TF-IDF, kept as numbers.

A text unlike everything it was taught with is not judged: a closed set of labels would give it one of them (nearest
class mean with a threshold, as in Mensink et al., "Distance-based image classification", PAMI 35 (2013)).
"""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import ModelMismatch
from app.knowledge.category_scores import softmax
from app.knowledge.text_features import Vocabulary

Floats = NDArray[np.float32]

FORMAT = 1
"""Of the stored form: another number is another version's."""
_SEPARATOR = "\n"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainedClassifier:
    """`coefficients` (labels, dimension + terms), `intercepts` (labels,), `means` (labels, dimension) of unit length.

    `familiar` (labels,): the least cosine to the mean of a label that its texts have, but for a few.
    """

    labels: tuple[str, ...]
    vocabulary: Vocabulary
    coefficients: Floats
    intercepts: Floats
    temperature: float
    means: Floats
    familiar: Floats

    def is_familiar(self, vector: Floats) -> bool:
        """Whether a text is like any that it was taught with."""
        return bool((self.means @ vector >= self.familiar).any())

    def probabilities(self, vector: Floats, terms: Counter[str]) -> dict[str, float]:
        """How probable each label is; they sum to 1."""
        logits = self.coefficients @ features(self.vocabulary, vector, terms) + self.intercepts
        return dict(zip(self.labels, map(float, softmax(logits / self.temperature)), strict=True))

    def to_bytes(self) -> bytes:
        """Arrays and nothing else (npz)."""
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            format=np.array([FORMAT]),
            labels=_packed(self.labels),
            terms=_packed(self.vocabulary.terms),
            rarity=self.vocabulary.rarity,
            coefficients=self.coefficients.astype(np.float32),
            intercepts=self.intercepts.astype(np.float32),
            means=self.means.astype(np.float32),
            familiar=self.familiar.astype(np.float32),
            temperature=np.array([self.temperature], dtype=np.float64),
        )
        return buffer.getvalue()


def from_bytes(data: bytes) -> TrainedClassifier:
    """What `to_bytes` gave. `ModelMismatch` for anything else; nothing in it is ever executed."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            if arrays["format"].tolist() != [FORMAT]:
                raise ModelMismatch("the stored classifier has another format")
            classifier = TrainedClassifier(
                labels=_unpacked(arrays["labels"]),
                vocabulary=Vocabulary(terms=_unpacked(arrays["terms"]), rarity=arrays["rarity"]),
                coefficients=arrays["coefficients"],
                intercepts=arrays["intercepts"],
                temperature=float(arrays["temperature"][0]),
                means=arrays["means"],
                familiar=arrays["familiar"],
            )
    except ModelMismatch:
        raise
    except Exception as error:
        raise ModelMismatch(f"the stored classifier cannot be read: {error}") from error
    _check(classifier)
    return classifier


def features(vocabulary: Vocabulary, vector: Floats, terms: Counter[str]) -> Floats:
    """(dimension + terms,): the vector of a text, then the weights of its terms, each part of unit length."""
    return np.concatenate([vector, vocabulary.weights(terms)]).astype(np.float32)


def _check(classifier: TrainedClassifier) -> None:
    labels, terms = len(classifier.labels), len(classifier.vocabulary)
    width = classifier.means.shape[-1] + terms
    of_labels = (classifier.intercepts.shape, classifier.familiar.shape, classifier.means.shape[:1])
    if (classifier.coefficients.shape, classifier.vocabulary.rarity.shape) != ((labels, width), (terms,)):
        raise ModelMismatch("the arrays of the stored classifier do not fit each other")
    if set(of_labels) != {(labels,)}:
        raise ModelMismatch("the arrays of the stored classifier do not fit each other")


def _packed(words: tuple[str, ...]) -> NDArray[np.uint8]:
    """Words without line ends as bytes: arrays of text would be as wide as the longest of them."""
    return np.frombuffer(_SEPARATOR.join(words).encode(), dtype=np.uint8)


def _unpacked(packed: Any) -> tuple[str, ...]:
    text = packed.tobytes().decode()
    return tuple(text.split(_SEPARATOR)) if text else ()
