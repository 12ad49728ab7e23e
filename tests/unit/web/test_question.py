"""A question survives the way into an address and back."""

from __future__ import annotations

from urllib.parse import urlsplit

from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

from app.index.documents import Filters
from app.web.question import Question

STORABLE = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=40)
TEXT = STORABLE.filter(lambda text: bool(text.strip()))


def read(address: str) -> Question:
    return Question.of(QueryParams(urlsplit(address).query))


@given(
    text=TEXT,
    mode=st.sampled_from(["keyword", "semantic", "hybrid"]),
    languages=st.lists(STORABLE.filter(bool), max_size=3),
    years=st.lists(st.integers(1, 9999).map(str), max_size=3),
    cursor=STORABLE,
)
def test_a_question_is_read_from_its_own_address(
    text: str, mode: str, languages: list[str], years: list[str], cursor: str
) -> None:
    pairs = [("q", text), ("mode", mode), ("cursor", cursor)]
    pairs += [("language", one) for one in languages] + [("publication_year", one) for one in years]
    question = Question.of(QueryParams(pairs))
    assert read(question.url(cursor=question.cursor)) == question


def test_a_year_that_is_none_is_left_out() -> None:
    given_years = ["0", "1", "0859", "9999", "10000", "-1", "9" * 5000, "1859 "]
    question = Question.of(QueryParams([("q", "a"), *(("publication_year", year) for year in given_years)]))
    assert question.chosen == {"publication_year": ["1", "0859", "9999"]}


@given(query=st.text(max_size=200))
def test_any_address_holds_a_question(query: str) -> None:
    question = Question.of(QueryParams(query.encode("utf-8", "replace").decode()))
    assert question.url().startswith("/")
    assert "\x00" not in question.text


def test_years_become_a_span() -> None:
    question = read("/?q=x&publication_year=2021&publication_year=2018&publication_year=soon")
    assert question.filters == Filters(year_from=2018, year_to=2021)


def test_only_what_differs_from_the_usual_is_in_the_address() -> None:
    assert Question().url() == "/"
    assert read("/?q=tide&mode=hybrid&language=").url() == "/?q=tide&language="
    assert read("/?q=tide&language=fr").url(keep_facets=False) == "/?q=tide"
