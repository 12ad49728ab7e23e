from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.knowledge.orcid import canonical_orcid, check_digit, find_orcid, without_orcids


@pytest.mark.parametrize(
    ("text", "orcid"),
    [
        ("Josiah Carberry (0000-0002-1825-0097)", "0000-0002-1825-0097"),
        ("https://orcid.org/0000-0002-1694-233X", "0000-0002-1694-233X"),
        ("ORCID: 0000-0002-1694-233x", "0000-0002-1694-233X"),
        ("000000021825009 7", None),
        ("0000000218250097", "0000-0002-1825-0097"),
        ("0000-0002-1825-0098", None),  # a wrong check digit
        ("10000-0002-1825-0097", None),
        ("nothing", None),
    ],
)
def test_an_orcid_is_told_by_its_check_digit(text: str, orcid: str | None) -> None:
    assert find_orcid(text) == orcid


def test_what_looks_like_one_is_no_part_of_a_name() -> None:
    assert without_orcids("Ann Lee 0000-0002-1825-0098").split() == ["Ann", "Lee"]


@given(st.text(alphabet="0123456789", min_size=15, max_size=15), st.integers(0, 14), st.integers(1, 9))
def test_one_wrong_digit_is_noticed(digits: str, place: int, change: int) -> None:
    whole = digits + check_digit(digits)
    wrong = whole[:place] + str((int(whole[place]) + change) % 10) + whole[place + 1 :]

    assert canonical_orcid(whole) is not None
    assert canonical_orcid(wrong) is None


@given(st.text())
def test_nothing_makes_it_raise(text: str) -> None:
    find_orcid(text)
