from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.preconditions import etag, is_known, versions_of


@pytest.mark.parametrize(
    ("header", "versions"),
    [
        (None, None),
        ("*", None),
        ('"3"', {3}),
        ("3", set()),
        ('"3" ,, W/"9","5",', {3, 5}),
        ("abc3", set()),
        ('w/"3"', set()),
        ('"a" 3', set()),
        ('"3" "5"', set()),
        ('"3", 5', set()),
        ('"3", *', set()),
        ('"3', set()),
        ('"3", "5"', {3, 5}),
        ('W/"3"', set()),
        ('W/"3", "4"', {4}),
        ("nonsense", set()),
        ('"three"', set()),
        ('""', set()),
    ],
)
def test_if_match_names_the_versions_it_accepts(header: str | None, versions: set[int] | None) -> None:
    assert versions_of(header) == versions


@pytest.mark.parametrize(
    ("header", "known"),
    [
        (None, False),
        ("*", True),
        ('"3"', True),
        ('W/"3"', True),
        ('"2", W/"3"', True),
        ('"33"', False),
        ("", False),
        ("3", False),
        ('x"3"', False),
    ],
)
def test_if_none_match_compares_weakly(header: str | None, known: bool) -> None:
    assert is_known(3, header) is known


@given(st.integers(min_value=1, max_value=10**9))
def test_an_etag_is_accepted_by_both_headers(version: int) -> None:
    assert versions_of(etag(version)) == frozenset({version})
    assert is_known(version, etag(version))


@given(st.text())
def test_any_header_can_be_read(header: str) -> None:
    accepted = versions_of(header)
    assert accepted is None or all(version >= 0 for version in accepted)
    assert is_known(1, header) in {True, False}
