"""Training: from what people decided, compared on what was held out, and never put in the place of a better one."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import update

from app.errors import ModelMismatch, ModelOvertaken
from app.knowledge.trained_classifier import from_bytes
from app.models.classification import ModelVersion
from app.services import category_codes, classifier_training, classifiers, training_set
from app.services.classifier_training import TrainingReport
from tests.integration.classification.shelf import COOKING, WORDS, Shelf, text_of

pytestmark = pytest.mark.integration


def train(shelf: Shelf) -> TrainingReport:
    return classifier_training.retrain(shelf.library, work=shelf.library.work)


def test_without_enough_decisions_nothing_is_trained(shelf: Shelf) -> None:
    shelf.labelled(each=4)

    report = train(shelf)

    assert (report.outcome, report.documents, report.labels) == ("too-few", 0, 0)  # five of a class are needed
    assert "30 documents and two classes are needed" in report.sentence(needed=30)
    assert shelf.models() == []


def test_a_model_as_good_as_zero_shot_comes_into_force_and_what_was_said_before_is_stale(shelf: Shelf) -> None:
    undecided = shelf.classified(text_of("520", random.Random(7)))
    shelf.labelled()
    before = shelf.counts()["fresh"]

    report = train(shelf)

    assert report.outcome == "activated"
    assert report.model is not None
    assert report.model.accuracy == 1.0
    [model] = shelf.models()
    assert (model.number, model.is_active, model.outcome) == (1, True, "activated")
    assert model.label_counts == dict.fromkeys(sorted(WORDS), 12)
    assert model.metrics["compared_with"]["name"] == "zero-shot-2"
    assert (before, shelf.counts()["fresh"]) == (1, 0)
    shelf.classify(undecided)
    seen = shelf.seen(undecided)
    assert seen.classifier is not None
    assert seen.classifier.startswith("trained-1/0/")
    assert (seen.predicted, seen.state) == ("520", "fresh")


def test_the_same_decisions_make_no_second_model(shelf: Shelf) -> None:
    shelf.labelled()
    train(shelf)

    again = train(shelf)

    assert (again.outcome, again.number) == ("unchanged", 1)
    assert len(shelf.models()) == 1


def test_two_trainings_at_once_make_one_model(shelf: Shelf) -> None:
    shelf.labelled()
    both = Barrier(2)

    def run() -> TrainingReport:
        both.wait()
        return train(shelf)

    with ThreadPoolExecutor(max_workers=2) as executor:
        reports = [done.result() for done in [executor.submit(run) for _ in range(2)]]

    assert [report.number for report in reports] == [1, 1]
    assert [model.number for model in shelf.models()] == [1]


def test_a_worse_model_is_kept_out_and_says_so(shelf: Shelf) -> None:
    made = shelf.labelled()
    train(shelf)
    with shelf.library.database.reader() as session:
        tree = category_codes.tree(session)
        chosen = training_set.read(session, tree, embedding_model=shelf.library.embedding_model, most=100)
    taught = [one for number, one in enumerate(chosen.documents) if number not in chosen.held_out]
    wrong = dict(zip(sorted(WORDS), [*sorted(WORDS)[1:], min(WORDS)], strict=True))
    for one in taught:  # somebody was careless with all that teaches, and with nothing that judges
        shelf.decide(one.resource_id, wrong[one.code])

    report = train(shelf)

    assert report.outcome == "kept"
    assert report.model is not None
    assert report.in_force is not None
    assert report.model.accuracy < report.in_force.accuracy
    assert "trained-1 stays in force" in report.sentence(needed=30)
    assert [(model.number, model.is_active, model.outcome) for model in shelf.models()] == [
        (1, True, "activated"),
        (2, False, "kept"),
    ]
    with shelf.library.database.reader() as session:
        assert classifiers.name_in_force(session, shelf.library.embedding_model).startswith("trained-1/")
    assert len(made) == len(chosen.documents)


def test_a_model_that_was_compared_with_one_no_longer_in_force_is_not_stored(shelf: Shelf) -> None:
    shelf.labelled()
    train(shelf)
    shelf.labelled(each=5, seed=2)

    def late() -> object:
        with shelf.library.database.writer() as session:
            session.execute(update(ModelVersion).values(is_active=False))
        return shelf.library.work()

    with pytest.raises(ModelOvertaken):
        classifier_training.retrain(shelf.library, work=late)  # type: ignore[arg-type]  # it is a unit of work
    assert [model.number for model in shelf.models()] == [1]


def test_what_is_unlike_all_that_was_taught_is_judged_by_the_descriptions(shelf: Shelf) -> None:
    shelf.labelled(each=18, codes=("220", "520"))
    assert train(shelf).outcome == "activated"
    one = shelf.embedded(COOKING)

    shelf.classify(one)

    assert shelf.seen(one).predicted == "640"


def test_a_code_with_few_documents_is_taught_as_the_class_above_it(shelf: Shelf) -> None:
    made = shelf.labelled()
    for one in made[:9]:  # of the twelve of one code, three are left
        shelf.decide(one, "200")

    report = train(shelf)

    assert report.labels == 3
    assert shelf.models()[0].label_counts == {"200": 12, "520": 12, "640": 12}


def test_the_model_of_another_embedder_is_not_in_force(shelf: Shelf) -> None:
    shelf.labelled()
    train(shelf)

    with shelf.library.database.reader() as session:
        assert classifiers.name_in_force(session, "another/1") == "zero-shot-2/0/another/1"
        assert classifiers.active(session, "another/1") is None


def test_a_model_comes_back_into_force_with_its_embedder(shelf: Shelf) -> None:
    shelf.labelled()
    train(shelf)
    with shelf.library.database.writer() as session:  # as a training by the vectors of another one leaves it
        session.execute(update(ModelVersion).values(is_active=False))

    reports = [train(shelf) for _ in range(2)]

    assert [(report.outcome, report.number) for report in reports] == [("activated", 1), ("unchanged", 1)]
    assert [(model.number, model.is_active) for model in shelf.models()] == [(1, True)]


def test_decisions_of_another_scheme_leave_room_for_those_of_the_tree(shelf: Shelf) -> None:
    shelf.labelled()
    for number in range(100):  # as many as a training takes, and all of them newer
        shelf.embedded(f"Shelved elsewhere {number}", classification_code="QA 76")

    assert train(shelf).outcome == "activated"


def test_a_model_that_knows_a_code_which_was_deleted_meanwhile_is_not_stored(shelf: Shelf) -> None:
    made = shelf.labelled()

    def late() -> object:
        for one in made:
            shelf.decide(one, None)
        category_codes.delete(shelf.library, "640")
        return shelf.library.work()

    with pytest.raises(ModelOvertaken):
        classifier_training.retrain(shelf.library, work=late)  # type: ignore[arg-type]  # it is a unit of work
    assert shelf.models() == []


def test_a_stored_model_is_numbers_and_nothing_that_runs(shelf: Shelf) -> None:
    shelf.labelled()
    train(shelf)
    with shelf.library.database.reader() as session:
        stored = classifiers.parameters_of(session, 1)
    assert stored is not None

    model = from_bytes(stored)

    assert model.labels == tuple(sorted(WORDS))
    assert from_bytes(model.to_bytes()).to_bytes() == model.to_bytes()
    with pytest.raises(ModelMismatch):
        from_bytes(stored[: len(stored) // 2])
