from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.knowledge.author_names import AuthorName, fold, initials_agree, parse_name


def parsed(text: str) -> AuthorName:
    name = parse_name(text)
    assert name is not None
    return name


@pytest.mark.parametrize(
    ("text", "given", "particles", "family", "suffix"),
    [
        ("John Smith", ["John"], "", "Smith", ""),
        ("Smith, John", ["John"], "", "Smith", ""),
        ("J.R. Smith", ["J.", "R."], "", "Smith", ""),
        ("JR Smith", ["J.", "R."], "", "Smith", ""),
        ("Smith J", ["J."], "", "Smith", ""),
        ("Guido van Rossum", ["Guido"], "van", "Rossum", ""),
        ("van Rossum, Guido", ["Guido"], "van", "Rossum", ""),
        ("Rossum, Guido van", ["Guido"], "van", "Rossum", ""),
        ("Carmen de la Cruz", ["Carmen"], "de la", "Cruz", ""),
        ("von der Leyen, Ursula", ["Ursula"], "von der", "Leyen", ""),
        ("Van Jacobson", ["Van"], "", "Jacobson", ""),  # here it is a given name
        ("M. St. Johns", ["M."], "St.", "Johns", ""),
        ("Smith, John, Jr.", ["John"], "", "Smith", "Jr."),
        ("Smith, Jr., John", ["John"], "", "Smith", "Jr."),
        ("D. Eastlake 3rd", ["D."], "", "Eastlake", "III"),
        ("Jean-Paul Sartre", ["Jean-Paul"], "", "Sartre", ""),
        ("J. J. Garcia-Luna-Aceves", ["J.", "J."], "", "Garcia-Luna-Aceves", ""),
        ("Conan O'Brien", ["Conan"], "", "O'Brien", ""),
        ("Juan Carlos Ortega y Gasset", ["Juan", "Carlos"], "", "Ortega y Gasset", ""),
        ("Dr. Vint Cerf", ["Vint"], "", "Cerf", ""),
        ("Baron Schwartz", ["Baron"], "", "Schwartz", ""),  # no baron
        ("Ma Huan", ["Ma"], "", "Huan", ""),  # no master of arts
        ("Mary Smith-Jones PhD", ["Mary"], "", "Smith-Jones", ""),
        ("R. Fielding, Editor", ["R."], "", "Fielding", ""),
        ("J. Klensin, WG Chair", ["J."], "", "Klensin", ""),
        ("Bill Croft (Stanford University)", ["Bill"], "", "Croft", ""),
        ("Bob Savage <bobsavage@mac.com>", ["Bob"], "", "Savage", ""),
        ("山田 太郎", ["太郎"], "", "山田", ""),
        ("毛泽东", [], "", "毛泽东", ""),
        ("김철수", ["철수"], "", "김", ""),
        ("Plato", [], "", "Plato", ""),
    ],
)
def test_the_parts_of_a_name(text: str, given: list[str], particles: str, family: str, suffix: str) -> None:
    name = parsed(text)

    assert (list(name.given), name.particles, name.family, name.suffix) == (given, particles, family, suffix)
    assert not name.is_group


@pytest.mark.parametrize(
    "text",
    [
        "R Core Team",
        "The PostgreSQL Global Development Group",
        "ISO",
        "zoo Development Team",
        "Cray Research, Inc.",
        "ann@x.org",
    ],
)
def test_an_organisation_is_not_taken_apart(text: str) -> None:
    name = parsed(text)

    assert name.is_group
    assert name.display == text.rstrip(".") or name.display == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "  ", "<b>", "1990", ";,", "(0000-0002-1825-0097)"),
        *("Unknown", "N/A", "Anonymous", "admin", "others", "et al."),
    ],
)
def test_what_names_nobody_is_no_name(text: str) -> None:
    assert parse_name(text) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("José García", "Garcia, Jose"),
        ("J. R. Smith", "Smith, J.R."),
        ("Jean-Paul Sartre", "SARTRE, Jean Paul"),
        ("Søren Kierkegaard", "Soren Kierkegaard"),
        ("Иван Иванов", "Ivan Ivanov"),
        ("Ann Lee (0000-0002-1825-0097)", "Ann Lee"),
    ],
)
def test_spellings_of_one_name_have_one_key(one: str, other: str) -> None:
    assert parsed(one).key == parsed(other).key


@pytest.mark.parametrize(
    ("one", "other"),
    [("李伟", "李威"), ("John Smith", "John Smith Jr."), ("Jan Rossum", "Jan van Rossum"), ("J. Smith", "John Smith")],
)
def test_different_names_have_different_keys(one: str, other: str) -> None:
    assert parsed(one).key != parsed(other).key


@pytest.mark.parametrize(
    ("one", "other", "agree"),
    [
        ("j r", "john robert", True),
        ("j", "john robert", True),
        ("john", "john r", True),
        ("john", "james", False),
        ("j r", "john quentin", False),
        ("", "john", False),
        ("伟", "伟明", False),
    ],
)
def test_initials_stand_for_names_that_they_begin(one: str, other: str, agree: bool) -> None:
    left, right = tuple(one.split()), tuple(other.split())

    assert initials_agree(left, right) is agree
    assert initials_agree(right, left) is agree


@given(st.text(max_size=400))
def test_any_text_is_a_name_or_none(text: str) -> None:
    name = parse_name(text)
    if name is not None:
        assert name.family
        assert len(name.key) <= 300
        again = parse_name(name.display)
        assert again is None or len(again.display) <= 4 * len(text) + 10


@given(st.text(alphabet=st.characters(min_codepoint=0x3400, max_codepoint=0xFDFF), min_size=150))
def test_a_key_fits_into_an_index(text: str) -> None:
    name = parse_name(text)
    assert name is None or len(name.key.encode()) + len(name.block.encode()) < 2000


@pytest.mark.parametrize("text", ["a " * 500_000, "van " * 250_000, "a," * 500_000, "(" * 1_000_000, "A." * 500_000])
def test_a_megabyte_is_no_work(text: str) -> None:
    parse_name("Ann Lee")  # the parser is loaded
    began = time.process_time()
    parse_name(text)
    assert time.process_time() - began < 1


def test_folding_keeps_words() -> None:
    assert fold("  Ångström-Øre, O'Neil ") == "angstrom ore oneil"
