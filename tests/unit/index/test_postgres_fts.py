"""The tsvector that is written for a document stays within PostgreSQL's limits."""

from __future__ import annotations

from app.index.postgres_fts import PLACES_MAX, VECTOR_BYTES_MAX, vector_of


def test_every_term_has_its_places_and_the_label_of_its_field() -> None:
    fields = {"title": ["a", "b"], "creator": ["c"], "subject": [], "body": ["b", "d"]}

    assert vector_of(fields) == "'a':1A 'b':2A,7D 'c':4B 'd':8D"


def test_only_the_first_places_are_kept() -> None:
    vector = vector_of({"title": [], "body": ["x"] * 1000})

    assert vector.count("D") == PLACES_MAX


def test_a_place_past_the_limit_is_not_written_but_its_term_is() -> None:
    vector = vector_of({"title": [], "body": [f"t{number}" for number in range(20_000)]})

    assert "'t19999'" in vector
    assert "'t19999':" not in vector


def test_more_distinct_terms_than_fit_lose_the_last() -> None:
    vector = vector_of({"title": ["kept"], "body": [f"{number:060d}" for number in range(50_000)]})

    assert len(vector) < VECTOR_BYTES_MAX * 1.1
    assert vector.startswith("'kept':1A")
