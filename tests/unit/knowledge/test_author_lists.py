from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.knowledge.author_lists import names_of, split_names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("A. Smith, B. Jones and C. de la Cruz", ["A. Smith", "B. Jones", "C. de la Cruz"]),
        ("Smith, John; Jones, Bob", ["Smith, John", "Jones, Bob"]),
        ("A. Smith; B. Jones, C. Brown", ["A. Smith", "B. Jones", "C. Brown"]),
        ("Smith, John", ["Smith, John"]),
        ("Smith, John, Jones, Bob", ["Smith, John", "Jones, Bob"]),
        ("Smith, J., Jones, B. and Brown, C.", ["Smith, J.", "Jones, B.", "Brown, C."]),
        ("Ann Lee, Bob Ray, and Cid Fox", ["Ann Lee", "Bob Ray", "Cid Fox"]),
        ("Smith, John & Jones, Ann", ["Smith, John", "Jones, Ann"]),
        ("García Márquez, Gabriel", ["García Márquez, Gabriel"]),
        ("de la Cruz, Carmen", ["de la Cruz, Carmen"]),
        ("King, Martin Luther", ["King, Martin Luther"]),
        ("Knuth, Donald E.", ["Knuth, Donald E."]),
        ("John Smith, Jr., Bob Jones", ["John Smith, Jr.", "Bob Jones"]),
        ("Ludwig van Beethoven, Wolfgang Amadeus Mozart", ["Ludwig van Beethoven", "Wolfgang Amadeus Mozart"]),
        (
            "Chenyang Zhong, Robert Tibshirani and Terry Therneau",
            ["Chenyang Zhong", "Robert Tibshirani", "Terry Therneau"],
        ),
        (
            "Bill Croft (Stanford University, CA), John Gilmore",
            ["Bill Croft (Stanford University, CA)", "John Gilmore"],
        ),
        ("by Ann Lee", ["Ann Lee"]),
        ("Byron Lee", ["Byron Lee"]),
        ("山田太郎、鈴木一郎", ["山田太郎", "鈴木一郎"]),
        ("The PostgreSQL Global Development Group", ["The PostgreSQL Global Development Group"]),
        ("Department of Health and Human Services", ["Department of Health and Human Services"]),
        ("John Smith and R Core Team", ["John Smith", "R Core Team"]),
        ("Acme, Inc.", ["Acme, Inc."]),
        ("王小明\uff0c李雷\uff0c张三", ["王小明", "李雷", "张三"]),
        ("Smith J, Doe JA, Ray B", ["Smith J", "Doe JA", "Ray B"]),
        ("SMITH J, DOE J", ["SMITH J", "DOE J"]),
        ("GARCIA DIAZ, Juan", ["GARCIA DIAZ, Juan"]),
        ("van der A, Jan", ["van der A, Jan"]),
    ],
)
def test_a_line_is_cut_into_its_names(text: str, names: list[str]) -> None:
    assert split_names(text) == names


def test_an_orcid_stays_with_the_name_before_it() -> None:
    names = split_names("Josiah Carberry, https://orcid.org/0000-0002-1825-0097, Bob Ross")

    assert names == ["Josiah Carberry, https://orcid.org/0000-0002-1825-0097", "Bob Ross"]


@given(st.text(), st.lists(st.text(max_size=50)))
def test_any_text_is_a_list_of_names(text: str, values: list[str]) -> None:
    assert all(name.strip() for name in (*split_names(text), *names_of(values)))


PIECES = ("Ann Lee", "Smith, J.", "and", "&", ";", ",", "van Dam, Eva", "R Core Team", "(a, b")


@given(st.lists(st.sampled_from(PIECES)))
def test_no_name_is_lost(parts: list[str]) -> None:
    kept = " ".join(split_names(" ".join(parts)))

    assert kept.count("Ann Lee") == parts.count("Ann Lee")


@pytest.mark.parametrize(
    "text", ["a, " * 350_000, "A and " * 170_000, "(" * 1_000_000, "A. B, " * 170_000, "; " * 500_000, "by " * 350_000]
)
def test_a_megabyte_is_no_work(text: str) -> None:
    began = time.process_time()
    split_names(text)
    assert time.process_time() - began < 1
