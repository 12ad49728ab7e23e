from __future__ import annotations

from ipaddress import IPv4Address, ip_address
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.content.addresses import is_public
from app.content.fetch_policy import FetchPolicy, check_url
from app.errors import FetchRefused


def policy(*exempt: str) -> FetchPolicy:
    return FetchPolicy(
        allowed_private_hosts=exempt,
        allowed_ports=(80, 443),
        max_bytes=1000,
        max_redirects=3,
        timeout_seconds=5.0,
        user_agent="test",
    )


@pytest.mark.parametrize(
    ("url", "normalised"),
    [
        ("HTTP://Example.COM", "http://example.com/"),
        ("https://example.com:443/a", "https://example.com/a"),
        ("http://example.com:443/a", "http://example.com:443/a"),
        ("http://example.com/a/./b/../c#part", "http://example.com/a/c"),
        ("http://example.com/a/%2e%2E/b", "http://example.com/b"),
        ("http://example.com/../../a/..", "http://example.com/"),
        ("http://example.com/%7euser/%e4%b8", "http://example.com/~user/%E4%B8"),
        ("http://example.com/ä?q=ö", "http://example.com/%C3%A4?q=%C3%B6"),
        ("http://example.com/100%", "http://example.com/100%25"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("http://[2606:4700:4700:0::1111]/", "http://[2606:4700:4700::1111]/"),
        ("  http://example.com/\n", "http://example.com/"),
        ("http://example.com?b=2&a=1", "http://example.com/?b=2&a=1"),
    ],
)
def test_spellings_of_one_page_become_one_url(url: str, normalised: str) -> None:
    assert check_url(url, policy()) == normalised


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://example.com/",
        "gopher://example.com/",
        "javascript:alert(1)",
        "//example.com/",
        "example.com",
        "",
        "http://",
        "http:///path",
        "http://user:secret@example.com/",
        "http://user@example.com/",
        "http://@example.com/",
        "http://example.com:22/",
        "http://example.com:0/",
        "http://example.com:99999/",
        "http://example.com:x/",
        "http://example.com\\@127.0.0.1/",
        "http://exa mple.com/",
        "http://example.com/a\r\nHost: x",
        "http://ex%61mple.com/",
        "http://a..b/",
        "http://[::1",
        "http://[::zz]/",
        f"http://example.com/{'a' * 5000}",
        f"http://{'a' * 64}.com/",
    ],
)
def test_a_url_that_is_not_an_ordinary_web_address_is_refused(url: str) -> None:
    with pytest.raises(FetchRefused):
        check_url(url, policy())


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "0x7f000001",
        "2130706433",
        "0177.0.0.1",
        "0",
        "127.0.0.1.",
        "\uff11\uff12\uff17.0.0.1",
        "①②⑦.0.0.1",
        "127。0。0。1",
        "169.254.169.254",
        "10.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fe80::1%25eth0]",
        "[2606:4700:4700::1111%25eth0]",
        "localhost",
        "LOCALHOST",
        "a.localhost",
        "localhost.",
        "example.com.",
        "intranet",
        "printer.local",
        "metadata.google.internal",
    ],
)
def test_no_spelling_of_a_private_host_passes_the_door(host: str) -> None:
    with pytest.raises(FetchRefused):
        check_url(f"http://{host}/", policy())


def test_an_exempt_host_and_port_opens_that_port_only() -> None:
    allowing = policy("127.0.0.1:8099")

    assert check_url("http://127.0.0.1:8099/x", allowing) == "http://127.0.0.1:8099/x"
    for port in (80, 8098):
        with pytest.raises(FetchRefused):
            check_url(f"http://127.0.0.1:{port}/x", allowing)


@pytest.mark.parametrize(
    ("entry", "url"),
    [("Wiki", "http://wiki:8080/"), ("::1", "http://[::1]:99/"), ("[::1]:99", "http://[::1]:99/")],
)
def test_an_exempt_host_is_known_in_any_spelling_of_its_name(entry: str, url: str) -> None:
    assert check_url(url, policy(entry)) == url


@given(st.text(max_size=60))
def test_any_text_is_refused_or_becomes_a_stable_public_url(text: str) -> None:
    for url in (text, f"http://{text}", f"http://example.com/{text}"):
        try:
            normalised = check_url(url, policy())
        except FetchRefused:
            continue
        parts = urlsplit(normalised)
        assert check_url(normalised, policy()) == normalised
        assert parts.scheme in {"http", "https"}
        assert normalised.isascii()
        assert "@" not in parts.netloc
        assert not parts.fragment


@given(st.ip_addresses(v=4))
def test_an_address_written_as_one_number_or_in_octal_or_hex_is_refused(address: IPv4Address) -> None:
    a, b, c, d = address.packed
    for spelling in (str(int(address)), hex(int(address)), f"{a}.{b}.{c * 256 + d}", f"0{a:o}.0{b:o}.0{c:o}.0{d:o}"):
        if spelling != str(address) or not is_public(ip_address(spelling)):
            with pytest.raises(FetchRefused):
                check_url(f"http://{spelling}/", policy())
