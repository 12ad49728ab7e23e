from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.knowledge.citations.addresses import addresses, page_key, url_key


def found(text: str) -> list[str]:
    return [one.url for one in addresses(text)]


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("see http://example.org/a.", "http://example.org/a"),
        ("(see http://example.org/a_(b))", "http://example.org/a_(b)"),
        ("at <http://example.org/long\n   er/path> now", "http://example.org/longer/path"),
        ("at <URL:http://example.org/x>", "http://example.org/x"),
        ("URL http:\n//www.jstor.org/stable/1.", "http://www.jstor.org/stable/1"),
        ("URL http://CRAN.\nR-project.org/package=minqa.\nBates", "http://CRAN.R-project.org/package=minqa"),
        ("URL http://example.org/.\nSarkar D (2008)", "http://example.org/"),
        ("at http://example.org/\nand elsewhere", "http://example.org/"),
        ("at www.example.org, today", "http://www.example.org"),
        ("網站www.example.org\u3002", "http://www.example.org"),
        ("参照https://例え.jp/パス。次に", "https://例え.jp/パス"),
        ("\uff08见http://example.org/a\uff09\uff0c然后", "http://example.org/a"),
    ],
)
def test_an_address_ends_where_a_reader_ends_it(text: str, url: str) -> None:
    assert found(text) == [url]


@pytest.mark.parametrize("text", ["http://", "http://x", "a@www.b", "https://[::1", "http://a.b:99999999/", "www."])
def test_what_leads_nowhere_is_no_address(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://www.Example.org/a/", "https://example.org:443/a#top"),
        ("https://example.org/a?utm_source=x&id=3", "https://example.org/a?id=3"),
        ("https://example.org/%7Ejoe", "https://example.org/~joe"),
        ("https://doi.org/10.1234/AbC", "http://dx.doi.org/10.1234/abc"),
        ("https://onlinelibrary.wiley.com/doi/abs/10.1002/sim.1/abstract", "https://doi.org/10.1002/sim.1"),
        ("http://dx.doi.org/doi:10.1234/abc", "https://doi.org/10.1234/abc"),
        ("https://link.springer.com/article/10.1007/s00124-020-1", "https://doi.org/10.1007/s00124-020-1"),
        ("https://link.springer.com/chapter/10.1007/978-3-540-1_2", "https://doi.org/10.1007/978-3-540-1_2"),
        (
            "https://www.frontiersin.org/articles/10.3389/fpsyg.2013.00863/full",
            "https://doi.org/10.3389/fpsyg.2013.00863",
        ),
        ("https://arxiv.org/pdf/1406.5823v1.pdf", "http://arxiv.org/abs/1406.5823"),
        ("https://www.rfc-editor.org/info/rfc2119", "https://datatracker.ietf.org/doc/html/rfc2119"),
        ("http://tools.ietf.org/html/rfc2119#section-1", "https://www.rfc-editor.org/rfc/rfc2119.txt"),
        ("https://MÜLLER.example/a", "https://xn--mller-kva.example/a"),
        ("https://例え.jp/パス", "http://xn--r8jz45g.jp/%E3%83%91%E3%82%B9"),
        ("https://www.ncbi.nlm.nih.gov/pubmed/123", "https://pubmed.ncbi.nlm.nih.gov/123/"),
    ],
)
def test_two_addresses_of_one_work_have_one_key(one: str, other: str) -> None:
    assert url_key(one) == url_key(other) is not None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://example.org/a", "https://example.org/A"),
        ("https://example.org/?id=1", "https://example.org/?id=2"),
        ("https://example.org:8080/", "https://example.org/"),
    ],
)
def test_other_pages_have_other_keys(one: str, other: str) -> None:
    assert url_key(one) != url_key(other)


def test_the_key_of_a_long_address_has_room_in_an_index() -> None:
    key = page_key(f"https://example.org/{'a' * 1900}")

    assert key is not None
    assert len(key) <= 320
    assert key != page_key(f"https://example.org/{'a' * 1901}")


@pytest.mark.parametrize(
    "path",
    [
        *(f"doi.org/10.1234/{'a' * 1500}", "doi.org/10.1234/" + "\u0130" * 200, f"arxiv.org/abs/{'1' * 500}"),
        *(f"arxiv.org/abs/{'a-' * 100}/1", f"doi.org/10.48550/arxiv.{'1' * 100}", f"x.org/doi/10.1/{'a' * 900}"),
    ],
    ids=lambda path: path[:24],
)
def test_what_is_longer_than_any_identifier_stands_for_a_page_or_fits_its_column(path: str) -> None:
    key = url_key(f"https://{path}")

    assert key is not None
    assert len(key) <= 320
    assert not key.startswith("arxiv:")


@given(st.text(max_size=60))
def test_no_text_is_too_odd_to_be_looked_at(text: str) -> None:
    for url in (text, f"https://{text}", f"http://example.org/{text}"):
        assert url_key(url) is None or len(url_key(url) or "") <= 320
