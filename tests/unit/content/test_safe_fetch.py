from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from time import monotonic

import pytest

from app.content.safe_fetch import FetchPolicy, fetch
from app.errors import (
    BrokenDocument,
    DocumentTooLarge,
    FetchFailed,
    FetchRefused,
    FetchUnavailable,
)
from tests.unit.content.web_server import Handler, WebServer, unused_port, web_server

PAGE = b"<html><body>A page</body></html>"


@pytest.fixture
def server() -> Iterator[WebServer]:
    with web_server() as running:
        yield running


def policy_for(server: WebServer, **changes: object) -> FetchPolicy:
    values: dict[str, object] = {
        "allowed_private_hosts": (server.authority,),
        "allowed_ports": (80, 443),
        "max_bytes": 100_000,
        "max_redirects": 3,
        "timeout_seconds": 10.0,
        "user_agent": "alexandria-test",
    }
    return FetchPolicy(**(values | changes))  # type: ignore[arg-type]  # values of several types by name


def test_a_page_arrives_with_its_type_charset_and_validators(server: WebServer) -> None:
    server.answers["/a"] = lambda request: request.reply(
        200, PAGE, Content_Type="Text/HTML; charset=ISO-8859-1", ETag='"v1"', Last_Modified="yesterday"
    )

    page = fetch(server.url("/x/../a#part"), policy=policy_for(server))

    assert (page.url, page.body, page.not_modified) == (server.url("/a"), PAGE, False)
    assert (page.media_type, page.charset) == ("text/html", "iso-8859-1")
    assert page.content_type == "text/html; charset=iso-8859-1"
    assert (page.etag, page.last_modified) == ('"v1"', "yesterday")


def test_the_server_sees_the_name_of_the_url_and_the_user_agent(server: WebServer) -> None:
    port = server.server_address[1]
    server.answers["/"] = lambda request: request.reply(200, PAGE)

    fetch(f"http://localhost:{port}/", policy=policy_for(server, allowed_private_hosts=(f"localhost:{port}",)))

    [(_, headers)] = server.requests
    assert (headers["host"], headers["user-agent"]) == (f"localhost:{port}", "alexandria-test")


def test_a_page_that_has_not_changed_is_not_sent_again(server: WebServer) -> None:
    def answer(request: Handler) -> None:
        same = request.headers["if-none-match"] == '"v1"' and request.headers["if-modified-since"] == "yesterday"
        request.reply(304 if same else 200, b"" if same else PAGE, ETag='"v1"')

    server.answers["/"] = answer

    again = fetch(server.url("/"), policy=policy_for(server), etag='"v1"', last_modified="yesterday")
    anew = fetch(server.url("/"), policy=policy_for(server), etag='"v0"')

    assert (again.not_modified, again.body, again.etag) == (True, b"", '"v1"')
    assert (anew.not_modified, anew.body) == (False, PAGE)


def test_a_validator_that_is_no_ascii_is_not_sent_back(server: WebServer) -> None:
    server.answers["/"] = lambda request: request.reply(200, PAGE)

    page = fetch(server.url("/"), policy=policy_for(server), etag='"\u00e9"', last_modified="g\u00eastern")

    assert not page.not_modified
    assert page.body


def test_a_chunked_page_arrives_whole(server: WebServer) -> None:
    def answer(request: Handler) -> None:
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        request.wfile.write(b"6\r\n<html>\r\n5\r\nhello\r\n0\r\n\r\n")

    server.answers["/"] = answer

    assert fetch(server.url("/"), policy=policy_for(server)).body == b"<html>hello"


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [("gzip", gzip.compress(PAGE, mtime=0)), ("deflate", zlib.compress(PAGE)), ("identity", PAGE)],
)
def test_a_packed_page_is_unpacked(server: WebServer, encoding: str, packed: bytes) -> None:
    server.answers["/"] = lambda request: request.reply(200, packed, Content_Encoding=encoding)

    assert fetch(server.url("/"), policy=policy_for(server)).body == PAGE


@pytest.mark.parametrize("layers", [1, 2])
def test_a_gzip_bomb_ends_at_the_byte_limit(server: WebServer, layers: int) -> None:
    bomb = b"\x00" * 50_000_000
    for _ in range(layers):
        bomb = gzip.compress(bomb)
    encodings = ", ".join(["gzip"] * layers)
    server.answers["/"] = lambda request: request.reply(200, bomb, Content_Encoding=encodings)

    with pytest.raises(DocumentTooLarge):
        fetch(server.url("/"), policy=policy_for(server, max_bytes=1_000_000))


@pytest.mark.parametrize("encoding", ["gzip", "x-unknown"])
def test_a_body_that_cannot_be_unpacked_is_broken(server: WebServer, encoding: str) -> None:
    server.answers["/"] = lambda request: request.reply(200, PAGE, Content_Encoding=encoding)

    with pytest.raises(BrokenDocument):
        fetch(server.url("/"), policy=policy_for(server))


def test_a_page_over_the_limit_is_refused_before_it_is_read(server: WebServer) -> None:
    def answer(request: Handler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "100001")
        request.end_headers()
        request.server.closing.wait(30)

    server.answers["/"] = answer
    began = monotonic()

    with pytest.raises(DocumentTooLarge):
        fetch(server.url("/"), policy=policy_for(server))
    assert monotonic() - began < 5


def test_a_stream_without_an_end_stops_at_the_limit(server: WebServer) -> None:
    def answer(request: Handler) -> None:
        request.send_response(200)
        request.end_headers()
        while not request.server.closing.is_set():
            request.wfile.write(b"x" * 10_000)

    server.answers["/"] = answer

    with pytest.raises(DocumentTooLarge):
        fetch(server.url("/"), policy=policy_for(server))


@pytest.mark.parametrize("where", ["head", "body"])
def test_a_server_that_drips_is_left_when_the_time_is_up(server: WebServer, where: str) -> None:
    def answer(request: Handler) -> None:
        request.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: " + (b"" if where == "head" else b"\r\n\r\n"))
        while not request.server.closing.wait(0.05):
            request.wfile.write(b"x")

    server.answers["/"] = answer
    began = monotonic()

    with pytest.raises(FetchUnavailable):
        fetch(server.url("/"), policy=policy_for(server, timeout_seconds=0.5))
    assert monotonic() - began < 3


def test_redirects_are_followed_to_the_page(server: WebServer) -> None:
    server.answers["/a"] = lambda request: request.reply(301, b"", Location="b/c")
    server.answers["/b/c"] = lambda request: request.reply(307, b"", Location="../d?x=1")
    server.answers["/d"] = lambda request: request.reply(200, PAGE)

    page = fetch(server.url("/a"), policy=policy_for(server))

    assert (page.url, page.body) == (server.url("/d?x=1"), PAGE)


def test_a_circle_of_redirects_is_refused(server: WebServer) -> None:
    server.answers["/"] = lambda request: request.reply(302, b"", Location="/")

    with pytest.raises(FetchRefused):
        fetch(server.url("/"), policy=policy_for(server, max_redirects=2))
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1/",
        "http://169.254.169.254/latest/",
        "//[::1]/",
        "file:///etc/passwd",
        "http://0x7f.1/",
        "http://u:p@example.com/",
    ],
)
def test_a_redirect_to_a_forbidden_place_is_refused(server: WebServer, location: str) -> None:
    server.answers["/"] = lambda request: request.reply(302, b"", Location=location)

    with pytest.raises(FetchRefused):
        fetch(server.url("/"), policy=policy_for(server))


def test_a_redirect_to_another_port_of_loopback_never_reaches_it(server: WebServer) -> None:
    with web_server() as secret:
        secret.answers["/"] = lambda request: request.reply(200, b"secret")
        server.answers["/"] = lambda request: request.reply(302, b"", Location=secret.url("/"))

        with pytest.raises(FetchRefused):
            fetch(server.url("/"), policy=policy_for(server))
        assert secret.requests == []


def test_a_name_that_leads_to_a_private_address_is_refused_before_a_connection(server: WebServer) -> None:
    port = server.server_address[1]
    named = policy_for(server, allowed_private_hosts=("127.0.0.1",), allowed_ports=(port,))

    with pytest.raises(FetchRefused):
        fetch(f"http://localhost:{port}/", policy=named)
    assert server.requests == []


@pytest.mark.parametrize("status", [500, 502, 503, 429, 408])
def test_a_server_in_trouble_may_be_asked_again(server: WebServer, status: int) -> None:
    server.answers["/"] = lambda request: request.reply(status, b"")

    with pytest.raises(FetchUnavailable, match=str(status)):
        fetch(server.url("/"), policy=policy_for(server))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 304, 300])
def test_a_server_that_says_no_is_believed(server: WebServer, status: int) -> None:
    server.answers["/"] = lambda request: request.reply(status, b"")

    with pytest.raises(FetchFailed, match=str(status)):
        fetch(server.url("/"), policy=policy_for(server))


def test_a_server_that_is_not_there_may_be_asked_again() -> None:
    port = unused_port()
    with web_server() as server, pytest.raises(FetchUnavailable):
        fetch(f"http://127.0.0.1:{port}/", policy=policy_for(server, allowed_private_hosts=("127.0.0.1",)))


def test_an_answer_that_breaks_off_may_be_asked_for_again(server: WebServer) -> None:
    def answer(request: Handler) -> None:
        request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nshort")

    server.answers["/"] = answer

    with pytest.raises(FetchUnavailable):
        fetch(server.url("/"), policy=policy_for(server))


def test_a_proxy_from_the_environment_is_not_used(server: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{unused_port()}")
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{unused_port()}")
    server.answers["/"] = lambda request: request.reply(200, PAGE)

    assert fetch(server.url("/"), policy=policy_for(server)).body == PAGE


def test_a_redirect_to_what_is_no_url_is_refused(server: WebServer) -> None:
    server.answers["/"] = lambda handler: handler.reply(302, b"", Location="http://[")

    with pytest.raises(FetchRefused, match="the redirect leads to no URL"):
        fetch(server.url("/"), policy=policy_for(server))
