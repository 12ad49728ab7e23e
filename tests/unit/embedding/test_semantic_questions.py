"""The questions that the semantic search is judged by keep their own rule."""

from __future__ import annotations

import re

import pytest

from tests.semantic_questions import (
    SemanticQuestion,
    content_stems,
    library_pages,
    load_semantic_questions,
    page_text,
    stem,
)

QUESTIONS = load_semantic_questions()


def test_there_are_enough_questions_over_enough_pages_of_both_packages() -> None:
    pages = {(question.corpus, question.page) for question in QUESTIONS}
    assert len({question.question for question in QUESTIONS}) >= 50
    assert len(pages) >= 40
    assert min(sum(corpus == name for corpus, _ in pages) for name in ("python3.11-doc", "postgresql-doc-15")) >= 20


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.page)
def test_a_question_shares_no_content_word_with_its_passage(question: SemanticQuestion) -> None:
    assert len(content_stems(question.question)) >= 2
    assert len(content_stems(question.passage)) >= 2
    assert content_stems(question.question).isdisjoint(content_stems(question.passage))


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.page)
def test_the_passage_is_on_its_page(question: SemanticQuestion) -> None:
    assert question.passage in page_text(question.path)


@pytest.mark.parametrize(
    "family",
    [
        "compute computer computing computation computes computed",
        "order orders ordered ordering orderly",
        "store stored storing stores",
        "stop stopped stopping stops",
        "query queries queried",
        "use uses used using useful",
        "index indexes indexed indexing",
        "relation relations relational",
    ],
)
def test_the_stemmer_joins_the_forms_of_a_word(family: str) -> None:
    assert len({stem(word) for word in re.split(" ", family)}) == 1


def test_the_library_holds_every_page_that_is_asked_for_and_the_same_others_each_time() -> None:
    pages = library_pages(total=520, seed=1)
    assert len(set(pages)) == 520
    assert {question.path for question in QUESTIONS} <= set(pages)
    assert library_pages(total=520, seed=1) == pages
    assert library_pages(total=520, seed=2) != pages
