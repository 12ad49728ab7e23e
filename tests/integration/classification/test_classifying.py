"""What the model says, beside what people decide, which it never changes."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from threading import Barrier
from uuid import UUID

import numpy as np
import pytest
from sqlalchemy import delete

from app.embedding.embedder import Embedder
from app.errors import CodeExists, CodeInUse, InvalidInput, NotFound
from app.index.documents import Filters
from app.knowledge.category_tree import Category
from app.models.outbox import TaskCall
from app.services import (
    cached_search,
    category_codes,
    classifying,
    consistency,
    embeddings,
    resources,
    search_indexing,
)
from app.services.library import Library
from app.services.unit_of_work import UnitOfWork
from tests.integration.classification.shelf import ASTRONOMY, COOKING, Shelf

pytestmark = pytest.mark.integration


class CountingEmbedder:
    """An embedder that remembers what it was given."""

    def __init__(self, inner: Embedder) -> None:
        self._inner = inner
        self.model_id, self.dimension, self.passages = inner.model_id, inner.dimension, inner.passages
        self.embedded: list[str] = []

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        self.embedded.extend(texts)
        return self._inner.embed(texts)


def test_a_text_is_put_where_its_words_belong(shelf: Shelf) -> None:
    one = shelf.classified(ASTRONOMY)

    seen = shelf.seen(one)
    assert (seen.code, seen.label, seen.decided_by, seen.state) == ("520", "Astronomy", "model", "fresh")
    assert seen.confidence is not None
    assert seen.confidence > 0.7
    assert not seen.needs_review
    assert seen.classifier is not None
    assert seen.classifier.startswith("zero-shot-2/0/")
    assert shelf.indexed_code(one) == "520"
    [event] = shelf.events("classification.completed")
    assert (event.data["predicted"], event.data["content_version"]) == ("520", 1)


def test_a_prediction_makes_no_new_version(shelf: Shelf) -> None:
    one = shelf.classified(ASTRONOMY)

    assert shelf.version(one) == 1
    assert shelf.events("resource.updated") == []


def test_a_second_run_writes_and_tells_nothing(shelf: Shelf) -> None:
    one = shelf.classified(ASTRONOMY)
    before = shelf.row(one)

    shelf.classify(one)

    after = shelf.row(one)
    assert before is not None
    assert after is not None
    assert (after.updated_at, after.confidence) == (before.updated_at, before.confidence)
    assert len(shelf.events("classification.completed")) == 1


def test_a_text_without_a_word_has_no_class_and_needs_review(shelf: Shelf) -> None:
    one = shelf.classified("", title="An empty page")

    seen = shelf.seen(one)
    assert (seen.code, seen.predicted, seen.confidence, seen.needs_review) == (None, None, 0.0, True)
    assert seen.state == "fresh"


def test_a_decision_stands_whatever_the_model_says(shelf: Shelf) -> None:
    one = shelf.classified(ASTRONOMY)

    decided = shelf.decide(one, "220")
    resources.update(shelf.library, one, {"content": f"{ASTRONOMY} Even more stars."})
    shelf.classify(one)

    seen = shelf.seen(one)
    assert (decided.code, decided.decided_by) == ("220", "person")
    assert (seen.code, seen.decided_by, seen.predicted) == ("220", "person", "520")
    assert (seen.built_from, seen.needs_review) == (2, False)
    given_back = shelf.decide(one, None)
    assert (given_back.code, given_back.decided_by) == ("520", "model")


def test_the_metadata_field_is_the_decision(shelf: Shelf) -> None:
    one = shelf.classified(ASTRONOMY)

    resources.update(shelf.library, one, {"classification_code": "640"})
    assert (shelf.seen(one).code, shelf.seen(one).decided_by) == ("640", "person")

    shelf.decide(one, "220")
    with shelf.library.database.reader() as session:
        assert resources.find(session, one).classification_code == "220"


def test_deciding_the_same_again_changes_nothing(shelf: Shelf) -> None:
    one = shelf.classified(ASTRONOMY)
    shelf.decide(one, "220")
    version = shelf.version(one)

    shelf.decide(one, "220")

    assert shelf.version(one) == version


def test_only_codes_of_the_tree_can_be_decided(shelf: Shelf) -> None:
    one = shelf.classified(ASTRONOMY)

    with pytest.raises(InvalidInput, match="there is no classification code 999"):
        shelf.decide(one, "999")

    assert shelf.version(one) == 1


def test_a_decision_made_while_the_model_thinks_stands(shelf: Shelf) -> None:
    one = shelf.embedded(ASTRONOMY)

    def late() -> AbstractContextManager[UnitOfWork]:
        shelf.decide(one, "220")  # after the text was read and before what the model says is written
        return shelf.library.work()

    classifying.classify(shelf.library, one, work=late)

    seen = shelf.seen(one)
    assert (seen.code, seen.decided_by, seen.predicted) == ("220", "person", "520")


def test_a_decision_and_the_model_at_once_both_stand(shelf: Shelf) -> None:
    for _ in range(5):
        one = shelf.embedded(ASTRONOMY)
        both = Barrier(2)

        def decide(one: UUID = one, both: Barrier = both) -> None:
            both.wait()
            shelf.decide(one, "220")

        def classify(one: UUID = one, both: Barrier = both) -> None:
            both.wait()
            shelf.classify(one)

        with ThreadPoolExecutor(max_workers=2) as executor:
            for done in [executor.submit(decide), executor.submit(classify)]:
                done.result()
        assert (shelf.seen(one).code, shelf.seen(one).predicted) == ("220", "520")


def test_two_runs_at_once_leave_one_row(shelf: Shelf) -> None:
    one = shelf.embedded(ASTRONOMY)
    both = Barrier(2)

    def run() -> None:
        both.wait()
        shelf.classify(one)

    with ThreadPoolExecutor(max_workers=2) as executor:
        for done in [executor.submit(run) for _ in range(2)]:
            done.result()

    assert shelf.seen(one).code == "520"
    assert shelf.counts()["fresh"] == 1


def test_what_was_read_before_an_edit_is_not_written_over_what_came_after(shelf: Shelf) -> None:
    one = shelf.embedded(ASTRONOMY)

    def late() -> AbstractContextManager[UnitOfWork]:
        resources.update(shelf.library, one, {"content": COOKING})
        shelf.classify(one)
        return shelf.library.work()

    classifying.classify(shelf.library, one, work=late)

    seen = shelf.seen(one)
    assert (seen.predicted, seen.built_from, seen.state) == ("640", 2, "fresh")


def test_a_deleted_document_gets_no_class(shelf: Shelf) -> None:
    one = shelf.embedded(ASTRONOMY)

    def late() -> AbstractContextManager[UnitOfWork]:
        resources.delete(shelf.library, one)
        return shelf.library.work()

    classifying.classify(shelf.library, one, work=late)

    assert shelf.row(one) is None
    shelf.classify(one)
    assert shelf.row(one) is None


def test_no_text_is_embedded_twice(library: Library) -> None:
    counting = CountingEmbedder(library.embedder())
    library = replace(library, embedder=lambda: counting)
    shelf = Shelf(library)
    first, second = shelf.embedded(f"{ASTRONOMY} First."), shelf.put(f"{ASTRONOMY} Second.")

    shelf.classify(first)
    shelf.classify(second)  # before its embedding was made
    embeddings.regenerate(library, second, work=library.work)

    assert [text for text in counting.embedded if ASTRONOMY in text] == [f"{ASTRONOMY} First.", f"{ASTRONOMY} Second."]
    assert shelf.seen(second).code == "520"


def test_a_search_can_be_narrowed_to_a_class_whoever_decided_it(shelf: Shelf) -> None:
    said, decided = shelf.classified(ASTRONOMY), shelf.classified(f"{ASTRONOMY} all day")
    shelf.decide(decided, "220")
    search_indexing.update(shelf.library, decided, work=shelf.library.work)

    def found(code: str) -> list[UUID]:
        filters = Filters(classification_code=(code,))
        page = cached_search.search(shelf.library, "stars", mode="keyword", filters=filters, limit=10)
        return [item.id for item in page.items]

    assert (found("520"), found("220")) == ([said], [decided])
    search_indexing.rebuild_search_index(shelf.library.database, shelf.library.index)
    assert (found("520"), found("220")) == ([said], [decided])


def test_a_changed_tree_makes_predictions_stale_and_they_are_called_for_in_slices(shelf: Shelf) -> None:
    made = [shelf.classified(f"{ASTRONOMY} Number {number}.") for number in range(3)]
    library = shelf.library
    with library.work() as unit:  # nobody is about to classify them anyway
        unit.session.execute(delete(TaskCall))

    category_codes.create(library, Category(code="523", parent="520", label="Stars and planets, galaxies and orbits"))

    assert (shelf.counts()["fresh"], shelf.counts()["stale"]) == (0, 3)
    called = consistency.reconcile(embedding_model=library.embedding_model, work=library.work, most=2)
    assert called["classification"] == 2
    shelf.classify(made[0])
    assert shelf.seen(made[0]).state == "fresh"
    assert (shelf.counts()["fresh"], shelf.counts()["stale"]) == (1, 2)


def test_the_tree_is_changed_only_where_nothing_is_lost(shelf: Shelf) -> None:
    library = shelf.library
    one = shelf.classified(ASTRONOMY)
    category_codes.create(library, Category(code="523", parent="520", label="Stars"))

    with pytest.raises(CodeExists):
        category_codes.create(library, Category(code="523", parent="520", label="Stars"))
    with pytest.raises(InvalidInput, match="no classification code 888"):
        category_codes.create(library, Category(code="524", parent="888", label="Comets"))
    with pytest.raises(InvalidInput, match="cannot be above it"):
        category_codes.change(library, Category(code="520", parent="523", label="Astronomy"))
    with pytest.raises(InvalidInput, match="cannot be above it"):
        category_codes.change(library, Category(code="520", parent="520", label="Astronomy"))
    with pytest.raises(NotFound):
        category_codes.change(library, Category(code="524", parent="520", label="Comets"))
    with pytest.raises(CodeInUse, match="below"):
        category_codes.delete(library, "520")
    shelf.decide(one, "523")
    with pytest.raises(CodeInUse, match="people"):
        category_codes.delete(library, "523")
    shelf.decide(one, None)
    category_codes.delete(library, "523")
    with pytest.raises(NotFound):
        category_codes.delete(library, "523")


def test_a_decision_and_the_end_of_its_code_are_one_after_the_other(shelf: Shelf) -> None:
    library = shelf.library
    for number in range(5):
        code = f"52{number}"
        if number:
            category_codes.create(library, Category(code=code, parent="500", label=f"Of {number}"))
        one = shelf.embedded(f"{ASTRONOMY} {number}")
        both = Barrier(2)

        def decide(one: UUID = one, both: Barrier = both, code: str = code) -> bool:
            both.wait()
            try:
                shelf.decide(one, code)
            except InvalidInput:
                return False
            return True

        def remove(both: Barrier = both, code: str = code) -> bool:
            both.wait()
            try:
                category_codes.delete(library, code)
            except CodeInUse:
                return False
            return True

        with ThreadPoolExecutor(max_workers=2) as executor:
            decided, removed = executor.submit(decide), executor.submit(remove)
            assert decided.result() != removed.result()
