from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.knowledge.citations.identifiers import identifiers, isbn13, key_of


def keys(text: str) -> set[str]:
    return {one.key for one in identifiers(text)}


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("doi:10.18637/JSS.v067.i01.", "doi:10.18637/jss.v067.i01"),
        ("(DOI 10.1002/(SICI)1097-0258(19980815)17:15)", "doi:10.1002/(sici)1097-0258(19980815)17:15"),
        ("doi:10.18637/jss.\nv020.i02.\nEfron B (1977)", "doi:10.18637/jss.v020.i02"),
        ("doi:10.1137/0710036.\nGuennebaud G", "doi:10.1137/0710036"),
        ("doi:\n10.1007/978-0-387-77318-6. URL", "doi:10.1007/978-0-387-77318-6"),
        ("DOI 10.17487/RFC2119, March", "rfc:2119"),
        ("doi:10.48550/arXiv.2101.00001", "arxiv:2101.00001"),
        ("arXiv:1209.5145v2 [cs.PL]", "arxiv:1209.5145"),
        ("arXiv:math.GT/0309136", "arxiv:math/0309136"),
        ("see hep-th/9901001v3.", "arxiv:hep-th/9901001"),
        ("as in RFC 2119,", "rfc:2119"),
        ("as in [RFC0793]", "rfc:793"),
        ("as in RFC-1042.", "rfc:1042"),
        ("as in RFC\n      8174", "rfc:8174"),
        ("PMID: 12345678.", "pmid:12345678"),
        ("ISBN 0-387-95284-5", "isbn:9780387952840"),
        ("ISBN-13: 978-0-387-95284-0", "isbn:9780387952840"),
        ("ISBN 0-8044-2957-X", "isbn:9780804429573"),
        ("urn:isbn:9780387952840", "isbn:9780387952840"),
        ("文献doi:10.1234/abc。次に", "doi:10.1234/abc"),
        ("詳細はRFC 2119を参照", "rfc:2119"),
        ("論文arXiv:1209.5145を", "arxiv:1209.5145"),
        ("文献PMID:12345678を", "pmid:12345678"),
        ("書籍ISBN 0-387-95284-5を", "isbn:9780387952840"),
    ],
)
def test_every_spelling_has_the_key_of_the_work(text: str, key: str) -> None:
    assert keys(text) == {key}


@pytest.mark.parametrize(
    "text",
    [
        *("version 10.1234", "10.12/x", "at 2101.00001 seconds", "arXiv:2113.00001", "hep-xy/9901001"),
        *("RFC 0", "RFC 123456", "PMID 123456789", "ISBN 0-387-95284-4", "ISBN 12345", "the rfcs", "x10.1234/y"),
    ],
)
def test_what_only_looks_like_one_has_none(text: str) -> None:
    assert keys(text) == set()


def test_a_list_of_rfcs_is_each_of_them() -> None:
    assert keys("obsoletes RFCs 2818, 7231,\n   7232 and 7233. 1999") == {f"rfc:{n}" for n in (2818, 7231, 7232, 7233)}
    assert keys("Request for Comments: 3986\nUpdates: 1738        Day\nObsoletes: 2732, 2396, 1808\n") == {
        f"rfc:{n}" for n in (1738, 2732, 2396, 1808)
    }


def test_an_identifier_is_where_it_stands() -> None:
    [one] = identifiers("So RFC 2119 says.")

    assert (one.start, one.end) == (3, 11)


def test_a_field_that_holds_one_identifier_has_its_key() -> None:
    assert key_of("https://example.org") is None
    assert key_of(" doi:10.1234/abc ") == "doi:10.1234/abc"


@given(st.lists(st.integers(0, 9), min_size=12, max_size=12))
def test_one_check_digit_of_ten_makes_an_isbn(digits: list[int]) -> None:
    stem = "".join(map(str, digits))

    assert len([digit for digit in "0123456789" if isbn13(stem + digit)]) == 1
