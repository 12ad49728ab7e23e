"""Classifier training: a model from what people decided, which replaces the one in force unless it is worse.

A fifth of the labelled documents are held out and judge both. Training runs in the worker of `ml_tasks`; what it takes
is bounded by `CLASSIFICATION_MAX_LABELS` and `TASK_SOFT_TIME_LIMIT_SECONDS`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select, update

from app.errors import ModelOvertaken
from app.events import counters
from app.knowledge.calibration import expected_calibration_error, fit_temperature, log_loss
from app.knowledge.text_features import learn_vocabulary
from app.knowledge.trained_classifier import TrainedClassifier, features
from app.models.classification import ModelVersion
from app.services import category_codes, classifiers, classifying, training_set
from app.services.classifying import Classifier, TextInput
from app.services.library import Library, Work
from app.services.training_set import SEED, LabelledDocument, TrainingSet
from app.services.unit_of_work import UnitOfWork

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

INVERSE_PENALTY = 10.0
ITERATIONS_MAX = 200
FOLDS = 3
UNFAMILIAR_SHARE = 0.02
"""Of the texts of a class, those that are the least like it: what is less like every class is not judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """How a classifier does on the held-out documents: the share it puts where people did, and whether it knows."""

    accuracy: float
    log_loss: float
    calibration_error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingReport:
    """`outcome`: `activated`, `kept` (the one in force is better), `unchanged` (no new decision) or `too-few`."""

    outcome: str
    documents: int
    labels: int
    number: int | None = None
    model: Measured | None = None
    in_force: Measured | None = None
    in_force_name: str | None = None
    seconds: float = 0.0

    def sentence(self, *, needed: int) -> str:
        """What was found, in one line."""
        taught = f"{self.documents} documents of {self.labels} classes"
        if self.outcome == "too-few":
            return f"not trained: people have decided {taught}; {needed} documents and two classes are needed"
        if self.outcome == "unchanged":
            return f"not trained: {taught} are what model {self.number} was trained with"
        assert self.model is not None
        assert self.in_force is not None
        shares = f"{self.model.accuracy:.1%} of the held-out, {self.in_force_name} on {self.in_force.accuracy:.1%}"
        end = "it is in force now" if self.outcome == "activated" else f"{self.in_force_name} stays in force"
        return f"model {self.number} of {taught}: right on {shares}; {end}"


def retrain(library: Library, *, work: Work) -> TrainingReport:
    """Train, compare on what was held out, and put the new model in force unless it is worse.

    Nothing is written when there are too few decisions, or none that is new. Raises `ModelOvertaken` when another
    model came into force meanwhile.
    """
    began = time.monotonic()
    with library.database.reader() as session:
        classifier = classifying.classifier_in_force(library, session)
        most = library.settings.classification_max_labels
        chosen = training_set.read(session, classifier.tree, embedding_model=library.embedding_model, most=most)
        sha256 = chosen.sha256(library.embedding_model)
        known = session.scalars(select(ModelVersion).where(ModelVersion.training_sha256 == sha256)).one_or_none()
    counts = chosen.label_counts
    found = TrainingReport(outcome="too-few", documents=len(chosen.documents), labels=len(counts))
    if len(chosen.documents) < library.settings.classification_min_labels or len(counts) < 2:
        with work():
            return found
    if known is not None and _is_judged(known, classifier):
        with work():
            return replace(found, outcome="unchanged", number=known.number)
    with library.database.reader() as session:
        terms = training_set.terms(session, chosen.documents)
    model, measured, before = _trained(chosen, terms, classifier)
    is_better = (measured.accuracy, -measured.log_loss) >= (before.accuracy, -before.log_loss)
    report = replace(
        found,
        outcome="activated" if is_better else "kept",
        model=measured,
        in_force=before,
        in_force_name=classifier.name.partition("/")[0],
        seconds=round(time.monotonic() - began, 1),
    )
    with work() as unit:
        number = _store(library, unit, report, model, name=classifier.name, sha256=sha256, counts=counts)
    return replace(report, number=number)


def _is_judged(known: ModelVersion, classifier: Classifier) -> bool:
    """Whether the same training has met what is in force. Not when the embedding model was another one in between.

    That one's model took the place of ours, and with ours back in force the descriptions of the codes judge.
    """
    met_descriptions = known.outcome == "kept" and known.metrics["compared_with"]["name"] == classifiers.ZERO_SHOT
    return known.is_active or classifier.trained is not None or met_descriptions


def _trained(
    chosen: TrainingSet, terms: Sequence[Counter[str]], classifier: Classifier
) -> tuple[TrainedClassifier, Measured, Measured]:
    taught = [number for number in range(len(chosen.documents)) if number not in chosen.held_out]
    judges = sorted(chosen.held_out)
    model = fit([chosen.documents[one] for one in taught], [terms[one] for one in taught])
    right = [chosen.documents[one].label for one in judges]
    inputs = [(chosen.documents[one], terms[one]) for one in judges]
    of_model = [model.probabilities(document.vector, counted) for document, counted in inputs]
    of_before = [_in_force_probabilities(classifier, document, counted) for document, counted in inputs]
    return model, measure(of_model, right, model.labels), measure(of_before, right, model.labels)


def fit(documents: Sequence[LabelledDocument], terms: Sequence[Counter[str]]) -> TrainedClassifier:
    """Multinomial logistic regression with an L2 penalty, its temperature from predictions of parts it has not seen."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 — a second of imports, needed once a month
    from sklearn.model_selection import StratifiedKFold, cross_val_predict  # noqa: PLC0415

    vocabulary = learn_vocabulary(terms)
    rows = np.stack([features(vocabulary, one.vector, counted) for one, counted in zip(documents, terms, strict=True)])
    labels = tuple(sorted({one.label for one in documents}))
    right = np.array([labels.index(one.label) for one in documents], dtype=np.int64)
    regression = LogisticRegression(C=INVERSE_PENALTY, max_iter=ITERATIONS_MAX, random_state=SEED)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
    unseen = cross_val_predict(regression, rows, right, cv=folds, method="decision_function")
    regression.fit(rows, right)
    coefficients, intercepts = _of_every_label(regression.coef_, regression.intercept_)
    means = _means(documents, labels)
    own = np.array([means[place] @ one.vector for place, one in zip(right, documents, strict=True)])
    familiar = [np.quantile(own[right == place], UNFAMILIAR_SHARE) for place in range(len(labels))]
    return TrainedClassifier(
        labels=labels,
        vocabulary=vocabulary,
        coefficients=coefficients,
        intercepts=intercepts,
        temperature=fit_temperature(_logits(unseen), right),
        means=means,
        familiar=np.array(familiar, dtype=np.float32),
    )


def measure(probabilities: Sequence[Mapping[str, float]], right: Sequence[str], labels: Sequence[str]) -> Measured:
    """Of what was judged; a classifier is asked for the likeliest of `labels`, the ones that people used."""
    of_labels = np.array([[one.get(label, 0.0) for label in labels] for one in probabilities])
    places = np.array([list(labels).index(label) for label in right])
    said = of_labels.argmax(axis=1)
    return Measured(
        accuracy=float((said == places).mean()),
        log_loss=log_loss(of_labels[np.arange(len(right)), places]),
        calibration_error=expected_calibration_error(of_labels.max(axis=1).tolist(), (said == places).tolist()),
    )


def _in_force_probabilities(
    classifier: Classifier, document: LabelledDocument, counted: Counter[str]
) -> Mapping[str, float]:
    if classifier.trained is not None:
        return classifier.trained.probabilities(document.vector, counted)
    text = TextInput(vector=document.vector, beginning="", version=document.content_version)
    return classifier.probabilities(text)


def _of_every_label(coefficients: Doubles, intercepts: Doubles) -> tuple[Floats, Floats]:
    """Of two labels scikit-learn keeps one row, that of the second: half of it for the one, against the other."""
    if len(intercepts) == 1:
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercepts = np.concatenate([-intercepts, intercepts]) / 2
    return coefficients.astype(np.float32), intercepts.astype(np.float32)


def _logits(decision: Doubles) -> Doubles:
    return np.stack([-decision / 2, decision / 2], axis=1) if decision.ndim == 1 else decision


def _means(documents: Sequence[LabelledDocument], labels: Sequence[str]) -> Floats:
    """(labels, dimension), each of unit length."""
    sums = np.stack([np.sum([one.vector for one in documents if one.label == label], axis=0) for label in labels])
    lengths = np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
    return np.asarray(sums / lengths, dtype=np.float32)


def _store(
    library: Library,
    unit: UnitOfWork,
    report: TrainingReport,
    model: TrainedClassifier,
    *,
    name: str,
    sha256: str,
    counts: dict[str, int],
) -> int:
    """The number of the model; of the one that another training has made of the same meanwhile."""
    session = unit.session
    number = counters.count(session, classifiers.MODELS, 1)  # whoever else has trained waits here for the commit
    known = session.scalars(select(ModelVersion).where(ModelVersion.training_sha256 == sha256)).one_or_none()
    if known is not None and _is_judged(known, classifying.classifier_in_force(library, session)):
        return known.number
    if classifiers.name_in_force(session, library.embedding_model).partition("/")[0] != name.partition("/")[0]:
        raise ModelOvertaken("another model came into force while this one was trained")
    counters.count(session, classifiers.TREE, 0)  # who deletes a code waits, and sees then that this model knows it
    if not counts.keys() <= category_codes.tree(session).categories.keys():
        raise ModelOvertaken("a code was deleted while a model was trained to know it")
    is_active = report.outcome == "activated"
    if is_active:
        session.execute(update(ModelVersion).where(ModelVersion.is_active).values(is_active=False))
    row = known or ModelVersion(
        number=number, embedding_model=library.embedding_model, training_sha256=sha256, label_counts=counts
    )
    row.is_active, row.outcome, row.metrics, row.parameters = (
        is_active,
        report.outcome,
        _metrics(report),
        model.to_bytes(),
    )
    session.add(row)
    return row.number


def _metrics(report: TrainingReport) -> dict[str, Any]:
    assert report.model is not None
    assert report.in_force is not None
    return {
        "documents": report.documents,
        **asdict(report.model),
        "compared_with": {"name": report.in_force_name, **asdict(report.in_force)},
        "seconds": report.seconds,
    }
