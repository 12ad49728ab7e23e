"""The query grammar: what is typed, as clauses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.knowledge.query_grammar import (
    CLAUSES_MAX,
    QUERY_LENGTH_MAX,
    TERMS_MAX,
    FacetClause,
    FacetField,
    Query,
    TextClause,
    TextField,
    YearClause,
    parse,
)

PIECES = ['"', "-", "title:", "year:", "language:", "..", "2020", "word", " ", ":", "\x00", "東京", "(", "*", "é", "\\"]
ANY_TEXT = st.text() | st.lists(st.sampled_from(PIECES)).map("".join)


def shape(text: str) -> list[str]:
    """`-title:term term` for each text clause."""
    return [
        f"{'-' if clause.excluded else ''}{clause.field.value + ':' if clause.field else ''}{' '.join(clause.terms)}"
        for clause in parse(text).text
    ]


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("alpha beta", ["alpha", "beta"]),
        ('"alpha beta" gamma', ["alpha beta", "gamma"]),
        ("alpha -beta", ["alpha", "-beta"]),
        ('alpha -"beta gamma"', ["alpha", "-beta gamma"]),
        ("title:alpha beta", ["title:alpha", "beta"]),
        ('author:"Ada Lovelac" Subject:math', ["creator:ada lovelac", "subject:math"]),
        ("-creator:ada x", ["-creator:ada", "x"]),
        ('"alpha beta', ["alpha beta"]),
        ('alpha" beta', ["alpha", "beta"]),
        ("\u201calpha beta\u201d", ["alpha beta"]),
        ("nofield:alpha", ["nofield", "alpha"]),
        ("title: alpha", ["titl", "alpha"]),
        ("os.path.join", ["os path join"]),
        ("snake_case e-mail", ["snake case", "e mail"]),
        ("ls -l --all x-y", ["ls", "l", "all", "x y"]),
        ("alpha - beta", ["alpha", "beta"]),
        ("year:soon", ["year", "soon"]),
        ("year:2018...2020", ["year", "2018 2020"]),
        ("ﬁle Straße naïve", ["file", "strass", "naiv"]),
        ("東京 タワー", ["東 京", "タ ワ ー"]),
        ("al\x00pha", ["al", "pha"]),
        ("co\u00adoperate", ["cooper"]),
        ('!? ... "" -', []),
    ],
)
def test_text_is_read_as_clauses(text: str, clauses: list[str]) -> None:
    assert shape(text) == clauses


@pytest.mark.parametrize(
    ("text", "first", "last", "excluded"),
    [
        ("year:2020", 2020, 2020, False),
        ("year:2018..2021", 2018, 2021, False),
        ("year:2018..", 2018, None, False),
        ("year:..2021", None, 2021, False),
        ("-year:2020", 2020, 2020, True),
    ],
)
def test_years_are_ranges(text: str, first: int | None, last: int | None, excluded: bool) -> None:
    assert parse(text).years == (YearClause(first=first, last=last, excluded=excluded),)


def test_facets_are_compared_as_a_whole_and_in_lower_case() -> None:
    query = parse('language:DE -type:"Journal Article" format:text/html')

    assert query.facets == (
        FacetClause(field=FacetField.LANGUAGE, value="de"),
        FacetClause(field=FacetField.TYPE, value="journal article", excluded=True),
        FacetClause(field=FacetField.FORMAT, value="text/html"),
    )
    assert query.text == ()


@pytest.mark.parametrize(("text", "asks"), [("-a1", False), ("", False), ("a1 -b2", True), ("year:2020", True)])
def test_exclusions_alone_ask_for_nothing(text: str, asks: bool) -> None:
    assert parse(text).asks_for_something is asks


def test_what_must_hold_for_a_hit_by_meaning_leaves_the_plain_words_out() -> None:
    query = parse("cats title:dogs -birds year:2020")

    assert query.meaning == "cats dogs"
    assert query.constraints == Query(
        text=(
            TextClause(terms=("dog",), written="dogs", field=TextField.TITLE),
            TextClause(terms=("bird",), written="birds", excluded=True),
        ),
        years=(YearClause(first=2020, last=2020),),
    )


def test_a_run_is_every_unfielded_word_in_the_order_typed() -> None:
    assert parse('one "two three" title:x -four os.path').run == ("one", "two", "three", "os", "path")


def test_a_long_query_is_cut_not_refused() -> None:
    words = " ".join(f"w{number}" for number in range(10_000))

    query = parse(words)

    assert len(query.text) == CLAUSES_MAX
    assert parse("a.b" * QUERY_LENGTH_MAX) == parse(("a.b" * QUERY_LENGTH_MAX)[:QUERY_LENGTH_MAX])


def test_a_phrase_longer_than_the_limit_is_looked_for_as_far_as_it_goes() -> None:
    words = [f"w{number}" for number in range(200)]

    [clause] = parse(f'"{" ".join(words)}"').text
    assert clause.terms == tuple(words[:TERMS_MAX])
    assert parse(" ".join(words[:10]) + f' -"{" ".join(words)}"').unwanted == ()


@given(ANY_TEXT)
def test_any_text_is_a_query_of_letters_and_digits(text: str) -> None:
    query = parse(text)

    terms = [term for clause in query.text for term in clause.terms]
    assert all(term and term.isalnum() for term in terms)
    assert len(terms) <= TERMS_MAX
    assert all(clause.terms for clause in query.text)
